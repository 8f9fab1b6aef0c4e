"""Numbers that the files bear out only within bounds."""

import pytest

from exporter.verify.claims import Claims, FileClaim, ShardClaim
from exporter.verify.content import Content
from exporter.verify.sums import outer_spaces

FILES = {folder: FileClaim(f"{folder}/part-000000.parquet", 0, 0, "") for folder in ("data", "rejects", "bad_values")}
SHARD = ShardClaim(0, 1, 9, FILES, None, None, None)


def told(number: int, *, found: int, duplicates: int, settings: str) -> list[str]:
    """Say so many ids with outer spaces, of which so many stand in the data, and one more in the rejects."""
    keys = {"ids_with_outer_spaces": number, "duplicates": duplicates, "settings": {"duplicates": settings}}
    contents = {FILES["data"].file: Content(spaced=found), FILES["rejects"].file: Content(spaced=1)}
    return list(outer_spaces(Claims(keys, [SHARD]), contents))


@pytest.mark.parametrize(
    ("settings", "duplicates", "right"),
    [("drop", 0, {4}), ("drop", 2, {4, 5, 6}), ("keep", 0, {1, 2, 3, 4})],
)
def test_outer_spaces_within_bounds(settings: str, duplicates: int, right: set[int]) -> None:
    """Exact without duplicates; of dropped ones some may have had spaces; kept ones show more often than they were asked."""
    for number in range(10):
        texts = told(number, found=3, duplicates=duplicates, settings=settings)
        assert bool(texts) == (number not in right), number
        assert all(text.startswith(f"manifest.json: ids_with_outer_spaces is {number}, and") for text in texts)


def test_nothing_is_said_of_files_that_could_not_be_read() -> None:
    """Their own finding is enough."""
    keys = {"ids_with_outer_spaces": 5, "duplicates": 0, "settings": {"duplicates": "drop"}}
    assert list(outer_spaces(Claims(keys, [SHARD]), {FILES["data"].file: Content()})) == []
