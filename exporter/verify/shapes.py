"""The form of `manifest.json`: which keys it must have, and of what kind. Unknown keys are fine. Pure."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

FORMAT = 2
TYPES = ("text", "int64", "float64", "bool", "timestamp")
SHOWN_CHARS_MAX = 40


class Kind(NamedTuple):
    """What a value must be, in words, and the test."""

    words: str
    fits: Callable[[Any], bool]


class Maybe(NamedTuple):
    """The shape of a key that need not be there."""

    shape: Any


def _is_whole(value: object) -> bool:
    return type(value) is int and value >= 0  # true is no number


def _is_counts(value: object) -> bool:
    return isinstance(value, dict) and all(_is_whole(number) and number for number in value.values())


WHOLE = Kind("a whole number from 0", _is_whole)
COUNTS = Kind("an object of numbers from 1", _is_counts)
TEXT = Kind("a text", lambda value: isinstance(value, str))
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
SHA256 = Kind("64 hex digits", lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value)))

FILE = {"file": TEXT, "rows": WHOLE, "bytes": WHOLE, "sha256": SHA256}
MANIFEST = {
    "format": Kind(
        f"{FORMAT}, the format that this version verifies", lambda value: _is_whole(value) and value == FORMAT
    ),
    "input": WHOLE,
    "rows": WHOLE,
    "rejects": WHOLE,
    "rejects_by_reason": COUNTS,
    "duplicates": WHOLE,
    "blank": WHOLE,
    "missing": WHOLE,
    "ids_with_outer_spaces": WHOLE,
    "schema": [
        {"name": TEXT, "attribute": Maybe(TEXT), "type": Kind(f"one of {', '.join(TYPES)}", TYPES.__contains__)}
    ],
    "bad_values": COUNTS,
    "ignored_attributes": COUNTS,
    "settings": {"duplicates": Kind("drop or keep", ("drop", "keep").__contains__)},
    "fingerprint": SHA256,
    "fingerprint_of": {"settings": OBJECT},
    "shards": [
        {
            **FILE,
            "first_row": WHOLE,
            "last_row": WHOLE,
            "rejects": WHOLE,
            "rejects_by_reason": COUNTS,
            "bad_values": COUNTS,
            "duplicates": WHOLE,
            "blank": WHOLE,
            "spaced": WHOLE,
            "ignored": COUNTS,
        }
    ],
    "reject_files": [FILE],
    "bad_value_files": [FILE],
}


def misfits(value: object, shape: Any, name: str = "") -> Iterator[str]:
    """Say of each part of a JSON value that is not as its shape wants it: what it is, and what it should be.

    A shape is a Kind, an object of shapes (its keys must be there, unless Maybe), or a list of one shape (of its items).
    """
    if isinstance(shape, Kind):
        if not shape.fits(value):
            yield f"{name} is {_shown(value)}, not {shape.words}"
    elif isinstance(shape, dict):
        yield from _object_misfits(value, shape, name)
    elif not isinstance(value, list):
        yield f"{name} is no list"
    else:
        for place, item in enumerate(value):
            yield from misfits(item, shape[0], f"{name}[{place}]")


def _shown(value: object) -> str:
    if isinstance(value, dict | list):  # perhaps deeper than can be shown
        return "a list" if isinstance(value, list) else "an object"
    return f"{value!r:.{SHOWN_CHARS_MAX}}"


def _object_misfits(value: object, shape: dict[str, Any], name: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{name or 'all of it'} is no object"
        return
    for key, inner in shape.items():
        path = f"{name}.{key}" if name else key
        if key in value:
            yield from misfits(value[key], inner.shape if isinstance(inner, Maybe) else inner, path)
        elif not isinstance(inner, Maybe):
            yield f"{path} is missing"
