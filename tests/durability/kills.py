"""Runs ended by SIGKILL: at random times, at every call that changes the disk, at every named point."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.conftest import WITHOUT, environment
from tests.durability import oracle, strace
from tests.durability.figures import Figures, Tried
from tests.durability.rig import Rig, Work, killed
from tests.durability.strace import Point

KILLED = -signal.SIGKILL
HALFWAY = "shard-recorded"
NAMES = "from exporter.output.failpoints import NAMES; print(*NAMES)"


def at_random(rig: Rig, works: Sequence[Work], *, kills: int) -> Figures:
    """Kill runs at random times, again and again until each is complete: nothing lost, nothing twice, bounded rework."""
    tried = Tried(rig.failures_max)
    again: dict[str, list[int]] = {work.name: [] for work in works}
    while tried.ends.total() < kills:
        work = works[tried.tries % len(works)]
        out = rig.prepare(work, rig.folder / f"killed-{tried.tries}")
        with tried.once(f"{work.name} export {tried.tries}"):
            again[work.name] += _killed_until_complete(rig, work, out, tried, kills)
        shutil.rmtree(out, ignore_errors=True)
    for work in works:
        most = max(again[work.name], default=0)
        assert most <= work.again_max, f"a kill of {work.name} cost {most} accounts, over {work.again_max}"
    cost = {f"again_max_{name}": max(costs, default=0) for name, costs in again.items()}
    mean = sum(map(sum, again.values())) / kills
    return tried.figures("exports", kills=tried.ends.total(), lost=0, twice=0, again_mean=round(mean), **cost)


def _killed_until_complete(rig: Rig, work: Work, out: Path, tried: Tried, kills: int) -> list[int]:
    """Return what each kill cost: accounts that were asked for more often than in an undisturbed run."""
    whole, began, phase, extra = rig.whole(work), rig.asked(), "", [0]
    while tried.ends.total() < kills and phase != "complete":
        process = rig.start(work, out)
        rig.moment(process, out, whole.seconds * 1.1)
        if not killed(process):
            assert process.returncode == 0, f"a run that was left alone ended with {process.returncode}"
        phase = rig.at_rest(work, out)
        if process.returncode:
            tried.ends[phase] += 1
        extra.append((rig.asked() - began - whole.asked).total())
    if phase != "complete":
        rig.finish(work, out)
        extra.append((rig.asked() - began - whole.asked).total())
    oracle.complete(out, whole)
    rig.verified(out)
    return [after - before for before, after in pairwise(extra)]


def at_every_call(rig: Rig, work: Work, *, share: int = 1, again: int = 0) -> Figures:
    """Kill a run at each call that changes its folder (or each `share`-th), and finish it.

    With `again`, kill the run that recovers at each `again`-th of its own calls too.
    """
    tried, second = Tried(rig.failures_max), Tried(rig.failures_max)
    begun = rig.prepare(work, rig.folder / "calls-begun")
    for point in points_of(rig, work, begun)[share // 2 :: share]:
        out = copy_of(begun, rig.folder / "calls")
        with tried.once(point):
            _killed_at(rig, work, out, point)
            tried.ends[point.kind] += 1
            if again:
                _killed_in_recovery(rig, work, out, second, share=again)
            rig.finish(work, out)
    return tried.figures("points", **(second.figures("points_in_recovery") if again else {}))


def _killed_at(rig: Rig, work: Work, out: Path, point: Point) -> None:
    code = rig.run(work, out, *point.under("signal=KILL")).code
    assert code == KILLED, f"the call was not met again: the run ended with {code}"
    rig.at_rest(work, out)


def _killed_in_recovery(rig: Rig, work: Work, out: Path, tried: Tried, *, share: int) -> None:
    left = copy_of(out, rig.folder / "calls-left")
    for point in points_of(rig, work, left)[tried.tries % share :: share]:
        copy_of(left, out)
        with tried.once(point):
            _killed_at(rig, work, out, point)
            rig.finish(work, out)
    copy_of(left, out)


def points_of(rig: Rig, work: Work, begun: Path, *, beside: Sequence[str] = ()) -> list[Point]:
    """Let a copy of what was begun come to its end, and name each call that may have changed something."""
    out, log = copy_of(begun, rig.folder / "calls"), rig.folder / "calls.log"
    ran = rig.run(work, out, *strace.watching(str(log)))
    assert ran.code == 0, ran.err
    return list(strace.points(strace.calls(log), out, beside=beside))


def copy_of(begun: Path, out: Path) -> Path:
    """Put a copy of what was begun where a run goes on with it."""
    shutil.rmtree(out, ignore_errors=True)
    if begun.exists():
        shutil.copytree(begun, out)
    return out


def at_fail_points(rig: Rig, work: Work, *, pairs: bool = False) -> Figures:
    """Kill a run at each named point and finish it; with `pairs`, kill the run that recovers at each of them too.

    Points that lie on the way of a recovery alone are met in one.
    """
    tried, second = Tried(rig.failures_max), Tried(rig.failures_max)
    begun, out = rig.prepare(work, rig.folder / "points-begun"), rig.folder / "points"
    names = _names(rig)
    for name in names:
        with tried.once(name):
            if _ended_at(rig, work, copy_of(begun, out), name) != KILLED:
                _ended_at(rig, work, copy_of(begun, out), HALFWAY)
                code = _ended_at(rig, work, out, name)
                assert code == KILLED, f"the point was not met, nor in a recovery: the run ended with {code}"
            left = copy_of(out, rig.folder / "points-left")
            for other in names if pairs else ():
                with second.once(f"{name}, then {other}"):
                    code = _ended_at(rig, work, copy_of(left, out), other)
                    second.ends["pairs_met" if code == KILLED else "pairs_passed_by"] += 1
                    rig.finish(work, out)
            rig.finish(work, copy_of(left, out))
    return tried.figures("points", **(second.figures("pairs") if pairs else {}))


def _ended_at(rig: Rig, work: Work, out: Path, name: str) -> int:
    code = rig.run(work, out, EXPORTER_FAIL_POINT=name).code
    assert code in {0, KILLED}, f"at {name} a run ended with {code}"
    rig.at_rest(work, out)
    return code


def _names(rig: Rig) -> list[str]:
    command, env = [sys.executable, "-c", NAMES], environment(PYTHONPATH=f"{rig.package}:{WITHOUT}")
    done = subprocess.run(command, capture_output=True, text=True, cwd=rig.folder, env=env, check=False)
    assert done.returncode == 0, f"there are no named fail points: {done.stderr.strip().splitlines()[-1]}"
    return done.stdout.split()
