import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.answers import SHAPES, attributes, names, refusal, shape
from exporter.simulator.faults import WRONG_TYPES, checked_faults
from exporter.simulator.people import World, attributes_of

WORLD = World(unknown_share=0.3, empty_share=0.1)
ASKED = [f"user_{number:03d}" for number in range(30)]
KNOWN = {account: found for account in ASKED if (found := attributes_of(account, WORLD)) is not None}


def answer(unknown_as: str = "error_list", turn: int = 0) -> dict[str, Any]:
    return attributes(ASKED, WORLD, unknown_as=unknown_as, turn=turn)


def by_account(document: dict[str, Any]) -> dict[str, Any]:
    return {entry["To_Account"]: entry["Attrs"] for entry in document["UserAttrs"]}


@pytest.mark.parametrize("turn", [0, 1, 17, 10**9])
def test_every_account_that_exists_has_its_entry_whatever_the_order(turn: int) -> None:
    """Turning the answer loses nobody."""
    assert by_account(answer(turn=turn)) == KNOWN
    assert len(answer(turn=turn)["UserAttrs"]) == len(KNOWN)


def test_unknown_accounts_show_in_each_of_the_three_ways() -> None:
    """Absent, in ErrorList with 70107, or the whole call fails."""
    unknown = [account for account in ASKED if account not in KNOWN]
    assert unknown
    assert answer()["ErrorList"] == [{"To_Account": account, "ErrorCode": 70107} for account in unknown]
    assert "ErrorList" not in answer("absent")
    assert answer("whole_call")["ErrorCode"] == 70107


def test_the_names_are_numbered_from_nought() -> None:
    """The answer of im_get_attr_name has the documented shape."""
    numbered = names()["AttrNames"]
    assert list(numbered) == [str(number) for number in range(10)]
    assert {"sex", "Membership level", "会员等级"} < set(numbered.values())


def test_a_refusal_of_an_unlisted_code_has_no_text() -> None:
    """Codes in no public table exist, with an empty ErrorInfo."""
    assert refusal(70032) == {"ActionStatus": "FAIL", "ErrorInfo": "", "ErrorCode": 70032}


SHAPING = sorted(SHAPES) + [f"wrong_types:{place}" for place in WRONG_TYPES] + ["error_list:91000"]


@given(st.lists(st.sampled_from(SHAPING), min_size=1), st.integers(0, 1 << 32))
def test_any_shapes_can_meet_in_one_answer_and_leave_json(kinds: list[str], pick: int) -> None:
    """No combination of faults fails, and what is left can be written and is not the right answer."""
    document = answer()
    before = json.dumps(document)
    assert shape(document, checked_faults(dict.fromkeys(kinds, 1.0)), pick)
    assert json.dumps(document) != before


def test_nothing_is_shaped_where_there_is_no_entry() -> None:
    """A failed call and an answer about nobody stay as they are, and no fault is claimed."""
    nobody = attributes(["x"], World(unknown_share=1), unknown_as="absent", turn=3)
    assert shape(refusal(91000), SHAPES, 1) == shape(nobody, SHAPES, 1) == []


@pytest.mark.parametrize(
    ("kind", "entries", "accounts"),
    [
        ("missing", -1, -1),
        ("error_list", -1, -1),
        ("duplicate", 1, 0),
        ("conflict", 1, 0),
        ("stranger", 1, 1),
        ("reorder", 0, 0),
    ],
)
def test_each_shape_changes_the_accounts_as_it_says(kind: str, entries: int, accounts: int) -> None:
    """Entries and different accounts after the change, counted against the right answer."""
    document = answer()
    order = [entry["To_Account"] for entry in document["UserAttrs"]]
    assert shape(document, [kind], 5) == [kind]
    after = [entry["To_Account"] for entry in document["UserAttrs"]]
    assert (len(after), len(set(after))) == (len(order) + entries, len(order) + accounts)
    assert (after == order) is False


def test_a_conflict_differs_and_a_duplicate_does_not() -> None:
    """The second entry of one account is equal or not."""
    for kind, equal in (("duplicate", True), ("conflict", False)):
        document = answer()
        shape(document, [kind], 5)
        first, last = document["UserAttrs"][5], document["UserAttrs"][-1]
        assert first["To_Account"] == last["To_Account"]
        assert (first["Attrs"] == last["Attrs"]) is equal


def test_an_error_in_the_list_has_the_code_it_was_given() -> None:
    """70107 unless another is named."""
    for kind, code in (("error_list", 70107), ("error_list:91000", 91000)):
        document = attributes(["user_001"], World(unknown_share=0), unknown_as="error_list", turn=0)
        shape(document, [kind], 0)
        assert document["ErrorList"] == [{"To_Account": "user_001", "ErrorCode": code, "ErrorInfo": ""}]
        assert document["UserAttrs"] == []


def test_the_values_of_one_account_are_of_all_other_types() -> None:
    """Number, boolean, null and nested."""
    document = answer()
    shape(document, ["non_string"], 5)
    kinds = {type(value) for value in document["UserAttrs"][5]["Attrs"].values()}
    assert kinds == {int, float, bool, type(None), dict}


@pytest.mark.parametrize("place", ["error_code", "user_attrs", "account", "attrs", "item"])
def test_wrong_types_are_where_they_are_said_to_be(place: str) -> None:
    """One field of the envelope or of one entry is of another type, the others stand."""
    document = answer()
    shape(document, [f"wrong_types:{place}"], 5)
    entries = document["UserAttrs"]
    entry = entries[5] if isinstance(entries, list) else {}
    wrong = {
        "error_code": document["ErrorCode"] == "0",
        "user_attrs": isinstance(entries, dict),
        "account": entry is not None and isinstance(entry.get("To_Account"), int),
        "attrs": entry is not None and isinstance(entry.get("Attrs"), list),
        "item": entry is None,
    }
    assert [name for name, is_wrong in wrong.items() if is_wrong] == [place]


def test_user_attrs_can_be_null_or_gone() -> None:
    """OK with nothing to read."""
    null, gone = answer(), answer()
    shape(null, ["null_user_attrs"], 0)
    shape(gone, ["no_user_attrs"], 0)
    assert null["UserAttrs"] is None
    assert "UserAttrs" not in gone
