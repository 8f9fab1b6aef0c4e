"""Without ids: none of the input stands anywhere on the page, wherever it came from."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.report.facts import Column, Data, Histogram, Spread, Top
from exporter.report.page import render
from exporter.report.profile import profile
from exporter.report.redact import CHARS_MAX, ID_BYTES_MAX, SHARED_MIN, redacted, spans
from tests.unit.report.conftest import MEANINGS, Lay

IDS = [f"user_{n:04d}" for n in range(40)]


def rows() -> list[dict[str, Any]]:
    """Accounts whose attributes repeat ids: their own, another's alone, and in the midst of other words."""
    return [
        {
            "account_id": name,
            "own": name,
            "invited_by": IDS[3],
            "link": f"https://example.com/{IDS[4]}/photo.png",
            "greeting": f"Hello {IDS[5]}!",
            "rare": "x" if n % 2 else f"secret {n}",
            "city": "Wien",
            "number": 90_001_234,
        }
        for n, name in enumerate(IDS)
    ] + [{"account_id": "90001234", "city": "Wien"}]


def rejects() -> list[dict[str, Any]]:
    gone = [f"gone_{n}" for n in range(3)]
    told = [
        {"account_id": name, "reason": "refused", "code": 90048, "message": f"account {name} is no good"}
        for name in gone
    ]
    return [row | {"source": "ids.csv", "row_number": n} for n, row in enumerate(told, 1)]


def test_no_id_stands_on_the_page(lay: Lay) -> None:
    """Of the accounts with a row or without; what is no id stays."""
    types = dict.fromkeys(("own", "invited_by", "link", "greeting", "rare", "city"), "text") | {"number": "int64"}
    told, files = lay([rows()], types, rejects())
    page = {
        hide: render(told, MEANINGS, profile(told, files, redact_ids=hide), redact_ids=hide).decode()
        for hide in (False, True)
    }
    names = [*IDS, *(f"gone_{n}" for n in range(3)), "the-admin", "90,001,234", "90001234"]
    assert [name for name in names if name in page[True]] == []
    assert all(name in page[False] for name in (IDS[3], IDS[4], IDS[5], "gone_0", "the-admin", "90,001,234"))
    assert "secret" not in page[True]
    for text in ("Wien", "ids.csv", "row 2"):
        assert text in page[True]


@given(st.text(max_size=20), st.text(min_size=1, max_size=10), st.text(max_size=20))
def test_an_id_is_found_between_words(before: str, account: str, after: str) -> None:
    """Wherever no letter or digit touches it."""
    if len(account.encode()) <= ID_BYTES_MAX:
        assert account in set(spans(f"{before} {account} {after}"))
        assert account in set(spans(account))


def _column(**facts: Any) -> Column:
    given: dict[str, Any] = {"type": "int64", "top": [], **facts}
    return Column(attribute="a", rows=10, filled=10, distinct=2, exact=True, **given)


@pytest.mark.parametrize(("low", "high"), [(7, 20), (1, 7)])
def test_an_id_at_either_end_takes_the_spread_and_the_histogram(low: int, high: int) -> None:
    """Both ends of a histogram are values of an account."""
    column = _column(spread=Spread(low, high), histogram=Histogram([low, high], [10]))
    (found,) = redacted(Data([column], {}), [pa.array(["7"])]).columns
    assert (found.spread, found.histogram, found.hidden) == (None, None, True)
    (kept,) = redacted(Data([column], {}), [pa.array(["8"])]).columns
    assert (kept.spread, kept.histogram, kept.hidden) == (column.spread, column.histogram, False)


def test_a_value_is_shown_from_five_accounts_on_and_up_to_200_characters() -> None:
    """Fewer tell of a person, and a longer one may hold anything."""
    top = [Top("many", SHARED_MIN), Top("few", SHARED_MIN - 1), Top("l" * CHARS_MAX, 9), Top("o" * (CHARS_MAX + 1), 9)]
    (found,) = redacted(Data([_column(type="text", top=top)], {}), []).columns
    assert [each.value for each in found.top] == ["many", None, "l" * CHARS_MAX, None]
    assert found.hidden


def test_an_id_of_full_length_is_found() -> None:
    """32 bytes, in the midst of a longer text."""
    account = "x" * ID_BYTES_MAX
    assert account in set(spans(f"of {account}!"))
