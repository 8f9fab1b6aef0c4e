"""What the how-to pages say of the examples is what these do."""

import re
from pathlib import Path

import pytest

from exporter.cli.exits import COMPLETE
from tests.conftest import ROOT
from tests.deploy.conftest import EXAMPLES, loaded
from tests.deploy.nightly import LASTING, PASSING, SCRIPT, STOPPED, numbers

PAGES = [ROOT / "docs/how-to" / name for name in ("docker.md", "nightly.md")]
NIGHTLY = (ROOT / "docs/how-to/nightly.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in NIGHTLY.splitlines() if line.startswith("|")]
BY_CODE = {frozenset(numbers(row[0])): row[2:] for row in ROWS if re.fullmatch(r"[\d, ]+", row[0])}


def test_the_table_has_each_exit_code_once() -> None:
    """Nobody has to guess what a scheduler does about one of them."""
    codes = [code for row in BY_CODE for code in row]
    assert sorted(codes) == sorted({COMPLETE} | PASSING | LASTING | STOPPED)


def test_the_table_tells_what_passes_from_what_lasts() -> None:
    """Each row says of all three what tests of the examples show."""
    for codes, said in BY_CODE.items():
        if codes <= PASSING:
            assert said == ["again", "again", "next pod"]
        if codes <= LASTING:
            assert said == ["told", "told", "Job failed"]


def test_all_three_try_as_often_as_the_page_says() -> None:
    """Six times more than once, ten minutes apart."""
    unit = (EXAMPLES / "systemd/exporter.service").read_text()
    assert NIGHTLY.count("6 times, 10 minutes apart") == 2
    assert "tries=${TRIES:-7}" in SCRIPT.read_text()
    assert "${WAIT_S:-600}" in SCRIPT.read_text()
    assert "StartLimitBurst=7\n" in unit
    assert "RestartSec=10min\n" in unit
    assert "6 pods" in NIGHTLY
    assert loaded(EXAMPLES / "kubernetes/cronjob.yaml")["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 6


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    """Links and paths, in text and in commands."""
    text = page.read_text()
    linked = [page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    named = [ROOT / path for path in re.findall(r"\b(?:docker|docs/examples)/[\w./-]*\w", text)]
    assert [path for path in linked + named if not path.exists()] == []
    assert linked + named
