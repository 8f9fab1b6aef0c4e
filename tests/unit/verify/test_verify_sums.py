"""Numbers that the files bear out only within bounds."""

from dataclasses import replace

import pytest

from exporter.verify.claims import Claims, FileClaim, ShardClaim
from exporter.verify.content import Content
from exporter.verify.sums import outer_spaces, totals

FILES = {folder: FileClaim(f"{folder}/part-000000.parquet", 0, 0, "") for folder in ("data", "rejects", "bad_values")}
SHARD = ShardClaim(0, 1, 9, FILES, 0, {}, {}, 0, 0, 0, {})


def told(number: int, *, found: int, duplicates: int, settings: str) -> list[str]:
    """Say so many ids with outer spaces, of which so many stand in the data, and one more in the rejects."""
    contents = {FILES["data"].file: Content(spaced=found), FILES["rejects"].file: Content(spaced=1)}
    shard = replace(SHARD, duplicates=duplicates, spaced=number)
    return list(outer_spaces(Claims({"settings": {"duplicates": settings}}, [shard]), contents))


@pytest.mark.parametrize(
    ("settings", "duplicates", "right"),
    [("drop", 0, {4}), ("drop", 2, {4, 5, 6}), ("keep", 0, {1, 2, 3, 4})],
)
def test_outer_spaces_within_bounds(settings: str, duplicates: int, right: set[int]) -> None:
    """Exact without duplicates; of dropped ones some may have had spaces; kept ones show more often than they were asked."""
    for number in range(10):
        texts = told(number, found=3, duplicates=duplicates, settings=settings)
        assert bool(texts) == (number not in right), number
        assert all(text.startswith(f"manifest.json: shards[0].spaced is {number}, and it") for text in texts)


def test_nothing_is_said_of_files_that_could_not_be_read() -> None:
    """Their own finding is enough."""
    claims = Claims({"settings": {"duplicates": "drop"}}, [replace(SHARD, spaced=5)])
    assert list(outer_spaces(claims, {FILES["data"].file: Content()})) == []


@pytest.mark.parametrize(
    ("of_run", "right"),
    [({"a": 3}, True), ({"a": 2}, False), ({"a": 2, "b": 1}, False), ({"(others)": 3}, True), ({"(others)": 2}, False)],
)
def test_ignored_attributes_are_those_of_the_shards(of_run: dict[str, int], right: bool) -> None:  # noqa: FBT001 - a row of the table
    """By name, or in all where there were more names than are counted one by one."""
    numbers = ("rows", "rejects", "duplicates", "blank", "missing", "ids_with_outer_spaces")
    keys = {**dict.fromkeys(numbers, 0), "rejects_by_reason": {}, "bad_values": {}, "ignored_attributes": of_run}
    texts = list(totals(Claims(keys, [replace(SHARD, ignored={"a": 1}), replace(SHARD, ignored={"a": 2})])))
    assert [text.split()[1] for text in texts] == ([] if right else ["ignored_attributes"])
