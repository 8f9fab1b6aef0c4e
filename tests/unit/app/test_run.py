"""What a run estimates before its first request."""

import bz2
import gzip
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from exporter.app.run import rows_left
from exporter.batching import Planner, Shard
from exporter.source import Reading, open_source

ROWS = 20_000


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_what_is_left_is_never_told_many_times_too_large(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Wherever a run goes on: a disk with room for what is left earns no warning."""
    ids = "".join(f'{sha256(b"%d" % number).hexdigest()[:12]},"two\nlines"\n' for number in range(ROWS))
    (tmp_path / "ids").write_bytes(pack(f"account_id,note\n{ids}".encode()))
    source = open_source([str(tmp_path / "ids")], Reading())
    planner = Planner(shard_rows=1111)
    events = [event for chunk in source.chunks() for event in planner.add(chunk)]
    assert rows_left(next(source.chunks()), 0, 0.0) < 3 * ROWS
    for shard in events:
        if isinstance(shard, Shard) and (chunk := next(source.chunks(shard.ends), None)):
            assert rows_left(chunk, shard.last_row, shard.share or 0.0) < 3 * (ROWS - shard.last_row), shard.number
