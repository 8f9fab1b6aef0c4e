"""The page: one file that loads nothing, runs nothing and says all. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from exporter.report import data as of_data
from exporter.report import run, timeline
from exporter.report.facts import Data
from exporter.report.markup import Content, Markup, el
from exporter.report.series import series_of
from exporter.report.style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

NAMES = {
    "accounting": "Accounting",
    "rate": "Rate",
    "latency": "Latency",
    "errors": "Errors",
    "rejects": "Rejects",
    "notes": "Notes",
    "attributes": "Attributes",
    "values": "Values",
    "shards": "Shards",
    "settings": "Settings",
}


def render(
    told: Mapping[str, Any], meanings: Mapping[str, str], data: Data | None = None, *, redact_ids: bool = False
) -> bytes:
    """Make the page of a run from its manifest, and of its data where that was read.

    `meanings` says what an error code means. Raises anything for a manifest that is none.
    """
    series = series_of(told)
    notes = run.findings(told)
    examples = data.examples if data else None
    made = {
        "accounting": run.accounting(told),
        **dict(zip(("rate", "latency", "errors"), timeline.sections(told, series, meanings), strict=True)),
        "rejects": run.rejects(told, meanings, examples, redact_ids=redact_ids),
        **({"notes": notes} if notes else {}),
        **(dict(zip(("attributes", "values"), of_data.sections(data), strict=False)) if data else {}),
        "shards": run.shards(told),
        "settings": run.settings(told, redact_ids=redact_ids),
    }
    links = el(
        "nav", el("ul", [el("li", el("a", NAMES[name], href=f"#{name}")) for name in made]), aria_label="Sections"
    )
    hint = (
        None
        if data
        else el("p", "To see what the data holds as well: ", el("span", "exporter report OUT", class_="code"))
    )
    return _document(
        f"{told['rows']:,} rows, {told['rejects']:,} rejects",
        [run.header(told), links],
        list(made.values()),
        hint,
    )


def without_details(told: Mapping[str, Any], why: str) -> bytes:
    """Make the page that stands in for one that could not be made: it says so, and where the figures are."""
    words = el(
        "section",
        el("h2", "This page could not be made"),
        el("p", "The export is complete and not touched by this: the figures of the run are in manifest.json."),
        el("p", why),
    )
    header = el("header", el("h1", f"{told.get('rows', 0):,} rows of {told.get('input', 0):,} in the input"))
    return _document("Export", header, [words], None)


def _document(title: str, header: Content, sections: Sequence[Content], hint: Content) -> bytes:
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="generator", content="exporter"),  # by this a run knows that the file is its own
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("style", Markup(STYLE)),
    )
    body = el(
        "body",
        el("a", "To the figures", href="#figures", class_="skip"),
        el("div", header, el("main", sections, id="figures"), _footer(hint), class_="page"),
    )
    return f"<!doctype html>\n{el('html', head, body, lang='en').html}\n".encode()


def _footer(hint: Content) -> Markup:
    words = "Made from manifest.json of the export, which has every figure. Times are UTC."
    return el("footer", el("p", words), hint)
