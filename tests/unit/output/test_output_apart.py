"""Shards whose accounts lie apart are told from those that may share one."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Reason, Rejection
from exporter.output.apart import lie_apart
from exporter.output.facts import DATA, ShardFacts, file_name

Write = Callable[..., list[ShardFacts]]
Fresh = Callable[[], AbstractContextManager[str]]

ids = st.sampled_from([*"abcdefgh", "a ", "ab", "é", "中", "中文", "\uffee", "\U0001f642"])
MISSING = Rejection(Reason.MISSING)


@pytest.fixture(scope="module")
def write(write_shards: Write) -> Write:
    return write_shards


@pytest.fixture(scope="module")
def fresh(fresh_folder: Fresh) -> Fresh:
    return fresh_folder


@given(st.lists(ids | st.none() | st.just("x" * 40), max_size=8), st.booleans(), st.sets(ids), st.integers(1, 3))
def test_what_lies_apart_shares_no_account(
    write: Write,
    fresh: Fresh,
    given_ids: Sequence[str | None],
    ordered: bool,  # noqa: FBT001 - drawn
    missing: set[str],
    shard_rows: int,
) -> None:
    """Shards that are told to lie apart have no account in common, found or rejected; in order without repeats they do."""
    rows = sorted({account for account in given_ids if account}, key=str.encode) if ordered else list(given_ids)
    answers = {account: MISSING if account in missing else {"n": "1"} for account in rows if account}
    with fresh() as name:
        facts = write(Path(name), rows, answers, shard_rows=shard_rows)
        apart = lie_apart(Path(name), facts)
        of_shards = [set(rows[start : start + shard_rows]) - {None} for start in range(0, len(rows), shard_rows)]
        shares = any(one & other for place, one in enumerate(of_shards) for other in of_shards[:place])
        assert not (apart and shares)
        if ordered:
            assert apart


def test_a_footer_that_tells_nothing_is_no_proof(write: Write, fresh: Fresh) -> None:
    """Without the least and the greatest account, or a readable footer, nothing is known."""
    with fresh() as name:
        run = Path(name)
        facts = write(run, ["a", "b"], {"a": {"n": "1"}, "b": {"n": "1"}}, shard_rows=1)
        assert lie_apart(run, facts)
        path = run / DATA / file_name(1)
        pq.write_table(pa.table({"account_id": ["b"]}), path, write_statistics=False)
        assert not lie_apart(run, facts)
        path.write_bytes(b"PAR1")
        assert not lie_apart(run, facts)
