import asyncio
import io
import json
import sys

import pytest
import typer
from rich.console import Console

from exporter import redaction
from exporter.cli import config, console, screen
from exporter.cli.exits import EXIT_CODES, exit_code
from exporter.cli.logs import JsonLines
from exporter.errors import AttemptError, ExporterError, Verdict
from exporter.model import Reply
from exporter.progress import Progress
from exporter.settings import only


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


def _drawn(progress: Progress) -> str:
    out = io.StringIO()
    Console(file=out, width=120, color_system=None).print(screen.picture(progress))
    return out.getvalue()


def test_whatever_went_wrong_is_told_in_every_form() -> None:
    """In the line, the picture and the figures for log collectors; and nothing of what did not happen."""
    now = [0.0]
    progress = Progress(lambda: now[0])
    for written in (screen.line(progress), _drawn(progress)):
        assert not any(words in written for words in ("refused", "slowed", "paused", "out of reach", "Out of reach"))
    progress.failed(AttemptError("x", verdict=Verdict.SLOW_DOWN, code=60007))
    progress.slowed()
    redaction.hide("canary-key")
    try:
        progress.paused("no answer to canary-key")
        now[0] = 61.5
        line, drawn = screen.line(progress), _drawn(progress)
    finally:
        redaction._secrets.clear()  # noqa: SLF001 - other tests hide other values
    for words in ("1 refused", "slowed down once", "paused 1 min 02 s"):
        assert words in line
        assert words in drawn
    assert line.endswith("out of reach: no answer to canary-key")  # `say` covers it
    assert "Out of reach: no answer to ***" in drawn
    assert "canary" not in drawn
    told = screen.facts(progress)
    assert (told["refusals"], told["slow_downs"], told["paused"], told["paused_s"]) == (1, 1, True, 61.5)


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


def test_a_line_of_json_says_what_was_said() -> None:
    """Shares as they are; a path that is no text does not keep a sentence from being said."""
    for sentence, said in (("36% done, 100%% sure, %s", "36% done, 100%% sure, %s"), ("in \udcff", "in \\udcff")):
        assert json.loads(JsonLines()(sentence, "info", {}))["message"] == said


async def told_twice(progress: Progress, logs: console.Writer) -> None:
    """Say a detail, then watch some work until its state was told two times."""
    told = asyncio.Event()
    levels: list[str] = []

    def write(sentence: str, level: str, facts: dict[str, object]) -> str | None:
        levels.append(level)
        if levels.count(console.INFO) > 1:
            told.set()
        return logs(sentence, level, facts)

    console.speak(quiet=False, as_json=False, write=write)
    try:
        console.say("a detail", console.DETAIL, shard=3)
        async with screen.watched(progress), asyncio.timeout(10):
            await told.wait()
    finally:
        console.speak(quiet=False, as_json=False)


async def test_a_dumb_terminal_is_told_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can move no cursor, so a picture would be lost on it."""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(screen, "LOG_TICK_S", 0.0)
    monkeypatch.setenv("TERM", "dumb")
    progress = Progress(lambda: 5.0)
    await told_twice(progress, console.as_text)
    assert set(terminal.getvalue().splitlines()) == {screen.line(progress)}


@pytest.mark.parametrize("logs", [console.as_text, JsonLines()])
async def test_a_log_tells_the_state_every_so_often(
    logs: console.Writer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """People get the line alone, log collectors its figures as well; what is for collectors alone people are spared."""
    monkeypatch.setattr(screen, "LOG_TICK_S", 0.0)
    progress = Progress(lambda: 5.0)
    await told_twice(progress, logs)
    lines = capsys.readouterr().err.splitlines()
    if logs is console.as_text:
        assert set(lines) == {screen.line(progress)}
        return
    told = [json.loads(line) for line in lines]
    assert [line["shard"] for line in told if line["level"] == "debug"] == [3]
    figures = [line for line in told if line["level"] == "info"]
    assert all(line.items() >= {**screen.facts(progress), "message": screen.line(progress)}.items() for line in figures)


def test_a_failure_that_names_no_text_is_told_to_those_who_asked_for_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A path of other bytes stands in it as it can be written."""
    console.speak(quiet=False, as_json=True)
    try:
        console.show_failure("in \udcff", 2)
    finally:
        console.speak(quiet=False, as_json=False)
    assert json.loads(capsys.readouterr().out)["error"] == "in \\udcff"


def test_a_path_that_is_no_text_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """`exporter config --json` writes it as everything else that is shown."""
    config.config(only(out="in \udcff", as_json=True), {})
    assert json.loads(capsys.readouterr().out)["out"]["value"] == "in \\udcff"
