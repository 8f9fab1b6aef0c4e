"""Fail points: a process dies where it was told to, the time it was told to, and nowhere else."""

import ast
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import exporter
from exporter.output.failpoints import NAMES, reach
from tests.conftest import environment

SOURCES = sorted(Path(exporter.__file__).parent.rglob("*.py"))


def reached_by(path: Path) -> Counter[str]:
    """The names that a module comes by."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "reach"]
    return Counter(ast.literal_eval(call.args[0]) for call in named)


def test_every_name_stands_at_one_place() -> None:
    """No point without a name in the list, no name without a point, and none that means two places."""
    found = sum((reached_by(path) for path in SOURCES), Counter[str]())
    assert found == Counter(NAMES)


def dies(setting: str | None, times: int) -> int:
    """Come by `here`, then `there`, so often; return the exit code, which counts the times that were survived."""
    code = f"from exporter.output.failpoints import reach\nfor n in range({times}):\n    reach('here')\n    print(n, flush=True)\n    reach('there')"
    env = environment(**({"EXPORTER_FAIL_POINT": setting} if setting is not None else {}))
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return len(done.stdout.splitlines()) if done.returncode else -1


@pytest.mark.parametrize(
    ("setting", "survived"),
    [("here", 0), ("here:1", 0), ("here:3", 2), ("there", 1), ("there:2", 2), ("here:9", -1), ("elsewhere", -1)],
)
def test_it_dies_the_time_it_was_told_to(setting: str, survived: int) -> None:
    """The first time, or the Nth; never at another point."""
    assert dies(setting, 4) == survived


@pytest.mark.parametrize("setting", [None, ""])
def test_nothing_dies_unasked(setting: str | None) -> None:
    """Without the variable no point does anything."""
    assert dies(setting, 4) == -1
    for name in NAMES:
        reach(name)
