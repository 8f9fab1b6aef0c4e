"""The bytes of requests and answers."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.api.codes import CODES, said
from exporter.api.wire import parse_names, parse_reply, query, request_body
from exporter.errors import AttemptError, Verdict
from exporter.model import Reason, Rejection, Reply

SAMPLES = Path(__file__).parents[2] / "samples"
ASKED = ["Zhang Xiaohong", "Chen Xiaoming", "abc"]

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
attributes = st.dictionaries(texts, texts | st.none(), max_size=4)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def answer(users: object = (), **fields: object) -> bytes:
    """An answer that reports success, with any of its fields replaced."""
    return json.dumps({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "UserAttrs": users} | fields).encode()


def user(account: object, attrs: object) -> dict[str, object]:
    return {"To_Account": account, "Attrs": attrs}


def failed(body: bytes, asked: list[str] | None = None) -> AttemptError:
    with pytest.raises(AttemptError) as caught:
        parse_reply(body, ASKED if asked is None else asked)
    return caught.value


def attrs_of(attrs_json: str) -> dict[str, str | None]:
    """What becomes of the attributes of one account, given as JSON text."""
    body = '{"ActionStatus":"OK","ErrorCode":0,"UserAttrs":[{"To_Account":"a","Attrs":' + attrs_json + "}]}"
    return dict(parse_reply(body.encode(), ["a"]).found["a"])


# Requests


@given(st.lists(ids, max_size=5))
def test_request_body_names_the_accounts(accounts: list[str]) -> None:
    """The body holds the accounts in order, as UTF-8."""
    assert json.loads(request_body(accounts).decode()) == {"To_Account": accounts}


@given(identifier=ids, usersig=st.text("aZ09*-_", min_size=1), random=st.integers(0, 2**32 - 1))
def test_query_survives_the_way(identifier: str, usersig: str, random: int) -> None:
    """Whoever decodes the query reads what was meant; it is ASCII, and the UserSig in it stays as it is."""
    text = query(sdkappid=1400000000, identifier=identifier, usersig=usersig, random=random)
    assert dict(parse_qsl(text, strict_parsing=True)) == {
        "sdkappid": "1400000000",
        "identifier": identifier,
        "usersig": usersig,
        "random": str(random),
        "contenttype": "json",
    }
    assert text.isascii()
    assert f"usersig={usersig}&" in text
    assert not set(text) & set(" +#?")


# Answers that can be used


def test_official_sample() -> None:
    """Accounts are found by name, not by place, and come out in the order asked; no attributes is an answer too."""
    reply = parse_reply(sample("ok.json"), ASKED)
    assert reply == Reply(
        found={
            "Zhang Xiaohong": {"sex": "Female", "city": "New York"},
            "Chen Xiaoming": {"sex": "M", "city": "Shenzhen"},
            "abc": {},
        }
    )
    assert list(reply.found) == ASKED


def test_names_that_are_not_ascii_and_extra_fields() -> None:
    """Any Unicode passes unchanged, and fields that nobody promised are passed over."""
    assert parse_reply(sample("ok_chinese.json"), ["张小红"]).found == {"张小红": {"会员等级": "金", "city": "深圳"}}


def test_error_list() -> None:
    """ErrorList tells accounts to ask again from accounts that are unknown; whoever is nowhere is missing."""
    reply = parse_reply(sample("error_list.json"), [*ASKED, "nowhere"])
    assert list(reply.found) == ["Zhang Xiaohong"]
    assert reply.again == {"Chen Xiaoming": Rejection(Reason.EXHAUSTED, 70169, "inner timeout")}
    assert reply.rejected == {
        "abc": Rejection(Reason.UNKNOWN_ACCOUNT, 70107),
        "nowhere": Rejection(Reason.MISSING),
    }


def test_rejected_stand_in_the_order_asked() -> None:
    """Rejected accounts come out in the order asked, whatever the order of ErrorList."""
    errors = [{"To_Account": name, "ErrorCode": 70107} for name in ("abc", "Zhang Xiaohong")]
    assert list(parse_reply(answer([], ErrorList=errors), ASKED).rejected) == ASKED


@pytest.mark.parametrize("code", [*CODES, 123456])
def test_each_code_in_error_list(code: int) -> None:
    """An account with an error known to pass is asked again, with any other it is unknown to the service."""
    reply = parse_reply(answer([], ErrorList=[{"To_Account": "a", "ErrorCode": code, "ErrorInfo": "why"}]), ["a"])
    passing = code in CODES and CODES[code].verdict in (Verdict.RETRY, Verdict.SLOW_DOWN)
    assert ("a" in reply.again, "a" in reply.rejected) == (passing, not passing)
    rejection = (reply.again | reply.rejected)["a"]
    assert (rejection.code, rejection.message) == (code, "why")


@pytest.mark.parametrize("value", ["x", 1.10])
def test_a_byte_order_mark_is_no_part_of_the_answer(value: object) -> None:
    """Some gateways put one in front; JSON allows to ignore it."""
    body = b"\xef\xbb\xbf" + answer([user("a", {"n": value})])
    assert parse_reply(body, ["a"]).found == {"a": {"n": str(value)}}


def test_null_error_list_is_none() -> None:
    """A null ErrorList says nothing."""
    assert parse_reply(answer([user("a", {})], ErrorList=None), ["a"]).found == {"a": {}}


def test_equal_twins_count_as_one() -> None:
    """An account that is listed twice alike is one account, in either list."""
    body = answer([user("a", {"x": "1", "y": 2}), user("a", {"y": 2, "x": "1"})])
    assert parse_reply(body, ["a"]).found == {"a": {"x": "1", "y": "2"}}
    error = {"To_Account": "a", "ErrorCode": 70107}
    assert list(parse_reply(answer([], ErrorList=[error, error]), ["a"]).rejected) == ["a"]


# Values that are no strings


def test_other_types_keep_their_spelling() -> None:
    """A value that is no string becomes its JSON text: every digit, key and letter as the service wrote it."""
    assert parse_reply(sample("other_types.json"), ["abc"]).found["abc"] == {
        "big": "12345678901234567890123",
        "price": "1.10",
        "power": "1e5",
        "minus": "-0",
        "yes": "true",
        "no": "false",
        "none": None,
        "list": '[1.0,"张 \\"x\\"\\n",null,{}]',
        "object": '{"z":2.50,"a":[]}',
        "text": "1.10",
        "empty": "",
    }


@given(st.dictionaries(texts, json_values, max_size=4))
def test_json_text_means_the_same(values: dict[str, Any]) -> None:
    """Strings and null stay what they are; of everything else the text, read again, is the value."""
    seen = attrs_of(json.dumps(values))
    assert list(seen) == list(values)
    for name, value in values.items():
        text = seen[name]
        if value is None or isinstance(value, str):
            assert text == value
        else:
            assert text is not None
            assert json.loads(text) == value


@pytest.mark.parametrize("number", ["0", "-1", "1E+2", "1.000", "0.1000000000000000055511151231257827", "9" * 300])
def test_numbers_keep_their_digits(number: str) -> None:
    """A number is spelled as in the answer, alone or inside."""
    assert attrs_of(f'{{"n":{number},"l":[{number}]}}') == {"n": number, "l": f"[{number}]"}


def test_twins_that_differ_in_spelling_are_different() -> None:
    """1 and 1.0 and true are three texts, so twins with them contradict each other."""
    for one, other in ((1, 1.0), (1, True), (0, False), (1, "x")):
        assert "different attributes" in str(failed(answer([user("a", {"x": one}), user("a", {"x": other})]), ["a"]))


# Answers that cannot be used

MALFORMED = {
    "no JSON": sample("html_502.html"),
    "cut": sample("truncated.json"),
    "empty": b"",
    "not UTF-8": b'{"ErrorCode":0,"x":"\xff"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "NaN": answer([user("abc", {"x": float("nan")})]),
    "infinity": answer([user("abc", {"x": float("inf")})]),
    "half a character": answer([user("abc", {"x": "\ud800"})]),
    "list": b"[]",
    "null": b"null",
    "string": b'"OK"',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "no code": b'{"ActionStatus":"OK","UserAttrs":[]}',
    "null code": answer(ErrorCode=None),
    "text code": answer(ErrorCode="0"),
    "code beyond all tables": answer(ErrorCode=2**63),
    "error with code beyond all tables": answer(ErrorList=[{"To_Account": "abc", "ErrorCode": 2**63}]),
    "float code": answer(ErrorCode=0.0),
    "bool code": answer(ErrorCode=False),
    "huge code": answer(ErrorCode=10**30),
    "true code": answer(ErrorCode=True),
    "FAIL without code": answer(ActionStatus="FAIL"),
    "no status": b'{"ErrorCode":0,"UserAttrs":[]}',
    "other status": answer(ActionStatus="ok"),
    "null status": answer(ActionStatus=None),
    "no UserAttrs": b'{"ActionStatus":"OK","ErrorCode":0}',
    "the name of another API": b'{"ActionStatus":"OK","ErrorCode":0,"Attrs":[]}',
    "null UserAttrs": answer(None),
    "object UserAttrs": answer({"abc": {}}),
    "text UserAttrs": answer("abc"),
    "null entry": answer([None]),
    "list entry": answer([["abc", {}]]),
    "text entry": answer(["abc"]),
    "nobody's entry": answer([{"Attrs": {}}]),
    "null account": answer([user(None, {})]),
    "number account": answer([user(5, {})]),
    "list account": answer([user(["abc"], {})]),
    "stranger": answer([user("stranger", {})]),
    "other case": answer([user("ABC", {})]),
    "no Attrs": answer([{"To_Account": "abc"}]),
    "null Attrs": answer([user("abc", None)]),
    "list Attrs": answer([user("abc", [])]),
    "text Attrs": answer([user("abc", "sex")]),
    "twins that differ": answer([user("abc", {"sex": "M"}), user("abc", {"sex": "F"})]),
    "twins of which one is bare": answer([user("abc", {"sex": "M"}), user("abc", {})]),
    "object ErrorList": answer(ErrorList={}),
    "text ErrorList": answer(ErrorList="abc"),
    "false ErrorList": answer(ErrorList=False),
    "null error": answer(ErrorList=[None]),
    "error of nobody": answer(ErrorList=[{"ErrorCode": 70107}]),
    "error of a number": answer(ErrorList=[{"To_Account": 5, "ErrorCode": 70107}]),
    "error of a stranger": answer(ErrorList=[{"To_Account": "stranger", "ErrorCode": 70107}]),
    "error without code": answer(ErrorList=[{"To_Account": "abc"}]),
    "error with text code": answer(ErrorList=[{"To_Account": "abc", "ErrorCode": "70107"}]),
    "error with bool code": answer(ErrorList=[{"To_Account": "abc", "ErrorCode": True}]),
    "errors that differ": answer(ErrorList=[{"To_Account": "abc", "ErrorCode": code} for code in (70107, 90012)]),
    "found and in error": answer([user("abc", {})], ErrorList=[{"To_Account": "abc", "ErrorCode": 70107}]),
    "nested too deeply": answer([]).replace(
        b"[]", b'[{"To_Account":"abc","Attrs":{"x":' + b"[" * 1000 + b"]" * 1000 + b"}}]"
    ),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_malformed(body: bytes) -> None:
    """An answer out of form is asked for again, never read as no attributes; the error is a short line and no more."""
    error = failed(body)
    assert (error.verdict, error.code, error.known, error.attempts_max) == (Verdict.RETRY, None, True, 8)
    assert str(error).isprintable()
    assert len(str(error)) < 200
    assert error.__context__ is None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no JSON", "<html>"),
        ("null UserAttrs", "UserAttrs is no list"),
        ("no Attrs", "Attrs of 'abc'"),
        ("text code", "no integer ErrorCode"),
        ("FAIL without code", "ActionStatus is not OK"),
        ("stranger", "'stranger', which was not asked for"),
        ("found and in error", "both in UserAttrs and in ErrorList"),
    ],
)
def test_malformed_says_what_was_wrong(kind: str, words: str) -> None:
    """The sentence names what was out of form."""
    assert words in str(failed(MALFORMED[kind]))


# Answers that report an error


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("status", ["FAIL", "OK"])
def test_every_code_is_obeyed(code: int, status: str) -> None:
    """An error code outside zero counts whatever else the answer holds, with verdict and attempts of its row."""
    body = answer([user("abc", {})], ActionStatus=status, ErrorCode=code, ErrorInfo="their words")
    error, row = failed(body), CODES[code]
    assert (error.verdict, error.code, error.attempts_max, error.known) == (row.verdict, code, row.attempts_max, True)
    assert str(error).startswith(f"{code}: {row.meaning}. {row.remedy}".strip())
    assert str(error).endswith("(the service said: their words)")


@pytest.mark.parametrize(
    ("name", "code", "verdict", "known"),
    [
        ("60002.json", 60002, Verdict.FATAL, True),
        ("60007.json", 60007, Verdict.SLOW_DOWN, True),
        ("60008.json", 60008, Verdict.RETRY, True),
        ("70001.json", 70001, Verdict.RESIGN, True),
        ("70032.json", 70032, Verdict.RETRY, False),
        ("90001.json", 90001, Verdict.FATAL, True),
    ],
)
def test_failure_samples(name: str, code: int, verdict: Verdict, *, known: bool) -> None:
    """Published failures, in any order of keys and without words, are classified."""
    error = failed(sample(name))
    assert (error.code, error.verdict, error.known) == (code, verdict, known)
    assert error.attempts_max == (8 if known and verdict is not Verdict.RESIGN else 2 if known else 3)


@pytest.mark.parametrize("info", [None, 5, ["x"], {}])
def test_odd_words_do_no_harm(info: object) -> None:
    """Words of the service that are no text are left out."""
    assert "the service said" not in str(failed(answer(ErrorCode=91000, ErrorInfo=info)))


# Names


def test_names_by_number() -> None:
    """Attribute names come in the order of their numbers, 10 after 2."""
    assert parse_names(sample("names.json")) == ["sex", "会员等级", "Membership level", "last"]


def test_no_names() -> None:
    """An app without attributes has no names."""
    assert parse_names(answer(AttrNames={})) == []


@pytest.mark.parametrize(
    "names", [None, [], "sex", {"a": "sex"}, {"-1": "sex"}, {"": "x"}, {"٣": "x"}, {"0": 5}, {"9" * 5000: "x"}]
)
def test_malformed_names(names: object) -> None:
    """Names out of form are asked for again."""
    with pytest.raises(AttemptError) as caught:
        parse_names(answer(AttrNames=names))
    assert (caught.value.verdict, caught.value.code) == (Verdict.RETRY, None)


def test_names_refused() -> None:
    """A refusal to tell the names is classified as any other."""
    with pytest.raises(AttemptError) as caught:
        parse_names(sample("70001.json"))
    assert caught.value.verdict is Verdict.RESIGN


# Laws

PLACES = st.sampled_from(["found", "unknown", "again", "absent"])


@given(data=st.data(), asked=st.lists(ids, unique=True, max_size=8))
def test_every_account_is_in_exactly_one_place(data: st.DataObject, asked: list[str]) -> None:
    """Any well-formed answer, in any order, puts each asked account into the one place that it names, unchanged."""
    places = {account: data.draw(PLACES) for account in asked}
    attrs = {account: data.draw(attributes) for account in asked if places[account] == "found"}
    infos = {account: data.draw(texts) for account in asked if places[account] in ("unknown", "again")}
    codes = {"unknown": 70107, "again": 91000}
    users = data.draw(st.permutations([user(account, attrs[account]) for account in attrs]))
    errors = [{"To_Account": name, "ErrorCode": codes[places[name]], "ErrorInfo": infos[name]} for name in infos]
    body = answer(users, **({"ErrorList": data.draw(st.permutations(errors))} if errors else {}))

    reply = parse_reply(body, asked)

    assert reply.found == attrs
    assert reply.again == {
        name: Rejection(Reason.EXHAUSTED, 91000, said(infos[name])) for name in asked if places[name] == "again"
    }
    assert reply.rejected == {
        name: Rejection(Reason.MISSING)
        if places[name] == "absent"
        else Rejection(Reason.UNKNOWN_ACCOUNT, 70107, said(infos[name]))
        for name in asked
        if places[name] in ("absent", "unknown")
    }
    for part in (reply.found, reply.again, reply.rejected):
        assert list(part) == [name for name in asked if name in part]


def partition_or_attempt_error(body: bytes, asked: list[str]) -> None:
    """The one law of `parse_reply`, for any body at all."""
    try:
        reply = parse_reply(body, asked)
    except AttemptError:
        return
    assert sorted([*reply.found, *reply.rejected, *reply.again]) == sorted(asked)
    assert {type(value) for attrs in reply.found.values() for value in attrs.values()} <= {str, type(None)}


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    """No bytes raise anything but AttemptError."""
    partition_or_attempt_error(body, ["a", "b"])


NAMES = st.sampled_from(["a", "b", "c", ""])
NEARLY_USER = st.fixed_dictionaries({}, optional={"To_Account": NAMES | json_values, "Attrs": attributes | json_values})
NEARLY_ERROR = st.fixed_dictionaries(
    {}, optional={"To_Account": NAMES | json_values, "ErrorCode": st.sampled_from([*CODES]) | json_values}
)


@given(
    st.fixed_dictionaries(
        {"ErrorCode": st.just(0) | json_values, "ActionStatus": st.just("OK") | json_values},
        optional={
            "UserAttrs": st.lists(NEARLY_USER | json_values, max_size=3) | json_values,
            "ErrorList": st.lists(NEARLY_ERROR | json_values, max_size=3) | json_values,
            "ErrorInfo": json_values,
        },
    )
    | json_values
)
def test_any_json(document: object) -> None:
    """Any JSON is a full account of what was asked, or an AttemptError."""
    partition_or_attempt_error(json.dumps(document).encode(), ["a", "b"])


def test_asking_nobody() -> None:
    """No account asked, none told."""
    assert parse_reply(answer([]), []) == Reply()
    assert orjson.loads(request_body([])) == {"To_Account": []}
