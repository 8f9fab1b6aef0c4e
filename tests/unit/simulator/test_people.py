from dataclasses import replace
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator import people
from exporter.simulator.people import ATTRIBUTE_NAMES, World, attributes_of, generate_ids

IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
EVERYBODY = World(unknown_share=0, empty_share=0)


@given(IDS, st.integers(-(10**9), 10**9))
def test_an_account_is_the_same_whenever_it_is_asked_for(account: str, seed: int) -> None:
    """Attributes are a function of id and seed."""
    assert attributes_of(account, World(seed)) == attributes_of(account, World(seed))


@given(IDS)
def test_names_are_the_ten_that_are_set_and_values_at_most_50_bytes(account: str) -> None:
    """Nothing comes out that the service could not hold."""
    attributes = attributes_of(account, EVERYBODY) or {}
    assert list(attributes) == [name for name in ATTRIBUTE_NAMES if name in attributes]
    assert all(len(value.encode()) <= 50 for value in attributes.values())


def test_every_value_in_the_tables_fits() -> None:
    """All tables keep the limit of 50 bytes, names too, and ten names are all there are."""
    tables = (people.SEXES, people.CITIES, people.NICKS, people.LEVELS, people.SCORES, people.SEEN, people.RANKS)
    values = [value for table in (*tables, people.MEMBERSHIPS, people.VIP, ATTRIBUTE_NAMES) for value in table]
    assert max(len(value.encode()) for value in values) == 50
    assert len(ATTRIBUTE_NAMES) == 10


def test_a_known_account_stays_as_it_is() -> None:
    """The world is the same on every machine and in every version: published figures depend on it."""
    assert attributes_of("user_0000001", World()) == {
        "sex": "Male",
        "city": "Singapore",
        "level": "23",
        "score": "50.13",
        "vip": "false",
        "seen": "2024-11-07T22:27:59+00:00",
        "nick": "<b>bold</b>",
        "会员等级": "银牌会员",
        "Membership level": "Silver",
    }


def test_ids_that_cannot_be_accounts_are_unknown() -> None:
    """An empty id, or one of over 32 bytes, names nobody."""
    assert attributes_of("", EVERYBODY) is None
    assert attributes_of("a" * 33, EVERYBODY) is None
    assert attributes_of("红" * 11, EVERYBODY) is None
    assert attributes_of("a" * 32, EVERYBODY)


def test_shares_are_about_what_was_asked_for() -> None:
    """Of 20,000 accounts about 1 % are unknown and 2 % without attributes; 0 and 1 mean none and all."""
    ids = list(generate_ids(20_000))
    found = [attributes_of(account, World()) for account in ids]
    assert 150 < found.count(None) < 250
    assert 340 < found.count({}) < 460
    assert all(attributes_of(account, EVERYBODY) for account in ids)
    assert not any(attributes_of(account, replace(EVERYBODY, unknown_share=1)) for account in ids)
    assert all(attributes_of(account, replace(EVERYBODY, empty_share=1)) == {} for account in ids)


def test_the_late_attribute_begins_where_it_is_said_to() -> None:
    """Ids ending in a number from `late_after` on have it, no others do."""
    late = [
        account for account in generate_ids(41_000) if "late_attribute" in (attributes_of(account, EVERYBODY) or {})
    ]
    assert len(late) == 1_001
    assert late[0] == "user_0040000"
    assert "late_attribute" not in (attributes_of("no number 40000 at the end", EVERYBODY) or {})
    assert (attributes_of("红40001", EVERYBODY) or {})["late_attribute"] == "since 40001"


def test_another_seed_is_another_world() -> None:
    """Seeds move people about."""
    ids = list(generate_ids(1_000))
    same = sum(attributes_of(account, World(1)) == attributes_of(account, World(2)) for account in ids)
    assert same < 20


def test_attributes_do_not_depend_on_each_other_more_than_they_should() -> None:
    """Every city, level and nickname occurs, also together with either end of another: no two share their chance."""
    people_seen = [attributes_of(account, EVERYBODY) or {} for account in generate_ids(20_000)]
    assert {person["city"] for person in people_seen} == set(people.CITIES)
    assert {person["level"] for person in people_seen} == set(people.LEVELS)
    assert {person["nick"] for person in people_seen if "nick" in person} == set(people.NICKS)
    assert len({(person["city"], person["level"]) for person in people_seen}) == len(people.CITIES) * 64


def test_generated_ids_are_different_short_and_of_three_kinds() -> None:
    """A million could follow: ids are unique, at most 32 bytes, some CJK and some with a space."""
    ids = list(generate_ids(2_100))
    assert len(set(ids)) == len(ids) == 2_100
    assert max(len(account.encode()) for account in ids) <= 32
    assert [account for account in ids if not account.startswith("user_")] == [
        *("用户_0000007", "user 0000013", "用户_0001007", "user 0001013", "用户_0002007", "user 0002013"),
    ]
    assert list(islice(generate_ids(10**12), 2_100)) == ids
