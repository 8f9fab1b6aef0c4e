"""Leaving out account ids: what the page shows of the data holds none of them, and no value that hardly any share.

An attribute may repeat an id, its own account's or another's. So a value is shown when many accounts share it, and when
no word or run of words in it is an id.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from exporter.report.facts import Column, Data, Example, Top, Value

SHARED_MIN = 5
"""A value that fewer accounts share is not shown."""
ID_BYTES_MAX = 32
CHARS_MAX = 200
"""Of a longer value nothing is shown."""
_BREAK = re.compile(r"(?<!\w)(?=\w)|(?<=\w)(?!\w)|\b|(?<=\W)(?=\W)")


def redacted(data: Data, ids: Iterable[Any]) -> Data:
    """Leave out what is or holds one of these ids (Arrow arrays of text), and what few accounts share."""
    examples = {reason: [_without_words(item) for item in found] for reason, found in data.examples.items()}
    columns = [_shared(column) for column in data.columns]
    told = {text for column in columns for text in _shown(column)}
    known = _known({span for text in told for span in spans(text)}, ids)
    return Data([_without(column, known) for column in columns], examples)


def _without_words(item: Example) -> Example:
    return replace(item, account=None, message=None if item.message is None else "hidden")


def _shared(column: Column) -> Column:
    top = [each if _is_short(each.value) and each.count >= SHARED_MIN else Top(None, each.count) for each in column.top]
    return replace(column, top=top, hidden=any(each.value is None for each in top))


def _is_short(value: Value | None) -> bool:
    return not isinstance(value, str) or len(value) <= CHARS_MAX


def _shown(column: Column) -> Iterator[str]:
    yield from (str(each.value) for each in column.top if each.value is not None)
    if column.spread:
        yield from (str(column.spread.min), str(column.spread.max))


def spans(text: str) -> Iterator[str]:
    """Give every part of a text that begins and ends where a word does, and is no longer than an id."""
    places = sorted({0, len(text), *(found.start() for found in _BREAK.finditer(text))})
    for number, begin in enumerate(places):
        for end in places[number + 1 :]:
            if end - begin > ID_BYTES_MAX:
                break
            yield text[begin:end]


def _known(words: set[str], ids: Iterable[Any]) -> set[str]:
    """Tell which of these are ids."""
    wanted: Any = pa.array(sorted(words), pa.string())
    known: set[str] = set()
    for some in ids:
        known.update(some.filter(pc.is_in(some, value_set=wanted)).to_pylist())
    return known


def _without(column: Column, known: set[str]) -> Column:
    def may(value: Value | None) -> bool:
        return value is None or known.isdisjoint(spans(str(value)))

    top: Sequence[Top] = [each if may(each.value) else Top(None, each.count) for each in column.top]
    ends = column.spread is None or (may(column.spread.min) and may(column.spread.max))
    return replace(
        column,
        top=top,
        spread=column.spread if ends else None,
        histogram=column.histogram if ends else None,
        hidden=column.hidden or not ends or any(each.value is None for each in top),
    )
