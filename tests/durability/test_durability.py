"""Nothing lost, nothing twice, whatever happens.

Each claim is shown twice by the same code: in little here and now, and at length by `make durability`, as root on one Linux
machine, which prints the figures.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.durability import cuts, damage, faults, kills, order
from tests.durability.figures import Figures
from tests.durability.rig import LARGE, MIDDLE, SMALL, Rig, Work

Measured = Callable[[Callable[[], Figures]], Figures]

OVER = Work("over", 3_000, 300, in_flight=2, rate=100, old=900)
PIPED = Work("piped", 3_000, 300, in_flight=2, rate=100, piped=True)
SMALL_OVER = Work("small-over", 60, 20, old=40)
SMALL_PIPED = Work("small-piped", 60, 20, piped=True)
OVER_PIPED = Work("small-over-piped", 60, 20, old=40, piped=True)

calls_are_seen = pytest.mark.usefixtures("calls_are_seen")
disks_are_made = pytest.mark.usefixtures("disks_are_made")


def little_and_long(names: str | tuple[str, ...], little: Any, long: Any) -> pytest.MarkDecorator:
    few, many = ((little,), (long,)) if isinstance(names, str) else (little, long)
    cases = [pytest.param(*few, id="little"), pytest.param(*many, id="long", marks=pytest.mark.durability)]
    return pytest.mark.parametrize(names, cases)


@little_and_long("times", 3, 320)
def test_kills_at_random_times(rig: Rig, measured: Measured, times: int) -> None:
    """SIGKILL whenever: the export is that of a calm run, and a kill costs at most the shards that were open."""
    works = [LARGE, OVER, PIPED] if times > 10 else [MIDDLE]
    measured(lambda: kills.at_random(rig, works, kills=times))


@calls_are_seen
@little_and_long("share", 200, 1)
def test_kills_at_every_call(rig: Rig, measured: Measured, share: int) -> None:
    """SIGKILL in place of each write, sync, rename, … of a run."""
    measured(lambda: kills.at_every_call(rig, SMALL, share=share))


@calls_are_seen
@pytest.mark.durability
def test_kills_at_every_call_of_an_overwriting_run(rig: Rig, measured: Measured) -> None:
    """The same while an export takes the place of another."""
    measured(lambda: kills.at_every_call(rig, SMALL_OVER, share=2))


@calls_are_seen
@pytest.mark.durability
def test_kills_at_calls_of_a_recovery(rig: Rig, measured: Measured) -> None:
    """Killed, and killed again while it recovers."""
    measured(lambda: kills.at_every_call(rig, SMALL, share=40, again=15))


@pytest.mark.durability
@pytest.mark.parametrize("work", [SMALL_PIPED, OVER_PIPED], ids=lambda work: work.name)
def test_kills_at_every_fail_point(rig: Rig, measured: Measured, work: Work) -> None:
    """SIGKILL at each named point of the code, and (of the plain run) at each of them again in the recovery."""
    measured(lambda: kills.at_fail_points(rig, work, pairs=work is SMALL_PIPED))


@disks_are_made
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
@little_and_long("cycles", 1, 110)
def test_power_cuts(rig: Rig, measured: Measured, cycles: int, kind: str) -> None:
    """Power cut whenever: what was not synced is gone, and the same command completes all the same."""
    measured(lambda: cuts.power(rig, MIDDLE, kind, cycles=cycles))


@disks_are_made
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
@pytest.mark.durability
def test_power_cuts_of_an_overwriting_run(rig: Rig, measured: Measured, kind: str) -> None:
    """The same while an export takes the place of another."""
    measured(lambda: cuts.power(rig, OVER, kind, cycles=30))


@calls_are_seen
@pytest.mark.parametrize("work", [SMALL, SMALL_OVER, SMALL_PIPED], ids=lambda work: work.name)
def test_order_of_calls(rig: Rig, measured: Measured, work: Work) -> None:
    """Written, synced, renamed, folder synced, recorded, record synced; published; `_SUCCESS`; tidied up."""
    measured(lambda: order.of_calls(rig, work))


@calls_are_seen
@little_and_long(("share", "tails"), (1500, 1), (16, 4))
def test_a_damaged_journal(rig: Rig, measured: Measured, share: int, tails: int) -> None:
    """Cut anywhere or with any bit flipped: the same export, or a refusal."""
    measured(lambda: damage.of_journal(rig, SMALL, share=share, tails=tails))


@disks_are_made
@little_and_long(("sizes", "files"), ([14], [20]), (range(1, 100), range(2, 60)))
def test_full_disks(rig: Rig, measured: Measured, sizes: Sequence[int], files: Sequence[int]) -> None:
    """A disk of any size (pages, or files): exit 5 and nothing half-written; with room, the same command completes."""
    measured(lambda: faults.full(rig, SMALL, sizes=sizes, files=files))


@calls_are_seen
@disks_are_made
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
@little_and_long("rooms", [8], range(40))
def test_failing_syncs(rig: Rig, measured: Measured, rooms: Sequence[int], kind: str) -> None:
    """A device that takes writes and cannot keep them (room in pages): the sync fails once, and nothing committed is lost."""
    measured(lambda: faults.failing_sync(rig, SMALL, kind, rooms=rooms))


@calls_are_seen
@pytest.mark.durability
@pytest.mark.parametrize(("share", "on"), [(1, False), (5, True)], ids=["once", "from there on"])
def test_failing_calls(rig: Rig, measured: Measured, share: int, *, on: bool) -> None:
    """EIO or ENOSPC at each call: a sentence, no record after it, and the same command completes."""
    measured(lambda: faults.failing_calls(rig, SMALL, share=share, on=on))
