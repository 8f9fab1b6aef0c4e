"""The quick way to read an answer says what the exact way says, or nothing."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.api.quick import NAMES_MAX, QuickReader
from exporter.api.wire import Answers, parse_reply
from exporter.errors import AttemptError
from exporter.model import Reply, Rows

ASKED = ["a", "b", "张"]
NAMES = ("", "city", "会员等级")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
json_values = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.lists(texts, max_size=2)
usual = st.dictionaries(st.sampled_from(NAMES), texts)
attrs = usual | st.dictionaries(st.sampled_from([*NAMES, "new", 'with "quotes"']), texts | json_values) | json_values
accounts = st.sampled_from(ASKED)
users = st.fixed_dictionaries({}, optional={"To_Account": accounts | json_values, "Attrs": attrs, "More": json_values})
errors = st.fixed_dictionaries(
    {"To_Account": accounts | json_values},
    optional={"ErrorCode": st.sampled_from([0, 90048, 91000, 60007]) | json_values, "ErrorInfo": texts | json_values},
)
whole = st.lists(st.fixed_dictionaries({"To_Account": accounts, "Attrs": usual}), max_size=3)
answers = st.fixed_dictionaries(
    {"ErrorCode": st.just(0), "ActionStatus": st.just("OK"), "UserAttrs": whole},
    optional={"ErrorList": st.lists(errors, max_size=2), "ErrorInfo": texts, "RequestId": json_values},
) | st.fixed_dictionaries(
    {},
    optional={
        "ErrorCode": st.just(0) | json_values,
        "ActionStatus": st.just("OK") | json_values,
        "UserAttrs": st.lists(users, max_size=3) | json_values,
        "ErrorList": st.lists(errors, max_size=2) | json_values,
    },
)


def known() -> Answers:
    """A reader that has seen the names before."""
    read = Answers()
    read.parse(answer([("a", dict.fromkeys(NAMES, "x"))]), ["a"])
    return read


def answer(found: Sequence[tuple[str, Any]], **more: object) -> bytes:
    listed = [{"To_Account": account, "Attrs": attributes} for account, attributes in found]
    return json.dumps({"ActionStatus": "OK", "ErrorCode": 0, "UserAttrs": listed, **more}, ensure_ascii=False).encode()


def said(parse: Any, body: bytes) -> tuple[object, ...]:
    """What an answer says: of each account, or as a failure."""
    try:
        reply: Reply = parse(body, ASKED)
    except AttemptError as error:
        return error.verdict, error.code
    return list(reply.found), dict(reply.found), reply.rejected, reply.again


@given(answers)
def test_both_ways_say_the_same(document: object) -> None:
    """Whatever JSON comes, a reader that knows the names says exactly what the exact way says, in the order asked."""
    body = json.dumps(document, ensure_ascii=False).encode(errors="replace")
    assert said(known().parse, body) == said(parse_reply, body)


@given(st.data())
def test_both_ways_say_the_same_of_damage(data: st.DataObject) -> None:
    """Any byte of a right answer may be lost, doubled or replaced, inside of texts and names as well."""
    body = answer([("a", {"": "1", "city": "\U0001f98a\\"}), ("张", {"会员等级": "金\n"})], ErrorList=[])
    at = data.draw(st.integers(0, len(body) - 1))
    new = data.draw(
        st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b"\\ud800", b"\xed\xa0\x80", b"}", b",", b"null"])
    )
    damaged = body[:at] + new + body[at + data.draw(st.integers(0, 2)) :]
    assert said(known().parse, damaged) == said(parse_reply, damaged)


def test_the_usual_answer_is_read_the_quick_way() -> None:
    """Known names, each account once: rows, where an absent attribute is None. Seen through the type alone."""
    reply = known().parse(answer([("张", {}), ("a", {"city": "x"})], RequestId="r"), ASKED)
    assert isinstance(reply.found, Rows)
    assert reply.found.texts == {"a": (None, "x", None), "张": (None, None, None)}
    assert list(reply.found) == ["a", "张"]
    assert set(reply.rejected) == {"b"}


@pytest.mark.parametrize(
    "body",
    [
        answer([("a", {"city": None})]),
        answer([("a", {"city": 1})]),
        answer([("a", {"new": "x"})]),
        answer([("a", {}), ("a", {})]),
        answer([("stranger", {})]),
        answer([("a", {})], ErrorCode=91000),
        answer([("a", {})], ErrorCode=False),
        answer([("a", {})], ActionStatus="FAIL"),
        b"\xef\xbb\xbf" + answer([("a", {})]),
        answer([("a", {})]) + b"x",
    ],
)
def test_whatever_is_in_doubt_is_declined(body: bytes) -> None:
    """A value that is no text, a new name, a stranger, a failure, a mark before the text: for the exact way to decide."""
    assert QuickReader(NAMES).read(answer([("a", {})]), ASKED)
    assert QuickReader(NAMES).read(body, ASKED) is None


@pytest.mark.parametrize("place", ["ErrorInfo", "RequestId", "More", "of an account", "of an error", "ErrorList"])
@pytest.mark.parametrize(
    "value", [b'"\xff"', b'"\xed\xa0\x80"', b"1" * 400, b"1e999", b"{}", b'""', b"0", b"false", b"null", b"[]"]
)
def test_what_is_passed_over_is_judged_all_the_same(place: str, value: bytes) -> None:
    """No field, asked for or not, is one way's to overlook and the other's to stumble over."""
    there = {
        "of an account": b'{"More":X,"To_Account"',
        "of an error": b'{"More":X,"To_Account":"b","ErrorCode":70107}',
    }
    body = answer([("a", {"city": "x"})])
    if place == "of an account":
        body = body.replace(b'{"To_Account"', there[place])
    elif place == "of an error":
        body = body[:-1] + b',"ErrorList":[' + there[place] + b"]}"
    else:
        body = body[:-1] + b',"' + place.encode() + b'":X}'
    body = body.replace(b"X", value)
    assert said(known().parse, body) == said(parse_reply, body)


def test_names_are_learnt_until_they_are_too_many() -> None:
    """A reader learns names from what was read exactly; beyond a row's width, or for odd names, there is no quick way."""
    reader = QuickReader(())
    for number in range(NAMES_MAX):
        learnt = reader.knowing([{f"n{number}": "x"}])
        assert learnt
        reader = learnt
    assert reader.knowing([{"n0": "x"}]) is reader
    assert reader.knowing([{"one more": "x"}]) is None
    assert QuickReader(()).knowing([{'with "quotes"': "x"}]) is None


def test_many_names_are_read_all_the_same() -> None:
    """An app with more names than the quick way takes loses nothing."""
    many = {f"n{number}": str(number) for number in range(3 * NAMES_MAX)}
    read = Answers()
    for _ in range(3):
        assert dict(read.parse(answer([("a", many)]), ["a"]).found["a"]) == many
