"""Charts as SVG that stretch to any width: positions across are shares of it, so texts and lines keep their size. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from exporter.figures import count
from exporter.report.facts import Histogram
from exporter.report.markup import Content, Markup, el
from exporter.report.scales import Axis, time_ticks
from exporter.report.words import brief

TOP, BOTTOM = 18, 24
"""Room for texts above and below what is drawn, in pixels."""
GRID_X, GRID_Y = 10_000, 1_000
"""The grid on which paths are drawn, stretched to the room there is."""
LABEL_ROOM = 4


@dataclass(frozen=True, slots=True)
class Step:
    """A value that holds from a second up to another; None where there is none."""

    from_s: float
    to_s: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart over the time of a run: `seconds` long, `height` pixels high; `unit` writes a value of its axis."""

    seconds: float
    axis: Axis
    unit: Callable[[float], str]
    height: int = 220

    def x(self, at_s: float) -> float:
        """Tell how far across a second is, 0..1."""
        return min(1.0, max(0.0, at_s / self.seconds))

    def y(self, value: float) -> float:
        """Tell how many pixels from the top a value is."""
        room = self.height - TOP - BOTTOM
        return round(TOP + room * (1 - min(1.0, value / self.axis.top)), 1)


def chart(plot: Plot, name: str, title: str, told: str, *layers: Content) -> Markup:
    """Frame layers with grid and axes; `name` is unique in the page, `told` says in words what is to be seen."""
    return el(
        "svg",
        el("title", title, id=f"{name}-title"),
        el("desc", told, id=f"{name}-desc"),
        [_level(plot, value) for value in plot.axis.ticks],
        layers,
        [_label(plot, value) for value in plot.axis.ticks],
        [_time(plot, place, at_s) for place, at_s in enumerate(time_ticks(plot.seconds))],
        role="img",
        class_="chart over-time",
        width="100%",
        height=plot.height,
        aria_labelledby=f"{name}-title {name}-desc",
    )


def area(plot: Plot, steps: Sequence[Step], class_: str) -> Markup:
    """Fill what lies below some steps."""
    drawn = "".join(
        f"M{_at(plot, run[0].from_s)} {GRID_Y}"
        + "".join(f"V{_high(plot, step.value)}H{_at(plot, step.to_s)}" for step in run)
        + f"V{GRID_Y}Z"
        for run in _runs(steps)
    )
    return _stretched(plot, el("path", d=drawn, class_=class_))


def line(plot: Plot, steps: Sequence[Step], class_: str) -> Markup:
    """Draw a line along some steps; it breaks where there is no value."""
    drawn = "".join(
        f"M{_at(plot, run[0].from_s)} {_high(plot, run[0].value)}"
        + "".join(f"V{_high(plot, step.value)}H{_at(plot, step.to_s)}" for step in run)
        for run in _runs(steps)
    )
    return _stretched(plot, el("path", d=drawn, class_=f"line {class_}"))


def stack(plot: Plot, bars: Iterable[tuple[float, float, Sequence[float]]], classes: Sequence[str]) -> Markup:
    """Draw bars from a second to another, each of parts that stand one on the other."""
    drawn: dict[str, str] = dict.fromkeys(classes, "")
    for from_s, to_s, parts in bars:
        below = 0.0
        for class_, part in zip(classes, parts, strict=True):
            if part:
                bottom, top = _high(plot, below), _high(plot, below + part)
                left, right = _at(plot, from_s), max(_at(plot, to_s), _at(plot, from_s) + 12)
                drawn[class_] += f"M{left} {bottom}V{top}H{right}V{bottom}Z"
                below += part
    return _stretched(plot, [el("path", d=path, class_=class_) for class_, path in drawn.items() if path])


def bands(plot: Plot, spans: Iterable[tuple[float, float]], class_: str) -> Content:
    """Shade some spans of time from top to bottom."""
    return [
        el(
            "rect",
            x=_percent(plot.x(from_s)),
            y=TOP,
            width=_percent(max(plot.x(to_s) - plot.x(from_s), 0.001)),
            height=plot.height - TOP - BOTTOM,
            class_=class_,
        )
        for from_s, to_s in spans
    ]


def marks(plot: Plot, moments: Iterable[float], class_: str) -> Content:
    """Mark some moments below the base line."""
    base = plot.height - BOTTOM
    return [
        el("line", x1=_percent(plot.x(at_s)), x2=_percent(plot.x(at_s)), y1=base, y2=base + 6, class_=class_)
        for at_s in moments
    ]


def limit(plot: Plot, value: float, words: str) -> Content:
    """Draw a limit across the chart, with its words at the right."""
    height = plot.y(value)
    return [
        el("line", x1="0", x2="100%", y1=height, y2=height, class_="limit"),
        el("text", words, x="100%", y=height - LABEL_ROOM, class_="end limit-label"),
    ]


def hints(plot: Plot, told: Iterable[tuple[float, float, str]]) -> Content:
    """Tell about some spans of time when they are pointed at."""
    return [
        el(
            "rect",
            el("title", words),
            x=_percent(plot.x(from_s)),
            y=TOP,
            width=_percent(plot.x(to_s) - plot.x(from_s)),
            height=plot.height - TOP - BOTTOM,
            class_="hint",
        )
        for from_s, to_s, words in told
    ]


def bar(part: float, whole: float, class_: str = "") -> Markup:
    """Draw a share as a bar, beside the figure that says the same."""
    width = part / whole if whole else 0.0
    return proportions([(width, class_)], "bar")


def proportions(parts: Sequence[tuple[float, str]], class_: str) -> Markup:
    """Draw shares of a whole one after the other; each that is there can be seen."""
    drawn, at = [], 0.0
    for width, part_class in parts:
        if width > 0:
            shown = min(max(width, 0.002), 1 - at) if at < 1 else 0.0
            drawn.append(
                el("rect", x=_percent(at), y=0, width=_percent(shown), height="100%", class_=part_class or None)
            )
            at += shown
    return el("svg", drawn, class_=class_, width="100%", height="8", aria_hidden="true")


def histogram(found: Histogram, edges: Sequence[str], name: str, title: str) -> Markup:
    """Draw a histogram; `edges` are its edges in words."""
    height, largest = 120, max(found.counts, default=0) or 1
    room, width = height - TOP - BOTTOM, 1 / len(found.counts)
    bars = [
        el(
            "rect",
            el("title", f"{edges[place]} – {edges[place + 1]}: {count(number)}"),
            x=_percent(place * width),
            y=round(TOP + room * (1 - number / largest) - (1 if number else 0), 1),
            width=_percent(width),
            height=round(room * number / largest + (1 if number else 0), 1),
            class_="fill",
        )
        for place, number in enumerate(found.counts)
    ]
    base = height - BOTTOM
    return el(
        "svg",
        el("title", title, id=f"{name}-title"),
        bars,
        el("line", x1="0", x2="100%", y1=base, y2=base, class_="base"),
        el("text", f"{count(largest)} at most", x="0", y=TOP - 6),
        el("text", edges[0], x="0", y=height - 8),
        el("text", edges[-1], x="100%", y=height - 8, class_="end"),
        role="img",
        class_="chart",
        width="100%",
        height=height,
        aria_labelledby=f"{name}-title",
    )


def _level(plot: Plot, value: float) -> Markup:
    height = plot.y(value)
    return el("line", x1="0", x2="100%", y1=height, y2=height, class_="grid" if value else "base")


def _label(plot: Plot, value: float) -> Markup:
    return el("text", plot.unit(value), x=-8, y=plot.y(value) + LABEL_ROOM, class_="end")


def _time(plot: Plot, place: int, at_s: float) -> Markup:
    side = "start" if not place else "end" if plot.x(at_s) > 0.96 else "middle"  # noqa: PLR2004 - else it would be cut off
    also = " odd" if place % 2 else ""
    return el("text", brief(at_s), x=_percent(plot.x(at_s)), y=plot.height - 4, class_=f"{side}{also}")


def _stretched(plot: Plot, drawn: Content) -> Markup:
    return el(
        "svg",
        drawn,
        x="0",
        y=TOP,
        width="100%",
        height=plot.height - TOP - BOTTOM,
        viewBox=f"0 0 {GRID_X} {GRID_Y}",
        preserveAspectRatio="none",
    )


def _runs(steps: Sequence[Step]) -> list[list[Step]]:
    """Cut steps where there is no value, or time between them."""
    runs: list[list[Step]] = []
    for there, group in groupby(steps, lambda step: step.value is not None):
        for step in group if there else ():
            if runs and runs[-1][-1].to_s >= step.from_s > runs[-1][-1].from_s:
                runs[-1].append(step)
            else:
                runs.append([step])
    return runs


def _at(plot: Plot, at_s: float) -> int:
    return round(GRID_X * plot.x(at_s))


def _high(plot: Plot, value: float | None) -> int:
    return round(GRID_Y * (1 - min(1.0, (value or 0.0) / plot.axis.top)))


def _percent(part: float) -> str:
    return f"{100 * part:.3f}%"
