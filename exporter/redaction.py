"""Covering secrets: by their value, in every spelling, in whatever leaves this process."""

import json
import re
from urllib.parse import quote, quote_plus

SECRET_CHARS_MIN = 6  # a shorter one could not be told from a word or a figure; a real key has 64 characters
_QUERY = re.compile(r"usersig=[^&\s\"']+", re.IGNORECASE)
_USERSIG = re.compile(r"eJ[A-Za-z0-9*_%-]{60,}")  # base64 of zlib: also one that was cut short, or of somebody else
_secrets: set[str] = set()


def hide(secret: str | None) -> None:
    """Never print this value from now on, in none of its spellings."""
    if secret and len(secret) >= SECRET_CHARS_MIN:
        _secrets.update(spellings(secret))


def spellings(secret: str) -> set[str]:
    """How URLs, JSON and Python write a text: what libraries print of our values they print in one of these.

    Not base64 or a hash, which nothing here makes of a secret; and no value that is broken over lines: nothing here wraps.
    """
    data = secret.encode("utf-8", "surrogatepass")  # a variable of the environment need not be text
    encoded = {quote(data), quote(data, safe=""), quote_plus(data), quote_plus(data, safe="")}
    encoded |= {re.sub("%..", lambda found: found[0].lower(), text) for text in encoded}
    written = {json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret), ascii(secret)}
    return {secret, *encoded, *(text[1:-1] for text in written), repr(data)[2:-1]}


def redacted(text: str) -> str:
    """Cover every secret in a text."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _USERSIG.sub("***", _QUERY.sub("usersig=***", text))
