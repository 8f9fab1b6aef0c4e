"""Without ids: none of the input stands anywhere on the page, wherever it came from."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.report.page import render
from exporter.report.profile import profile
from exporter.report.redact import ID_BYTES_MAX, spans
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
