"""A journal that lost its end, or had a bit flipped, between two runs: the same command completes, or refuses in words."""

from pathlib import Path

from tests.durability.figures import Figures, Tried
from tests.durability.kills import copy_of, points_of
from tests.durability.rig import Rig, Work

TAILS = (b"\0" * 4096, b"\0" * 30 + b"\n", b"0123abcd {", b"rubbish\n")
REFUSED = 2


def of_journal(rig: Rig, work: Work, *, share: int = 1, tails: int = len(TAILS)) -> Figures:
    """Damage the journal of a killed run at each `share`-th byte: cut there, then with a bit flipped there.

    Then give it an end that a torn write may leave.
    """
    tried = Tried(rig.failures_max)
    left = _left_at_last_record(rig, work)
    data = (left / ".run/journal").read_bytes()
    for place in range(share // 2, len(data), share):
        with tried.once(f"cut at {place}"):
            tried.ends[_torn(rig, work, left, data[:place])] += 1
        with tried.once(f"flipped at {place}"):
            flipped = bytearray(data)
            flipped[place] ^= 1 << rig.chance.randrange(8)
            tried.ends[_flipped(rig, work, left, bytes(flipped))] += 1
    for tail in TAILS[:tails]:
        with tried.once(f"ending in {tail[:12]!r}"):
            tried.ends[_torn(rig, work, left, data + tail)] += 1
    return tried.figures("journals", bytes=len(data), wrong=0)


def _left_at_last_record(rig: Rig, work: Work) -> Path:
    """Make a run that was killed before the record of its last shard."""
    begun = rig.prepare(work, rig.folder / "damage-begun")
    journal = str(rig.folder / "calls/.run/journal")
    records = [point for point in points_of(rig, work, begun) if (point.kind, point.keys) == ("write", (journal,))]
    last = max(records, key=lambda point: point.number)
    rig.run(work, copy_of(begun, rig.folder / "calls"), *last.under("signal=KILL"))
    return copy_of(rig.folder / "calls", rig.folder / "damage-left")


def _torn(rig: Rig, work: Work, left: Path, data: bytes) -> str:
    """Go on with what is left, killed at the second record of its thread, and go on again: never a refusal."""
    out = _damaged(rig, left, data)
    rig.run(work, out, "strace", "-f", "-qq", "-o", "/dev/null", "-P", str(out / ".run/journal"), *_SECOND_RECORD)
    rig.at_rest(work, out)
    rig.finish(work, out)
    return "completed"


_SECOND_RECORD = ("-e", "trace=write", "-e", "inject=write:signal=KILL:when=2")


def _flipped(rig: Rig, work: Work, left: Path, data: bytes) -> str:
    """Complete as ever, or refuse with the way out and leave everything as it is."""
    out = _damaged(rig, left, data)
    ran = rig.run(work, out)
    if ran.code == 0:
        rig.finish(work, out)
        return "completed"
    assert ran.code == REFUSED, f"exit {ran.code}: {ran.err}"
    assert "is damaged" in ran.err, ran.err
    assert "--restart" in ran.err, ran.err
    assert (out / ".run/journal").read_bytes() == data, "a damaged journal was changed"
    return "refused"


def _damaged(rig: Rig, left: Path, data: bytes) -> Path:
    out = copy_of(left, rig.folder / "damaged")
    (out / ".run/journal").write_bytes(data)
    return out
