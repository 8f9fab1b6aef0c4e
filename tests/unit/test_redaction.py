"""Secrets are covered by their value, however they are spelled."""

import base64
import json
import re
from collections.abc import Callable
from urllib.parse import quote, urlencode

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter import redaction
from exporter.api.usersig import sign


@given(st.text(min_size=6, max_size=40), st.text(), st.text())
def test_a_hidden_value_is_never_printed(secret: str, before: str, after: str) -> None:
    """By value, wherever it stands."""
    redaction.hide(secret)
    try:
        assert secret not in redaction.redacted(before + secret + after).replace("***", "")
    finally:
        redaction._secrets.clear()  # noqa: SLF001 - what was drawn must not cover the next example


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=40))
@example("a/b c*+é")
def test_a_hidden_value_is_covered_however_it_is_spelled(secret: str) -> None:
    """As URLs, JSON and Python write it, by whichever library; and what was JSON is JSON afterwards."""
    texts = [
        quote(secret),
        quote(secret, safe=""),
        re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
        urlencode({"k": secret})[2:],
        json.dumps(secret)[1:-1],
        orjson.dumps(secret).decode()[1:-1],
        repr(secret)[1:-1],
        repr(secret.encode())[2:-1],
    ]
    redaction.hide(secret)
    try:
        for text in texts:
            assert text not in redaction.redacted(f"before {text} after").replace("***", "")
        assert json.loads(redaction.redacted(json.dumps({"a": [f" {secret} "]}))) == {"a": [" *** "]}
    finally:
        redaction._secrets.clear()  # noqa: SLF001 - what was drawn must not cover the next example


def test_what_is_no_text_can_be_hidden_as_well() -> None:
    """A variable of the environment may hold any bytes."""
    redaction.hide("caf\udce9-canary")
    try:
        assert redaction.redacted("a caf\udce9-canary b") == "a *** b"
    finally:
        redaction._secrets.clear()  # noqa: SLF001 - other tests hide other values


def test_short_values_and_other_encodings_are_not_covered() -> None:
    """Said as it is: under six characters a value is like any word, and base64 of a key is made by nobody here."""
    redaction.hide("admin")
    redaction.hide("canary-key")
    try:
        encoded = base64.b64encode(b"canary-key").decode()
        assert redaction.redacted(f"administrator {encoded}") == f"administrator {encoded}"
    finally:
        redaction._secrets.clear()  # noqa: SLF001 - other tests hide other values


@pytest.mark.parametrize("identifier", ["administrator", "管理员", "a b+c"])
@pytest.mark.parametrize("spell", [str, quote, lambda text: quote(text).lower().replace("ej", "eJ", 1)])
def test_a_usersig_is_covered_though_nobody_told_of_it(identifier: str, spell: Callable[[str], str]) -> None:
    """Whoever signed it, whole or cut short by an excerpt; words around it stay."""
    usersig = sign(sdkappid=1400000000, key="k", identifier=identifier, now=1_700_000_002, expire_s=86_400)
    for text in (spell(usersig), spell(usersig)[:80]):
        assert redaction.redacted(f"sig {text} refused") == "sig *** refused"


def test_a_query_is_covered_whoever_made_it() -> None:
    """A UserSig in a URL is no secret we were told of, and covered all the same."""
    assert redaction.redacted("GET /?usersig=eJyrVg*-_&x=1") == "GET /?usersig=***&x=1"
