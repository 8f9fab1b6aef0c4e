"""The harness itself is proved: it fails for each bug that is put in on purpose, and for none that is not there."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.durability import cuts, damage, faults, kills, order
from tests.durability.figures import Figures
from tests.durability.rig import MIDDLE, SMALL, Rig
from tests.durability.seeded import BUGS, Bug, package_with

Measured = Callable[[Callable[[], Figures]], Figures]

DETECTORS: Mapping[str, Callable[[Rig], Figures]] = {
    "order": lambda rig: order.of_calls(rig, SMALL),
    "random kills": lambda rig: kills.at_random(rig, [MIDDLE], kills=10),
    "calls": lambda rig: kills.at_every_call(rig, SMALL, share=5),
    "power": lambda rig: cuts.power(rig, MIDDLE, "ext4", cycles=6) | cuts.power(rig, MIDDLE, "xfs", cycles=6),
    "journal": lambda rig: damage.of_journal(rig, SMALL, share=300),
    "full": lambda rig: faults.full(rig, SMALL, sizes=range(4, 40), files=()),
    "sync": lambda rig: faults.failing_sync(rig, SMALL, "xfs", rooms=range(10, 90, 20)),
}

ANY = ("order", "random kills", "power", "journal")

pytestmark = pytest.mark.usefixtures("calls_are_seen", "disks_are_made")


def said(rig: Rig, detector: str) -> str:
    """Let a detector look at a package whose undisturbed runs are well; return what it found, empty when that is nothing."""
    for work in (SMALL, MIDDLE):
        rig.whole(work)
    try:
        DETECTORS[detector](rig)
    except AssertionError as error:
        return re.sub(r"/\S*/(?=export/|calls/|order/|damaged/)", "", str(error).strip().partition("\n")[0])[:200]
    return ""


@pytest.mark.parametrize("name", [name for name, bug in BUGS.items() if "order" in bug.seen_by])
def test_the_order_of_calls_shows(rig_with: Callable[[Path], Rig], tmp_path: Path, name: str) -> None:
    """What comes too early or is not synced at all shows in one run, without any luck."""
    package = package_with(BUGS[name], tmp_path / "package")
    assert re.search(BUGS[name].seen_by["order"], said(rig_with(package), "order"))


@pytest.mark.durability
@pytest.mark.parametrize("name", BUGS)
def test_each_seeded_bug_is_seen(
    rig_with: Callable[[Path], Rig], tmp_path: Path, measured: Measured, name: str
) -> None:
    """Each detector that must see a bug does, and says what is wrong; what those see that may is told beside it."""
    package, seen_by = package_with(BUGS[name], tmp_path / "package"), BUGS[name].seen_by
    found = measured(
        lambda: {detector: said(rig_with(package), detector) for detector in dict.fromkeys((*ANY, *seen_by))}
    )
    missed = [detector for detector, words in seen_by.items() if not re.search(words, found[detector])]
    assert not missed, f"{name} was not seen by {missed}"


@pytest.mark.durability
@pytest.mark.parametrize("detector", DETECTORS)
def test_no_bug_is_seen_where_none_is(
    rig_with: Callable[[Path], Rig], tmp_path: Path, measured: Measured, detector: str
) -> None:
    """The detectors find nothing in a copy of the package without a bug."""
    package = package_with(Bug((), {}), tmp_path / "package")
    assert measured(lambda: {detector: said(rig_with(package), detector)}) == {detector: ""}
