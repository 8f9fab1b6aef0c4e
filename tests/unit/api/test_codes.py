"""The table of error codes."""

from collections.abc import Callable
from urllib.parse import quote, unquote

import pytest

from exporter.api.codes import (
    CODES,
    HTTP_HUNDREDS,
    HTTP_OTHER,
    HTTP_STATUS,
    UNKNOWN,
    Code,
    look_up,
    look_up_status,
    sentence,
)
from exporter.api.usersig import sign
from exporter.errors import Verdict

PUBLISHED = {
    "gateway": [*range(60002, 60022), 60025, 60026, 60027, 60028],
    "account and signature": [
        *(70001, 70002, 70003, 70005, 70009, 70013, 70014, 70016, 70020, 70050, 70051, 70052, 70101, 70107, 70114),
        *(70169, 70202, 70206, 70398, 70399, 70402, 70403, 70404, 70500),
        *(71000, 72000, 72001, 72002, 72010, 72011, 72012),
    ],
    "messages and attributes": [
        *(80001, 80002, 80003, 80004, 80005),
        *(90001, 90003, 90008, 90009, 90010, 90011, 90012, 90018, 90022, 90024, 90026, 90028, 90029, 90030, 90032),
        *(90033, 90034, 90040, 90043, 90044, 90045, 90047, 90048, 90055, 90057, 90992, 90994, 90995, 91000, 93000),
    ],
    "others": [
        -302,
        -10113,
        -10114,
        -20009,
        10002,
        10006,
        10018,
        20004,
        20005,
        22006,
        30006,
        30007,
        40006,
        50004,
        50005,
    ],
}

OBEYED = {
    Verdict.SLOW_DOWN: {
        *(60007, 60011, 60018, 60019, 72010, 90024, 90057, 10006, 22006, -302, -10113, -10114, -20009),
    },
    Verdict.RETRY: {
        *(60008, 60014, 70169, 70202, 70500, 90992, 90994, 90995, 91000, 10002, 20004, 20005, 30006, 30007, 40006),
        *(50004, 50005, 60013, 80003),
    },
    Verdict.RESIGN: {70001, 70052, 70101, 60004, 60005},
    Verdict.SPLIT: {90018, 90011, 90055, 93000, 10018, 80002},
    Verdict.ACCOUNT: {70107, 70399, 90003, 90012, 90048, 80001, 80004},
}

EVERY_ROW = [*CODES.values(), *HTTP_STATUS.values(), *HTTP_HUNDREDS.values(), HTTP_OTHER, UNKNOWN]


def test_every_published_code_has_a_row() -> None:
    """The table holds the published codes: all of them, and no other."""
    assert sorted(CODES) == sorted(code for codes in PUBLISHED.values() for code in codes)


@pytest.mark.parametrize("code", CODES)
def test_verdicts(code: int) -> None:
    """A code is final unless the documents say that waiting, renewing or asking for less may help."""
    expected = [verdict for verdict, codes in OBEYED.items() if code in codes] or [Verdict.FATAL]
    assert [CODES[code].verdict] == expected


def test_attempts() -> None:
    """A passing error may have 8 attempts; less where trying again is unlikely to help."""
    fewer = {code: row.attempts_max for code, row in CODES.items() if row.attempts_max != 8}
    assert fewer == {60013: 3, 80003: 3, 70001: 2, 70052: 2, 70101: 2, 60004: 4, 60005: 4}


@pytest.mark.parametrize("row", EVERY_ROW, ids=lambda row: row.meaning)
def test_rows_read_as_sentences(row: Code) -> None:
    """Each meaning fits into a sentence; whoever must mend something is told what, in a sentence of its own."""
    assert row.meaning
    assert not row.meaning.endswith(".")
    assert row.remedy.endswith(".") or (not row.remedy and row.verdict not in (Verdict.FATAL, Verdict.RESIGN))
    assert row.remedy[:1] == row.remedy[:1].upper()


@pytest.mark.parametrize("code", [70032, 60022, 60023, 60024, 1, -1, 10**12])
def test_unknown_code(code: int) -> None:
    """A code that nobody published may be tried three times, and says that it is unknown."""
    row = look_up(code)
    assert (row.verdict, row.attempts_max, row.known) == (Verdict.RETRY, 3, False)
    assert all(known.known for known in CODES.values())


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ([408, 425, 500, 502, 503, 504, 599], Verdict.RETRY),
        ([301, 302, 307, 308], Verdict.RETRY),
        ([101, 204, 206, 600, 999], Verdict.RETRY),
        ([429], Verdict.SLOW_DOWN),
        ([400, 401, 403, 404, 407, 413, 451], Verdict.FATAL),
    ],
)
def test_http_statuses(statuses: list[int], verdict: Verdict) -> None:
    """An HTTP status follows its own row, else its hundred, else it is a surprise that may pass."""
    assert {look_up_status(status).verdict for status in statuses} == {verdict}


def test_sentence_gives_code_meaning_remedy_and_words() -> None:
    """The operator reads the code, what it means, what to do, and the service's own words."""
    assert sentence(60010, "identifier is not admin") == (
        "60010: the request needs app administrator rights. Make the identifier an app administrator in the console, "
        "or name another with --identifier. (the service said: identifier is not admin)"
    )


@pytest.mark.parametrize("nothing", [None, "", "   ", "\n", 5, ["x"]])
def test_sentence_without_words(nothing: object) -> None:
    """Empty or odd words of the service are left out."""
    assert sentence(91000, nothing) == "91000: the service failed inside."


def test_words_of_the_service_are_tamed() -> None:
    """What the service says is cut to 200 characters and cannot move the cursor or turn the text around."""
    told = sentence(91000, "a\x1b[2Jb\r\nc\u202ed" + " x" * 500)
    assert "a [2Jb  c d" in told
    assert told.isprintable()
    assert told.count(" x") == (200 - len("a\x1b[2Jb\r\nc\u202ed")) // 2


@pytest.mark.parametrize("spell", [str, quote, lambda text: text.replace("*", "%2A").replace("-", "%2d")])
def test_an_echoed_usersig_is_covered_in_any_spelling(spell: Callable[[str], str]) -> None:
    """A gateway that shows the request back does not put the ticket into logs and rejects."""
    usersig = sign(sdkappid=1400000000, key="some key", identifier="administrator", now=1700000000, expire_s=86400)
    for echo in (
        f"POST /v4?usersig={spell(usersig)}&x=1",
        f"ticket {spell(usersig)} refused",
        f"UserSig={spell(usersig)}",
    ):
        told = sentence(90048, echo)
        assert not any(usersig[place : place + 20] in unquote(told) for place in range(len(usersig) - 20))
        assert "***" in told
