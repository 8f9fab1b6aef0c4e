"""Rows of attributes become Arrow columns."""

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ServiceRefusal
from exporter.flatten import ARROW_TYPES, BAD_VALUES, Attributes, Sighting, Texts, schema_of, texts, typed
from exporter.model import Rows
from exporter.schema import ACCOUNT, COLUMNS_MAX, PARSERS, TEXT, Column, Layout

NAMES = st.sampled_from(["level", "vip", "名", "account_id", "attr_account_id", "", "a b"]) | st.text(max_size=6)
VALUES = st.none() | st.text(max_size=8) | st.sampled_from(["1", "-7", "true", "2024-01-01", "1e5", "00123"])
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=5), max_size=8)


def accounts_of(rows: list[dict[str, str | None]]) -> list[str]:
    return [f"user{number}" for number in range(len(rows))]


def made_of(rows: list[dict[str, str | None]]) -> tuple[Texts, Mapping[str, int]]:
    return texts(dict(zip(accounts_of(rows), rows, strict=True)), accounts_of(rows))


def columns_of(made: Texts) -> dict[str, Any]:
    return {name: made.column(name) for name in made.places}


def accounts_by_name(rows: list[dict[str, str | None]]) -> Counter[str]:
    return Counter(name for row in rows for name in row)


@given(ROWS)
def test_text_columns_give_back_what_was_answered(rows: list[dict[str, str | None]]) -> None:
    """Every value of every row stands in its column, and nothing else does."""
    attributes = Attributes()
    attributes.see(made_of(rows)[1])
    columns = Layout(None, {}).columns(attributes.names)
    made = typed(pa.array(accounts_of(rows), pa.string()), columns_of(made_of(rows)[0]), columns)
    expected = [
        {ACCOUNT: account, **{column.name: row.get(column.attribute) for column in columns}}
        for account, row in zip(accounts_of(rows), rows, strict=True)
    ]
    assert made.table.to_pylist() == expected
    assert made.table.schema.equals(schema_of(columns))
    assert made.bad_values.num_rows == 0
    assert attributes.names == {name for row in rows for name in row}


@given(ROWS, st.sampled_from(sorted(set(PARSERS) - {TEXT})))
def test_a_value_is_typed_or_kept_aside(rows: list[dict[str, str | None]], type_name: str) -> None:
    """Of every value that is not null, either the typed column has it or `bad_values` keeps its text: rows in order."""
    attributes = Attributes()
    attributes.see(made_of(rows)[1])
    columns = [Column(f"c{place}", name, type_name) for place, name in enumerate(sorted(attributes.names))]
    made = typed(pa.array(accounts_of(rows), pa.string()), columns_of(made_of(rows)[0]), columns)
    bad = []
    for place, row in enumerate(rows):
        for column in columns:
            text = row.get(column.attribute)
            value = made.table.column(column.name)[place].as_py()
            if text is not None and value is None:
                bad.append({ACCOUNT: f"user{place}", "attribute": column.attribute, "value": text})
            elif text is not None:
                assert value == PARSERS[type_name](text)
            else:
                assert value is None
    assert made.bad_values.to_pylist() == bad
    assert made.bad_values.schema.equals(BAD_VALUES)
    assert made.table.schema.equals(schema_of(columns))


@given(ROWS, st.lists(NAMES, unique=True, max_size=4))
def test_of_chosen_attributes_the_others_are_counted(rows: list[dict[str, str | None]], chosen: list[str]) -> None:
    """With chosen attributes exactly these have columns; each other one counts the accounts that had it."""
    attributes = Attributes(chosen, exactly=True)
    sighting = attributes.see(made_of(rows[:3])[1])
    sighting.add(attributes.see(made_of(rows[3:])[1]))
    assert attributes.names == set(chosen)
    assert sighting.seen == {name for row in rows for name in row} & set(chosen)
    assert sighting.ignored == Counter(name for row in rows for name in row if name not in chosen)


@given(ROWS, ROWS, st.lists(NAMES, unique=True, max_size=4))
def test_names_are_seen_shard_by_shard(
    before: list[dict[str, str | None]], rows: list[dict[str, str | None]], first: list[str]
) -> None:
    """Each look tells the names of these rows alone; the run's names only grow, from the first and the known ones."""
    attributes = Attributes(first, known={name for row in before for name in row})
    sighting = attributes.see(accounts_by_name(rows))
    assert sighting.seen == {name for row in rows for name in row}
    assert not sighting.ignored
    assert attributes.names == {name for row in [*before, *rows] for name in row} | set(first)


@given(ROWS, st.randoms())
def test_rows_become_the_columns_that_their_dicts_become(rows: list[dict[str, str | None]], chance: Random) -> None:
    """Texts in the order of names give the same columns and counts as one dict a row, in any order of accounts."""
    plain = [{name: text for name, text in row.items() if text is not None} for row in rows]
    names = sorted({name for row in rows for name in row})
    accounts = accounts_of(rows)
    found = Rows(names, {a: tuple(row.get(name) for name in names) for a, row in zip(accounts, plain, strict=True)})
    asked = chance.sample(accounts, len(accounts))
    assert dict(found) == dict(zip(accounts, plain, strict=True))
    (quick, quick_having), (slow, slow_having) = (
        texts(found, asked),
        texts(dict(zip(accounts, plain, strict=True)), asked),
    )
    assert quick_having == slow_having
    assert quick.accounts.to_pylist() == slow.accounts.to_pylist() == asked
    assert quick.places.keys() == slow.places.keys()
    assert all(quick.column(name).to_pylist() == slow.column(name).to_pylist() for name in names)


def test_more_names_than_columns_stop_the_run() -> None:
    """A thousand attributes fit; the next one is refused, with what to do."""
    attributes = Attributes()
    attributes.see({f"name{number}": 1 for number in range(COLUMNS_MAX)})
    with pytest.raises(ServiceRefusal, match="--attributes"):
        attributes.see({"one more": 1})


def test_ignored_names_are_bounded() -> None:
    """However many names a service invents, at most a thousand are counted one by one; no account is lost."""
    attributes, sighting = Attributes(["level"], exactly=True), Sighting()
    for number in range(3 * COLUMNS_MAX):
        sighting.add(attributes.see({"level": 1, f"name{number}": 1}))
    assert len(sighting.ignored) == COLUMNS_MAX + 1
    assert sighting.ignored.total() == 3 * COLUMNS_MAX
    assert sighting.ignored["(others)"] == 2 * COLUMNS_MAX


@pytest.mark.parametrize("type_name", sorted(PARSERS))
def test_a_column_that_nobody_has_is_null(type_name: str) -> None:
    """A chosen attribute that no answer holds is a column of nulls, of its type."""
    made = typed(pa.array(["a", "b"], pa.string()), {}, [Column("level", "level", type_name)])
    assert made.table.column("level").to_pylist() == [None, None]
    assert made.table.schema.field("level").type == ARROW_TYPES[type_name]
    assert made.bad_values.num_rows == 0


def test_every_type_has_an_arrow_type() -> None:
    """The two tables of types name the same types, and the account is never null."""
    assert ARROW_TYPES.keys() == PARSERS.keys()
    assert not schema_of([]).field(ACCOUNT).nullable
