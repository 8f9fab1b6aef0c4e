from collections.abc import Callable

import pytest

from exporter.simulator.checks import accounts_code, names_code, query_code
from exporter.simulator.config import Config

CONFIG = Config()
NOW = 1700000000


def good(sign: Callable[..., str]) -> dict[str, str]:
    return {
        "sdkappid": "1400000000",
        "identifier": "administrator",
        "usersig": sign(at=NOW),
        "random": "0",
        "contenttype": "json",
    }


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, 0),
        ({"random": "4294967295"}, 0),
        ({"sdkappid": None}, 60012),
        ({"sdkappid": ""}, 60012),
        ({"sdkappid": "my app"}, 60006),
        ({"sdkappid": "1400000001"}, 70014),
        ({"identifier": None}, 60025),
        ({"identifier": "Administrator"}, 70013),
        ({"usersig": None}, 70002),
        ({"usersig": "garbage"}, 70003),
        ({"random": None}, 60025),
        ({"random": "4294967296"}, 60025),
        ({"random": "-1"}, 60025),
        ({"random": "1.5"}, 60025),
        ({"random": "٣"}, 60025),
        ({"contenttype": None}, 60025),
        ({"contenttype": "JSON"}, 60025),
        ({"SdkAppId": "1", "sdkappid": None}, 60012),
    ],
)
def test_each_query_parameter_is_checked(change: dict[str, str | None], code: int, sign: Callable[..., str]) -> None:
    """Missing, malformed and differing parameters have the codes of the public table; names are case-sensitive."""
    query = {name: value for name, value in (good(sign) | change).items() if value is not None}
    assert query_code(query, CONFIG, now=NOW) == code


@pytest.mark.parametrize(
    ("other", "code"),
    [({"identifier": "somebody"}, 60010), ({"sdkappid": 20000001}, 60006), ({"key": "another"}, 70009)],
)
def test_a_right_signature_for_the_wrong_thing_is_refused(
    other: dict[str, object], code: int, sign: Callable[..., str]
) -> None:
    """Signed for a user who is no admin, for an app that is not here, or with another key."""
    query = good(sign) | {name: str(value) for name, value in other.items() if name != "key"}
    assert query_code(query | {"usersig": sign(at=NOW, **other)}, CONFIG, now=NOW) == code


def test_an_expired_or_revoked_signature_is_70001(sign: Callable[..., str]) -> None:
    """Expiry by lifetime, and by a moment before which all signatures are void."""
    assert query_code(good(sign), CONFIG, now=NOW + 86401) == 70001
    assert query_code(good(sign), CONFIG, now=NOW, newer_than=NOW) == 70001
    assert query_code(good(sign), CONFIG, now=NOW, newer_than=NOW - 1) == 0


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"To_Account": ["a"]}, 0),
        ({"To_Account": ["a"] * 100}, 0),
        ({"To_Account": ["a"] * 101}, 90018),
        ({"To_Account": []}, 90029),
        ({"To_Account": "a"}, 90028),
        ({"To_Account": None}, 90028),
        ({"To_Account": ["a", 27149]}, 60015),
        ({"to_account": ["a"]}, 90003),
        ({}, 90003),
        (["a"], 90001),
        (None, 90001),
    ],
)
def test_the_body_is_checked(document: object, code: int) -> None:
    """1 to 100 strings under To_Account."""
    assert accounts_code(document, 100) == code


def test_the_names_call_takes_any_object() -> None:
    """`{}` is enough, an array is not."""
    assert [names_code({}, 100), names_code({"x": 1}, 100), names_code([], 100), names_code(None, 100)] == [
        0,
        0,
        90001,
        90001,
    ]
