import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import figures


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599.6, "1 h 00 min"),
        (7260, "2 h 01 min"),
        (86_399.6, "1 d 0 h"),
        (277_200, "3 d 5 h"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    """Seconds, minutes with seconds, hours with minutes, days with hours; none is a full unit of the next."""
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (3_200_000_000, "3.2 GB"),
        (5e15, "5,000.0 TB"),
    ],
)
def test_sizes_have_the_unit_that_suits_them(number: float, text: str) -> None:
    """In thousands, never a thousand of a unit that has a next one."""
    assert figures.size(number) == text


@given(st.integers(0, 10**14))
def test_a_size_is_right_to_its_last_digit(number: int) -> None:
    """Whatever its unit."""
    value, unit = figures.size(number).replace(",", "").split()
    scale = {"byte": 1, "bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert float(value) * scale == pytest.approx(number, abs=0.0501 * scale)


def test_what_is_counted_agrees_with_its_number() -> None:
    """One file, two files, three retries, once."""
    assert figures.count(1, "file") == "1 file"
    assert figures.count(12_345, "file") == "12,345 files"
    assert figures.count(3, "retry", "retries") == "3 retries"
    assert figures.count(1_000) == "1,000"
    assert (figures.times(1), figures.times(1_200)) == ("once", "1,200 times")
