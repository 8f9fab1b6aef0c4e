"""Every command that the documentation shows works: the pages are run.

The convention, for whoever writes a page:

- A `sh` block is run as written, and so is a `python` block (by `python3`), page by page, in order, in one session of
  `bash -euo pipefail`: a `cd`, an `export` and a job in the background last until the end of the page.
- The session begins in an empty folder with `ids.csv` (3,000 ids in the column account_id). Address, app, administrator and
  key of a running double are set as variables, so that commands need no flags for them. HOME is that folder too.
- A command that is to fail says so at the end of its line: `exporter verify export  # exits 5`.
- A `text` block directly after one that is run holds what it prints, on both streams: `…` stands for anything in a line, and
  for any lines where it stands alone. A late machine may have made some calls again: what that adds to a summary is let pass.
- Commands that cannot be run have a title that tells the reader why: `bash title="your values"` (what only he knows) or
  `bash title="not run here: …"` (what this machine lacks).
- Lines that begin with `make` or `pip install` are left out: they make the very environment that the tests run in.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CANARY, WITHOUT, Double, assert_no_secret, environment, start_double
from tests.docs.fences import LEFT_OUT, ROOT, TITLES, Block, blocks, calmed, differs, pages, script

PREAMBLE = """
unset BASH_ENV
set -E
trap 'docs_code=$?; echo "$DOCS_PAGE:$LINENO: $BASH_COMMAND: exit code $docs_code" >>"$DOCS_SAID/failed"' ERR
docs_block() { exec >"$DOCS_SAID/$1" 2>&1; }
docs_ends() { [ "$1" = "$2" ] || { echo "$DOCS_PAGE:$3: exit code $1, not $2" >>"$DOCS_SAID/failed"; exit 1; }; }
"""
IDS = 3_000
PAGE_S_MAX = 180.0


@pytest.fixture(scope="session")
def _docs_double() -> Iterator[Double]:
    double = start_double("--rate", "100")
    yield double
    double.process.terminate()
    double.process.communicate()


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH as after an installation: `exporter`, and what comes with the tests' environment."""
    place = tmp_path_factory.mktemp("bin")
    entry = place / "exporter"
    entry.write_text(
        f"#!{sys.executable}\nimport sys\n\nsys.path.insert(0, {str(WITHOUT)!r})\n"
        "from exporter.__main__ import main\n\nmain()\n"
    )
    entry.chmod(0o755)
    return os.pathsep.join([str(place), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@pytest.fixture
def session(_docs_double: Double, tools: str, tmp_path: Path) -> dict[str, str]:
    """Give the variables of a page's session."""
    said = tmp_path / "said"
    said.mkdir()
    (tmp_path / "preamble").write_text(PREAMBLE)
    return environment(
        PATH=tools,
        HOME=str(tmp_path / "page"),
        PYTHONPATH=str(ROOT),
        PYTHONWARNINGS="",
        BASH_ENV=str(tmp_path / "preamble"),
        DOCS_SAID=str(said),
        EXPORTER_BASE_URL=_docs_double.address,
        EXPORTER_SDKAPPID="1400000000",
        EXPORTER_IDENTIFIER="administrator",
        EXPORTER_SECRET_KEY=CANARY,
    )


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page: Path, session: dict[str, str], tmp_path: Path) -> None:
    """Every command of a page ends as it says, and prints what it says."""
    found = blocks(page.read_text(encoding="utf-8"))
    name = str(page.relative_to(ROOT))
    failed, said = _run(script(found), {**session, "DOCS_PAGE": name}, tmp_path / "page")
    assert not failed, failed
    for block in found:
        if block.output is not None:
            printed = said[block.line]
            assert not differs(block.output, calmed(printed)), (
                f"{name}:{block.line} printed\n{printed}\nnot\n{block.output}"
            )


def _run(text: str, session: dict[str, str], folder: Path) -> tuple[str, dict[int, str]]:
    """Run a page in a folder; return what went wrong, if anything, and what each block printed."""
    folder.mkdir()
    (folder / "ids.csv").write_text("account_id\n" + "".join(f"user_{number:06d}\n" for number in range(IDS)))
    commands, said = Path(session["BASH_ENV"]).with_name("page.sh"), Path(session["DOCS_SAID"])
    for path in said.iterdir():
        path.unlink()
    commands.write_text(text)
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", str(commands)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=session,
        cwd=folder,
        start_new_session=True,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PAGE_S_MAX)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what it left in the background, or what never ends
    _, error = process.communicate()
    printed = {int(path.name): path.read_text() for path in said.iterdir() if path.name.isdigit()}
    assert_no_secret("".join(printed.values()).encode(), "the output of a page")
    if process.returncode == 0:
        return "", printed
    told = (said / "failed").read_text() if (said / "failed").exists() else f"exit code {process.returncode}"
    return f"{told}\n{printed.get(max(printed, default=0), '')}{error.decode()}", printed


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_not_run_say_why(page: Path) -> None:
    """No command can be shown without being run, unless its title tells the reader why."""
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language in {"bash", "shell", "console"} or (
            block.title and block.language in {"sh", "python", "sql"}
        ):
            assert block.title.startswith(TITLES), f"{page.name}:{block.line}"


def test_a_page_that_fails_is_named_with_its_line(session: dict[str, str], tmp_path: Path) -> None:
    """A command that fails, one that does not fail as it says, and output that is another: each of them is seen."""
    page = "# A page\n\n```sh\ntrue\n{}\n```\n\n```text\na … c\n```\n"
    cases = {
        "echo a b c": "",
        "false": "page.md:5: false: exit code 1",
        "true  # exits 3": "page.md:5: exit code 0, not 3",
        "exit_with() { return 4; }; exit_with  # exits 3": "page.md:5: exit code 4, not 3",
        'python3 -c "raise SystemExit(3)"  # exits 3\necho a b c': "",
        "make test\necho a b c": "",
    }
    for number, (command, wanted) in enumerate(cases.items()):
        found = blocks(page.format(command))
        failed, said = _run(script(found), {**session, "DOCS_PAGE": "page.md"}, tmp_path / str(number))
        assert wanted in failed
        assert bool(wanted) == bool(failed)
        if not failed:
            assert not differs(found[0].output or "", said[3])
    assert differs("a … c", "a b d\n")
    assert differs("a", "a\nb\n")
    assert not differs("a\n…", "a\nb\nc\n")


def test_what_a_late_machine_adds_is_let_pass() -> None:
    """Calls that were made again, and that it was slowed down for them; no other number of a summary."""
    late = "  rows      9\n  requests  1,006, of them 6 retries; 6 refused as too frequent\n  slowed    once, to 82.7\n"
    calm = "  rows      9\n  requests  1,000, of them 0 retries; 0 refused as too frequent"
    assert calmed(late) == calmed(calm) == calm
    assert differs(calm, calmed(late.replace("9", "8")))
    assert differs(calm, calmed(late.replace("1,006", "1,007")))


def test_lines_left_out_are_those_of_the_environment() -> None:
    """Only `make` and `pip install` are left out, and of these the documentation has few."""
    out = {line for page in pages() for block in _run_blocks(page) for line in block.lines if LEFT_OUT.fullmatch(line)}
    assert all(line.split()[0] in {"make", "pip"} for line in out)
    assert len(out) < 10


def _run_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page.read_text(encoding="utf-8")) if block.runs]
