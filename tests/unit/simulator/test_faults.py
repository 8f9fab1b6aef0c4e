import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.answers import SHAPES
from exporter.simulator.breakage import BREAKS
from exporter.simulator.faults import KINDS, Poison, checked_faults, draw, hits, latency_s, parse_faults, parse_outage

KIND_TEXTS = st.sampled_from(
    ["code:91000", "html", "http:503", "error_list", "error_list:91000", "wrong_types:item", "missing"]
)


def test_a_table_is_parsed_from_flags_in_the_order_in_which_faults_apply() -> None:
    """Shares are read, and shapes of the answer come after what ends the request."""
    table = parse_faults(["missing=1", "html=0.01", "code:91000=0.02", "code:60011=0"])
    assert list(table.items()) == [("code:60011", 0.0), ("code:91000", 0.02), ("html", 0.01), ("missing", 1.0)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("htlm=0.1", "There is no fault 'htlm'; the faults are code, http502, http, redirect, reset"),
        ("html", "has no '='"),
        ("html=often", "The share of fault html is a number from 0 to 1, not 'often'."),
        ("html=1.5", "The share of fault html is a number from 0 to 1, not 1.5."),
        ("html=nan", "not nan"),
        ("code=0.1", "code:91000: the whole call fails with this code"),
        ("code:0=0.1", "Fault 'code:0' is not written like that."),
        ("http:200=0.1", "Fault 'http:200' is not written like that."),
        ("html:5=0.1", "Fault 'html:5' is not written like that."),
        ("wrong_types:nothing=0.1", "Fault 'wrong_types:nothing' is not written like that."),
    ],
)
def test_a_flag_that_cannot_be_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    """The message names the fault, and lists the known ones when there is none of that name."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_faults([text])


def test_every_kind_is_done_somewhere_and_nothing_else_is() -> None:
    """The table of kinds and the tables of what happens name the same things (outages alone refuse, `code` answers)."""
    assert set(KINDS) == (set(BREAKS) - {"refuse"}) | set(SHAPES) | {"code"}


@given(st.integers(), st.integers(), KIND_TEXTS)
def test_a_draw_is_a_fraction_and_depends_on_nothing_else(seed: int, number: int, name: str) -> None:
    """The plan of a run can be repeated from its seed."""
    assert 0 <= draw(seed, number, name) < 1
    assert draw(seed, number, name) == draw(seed, number, name)


@given(st.dictionaries(KIND_TEXTS, st.sampled_from([0.0, 1.0])), st.integers(0, 10**6))
def test_a_share_of_one_always_hits_and_of_nought_never(table: dict[str, float], number: int) -> None:
    """The ends of the range are exact."""
    checked = checked_faults(table)
    assert hits(checked, 7, number) == tuple(kind for kind, share in checked.items() if share == 1)


def test_the_plan_of_a_seed_is_fixed_and_its_shares_are_kept() -> None:
    """10,000 requests with seed 1: these exact counts, near the shares; another seed has another plan."""
    table = checked_faults({"code:91000": 0.02, "html": 0.1, "missing": 0.5})
    plan = [hits(table, 1, number) for number in range(10_000)]
    counts = {kind: sum(kind in kinds for kinds in plan) for kind in table}
    assert counts == {"code:91000": 217, "html": 993, "missing": 5052}
    assert plan != [hits(table, 2, number) for number in range(10_000)]


def test_kinds_are_drawn_apart_from_each_other() -> None:
    """Adding a fault moves no other: each kind has its own draws."""
    alone = checked_faults({"html": 0.1})
    both = checked_faults({"html": 0.1, "empty": 0.3})
    assert [("html" in hits(alone, 1, n)) for n in range(500)] == [("html" in hits(both, 1, n)) for n in range(500)]


def test_outages_cover_their_window_with_both_ends() -> None:
    """Windows count requests or seconds."""
    requests, seconds = parse_outage("http502:requests=100-200"), parse_outage("hang:seconds=2.5-4")
    assert [requests.covers(number, 150.0) for number in (99, 100, 200, 201)] == [False, True, True, False]
    assert [seconds.covers(3, second) for second in (2.4, 2.5, 4.0, 4.1)] == [False, True, True, False]


@pytest.mark.parametrize("text", ["", "html:seconds=1-2", "hang:minutes=1-2", "hang:seconds=1", "hang:seconds=-1-2"])
def test_an_outage_that_cannot_be_is_refused_in_a_sentence(text: str) -> None:
    """The message shows how it is written."""
    with pytest.raises(ValueError, match="An outage is written like http502:requests=100-200"):
        parse_outage(text)


@given(st.floats(0, 10_000), st.floats(0, 10_000), st.integers(0, 10**6))
def test_latency_is_within_its_bounds(low: float, span: float, number: int) -> None:
    """In seconds, from bounds in milliseconds; nought when there is none."""
    assert low / 1_000 <= latency_s((low, low + span), 1, number) * (1 + 1e-9) <= (low + span) / 1_000 * (1 + 1e-8)
    assert latency_s((0.0, 0.0), 1, number) == 0.0


def test_poison_is_an_id_or_a_beginning() -> None:
    """One bad id among a hundred is enough, and a star stands for all that begin so."""
    poison = Poison(["bad", "evil_*"])
    assert not Poison([]).spoils(["bad"])
    assert [poison.spoils(["good", account]) for account in ("bad", "bad1", "evil_", "evil_9", "evil", "x evil_")] == [
        *(True, False, True, True, False, False),
    ]
