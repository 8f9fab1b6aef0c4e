"""How a made page is written: its first line, tables, code. Markdown, and nothing that is known of the exporter."""

from collections.abc import Iterable, Iterator, Sequence


def made_of(source: str) -> str:
    """Say what a file is made of, for whoever opens it to mend something."""
    return f"generated from {source} by docs/generate.py; do not edit."


def head(title: str, source: str) -> list[str]:
    """Begin a page: what it is made of, and its title."""
    return [f"<!-- This page is {made_of(source)} -->", "", f"# {title}", ""]


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Give the lines of a table."""
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in row)} |"


def sentences(words: str | None) -> str:
    """Put sentences that were broken over lines into one."""
    return " ".join((words or "").split())


def code(word: object) -> str:
    """Show a word as it is typed."""
    return f"`{word}`"


def plain(words: str) -> str:
    """Take back what `code` did."""
    return words.replace("`", "")


def text(lines: Iterable[str]) -> str:
    """Join the lines of a file."""
    return "\n".join(lines) + "\n"
