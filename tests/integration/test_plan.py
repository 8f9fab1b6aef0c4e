"""A plan says what the run then does: every figure of the manifest that does not depend on the service."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from exporter.app import Job, Plan, plan
from exporter.progress import Progress
from exporter.settings import only
from tests.conftest import CALM, Exporting, read_export

# An example is a whole run: a failure is told as it was found.
WHOLE_RUNS = (Phase.explicit, Phase.reuse, Phase.generate)

LINES = st.one_of(
    st.integers(0, 40).map(lambda number: f"user_{number:05d},x"),
    st.integers(0, 40).map(lambda number: f"user_{number:05d},x"),
    st.sampled_from(
        [
            "",
            ",x",
            " user_00001,x",
            "user_00001 ,x",
            "x" * 33 + ",x",
            "a,b,c",
            "a",
            "bell\x07,x",
            '"q""q",x',
            "张小红,x",
        ]
    ),
)
FILES = st.lists(st.lists(LINES, max_size=40), min_size=1, max_size=4)


def planned(folder: Path, **flags: Any) -> Plan:
    return asyncio.run(plan(Job([str(folder)], Path(), only(**flags), Progress(time.monotonic))))[0]


@given(
    files=FILES,
    shard_rows=st.sampled_from([1, 7, 25, 1000]),
    duplicates=st.sampled_from(["drop", "keep"]),
    strip=st.booleans(),
    attributes=st.sampled_from([None, "city,level", "auto"]),
)
@settings(
    max_examples=40,
    deadline=None,
    phases=WHOLE_RUNS,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_plan_is_the_run(exporting: Exporting, files: list[list[str]], **flags: Any) -> None:
    """For any input: rows, blanks, bad ids, duplicates, spaces, shards and requests are those of the manifest."""
    exporting.double.control(**CALM)
    with tempfile.TemporaryDirectory(dir=exporting.folder) as place:
        folder, out = Path(place, "in"), Path(place, "out")
        folder.mkdir()
        for number, lines in enumerate(files):
            (folder / f"{number}.csv").write_text("\n".join(["account_id,b", *lines, ""]), encoding="utf-8")
        made = planned(folder, **flags)
        exporting.manifest(folder, out, max_missing=1.0, **flags)
        run = read_export(out)
    manifest = run.manifest
    for same in ("input", "blank", "duplicates", "ids_with_outer_spaces", "requests"):
        assert getattr(made, same) == manifest[same], same
    bad = {reason: manifest["rejects_by_reason"].get(reason, 0) for reason in ("bad_row", "invalid_id")}
    assert made.bad_ids == bad
    assert made.shards == len(manifest["shards"])
    told = [row["account_id"] for row in run.rejects if row["reason"] not in bad]
    assert made.accounts == len({*run.accounts, *told})
    rejects = {(row["source"], row["row_number"], row["message"]) for row in run.rejects if row["reason"] in bad}
    examples = [example for few in made.bad_examples.values() for example in few]
    assert {(each.source, each.row_number, each.message) for each in examples} <= rejects
    assert len(examples) == sum(min(5, number) for number in bad.values())
