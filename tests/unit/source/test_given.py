from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import BadId
from exporter.source.given import CHUNK_ROWS, chunks_of

ITEMS = st.lists(st.sampled_from(["a", "b", "", " ", "张小红", "\ud800", None, float("nan")]), max_size=12)


@given(ITEMS, st.integers(0, 3), st.integers(0, CHUNK_ROWS))
def test_every_item_is_a_row_at_its_place(items: list[object], times: int, shift: int) -> None:
    """Whatever the pieces: one row an item, in order, numbered from 1; a text as it stands, nothing as nothing."""
    given_ids = ["x"] * shift + (items * (times * CHUNK_ROWS // max(1, len(items)))) + items
    chunks = list(chunks_of(iter(given_ids)))
    assert all(0 < len(chunk.ids) <= CHUNK_ROWS for chunk in chunks)
    assert [chunk.first_row for chunk in chunks] == [1 + CHUNK_ROWS * number for number in range(len(chunks))]
    read = [item for chunk in chunks for item in chunk.ids]
    assert len(read) == len(given_ids)
    for item, was in zip(read, given_ids, strict=True):
        if isinstance(was, float):
            assert item is None
        elif was == "\ud800":
            assert isinstance(item, BadId)
            assert item.message == "not UTF-8"
        else:
            assert item == was


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=3)), max_size=9))
def test_arrow_gives_what_a_list_gives(items: list[str | None]) -> None:
    """Arrays whole, sliced, chunked and folded, over more than one piece."""
    many = items * (1 + CHUNK_ROWS // 4)
    array = pa.array(many, pa.string())
    ways: list[Any] = [
        array,
        pa.array(["", *many], pa.string()).slice(1),
        pa.chunked_array([array, array]),
        array.dictionary_encode(),
    ]
    for number, way in enumerate(ways):
        read = [item for chunk in chunks_of(way) for item in chunk.ids]
        assert read == many * (2 if number == 2 else 1)


def test_nothing_is_read_before_it_is_needed() -> None:
    """Of an endless source one piece at a time."""
    taken = 0

    def endless() -> object:
        nonlocal taken
        taken += 1
        return f"user_{taken}"

    chunks = chunks_of(iter(endless, None))
    assert taken == 0
    assert next(chunks).ids[0] == "user_1"
    assert taken == CHUNK_ROWS


def test_a_kind_of_text_is_its_text() -> None:
    """A subclass of str, as NumPy has one, is taken as the text that it is, whatever it shows."""

    class Shown(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "something else"

    (chunk,) = chunks_of([Shown("user_1")])
    assert chunk.ids == ["user_1"]
    assert type(chunk.ids[0]) is str
