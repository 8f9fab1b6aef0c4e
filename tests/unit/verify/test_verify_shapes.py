"""The form of a manifest, value by value."""

from typing import Any

import pytest

from exporter.verify.shapes import COUNTS, OBJECT, SHA256, TEXT, WHOLE, Maybe, misfits

CASES: list[tuple[Any, list[Any], list[Any]]] = [
    (WHOLE, [0, 1, 2**63], [-1, True, 1.0, "1", None, [], {}]),
    (COUNTS, [{}, {"a": 1}], [{"a": 0}, {"a": -1}, {"a": True}, {"a": "1"}, [], None]),
    (TEXT, ["", "a"], [0, None, []]),
    (OBJECT, [{}, {"a": []}], [[], None, "{}"]),
    (SHA256, ["0" * 64], ["0" * 63, "0" * 64 + "\n", "A" * 64, 0, None]),
    ([WHOLE], [[], [1, 2]], [{}, None, 1, [None], [1, "2"]]),
    ({"a": WHOLE}, [{"a": 1}, {"a": 1, "b": None}], [{}, {"a": None}, [], None]),
    ({"a": Maybe(WHOLE)}, [{}, {"a": 1}], [{"a": None}, []]),
]


@pytest.mark.parametrize(("shape", "right", "wrong"), CASES)
def test_what_fits_and_what_does_not(shape: Any, right: list[Any], wrong: list[Any]) -> None:
    """Each kind of value, and what is none of it."""
    assert [list(misfits(value, shape, "it")) for value in right] == [[]] * len(right)
    assert [len(list(misfits(value, shape, "it"))) for value in wrong] == [1] * len(wrong)


def test_the_place_is_told() -> None:
    """By the keys that lead to it, and what should stand there."""
    shape = {"a": [{"b": WHOLE, "c": TEXT}]}
    value = {"a": [{"b": 1, "c": ""}, {"b": "x" * 1000}, []]}
    assert list(misfits(value, shape)) == [
        f"a[1].b is '{'x' * 39}, not a whole number from 0",
        "a[1].c is missing",
        "a[2] is no object",
    ]
