import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.source import Tally, fingerprint
from exporter.source.files import FINGERPRINT_BYTES


@given(st.binary(max_size=300), st.lists(st.integers(1, 100), max_size=5), st.integers(1, 1000))
def test_a_stream_has_the_fingerprint_of_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, seed: bytes, sizes: list[int], times: int
) -> None:
    """Whatever the pieces it is read in, and however long it is."""
    data = (seed * times)[: 3 * FINGERPRINT_BYTES]
    path = tmp_path_factory.mktemp("tally") / "data"
    path.write_bytes(data)
    tally = Tally(io.BytesIO(data))
    read = b"".join(tally.read1(size) for size in sizes)
    assert data.startswith(read)
    tally.drain()
    assert tally.fingerprint() == fingerprint(path)
