"""The column table and the parsers of typed columns."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.schema import ACCOUNT, PARSERS, TEXT, Layout, column_name, parse

# Names near the reserved ones, in any case, as well as any others.
NEAR = st.lists(
    st.sampled_from(["attr_", "ATTR_", "Attr_", "account_id", "Account_ID", "account", "_", "x", "\n", "ı"]), max_size=5
).map("".join)
NAMES = NEAR | st.text(max_size=20)
# Texts that are nearly numbers or dates.
NEARLY = st.text("0123456789+-.eETZ:W _/,٣३５∞", max_size=45)
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=OFFSETS)  # noqa: DTZ001 - with a zone drawn


@given(st.lists(NAMES, unique=True, max_size=20))
def test_column_names_are_one_to_one(names: list[str]) -> None:
    """Different attributes have different columns."""
    assert len({column_name(name) for name in names}) == len(names)


@given(NAMES)
def test_no_attribute_takes_a_column_of_ours(name: str) -> None:
    """No attribute's column is the account's, in any case, nor without a name; any other name stays as it is."""
    column = column_name(name)
    assert column.lower() != ACCOUNT
    assert column
    assert column in {name, f"attr_{name}"}


@pytest.mark.parametrize(
    ("attribute", "column"),
    [
        ("account_id", "attr_account_id"),
        ("ACCOUNT_ID", "attr_ACCOUNT_ID"),
        ("attr_account_id", "attr_attr_account_id"),
        ("", "attr_"),
        ("attr_", "attr_attr_"),
        ("attr_level", "attr_level"),
        ("level", "level"),
        ("account_id2", "account_id2"),
    ],
)
def test_columns_are_named(attribute: str, column: str) -> None:
    """A prefix stands only before what would look like a column of ours, or like a prefixed one."""
    assert column_name(attribute) == column


@given(st.sets(NAMES, max_size=10))
def test_without_a_choice_columns_stand_by_code_point(names: set[str]) -> None:
    """Of all attributes seen, whatever the order, the columns are sorted by name, and text unless typed."""
    columns = Layout(None, {}).columns(names)
    assert [column.name for column in columns] == sorted(map(column_name, names))
    assert {column.attribute for column in columns} == names
    assert all(column.type == TEXT for column in columns)


def test_chosen_attributes_keep_their_order() -> None:
    """Exactly the chosen attributes have columns, seen or not, each with its type."""
    columns = Layout(["vip", "account_id", "level"], {"level": "int64", "other": "bool"}).columns({"other", "level"})
    assert [(column.name, column.attribute, column.type) for column in columns] == [
        ("vip", "vip", TEXT),
        ("attr_account_id", "account_id", TEXT),
        ("level", "level", "int64"),
    ]


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["{}", "{:+}", "{:021}"]))
def test_whole_numbers_round_trip(number: int, form: str) -> None:
    """Every 64-bit number is read as itself, with or without a plus or leading zeros."""
    assert PARSERS["int64"](form.format(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["{!r}", "{:.17e}", "{:.17E}", "{:+.17g}"]))
def test_numbers_round_trip(number: float, form: str) -> None:
    """Every finite number is read as itself, in every usual way to write it."""
    assert PARSERS["float64"](form.format(number)) == number


@given(MOMENTS)
def test_iso_dates_round_trip(moment: datetime) -> None:
    """A moment written with an offset is read as that moment, in UTC; without one it is UTC."""
    read = PARSERS["timestamp"](moment.isoformat())
    assert (read, read.tzinfo) == (moment, UTC) if isinstance(read, datetime) else False
    assert PARSERS["timestamp"](moment.replace(tzinfo=None).isoformat()) == moment.replace(tzinfo=UTC)


@given(MOMENTS)
def test_seconds_round_trip(moment: datetime) -> None:
    """A moment written as seconds since 1970, to the microsecond, is read as that moment."""
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    assert PARSERS["timestamp"](f"{'-' if microseconds < 0 else ''}{seconds}.{rest:06}") == moment


@given(st.sampled_from(sorted(PARSERS)), NEARLY | st.text(max_size=50))
def test_a_text_is_read_or_refused(type_name: str, text: str) -> None:
    """Whatever the text, a parser gives a value that reads back as itself, or raises ValueError and nothing else."""
    try:
        value = PARSERS[type_name](text)
    except ValueError:
        return
    again = value.isoformat() if isinstance(value, datetime) else str(value)
    assert PARSERS[type_name](again.lower() if isinstance(value, bool) else again) == value


REFUSED = {
    "int64": ["", " 1", "1 ", "1.0", "1e5", "0x10", "1_000", "٣", "５", "--1", str(2**63), str(-(2**63) - 1), "9" * 9999],
    "float64": ["", " 1", "1 ", "nan", "inf", "-Infinity", "1e999", "1_0", "٣.٥", "0x1p3", "1e", ".", "+", "1,5", "9" * 9999],
    "bool": ["", "True", "TRUE", "yes", "01", "1.0", " true", "null"],
    "timestamp": [
        *("", "now", "2024-13-01", "1e9", "٣", " 0", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
        *("253402300800", "-62135596801", "9" * 9999, "nan"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("type_name", "text"), [(name, text) for name, texts in REFUSED.items() for text in texts])
def test_what_is_no_such_value_is_refused(type_name: str, text: str) -> None:
    """Nothing is guessed: another form, another alphabet's digits and numbers out of range are refused."""
    with pytest.raises(ValueError):  # noqa: PT011 - the text itself is the message
        PARSERS[type_name](text)


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("bool", "true", True),
        ("bool", "1", True),
        ("bool", "false", False),
        ("bool", "0", False),
        ("float64", ".5", 0.5),
        ("float64", "5.", 5.0),
        ("float64", "00123", 123.0),
        ("timestamp", "20240101", datetime(1970, 8, 23, 6, 15, 1, tzinfo=UTC)),
        ("timestamp", "2024-01-01", datetime(2024, 1, 1, tzinfo=UTC)),
        ("timestamp", "2024-01-01T12:00:00Z", datetime(2024, 1, 1, 12, tzinfo=UTC)),
        ("timestamp", "2024-01-01 12:00:00+08:00", datetime(2024, 1, 1, 4, tzinfo=UTC)),
        ("timestamp", "-1.5", datetime(1969, 12, 31, 23, 59, 58, 500_000, tzinfo=UTC)),
        ("timestamp", "1700000000.123456789", datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=UTC)),
    ],
)
def test_values_are_read(type_name: str, text: str, value: object) -> None:
    """Each type has its written forms; digits alone are seconds even where they look like a date."""
    read = PARSERS[type_name](text)
    assert (read, type(read)) == (value, type(value))


@given(st.sampled_from(sorted(PARSERS)), st.lists(st.none() | NEARLY, max_size=20))
def test_a_column_keeps_its_places(type_name: str, texts: list[str | None]) -> None:
    """Each text has its value or is named as bad, in order; null stays null and is not bad."""
    values, bad = parse(texts, type_name)
    assert len(values) == len(texts)
    assert bad == sorted(set(bad))
    for place, (text, value) in enumerate(zip(texts, values, strict=True)):
        assert (value is None) is (text is None or place in bad)
        assert not (text is None and place in bad)
        assert value is None or value == PARSERS[type_name](text or "")


def test_minus_nought_keeps_its_sign() -> None:
    """A float column holds what was written."""
    assert math.copysign(1, float(PARSERS["float64"]("-0.0"))) == -1  # type: ignore[arg-type] # a float
