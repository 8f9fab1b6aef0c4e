import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli import console
from exporter.cli.exits import EXIT_CODES
from exporter.errors import AttemptError, ExporterError
from exporter.model import Reply
from exporter.progress import Progress


@given(st.text(min_size=6, max_size=40), st.text(), st.text())
def test_a_hidden_value_is_never_printed(secret: str, before: str, after: str) -> None:
    """By value, wherever it stands."""
    console.hide(secret)
    try:
        assert secret not in console.redacted(before + secret + after).replace("***", "")
    finally:
        console._secrets.clear()  # noqa: SLF001 - what was drawn must not cover the next example


def test_a_query_is_covered_whoever_made_it() -> None:
    """A UserSig in a URL is no secret we were told of, and covered all the same."""
    assert console.redacted("GET /?usersig=eJyrVg*-_&x=1") == "GET /?usersig=***&x=1"


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
    assert console.line(progress) == "1,000 accounts, 2 requests/s, 200 accounts/s, 23%, 17.0 s left"
    progress.retried()
    assert "1 retries" in console.line(progress)


def test_every_final_error_has_an_exit_code() -> None:
    """An error that can end a run is in the table; only a single attempt's is not."""
    assert set(ExporterError.__subclasses__()) - {AttemptError} == set(EXIT_CODES)
