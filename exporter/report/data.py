"""The sections of the data: an overview of all attributes, then each by itself. Pure."""

import math
from collections.abc import Sequence
from datetime import datetime

from exporter.figures import count
from exporter.report.charts import bar, histogram
from exporter.report.facts import Column, Data, Top, Value
from exporter.report.markup import Content, Markup, el, foreign
from exporter.report.parts import figures, section, table
from exporter.report.words import exact, figure, moment, share

OPEN_MAX = 24
"""Of more attributes than this each is folded."""
VALUE_CHARS_MAX = 120
NAME_CHARS_MAX = 200
HIDDEN = "hidden"
WHOLE_MAX = 10**12
"""A whole number from here on is too long for the axis of a chart."""
OUTSTANDING = 3
"""So many times as frequent as the average, a value is shown beside the histogram of its column."""


def sections(data: Data) -> Sequence[Markup]:
    """Tell what the attributes hold."""
    if not data.columns:
        nothing = el("p", "The export has no attribute column: no account had an attribute.", class_="empty")
        return [section("attributes", "Attributes", "What the data holds.", nothing)]
    note = f"{count(len(data.columns), 'column')} beside account_id, in the order of the data. Filled are values that are not null."
    rows = [
        (
            el("div", el("a", _name(column), href=f"#{_anchor(place)}"), el("span", column.type, class_="tag")),
            el("span", share(column.filled, column.rows), bar(column.filled, column.rows), class_="with-bar"),
            distinct(column),
        )
        for place, column in enumerate(data.columns)
    ]
    listed = table("All attributes", ("Attribute", "Filled", "Different values"), rows, numbers=(1, 2))
    folded = len(data.columns) > OPEN_MAX
    each = [_attribute(place, column, folded=folded) for place, column in enumerate(data.columns)]
    return [
        section("attributes", "Attributes", note, listed),
        section(
            "values",
            "Values",
            "Each attribute by itself: its most frequent values, the lengths of texts in characters, the spread of numbers and times (in UTC).",
            el("div", each, class_="folded" if folded else "cards"),
        ),
    ]


def cut(text: str, chars_max: int) -> str:
    """Shorten a text, and say by how much."""
    return text if len(text) <= chars_max else f"{text[:chars_max]}… ({count(len(text), 'character')})"


def distinct(column: Column) -> str:
    """Write how many different values there are, as far as they were counted."""
    return count(column.distinct) if column.exact else f"more than {count(column.distinct)}"


def at_least(part: int, whole: int) -> str:
    """Write a share that may be larger: never more than it is."""
    return f"≥ {math.floor(1_000 * part / whole) / 10:g}%"


def _name(column: Column) -> Markup:
    return foreign(cut(column.attribute, NAME_CHARS_MAX), class_="code value")


def _anchor(place: int) -> str:
    return f"attribute-{place + 1}"


def _attribute(place: int, column: Column, *, folded: bool) -> Markup:
    content = (_facts(column), _histogram(place, column), _top(column))
    tag = el("span", column.type, class_="tag")
    if folded:
        body = el("div", content, class_="card")
        return el("details", el("summary", _name(column), " ", tag), body, id=_anchor(place))
    return el("article", el("h3", _name(column), " ", tag), content, id=_anchor(place), class_="card")


def _facts(column: Column) -> Content:
    pairs: list[tuple[Content, Content]] = []
    if column.lengths:
        found = column.lengths
        pairs = [("characters", f"{count(found.min)} – {count(found.max)}"), ("mean length", figure(found.mean))]
    if column.spread and column.type != "bool":
        pairs = [("smallest", exact(column.spread.min)), ("largest", exact(column.spread.max))]
        pairs += [] if column.spread.mean is None else [("mean", figure(column.spread.mean))]
    filled: Content = share(column.filled, column.rows)
    first = figures(("filled", filled), ("accounts", count(column.filled)), ("different", distinct(column)))
    return [first, figures(*pairs) if pairs else None]


def _histogram(place: int, column: Column) -> Content:
    found = column.histogram
    if found is None or len(found.counts) < 2:  # noqa: PLR2004 - one bar tells nothing
        return None
    title = f"Values of {cut(column.attribute, NAME_CHARS_MAX)}: {count(column.filled)} in {len(found.counts)} steps"
    drawn = histogram(found, [edge_in_words(edge) for edge in found.edges], f"{_anchor(place)}-chart", title)
    return el("figure", drawn)


def edge_in_words(value: Value) -> str:
    """Write an edge of a histogram."""
    if isinstance(value, datetime):
        return moment(value)
    long = isinstance(value, int) and abs(value) >= WHOLE_MAX
    return figure(float(value)) if isinstance(value, float) or long else exact(value)


def _top(column: Column) -> Content:
    if not column.filled:
        return el("p", "No account has it.", class_="empty")
    if column.exact and column.distinct == column.filled and column.filled > 1:
        return el("p", "No value stands there twice.", class_="empty")
    if column.histogram and len(column.histogram.counts) > 1 and not _stands_out(column):
        return None  # the histogram tells more than a list of single values
    hidden = el("p", "Values that few accounts share, or that hold an account id, are hidden.", class_="empty")
    return [_values(column), hidden if column.hidden else None]


def _stands_out(column: Column) -> bool:
    """Tell whether the most frequent value is much more frequent than most."""
    if not column.top:
        return False
    few = column.exact and column.distinct <= len(column.top)
    return few or column.top[0].count > OUTSTANDING * column.filled / max(1, column.distinct)


def _values(column: Column) -> Markup:
    largest = column.top[0].count if column.top else 1
    about = "" if column.exact else "at least "
    rows = [
        (
            el("div", _value(each), bar(each.count, largest)),
            f"{about}{count(each.count)}",
            share(each.count, column.filled) if column.exact else at_least(each.count, column.filled),
        )
        for each in column.top
    ]
    left = column.distinct - len(column.top)
    listed = table("Most frequent values", ("Value", "Accounts", "Share"), rows, numbers=(1, 2))
    more = f"… and {'' if column.exact else 'more than '}{count(left, 'other value')}." if left > 0 else None
    return el("div", listed, el("p", more, class_="more") if more else None, class_="values")


def _value(each: Top) -> Content:
    if each.value is None:
        return el("span", HIDDEN, class_="empty")
    if each.value == "":
        return el("span", "empty text", class_="empty")
    text = each.value if isinstance(each.value, str) else exact(each.value)
    return foreign(cut(text, VALUE_CHARS_MAX), class_="code value")
