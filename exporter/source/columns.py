"""Which column holds the ids: found exactly once, or refused with the names there are and a hint. Pure."""

from collections.abc import Sequence

from exporter.errors import InputError
from exporter.source.reading import COLUMN_DEFAULT, Reading

NAMES_SHOWN_MAX = 20
NAME_CHARS_MAX = 40

DELIMITERS = {";": "';'", "\t": "tab", "|": "'|'", ",": "','"}
"""What people separate by -> how it is written after --delimiter."""


def header_column(name: str, header: Sequence[str], reading: Reading) -> int:
    """The index of the id's column in a CSV header. Raises InputError."""
    wanted = reading.column or COLUMN_DEFAULT
    if header.count(wanted) == 1:
        return header.index(wanted)
    if wanted in header:
        raise InputError(ambiguous(name, wanted))
    raise InputError(missing(name, wanted, header, hint=_hint(header, wanted, reading.delimiter)))


def positioned_column(name: str, reading: Reading, width: int) -> int:
    """The index of the id's field in a CSV file without a header, `width` fields wide. Raises InputError."""
    if reading.position < width:
        return reading.position
    raise InputError(f"{name}: has no field {reading.position + 1}: its first row has {width}; mend --column.")


def otherwise_separated(first: str, delimiter: str, *, after: str = "") -> str:
    """The hint for a first row where another separator stands, right behind `after`; nothing where none does."""
    for other, written in DELIMITERS.items():
        if other != delimiter and after + other in first:
            return f"The file looks {written}-separated: use --delimiter {written}."
    return ""


def ambiguous(name: str, wanted: str) -> str:
    """The sentence for a column that is there more than once."""
    return f"{name}: has several columns called {shown([wanted])}; rename all but one."


def missing(name: str, wanted: str, names: Sequence[str], *, hint: str = "") -> str:
    """The sentence for a column that is not there."""
    hint = hint or _near(names, wanted) or "Name one of them with --column."
    return f"{name}: has no column {shown([wanted])}. Its columns: {shown(names)}. {hint}"


def shown(names: Sequence[str]) -> str:
    """At most 20 names, each cut to 40 characters, in quotes; how many more there are."""
    few = ", ".join(repr(each if len(each) <= NAME_CHARS_MAX else each[:NAME_CHARS_MAX] + "…") for each in names[:20])
    more = len(names) - NAMES_SHOWN_MAX
    return f"{few} and {more:,} more" if more > 0 else few or "none"


def _hint(header: Sequence[str], wanted: str, delimiter: str) -> str:
    if not header:
        return "Its first line is blank."
    if len(header) != 1:
        return _near(header, wanted) or "Name one of them with --column, or use --no-header if this is a row already."
    return (
        otherwise_separated(header[0], delimiter)
        or _near(header, wanted)
        or "If that is an account id already, use --no-header; if it is the header, name it with --column."
    )


def _near(names: Sequence[str], wanted: str) -> str:
    near = [each for each in names if each.strip().casefold() == wanted.strip().casefold()]
    return f"Did you mean --column {shown(near[:1])}?" if near else ""
