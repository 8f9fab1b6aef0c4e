"""Figures of this room are printed as JSON lines as they come, and at the end as a table, so that they can be quoted."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.conftest import Double, start_double
from tests.durability import disks, strace
from tests.durability.figures import Figures
from tests.durability.rig import Rig

SEED = int(os.environ.get("DURABILITY_SEED", "1"))
FIGURES = pytest.StashKey[dict[str, Figures]]()


@pytest.fixture(scope="session")
def counting_double() -> Iterator[Double]:
    """Give a double without a quota that counts how often each account is asked for, and does not know each tenth."""
    double = start_double("--rate", "0", "--track-accounts", "--unknown-share", "0.1")
    yield double
    double.process.terminate()
    double.process.communicate()


@pytest.fixture(scope="session")
def _session_rig(counting_double: Double, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    home = tmp_path_factory.mktemp("home")
    return Rig(counting_double, home, home, seed=SEED)


@pytest.fixture
def rig(_session_rig: Rig, tmp_path: Path) -> Rig:
    """Give what makes exports of the package that is tested."""
    return replace(_session_rig, folder=tmp_path)


@pytest.fixture
def rig_with(counting_double: Double, tmp_path: Path) -> Callable[[Path], Rig]:
    """Give what makes exports of another package, in a new folder each time; one failure is enough."""
    folders = (tmp_path / str(number) for number in count())

    def make(package: Path) -> Rig:
        folder = next(folders)
        folder.mkdir()
        return Rig(counting_double, folder, folder, package, seed=SEED, failures_max=1)

    return make


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[Callable[[], Figures]], Figures]:
    """Do some work, and keep its figures for the end."""
    kept = request.config.stash.setdefault(FIGURES, {})
    capture, reporter = map(request.config.pluginmanager.getplugin, ("capturemanager", "terminalreporter"))

    def measure(work: Callable[[], Figures]) -> Figures:
        began = time.monotonic()
        figures = work()
        facts = kept[request.node.name] = {**figures, "seed": SEED, "seconds": round(time.monotonic() - began)}
        with capture.global_and_fixture_disabled():
            reporter.write_line("\n" + json.dumps({"durability": request.node.name, **facts}))
        return figures

    return measure


@pytest.fixture(scope="session")
def calls_are_seen(request: pytest.FixtureRequest) -> None:
    """Needs strace."""
    _need(request, strace.usable())


@pytest.fixture(scope="session")
def disks_are_made(request: pytest.FixtureRequest) -> None:
    """Needs root, loop devices, and ext4 and XFS."""
    _need(request, disks.usable())


def _need(request: pytest.FixtureRequest, lacking: str) -> None:
    """Do without on a machine that cannot, but never when just these tests were asked for."""
    if lacking:
        (pytest.fail if request.config.option.markexpr == "durability" else pytest.skip)(lacking)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures."""
    figures = config.stash.get(FIGURES, {})
    if figures:
        terminalreporter.section("durability")
    for name, facts in figures.items():
        terminalreporter.line(f"{name:<44} " + ", ".join(f"{key} {value}" for key, value in facts.items()))
