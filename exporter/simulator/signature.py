"""Judge a UserSig as the service does: decoded, compared and dated here, by nothing that the client uses to sign."""

import base64
import binascii
import hashlib
import hmac
import json
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

TOKEN_BYTES_MAX = 8192

EXPIRED, ILLEGAL, WRONG_KEY, OTHER_IDENTIFIER, OTHER_APP = 70001, 70003, 70009, 70013, 70014

_ALPHABET = re.compile(r"[A-Za-z0-9*_-]+")
_TO_BASE64 = str.maketrans("*-_", "+/=")
_FIELDS = {"TLS.identifier": str, "TLS.sdkappid": int, "TLS.time": int, "TLS.expire": int, "TLS.sig": str}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a request claims to be signed for, and the key of the app.

    `newer_than` is a Unix second: a token whose `TLS.time` is not later has expired, whatever its lifetime.
    """

    sdkappid: int
    identifier: str
    key: str = field(repr=False)
    newer_than: int = -1


@dataclass(frozen=True, slots=True)
class Token:
    """The fields of a UserSig, unproven. `time` is a Unix second, `expire` a lifetime in seconds."""

    identifier: str
    sdkappid: int
    time: int
    expire: int
    sig: str
    userbuf: str | None


def verify(usersig: str, expected: Expected, now: float) -> int:
    """The service's code for this UserSig at Unix time `now`: 0 when it is valid ("Error Codes", 70001-70014)."""
    token = decode(usersig)
    if token is None:
        return ILLEGAL
    if token.sdkappid != expected.sdkappid:
        return OTHER_APP
    if token.identifier != expected.identifier:
        return OTHER_IDENTIFIER
    if not hmac.compare_digest(_signed(token, expected.key), token.sig.encode()):
        return WRONG_KEY
    if int(now) > token.time + token.expire or token.time <= expected.newer_than:
        return EXPIRED
    return 0


def decode(usersig: str) -> Token | None:
    """The token's fields in any legal encoding (key order, white space, zlib level), None for anything else."""
    if not _ALPHABET.fullmatch(usersig):
        return None
    try:
        document = json.loads(_inflate(base64.b64decode(usersig.translate(_TO_BASE64), validate=True)))
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("TLS.ver") != "2.0":
        return None
    values: list[Any] = [document.get(name) for name in _FIELDS]
    values.append(document.get("TLS.userbuf"))
    if any(type(value) is not kind for value, kind in zip(values, _FIELDS.values(), strict=False)):
        return None
    return Token(*values) if isinstance(values[-1], str | None) else None


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(data, TOKEN_BYTES_MAX)
    if not inflater.eof or inflater.unused_data:
        raise ValueError("The token is cut short, too long, or followed by other bytes.")
    return text


def _signed(token: Token, key: str) -> bytes:
    content = (
        f"TLS.identifier:{token.identifier}\nTLS.sdkappid:{token.sdkappid}\n"
        f"TLS.time:{token.time}\nTLS.expire:{token.expire}\n"
    )
    if token.userbuf is not None:
        content += f"TLS.userbuf:{token.userbuf}\n"
    # A lone surrogate is legal in JSON and not in UTF-8: it must fail the comparison, not the server.
    digest = hmac.new(key.encode(), content.encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.b64encode(digest)
