"""What a person sees: sentences on standard error, results on standard output; never a secret.

Sentences have a level, and may have facts beside them. `speak` decides for the whole process how they are written: as text
for people, or one JSON object a line for log collectors; and whether only warnings and errors are said.
"""

import sys
from collections.abc import Callable
from typing import TextIO

import orjson

from exporter.redaction import redacted

DETAIL, INFO, WARNING, ERROR, BUG = "debug", "info", "warning", "error", "critical"
PREFIXES = {WARNING: "Warning: ", ERROR: "Error: ", BUG: ""}
"""How the levels begin that are said also when all is to be quiet; DETAIL is for log collectors alone."""

Writer = Callable[[str, str, dict[str, object]], str | None]
"""Writes a sentence of a level, with its facts, as one line; None for what is not said."""


def as_text(sentence: str, level: str, _facts: dict[str, object]) -> str | None:
    """Write a sentence for people."""
    return None if level == DETAIL else f"{PREFIXES.get(level, '')}{sentence}"


class _Voice:
    """How this process speaks: one state, for whatever ends a process has to be told in the same way."""

    write: Writer = staticmethod(as_text)
    quiet = False
    as_json = False
    shown = False


def speak(*, quiet: bool, as_json: bool, write: Writer = as_text) -> None:
    """Decide how everything is said from now on; `as_json` has one JSON object on standard output, whatever happens."""
    _Voice.quiet, _Voice.as_json, _Voice.write, _Voice.shown = quiet, as_json, staticmethod(write), False


def bind(**facts: object) -> None:
    """Put facts beside every sentence from now on, where sentences have any."""
    if bound := getattr(_Voice.write, "bind", None):
        bound(**facts)


def is_quiet() -> bool:
    """Whether nothing is said but warnings and errors."""
    return _Voice.quiet


def say(sentence: str, level: str = INFO, **facts: object) -> None:
    """Tell the person who runs the command something, on standard error. A log that cannot be written stops no run."""
    if _Voice.quiet and level not in PREFIXES:
        return
    line = _Voice.write(sentence, level, facts)
    if line is not None:
        _write(sys.stderr, f"{redacted(line)}\n")


def show(text: str) -> None:
    """Print a result, on standard output; where that fails, say so: the result itself stands on disk."""
    _Voice.shown = True
    if sys.stdout is not None and not _write(sys.stdout, f"{redacted(text)}\n"):
        say("Standard output could not be written to: what it would have said is lost, nothing else.", WARNING)


def show_words(text: str) -> None:
    """Print a result that is for people, unless all is to be quiet: then the exit code tells it."""
    if not _Voice.quiet:
        show(text)


def show_failure(sentence: str, code: int) -> None:
    """Give those who asked for JSON theirs, also when the command fails: exactly one object."""
    if _Voice.as_json and not _Voice.shown:
        text = redacted(sentence).encode("utf-8", "backslashreplace").decode()  # a path need not be text
        show(orjson.dumps({"complete": False, "exit_code": code, "error": text}).decode())


def _write(stream: TextIO | None, text: str) -> bool:
    if stream is None:  # closed by whoever started us
        return False
    encoding = getattr(stream, "encoding", None) or "utf-8"
    shown = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(shown)
        stream.flush()
    except (OSError, ValueError):
        return False
    return True
