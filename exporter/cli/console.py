"""What a person sees: sentences and the progress line on standard error, results on standard output; never a secret."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from typing import TextIO
from urllib.parse import quote, quote_plus

from exporter.progress import Progress

TERMINAL_TICK_S = 0.5
LOG_TICK_S = 30.0
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


def say(sentence: str) -> None:
    """Tell the person who runs the command something, on standard error. A log that cannot be written stops no run."""
    _write(sys.stderr, f"{redacted(sentence)}\n")


def show(text: str) -> None:
    """Print a result, on standard output; where that fails, say so: the result itself stands on disk."""
    if sys.stdout is not None and not _write(sys.stdout, f"{redacted(text)}\n"):
        say("Standard output could not be written to: what it would have said is lost, nothing else.")


def _write(stream: TextIO | None, text: str) -> bool:
    if stream is None:  # closed by whoever started us
        return False
    shown = text.encode(stream.encoding or "utf-8", "backslashreplace").decode(stream.encoding or "utf-8")
    try:
        stream.write(shown)
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def duration(seconds: float) -> str:
    """Write seconds as a person would: 4.2 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def line(progress: Progress) -> str:
    """Put the state of a run into one line."""
    requests, accounts = progress.rates()
    parts = [
        f"{progress.settled:,} accounts",
        f"{requests:.0f}{_allowed(progress)} requests/s, {accounts:,.0f} accounts/s",
    ]
    if progress.retries:
        parts.append(f"{progress.retries:,} retries")
    if progress.refusals:
        parts.append(f"{progress.refusals:,} refused")
    if progress.slow_downs:
        parts.append("slowed down " + ("once" if progress.slow_downs == 1 else f"{progress.slow_downs:,} times"))
    if progress.outages:
        parts.append(f"paused {duration(progress.paused_s)}")
    left = progress.left_s()
    if left is not None:
        parts.append(f"{progress.elapsed_s / max(progress.elapsed_s + left, 1e-9):.0%}")
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


def _allowed(progress: Progress) -> str:
    """Tell the rate in force beside the quota, where there is one."""
    if not progress.rate or not progress.pace:
        return ""
    pace = progress.pace()
    return f" of {progress.rate:g}" if pace >= progress.rate else f" of {pace:.3g} now allowed, of {progress.rate:g},"


@contextlib.asynccontextmanager
async def watched(progress: Progress) -> AsyncIterator[None]:
    """Show the state of a run while it lasts: a line that renews itself on a terminal, plain lines elsewhere."""
    terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    task = asyncio.create_task(_tick(progress, terminal=terminal), name="progress line")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if terminal:
            _write(sys.stderr, "\r\x1b[K")


async def _tick(progress: Progress, *, terminal: bool) -> None:
    while True:
        await asyncio.sleep(TERMINAL_TICK_S if terminal else LOG_TICK_S)
        if terminal:
            width = shutil.get_terminal_size().columns - 1
            _write(sys.stderr, f"\r\x1b[K{redacted(line(progress))[:width]}")
        else:
            say(line(progress))
