"""The sections of a run over time: rate against the quota, latencies, errors. Pure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from exporter.figures import count, duration
from exporter.progress import Point
from exporter.report import charts
from exporter.report.charts import Plot, Step
from exporter.report.markup import Content, Markup, el, foreign
from exporter.report.parts import figures, key, section, table
from exporter.report.scales import axis
from exporter.report.series import SHARES, Series, by_time, code_name, codes, errors_by, percentiles
from exporter.report.words import NOT_KNOWN, brief, figure, latency, share

UNLIMITED = 1_000_000.0
"""A rate from which on there is no limit."""
FAR_ABOVE = 4.0
"""A quota so many times above the fullest point is told in words, and not drawn."""
ROWS_MAX = 24
SAME_S = 0.5


def sections(told: Mapping[str, Any], series: Series, meanings: Mapping[str, str]) -> Sequence[Markup]:
    """Tell how a run went over time."""
    return [_rate(told, series), _latency(series), _errors(series, meanings)]


def pauses(points: Sequence[Point]) -> list[tuple[float, float]]:
    """Give the spans in which the service was out of reach, as well as the points tell: from and to, in seconds."""
    spans: list[tuple[float, float]] = []
    for point in points:
        if point.paused_s > 0:
            lasted_s = min(point.paused_s, point.width_s)
            begin = point.at_s + point.width_s - lasted_s
            if spans and spans[-1][1] >= point.at_s - SAME_S * point.width_s:
                spans[-1] = (spans[-1][0], point.at_s + lasted_s)
            else:
                spans.append((begin, begin + lasted_s))
    return spans


def _rate(told: Mapping[str, Any], series: Series) -> Markup:
    quota = float(told["settings"].get("rate") or UNLIMITED)
    limited = quota < UNLIMITED
    times = int(told.get("slow_downs", 0))
    shown = figures(
        ("requests", count(told["requests"])),
        ("a second", figure(told["requests_per_s"])),
        ("quota a second", figure(quota) if limited else "none"),
        ("retries", count(told["retries"])),
        ("refused as too frequent", count(told["refusals"])),
        ("slow-downs", f"{count(times)}, to {figure(told.get('rate_min', 0.0))}/s" if times else "0"),
        ("paused", f"{duration(told['paused_s'])}, {count(told['outages'], 'outage')}" if told["outages"] else "0 s"),
    )
    return section(
        "rate",
        "Rate",
        "Requests a second over the time of the run, all its starts together. Every attempt counts, also one that repeats another.",
        shown,
        _rate_chart(series, quota if limited else None) if series.points else _nothing(),
        _in_rows(series),
    )


def _nothing() -> Markup:
    return el("p", "Nothing was asked, so there is nothing to draw.", class_="empty")


def _rate_chart(series: Series, quota: float | None) -> Content:
    points = series.points
    fullest = max(map(series.rate, points))
    drawn = quota is not None and quota <= FAR_ABOVE * fullest
    plot = Plot(series.seconds, axis(max(fullest, quota or 0.0) if drawn else fullest), lambda value: f"{value:,g}")
    out_of_reach, shown = pauses(points), codes(series)
    slowed = [point.at_s + point.width_s / 2 for point in points if point.slow_downs]
    lower = [point.pace if drawn and quota and point.pace and point.pace < quota else None for point in points]
    paced = [Step(point.at_s, _end(series, point), pace) for point, pace in zip(points, lower, strict=True)]
    has_pace = any(pace is not None for pace in lower)
    rates = _without_gaps([Step(point.at_s, _end(series, point), series.rate(point)) for point in points])
    made = charts.chart(
        plot,
        "rate",
        "Requests a second",
        _rate_in_words(series, fullest, quota, out_of_reach, len(slowed)),
        charts.bands(plot, out_of_reach, "paused"),
        charts.area(plot, rates, "area"),
        charts.line(plot, rates, "ink"),
        charts.line(plot, paced, "pace") if has_pace else None,
        charts.limit(plot, quota, f"quota {quota:,g}/s") if quota is not None and drawn else None,
        charts.marks(plot, slowed, "slow"),
        charts.hints(plot, ((point.at_s, _end(series, point), _hint(series, point, shown)) for point in points)),
    )
    return _figure(
        made,
        key("area", "requests a second"),
        key("pace", "rate in force, where lower than the quota") if has_pace else None,
        key("slow", "the rate was cut") if slowed else None,
        key("paused", "service out of reach") if out_of_reach else None,
        None if drawn or quota is None else f"The quota of {quota:,g}/s lies far above, and is not drawn.",
    )


def _rate_in_words(
    series: Series, fullest: float, quota: float | None, out_of_reach: Sequence[tuple[float, float]], slowed: int
) -> str:
    of = "" if quota is None else f" of {quota:,g} allowed"
    words = [f"At most {figure(fullest)} requests a second{of}, over {duration(series.seconds)}."]
    if slowed:
        words.append(f"The rate was cut in {count(slowed, 'stretch', 'stretches')}.")
    words += [f"Out of reach from {brief(begin)} to {brief(end)}." for begin, end in out_of_reach[:5]]
    return " ".join(words)


def _hint(series: Series, point: Point, shown: Sequence[str]) -> str:
    found = percentiles(point)
    words = [f"{duration(point.at_s)}: {figure(series.rate(point))} requests/s"]
    words += [f"{name} {latency(value)}" for name, value in found.items() if value is not None]
    words += [
        f"{count(number)} × {code_name(code)}" for code, number in errors_by(shown, point.errors).items() if number
    ]
    words += [f"paused {duration(point.paused_s)}"] if point.paused_s else []
    return ", ".join(words)


def _latency(series: Series) -> Markup:
    total = series.total()
    overall = percentiles(total)
    timed = any(value is not None for value in overall.values())
    mean = total.latency_s_sum / total.answers if total.answers else None
    shown = figures(
        *((name, latency(overall[name])) for name in SHARES if timed),
        ("mean", latency(mean)),
        ("slowest", latency(total.latency_s_max if total.answers else None)),
    )
    note = "How long good answers took. Percentiles are estimated to a quarter of their value: answers are counted by steps of latency."
    if not timed:
        words = "This manifest does not tell latencies one by one." if total.answers else "There was no good answer."
        return section("latency", "Latency", note, shown, el("p", words, class_="empty"))
    by_point = [(point, percentiles(point)) for point in series.points]
    largest = max(value for _, found in by_point for value in found.values() if value is not None)
    plot = Plot(series.seconds, axis(largest), latency)
    lines = {name: [Step(point.at_s, _end(series, point), found[name]) for point, found in by_point] for name in SHARES}
    words = f"Overall {', '.join(f'{name} {latency(value)}' for name, value in overall.items())}."
    made = charts.chart(
        plot,
        "latency",
        "Latency percentiles over time",
        words,
        charts.bands(plot, pauses(series.points), "paused"),
        *(charts.line(plot, lines[name], name) for name in reversed(SHARES)),
    )
    keys = (key(name, f"{name}: {words}") for name, words in zip(SHARES, _SHARES_IN_WORDS, strict=True))
    return section("latency", "Latency", note, shown, _figure(made, *keys))


_SHARES_IN_WORDS = ("half of the answers were faster", "19 of 20 were", "99 of 100 were")


def _errors(series: Series, meanings: Mapping[str, str]) -> Markup:
    total = series.total().errors
    note = "Attempts that failed, by the service's error code. Most are tried again: what failed for good stands among the rejects."
    if not total:
        return section("errors", "Errors", note, el("p", "No attempt failed.", class_="empty"))
    shown = codes(series)
    classes = [f"e{place}" for place in range(1, len(shown) + 1)]
    bars = [
        (
            point.at_s,
            _end(series, point),
            [float(n) / series.span_s(point) for n in errors_by(shown, point.errors).values()],
        )
        for point in series.points
        if point.errors
    ]
    largest = max(sum(parts) for _, _, parts in bars)
    plot = Plot(series.seconds, axis(largest, 3), lambda value: f"{value:,g}", 180)
    made = charts.chart(
        plot,
        "errors",
        "Errors a second by code",
        f"{count(sum(total.values()), 'failed attempt')}: "
        + ", ".join(f"{count(number)} {code_name(code)}" for code, number in errors_by(shown, total).items()),
        charts.bands(plot, pauses(series.points), "paused"),
        charts.stack(plot, bars, classes),
    )
    all_errors = sum(total.values())
    class_of = {code: f"e{min(place, len(shown))}" for place, code in enumerate(shown, 1)}
    rows = [
        (
            key(class_of.get(code, classes[-1]), foreign(code_name(code), class_="code value")),
            meanings.get(code, NOT_KNOWN),
            count(number),
            share(number, all_errors),
        )
        for code, number in sorted(total.items(), key=lambda item: (-item[1], item[0]))[:200]
    ]
    listed = table("Failed attempts by code", ("Code", "Meaning", "Attempts", "Share"), rows, numbers=(2, 3), prose=1)
    return section(
        "errors", "Errors", note, _figure(made, "Failed attempts a second; the colours are those of the table."), listed
    )


def _in_rows(series: Series) -> Content:
    joined = by_time(series, ROWS_MAX)
    if not joined:
        return None
    rows = [
        (
            brief(point.at_s),
            count(point.requests),
            figure(series.rate(point)),
            *(latency(value) for value in percentiles(point).values()),
            count(sum(point.errors.values())),
            count(point.retries),
            duration(point.paused_s) if point.paused_s else "–",
        )
        for point in joined
    ]
    heads = ("From", "Requests", "a second", *SHARES, "Errors", "Retries", "Paused")
    listed = table(f"The run in stretches of {brief(joined[0].width_s)}", heads, rows, numbers=range(1, len(heads)))
    return el("details", el("summary", "The same in figures"), listed)


def _end(series: Series, point: Point) -> float:
    return max(point.at_s, min(point.at_s + point.width_s, series.seconds))


def _without_gaps(steps: Sequence[Step]) -> Sequence[Step]:
    """Fill time between points with nothing asked."""
    filled = [Step(0.0, steps[0].from_s, 0.0)] if steps and steps[0].from_s > 0 else []
    for step, after in pairwise([*steps, None]):
        if step:
            filled.append(step)
        if step and after and after.from_s > step.to_s:
            filled.append(Step(step.to_s, after.from_s, 0.0))
    return filled


def _figure(made: Markup, *keys: Content) -> Markup:
    told = [piece for piece in keys if piece]
    return el("figure", made, el("figcaption", told) if told else None)
