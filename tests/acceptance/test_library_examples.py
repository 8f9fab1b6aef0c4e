"""The page on Python: every block of code on it is run as it is written, against the double.

Two of them need what is not installed here, DuckDB's package and Airflow. They are run as well, with stand-ins of a few lines
that do what the libraries would do with them: read the reader that a query names, and call the decorated functions.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Double, assert_no_secret, environment

PAGE = Path(__file__).parents[2] / "docs/how-to/python.md"
BLOCKS = re.findall(
    r"^```python( title=[^\n]*)?\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", PAGE.read_text(), re.MULTILINE | re.DOTALL
)

DUCKDB = """
import contextlib, sys
class Database(contextlib.nullcontext):
    def sql(self, query):
        name = query.split()[-1]
        print("rows:", sys._getframe(1).f_globals[name].read_all().num_rows)
connect = lambda path: contextlib.nullcontext(Database())
"""
AIRFLOW = """
def dag(**schedule):
    return lambda function: function
def task(**ways):
    def made(function):
        return lambda day: print(function("2026-01-02"))
    return made
"""


def pattern(line: str) -> str:
    """Match a line in which `…` stands for anything, alone for any lines."""
    return "(.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n"


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    place = tmp_path / "stand-ins"
    (place / "airflow/sdk").mkdir(parents=True)
    (place / "duckdb.py").write_text(DUCKDB)
    (place / "airflow/__init__.py").touch()
    (place / "airflow/exceptions.py").write_text("class AirflowFailException(Exception): pass\n")
    (place / "airflow/sdk/__init__.py").write_text(AIRFLOW)
    return place


def test_the_page_has_examples_and_says_what_is_not_run() -> None:
    """Whoever reads it is told which blocks the documentation's own test cannot run."""
    assert len(BLOCKS) >= 9
    assert [("duckdb" in code, "airflow" in code) for title, code, _ in BLOCKS if title] == [
        (True, False),
        (False, True),
    ]
    assert not any("duckdb" in code or "airflow" in code for title, code, _ in BLOCKS if not title)


def test_every_example_runs_and_prints_what_it_says(double: Double, tmp_path: Path, stand_ins: Path) -> None:
    """In order, in one folder, each in a program of its own; `…` stands for anything."""
    page = tmp_path / "page"
    page.mkdir()
    (page / "ids.csv").write_text("account_id\n" + "".join(f"user_{number:06d}\n" for number in range(3_000)))
    env = environment(
        EXPORTER_BASE_URL=double.address, EXPORTER_SDKAPPID="1400000000", EXPORTER_IDENTIFIER="administrator"
    )
    env["PYTHONPATH"] = f"{ROOT}:{stand_ins}"
    for title, code, expected in BLOCKS:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=page, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, ""), code
        assert_no_secret(done.stdout.encode(), "the output of an example")
        if expected:
            assert re.fullmatch("".join(map(pattern, expected.splitlines())), done.stdout), (code, done.stdout)
        elif "airflow" in code:
            assert "'rows': 29" in done.stdout
        elif title:
            assert "rows: 24" in done.stdout
    assert {path.name for path in page.iterdir()} == {
        "ids.csv", "export", "with-progress", "async-export", "people.parquet", "export-2026-01-02",
    }  # fmt: skip
