"""What a page of the documentation shows: its fenced blocks, and the shell script that runs those that are to be run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUN = ("sh", "python")
TITLES = ("your values", "not run here")
"""How the title of a block of commands begins that is shown, and not run."""
LEFT_OUT = re.compile(r"(make|pip install) .*")
"""Lines that need another environment, or make one: `make test` would run this test."""

_FENCE = re.compile(r'( *)(```+)(\w*)(?: +title="([^"]*)")?.*')
_EXITS = re.compile(r"(.*?)\s+# exits (\d+)")
_ANY = "…"
_RETRIED = re.compile(r"( +requests +)([\d,]+), of them (\d+) retries; \d+ refused as too frequent")
_SLOWED = re.compile(r" +slowed +.*")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: where it begins (the fence, from 1), its language, title and lines; `output` is what it has to print."""

    line: int
    language: str
    title: str
    lines: tuple[str, ...]
    output: str | None = None

    @property
    def runs(self) -> bool:
        """Whether it is run as it stands."""
        return self.language in RUN and not self.title


def pages() -> list[Path]:
    """Every page: the README, and all of the documentation."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    """Find the fenced blocks of a page; a `text` block directly after one that is run is its output."""
    found: list[Block] = []
    ended = 0
    for block, end in _fenced(text.splitlines()):
        before = found[-1] if found else None
        direct = not "".join(text.splitlines()[ended : block.line - 1]).strip()
        if before and before.runs and block.language == "text" and direct:
            found[-1] = Block(before.line, before.language, "", before.lines, "\n".join(block.lines))
        else:
            found.append(block)
        ended = end
    return found


def _fenced(lines: list[str]) -> Iterator[tuple[Block, int]]:
    """Give each block with the number of its last line."""
    place = 0
    while place < len(lines):
        opening = _FENCE.fullmatch(lines[place])
        if opening:
            indent, ticks, language, title = opening.groups()
            closing = next(n for n in range(place + 1, len(lines)) if lines[n].strip() == ticks)
            inside = tuple(line.removeprefix(indent) for line in lines[place + 1 : closing])
            yield Block(place + 1, language, title or "", inside), closing + 1
            place = closing
        place += 1


def script(found: list[Block]) -> str:
    """Write the blocks that are run as one script for bash, each line at its own place in the page, so that errors name it."""
    lines: dict[int, str] = {}
    for block in found:
        if not block.runs:
            continue
        inside = block.lines if block.language == "python" else tuple(map(_command, block.lines))
        ahead, behind = ("python3 - <<'PYTHON'", "PYTHON") if block.language == "python" else ("", "")
        lines[block.line] = f"docs_block {block.line}; {ahead}"
        lines.update(enumerate(inside, block.line + 1))
        lines[block.line + len(inside) + 1] = behind
    return "\n".join(lines.get(number, "") for number in range(1, max(lines, default=0) + 1)) + "\n"


def _command(line: str) -> str:
    if LEFT_OUT.fullmatch(line):
        return ":"
    expected = _EXITS.fullmatch(line)
    if not expected:
        return line
    command, code = expected.groups()
    return f"{command} && docs_ends 0 {code} $LINENO || docs_ends $? {code} $LINENO"


def calmed(printed: str) -> str:
    """Give a summary without what a late machine adds to it: calls that met on their way, and were made again."""

    def without(found: re.Match[str]) -> str:
        name, requests, retries = found.groups()
        return f"{name}{int(requests.replace(',', '')) - int(retries):,}, of them 0 retries; 0 refused as too frequent"

    lines = (line for line in printed.splitlines() if not _SLOWED.fullmatch(line))
    return "\n".join(_RETRIED.sub(without, line) for line in lines)


def differs(wanted: str, printed: str) -> bool:
    """Tell whether a block printed something else than the page says: `…` is anything, alone on a line any lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == _ANY else ".*?".join(map(re.escape, line.rstrip().split(_ANY))) + r"\n"
        for line in wanted.splitlines()
    )
    return not re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed.splitlines()))
