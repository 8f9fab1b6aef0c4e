"""Account ids that a program hands over: texts as they are, read as they are needed, and never turned into texts.

None is a blank line, as are the NaN and the NA by which pandas writes it. What is no UTF-8 (a lone surrogate) is a reject.
"""

from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import Any

import pyarrow as pa

from exporter.errors import InputError
from exporter.model import BadId, Chunk, Reason
from exporter.source.parquet_columns import CAST, is_text_type

NAME = "ids"
CHUNK_ROWS = 1_000  # of which each is a moment's work: a program may be slow to give the next


def chunks_of(ids: Iterable[Any]) -> Iterator[Chunk]:
    """All ids in order: of an Arrow array, or of any iterable of texts. Raises InputError for what is neither.

    What the iterable itself raises passes through.
    """
    lists = _arrow_lists(ids) if isinstance(ids, pa.Array | pa.ChunkedArray) else _lists(ids)
    row = 1
    for items in lists:
        yield Chunk(NAME, row, _texts(items, row))
        row += len(items)


def refuse_no_ids(ids: object) -> None:
    """Raise InputError for what cannot be some ids, before any is read."""
    if isinstance(ids, str | bytes):
        raise InputError(
            "the ids are one text: give a list of them, or whatever yields them. For a file of ids there is export()."
        )
    if hasattr(ids, "columns"):
        raise InputError(
            f"the ids are a {type(ids).__name__}, with columns: give the one that holds them, such as ids['account_id']."
        )
    if isinstance(ids, pa.Array | pa.ChunkedArray) and not is_text_type(ids.type):
        raise InputError(f"the ids are an array of {ids.type}, not of texts; {CAST}.")
    if not (hasattr(ids, "__iter__") or hasattr(ids, "__aiter__")):
        raise InputError(f"the ids are of type {type(ids).__name__}, which yields nothing: give a list of them.")


def _lists(ids: Iterable[Any]) -> Iterator[list[Any]]:
    items = iter(ids)
    while some := list(islice(items, CHUNK_ROWS)):
        yield some


def _arrow_lists(ids: Any) -> Iterator[list[Any]]:
    for first in range(0, len(ids), CHUNK_ROWS):
        yield ids.slice(first, CHUNK_ROWS).to_pylist()


def _texts(items: list[Any], first_row: int) -> list[str | BadId | None]:
    if set(map(type, items)) <= {str} and _is_unicode("".join(items)):
        return items
    return [_text(item, row) for item, row in zip(items, count(first_row))]


def _text(item: object, row: int) -> str | BadId | None:
    if item is None or (isinstance(item, float) and item != item) or type(item).__name__ == "NAType":  # noqa: PLR0124 - NaN alone is not itself
        return None
    if not isinstance(item, str):
        raise InputError(
            f"id {row:,} is of type {type(item).__name__}, not a text; {CAST}, from where they are still exact."
        )
    text = str.__str__(item)  # of a kind of text its plain text
    if _is_unicode(text):
        return text
    return BadId(text.encode("utf-8", "replace").decode(), Reason.INVALID_ID, "not UTF-8")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
