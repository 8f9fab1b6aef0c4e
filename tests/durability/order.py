"""The order of the system calls of a whole run: what SIGKILL cannot see, and a power cut only by luck.

For each file: written, synced, closed, renamed, its folder synced, and only then named by the journal, which is synced
in turn. Publishing: recorded, renamed, synced, `_SUCCESS`; what was staged goes last.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.durability import strace
from tests.durability.figures import Figures
from tests.durability.oracle import FOLDERS, PUBLISHED
from tests.durability.rig import Rig, Work
from tests.durability.strace import Call

SYNCS = {"fsync", "fdatasync"}
RENAMES = {"rename", "renameat", "renameat2", "link", "linkat"}
REMOVALS = {"unlink", "unlinkat", "rmdir"}
STEPS = RENAMES | REMOVALS | {"mkdir"}


def of_calls(rig: Rig, work: Work) -> Figures:
    """Watch an undisturbed run and hold every file of it against the order."""
    out, log = rig.prepare(work, rig.folder / "order"), rig.folder / "order.log"
    ran = rig.run(work, out, *strace.watching(str(log)))
    assert ran.code == 0, ran.err
    made = Order([call for call in strace.calls(log) if call.result is None or call.result >= 0], out)
    return {"files": made.files(), "records": made.records(), "published": made.publishing()}


class Order:
    """The calls of one run that worked, and what is asked of them."""

    def __init__(self, calls: Sequence[Call], out: Path) -> None:
        self._calls = calls
        self._out = out
        self._run = out / ".run"
        self._journal = str(self._run / "journal")
        self._spool = str(self._run / "stdin")

    def files(self) -> int:
        """Each file that gets its final name was synced after its last byte, and closed; returns how many."""
        renames = [call for call in self._calls if call.kind.startswith("rename") and call.path.endswith(".tmp")]
        for call in renames:
            writes = self._on(call.path, {"write", "pwrite64"}, before=call)
            synced = self._on(call.path, SYNCS, before=call)
            assert synced, f"{call.target} got its name without a sync"
            assert not writes or writes[-1].ended < synced[-1].began, f"{call.target} was written after its sync"
            assert self._on(call.path, {"close"}, before=call), f"{call.target} got its name while it was open"
        made = {call.path for call in self._calls if call.kind == "openat" and "O_CREAT" in call.text}
        kept = {call.path for call in renames} | {self._journal, self._spool, str(self._out / ".lock")}
        bare = sorted(path for path in made - kept if path.startswith(str(self._out)) and "/duplicates/" not in path)
        assert not bare, f"made under its final name: {bare}"
        return len(renames)

    def records(self) -> int:
        """Before each record, all names given so far are durable, and those that it names are given; returns how many."""
        written = self._on(self._journal, {"write"})
        for record in written:
            self._names_are_synced(record)
            if shard := re.search(r'\\"op\\":\\"shard\\",.*?\\"number\\":(\d+)', record.text):
                for folder in FOLDERS:
                    path = f"{self._run}/{folder}/part-{int(shard[1]):06d}.parquet"
                    assert self._named(path, before=record), f"the journal names {path} before it is there"
            if r"\"op\":\"spooled\"" in record.text:
                spooled = self._on(self._spool, {"write"})[-1]
                assert self._on(self._spool, SYNCS, after=spooled, before=record), "standard input was not synced"
            synced = self._on(self._journal, SYNCS, after=record)
            assert synced, "a record of the journal was not synced"
            steps = (call for call in self._calls if call.kind in STEPS or call.path == self._journal)
            after = next((call for call in steps if call.began > record.ended), synced[0])
            assert after.ended >= synced[0].ended, "the run went on before its record was durable"
        return len(written)

    def publishing(self) -> int:
        """What is published is named, then durable, then `_SUCCESS`; and only then is the staged removed."""
        success = self._first(lambda call: call.kind in RENAMES and call.target == str(self._out / "_SUCCESS"))
        assert success, "no _SUCCESS was published"
        recorded = self._first(lambda call: call.path == self._journal and r"\"op\":\"publishing\"" in call.text)
        assert recorded, "publishing was not recorded"
        for name in PUBLISHED:
            named = self._named(str(self._out / name), before=success)
            assert named, f"_SUCCESS was published before {name}"
            assert recorded.ended < named[0].began, f"{name} was published before that was recorded"
        self._names_are_synced(success)
        synced = self._on(str(self._out), SYNCS, after=success)
        assert synced, "_SUCCESS was not made durable"
        durable = synced[0].ended
        for call in self._calls:
            early = call.kind in REMOVALS and self._is_staged(call) and call.began < durable
            assert not early, f"{call.path} was removed before _SUCCESS was durable"
        return len(PUBLISHED)

    def _is_staged(self, call: Call) -> bool:
        staged = (*(f"{self._run}/{name}/part-" for name in FOLDERS), self._journal)
        return call.path.startswith(staged) and not call.path.endswith(".tmp")

    def _names_are_synced(self, until: Call) -> None:
        """Every name given in the output folder before this call was made durable before it."""
        for call in self._calls:
            if call.ended >= until.began:
                return
            if call.kind in RENAMES | {"mkdir"} and self._counts(call):
                folder = str(Path(call.target if call.kind != "mkdir" else call.path).parent)
                synced = self._on(folder, SYNCS, after=call, before=until)
                assert synced, f"the name of {call.target} was not durable before {until.kind} {until.text[:80]}"

    def _counts(self, call: Call) -> bool:
        return call.target.startswith(f"{self._out}/") and "/duplicates" not in call.target

    def _named(self, path: str, *, before: Call) -> list[Call]:
        return [
            call for call in self._calls if call.kind in RENAMES and call.target == path and call.ended < before.began
        ]

    def _first(self, wanted: Callable[[Call], bool]) -> Call | None:
        return next((call for call in self._calls if wanted(call)), None)

    def _on(self, path: str, kinds: set[str], *, after: Call | None = None, before: Call | None = None) -> list[Call]:
        return [
            call for call in self._calls
            if call.kind in kinds and call.path == path
            and (after is None or call.began > after.ended) and (before is None or call.ended < before.began)
        ]  # fmt: skip
