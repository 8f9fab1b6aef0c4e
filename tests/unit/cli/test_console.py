import asyncio
import base64
import json
import re
from collections.abc import Callable
from urllib.parse import quote, urlencode

import orjson
import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st

from exporter import redaction
from exporter.api.usersig import sign
from exporter.cli import console, screen
from exporter.cli.exits import EXIT_CODES, exit_code
from exporter.errors import AttemptError, ExporterError
from exporter.model import Reply
from exporter.progress import Progress


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (61, "1 min 01 s"), (3599.6, "1 h 00 min"), (7260, "2 h 01 min")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    """Seconds, minutes with seconds, hours with minutes."""
    assert console.duration(seconds) == text


def test_the_line_tells_accounts_rate_and_time_left() -> None:
    """Retries and refusals only when there are any."""
    now = [0.0]
    progress = Progress(lambda: now[0])
    for _ in range(10):
        progress.started()
        progress.settle(Reply(found={f"{place}": {} for place in range(100)}))
    now[0], progress.share_read, progress.planned = 5.0, 0.25, 1100
    assert screen.line(progress) == "1,000 accounts, 2 requests/s, 200 accounts/s, 23%, 17.0 s left"
    progress.retried()
    assert "1 retry" in screen.line(progress)


def test_the_line_tells_the_rate_in_force_beside_the_quota() -> None:
    """At the full rate the quota alone; slowed down, how much is allowed now, and how often it was cut."""
    now, pace = [0.0], [100.0]
    progress = Progress(lambda: now[0])
    progress.rate, progress.pace = 100.0, lambda: pace[0]
    now[0] = 1.0
    assert screen.line(progress) == "0 accounts, 0 of 100 requests/s, 0 accounts/s"
    pace[0] = 47.512
    progress.slowed()
    line = "0 accounts, 0 of 47.5 now allowed, of 100, requests/s, 0 accounts/s, slowed down once"
    assert screen.line(progress) == line
    progress.slowed()
    assert screen.line(progress).endswith("slowed down 2 times")


def test_every_final_error_has_an_exit_code() -> None:
    """An error that can end a run is in the table; only a single attempt's is not."""
    assert set(ExporterError.__subclasses__()) - {AttemptError} == set(EXIT_CODES)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 5, "Error: there is not enough memory. Lower --in-flight"),
        (ValueError("canary-key"), 1, "ValueError: ***"),
        (asyncio.CancelledError(), 1, "bug in exporter"),
    ],
)
def test_whatever_ends_a_command_is_told(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little memory is a sentence; anything unforeseen is a traceback without a secret, and exit 1."""
    monkeypatch.setattr("sys.argv", ["exporter"])
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def failing() -> None:
        raise error

    redaction.hide("canary-key")
    try:
        assert exit_code(app) == code
    finally:
        redaction._secrets.clear()  # noqa: SLF001 - other tests hide other values
    said = capsys.readouterr().err
    assert words in said
    assert ("Traceback" in said) == (code == 1)
    assert "canary" not in said
