"""The sections of a run that stand in its manifest as they are: accounting, rejects, shards, settings. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from exporter.figures import count, duration, size
from exporter.model import ANSWERS
from exporter.report.charts import bar, proportions
from exporter.report.facts import Example
from exporter.report.markup import Content, Markup, el, foreign
from exporter.report.parts import figures, key, section, table
from exporter.report.words import MEANINGS, share, timestamp

SHARDS_MAX = 500
NAMES_MAX = 200
PERSONAL = ("identifier",)
"""Settings that name an account."""
HIDDEN = "hidden"

TERMS = (("rows", "rows"), ("rejects", "rejects"), ("duplicates", "duplicates"), ("blank", "blank lines"))
"""What becomes of a row of the input, and how it is called."""


def failures(told: Mapping[str, Any]) -> int:
    """Count the accounts that failed: what the service answered is no failure."""
    return sum(number for reason, number in told["rejects_by_reason"].items() if reason not in ANSWERS)


def header(told: Mapping[str, Any]) -> Markup:
    """Say how the run ended, in one look."""
    failed = failures(told)
    verdict = f"Complete, {count(failed, 'account')} failed" if failed else "Complete"
    data_bytes = sum(shard["bytes"] for shard in told["shards"])
    app = told["settings"].get("sdkappid")
    return el(
        "header",
        el("p", el("span", class_="dot warn" if failed else "dot"), verdict, class_="verdict"),
        el("h1", el("strong", count(told["rows"])), " rows of ", el("strong", count(told["input"])), " in the input"),
        figures(
            ("finished", timestamp(told["finished_at"])),
            ("took", duration(told["seconds"])),
            ("data", f"{count(len(told['shards']), 'file')}, {size(data_bytes)}"),
            ("app", "–" if app is None else str(app)),
            ("exporter", foreign(told["exporter"])),
        ),
        id="top",
    )


def accounting(told: Mapping[str, Any]) -> Markup:
    """Show that every row of the input is accounted for."""
    off = told["input"] - sum(told[name] for name, _ in TERMS)
    terms = [_term("", told["input"], "rows of input", None)]
    terms += [
        _term("=" if not place else "+", told[name], words, f"t{place + 1}")
        for place, (name, words) in enumerate(TERMS)
    ]
    parts = [
        (told[name] / told["input"] if told["input"] else 0.0, f"t{place + 1}") for place, (name, _) in enumerate(TERMS)
    ]
    said = "The sum holds." if not off else f"The sum is off by {count(off)}: please report this."
    return section(
        "accounting",
        "Accounting",
        "Every row of the input is a row of the data, a reject with its reason, a duplicate, or blank.",
        el("div", terms, class_="sum", role="group", aria_label="input = rows + rejects + duplicates + blank"),
        proportions(parts, "proportions"),
        el("p", said, class_="empty" if not off else "bad"),
        _inputs(told),
    )


def _term(sign: str, number: int, words: str, class_: str | None) -> Markup:
    return el(
        "div",
        el("span", sign, class_="sign"),
        el("strong", count(number)),
        el("span", key(class_, words) if class_ else words, class_="what"),
        class_="term",
    )


def _inputs(told: Mapping[str, Any]) -> Content:
    names = [item["name"] for item in told["inputs"]]
    shown = [el("li", foreign(name, class_="code")) for name in names[:NAMES_MAX]]
    return el("details", el("summary", f"Read from {count(len(names), 'file')}"), el("ul", shown, _more(names, "li")))


def _more(
    items: Sequence[object], element: str = "p", at_most: int = NAMES_MAX, where: str = "manifest.json"
) -> Content:
    left = len(items) - at_most
    return el(element, f"… and {count(left)} more: {where} lists all.", class_="more") if left > 0 else None


def rejects(
    told: Mapping[str, Any],
    meanings: Mapping[str, str],
    examples: Mapping[str, Sequence[Example]] | None,
    *,
    redact_ids: bool,
) -> Markup:
    """Tell which accounts have no row, and why; with some of them where the data was read."""
    note = "Accounts without a row, by reason. All of them stand in rejects/, with the line of the input."
    by_reason = sorted(told["rejects_by_reason"].items(), key=lambda item: (-item[1], item[0]))
    if not by_reason:
        return section("rejects", "Rejects", note, el("p", "No account was rejected.", class_="empty"))
    rows = [
        (
            el(
                "span",
                foreign(reason, class_="code"),
                el("span", "failed" if reason not in ANSWERS else "answered", class_="tag"),
            ),
            MEANINGS.get(reason, ""),
            count(number),
            el("span", share(number, told["input"]), bar(number, told["input"]), class_="with-bar"),
        )
        for reason, number in by_reason
    ]
    listed = table(
        "Rejects by reason", ("Reason", "Meaning", "Accounts", "Of the input"), rows, numbers=(2, 3), prose=1
    )
    shown = [
        _examples(reason, found, meanings, redact_ids=redact_ids) for reason, found in (examples or {}).items() if found
    ]
    return section("rejects", "Rejects", note, listed, shown)


def _examples(reason: str, found: Sequence[Example], meanings: Mapping[str, str], *, redact_ids: bool) -> Markup:
    rows = [
        (
            el("span", foreign(item.source, class_="code"), f", row {count(item.row_number)}"),
            el("span", HIDDEN, class_="empty")
            if redact_ids or item.account is None
            else foreign(item.account, class_="code value"),
            "–" if item.code is None else el("abbr", str(item.code), title=meanings.get(str(item.code), "")),
            "–" if item.message is None else foreign(item.message, class_="value"),
        )
        for item in found
    ]
    listed = table("The first rejects for this reason", ("Where", "Account", "Code", "Message"), rows, prose=3)
    return el("details", el("summary", "Examples of ", foreign(reason, class_="code")), listed)


def findings(told: Mapping[str, Any]) -> Markup | None:
    """Tell what the operator might want to look at; None where there is nothing."""
    notes = [
        _counts(
            "bad values",
            told["bad_values"],
            "Values that did not parse as the type that was asked for: see bad_values/.",
        ),
        _counts("ignored", told["ignored_attributes"], "Accounts with an attribute that --attributes did not choose."),
        _absent(told["absent_attributes"]),
        _spaces(told["ids_with_outer_spaces"]),
    ]
    if not any(notes):
        return None
    return section("notes", "Notes", "What is in order, and may still surprise.", notes)


def _counts(caption: str, counted: Mapping[str, int], meaning: str) -> Content:
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    if not ranked:
        return None
    rows = [(foreign(name, class_="code value"), count(number)) for name, number in ranked[:NAMES_MAX]]
    listed = table(
        f"Attributes with {caption}" if caption == "bad values" else "Attributes that were not chosen",
        ("Attribute", "Number"),
        rows,
        numbers=(1,),
    )
    return [el("p", meaning), listed, _more(ranked)]


def _absent(names: Sequence[str]) -> Content:
    if not names:
        return None
    shown = [el("li", foreign(name, class_="code value")) for name in names[:NAMES_MAX]]
    return [
        el("p", "Attributes that --attributes or --types names, and no account has:"),
        el("ul", shown, _more(names, "li")),
    ]


def _spaces(number: int) -> Content:
    return el("p", f"{count(number, 'id has', 'ids have')} spaces around; --strip removes these.") if number else None


def shards(told: Mapping[str, Any]) -> Markup:
    """List the shards, the first of many."""
    entries = told["shards"]
    rows = [
        (
            foreign(entry["file"], class_="code"),
            f"{count(entry['first_row'])} – {count(entry['last_row'])}",
            count(entry["rows"]),
            count(entry["rejects"]),
            size(entry["bytes"]),
        )
        for entry in entries[:SHARDS_MAX]
    ]
    heads = ("File", "Rows of input", "Rows", "Rejects", "Size")
    listed = table("Shards of the export", heads, rows, numbers=range(1, len(heads)))
    words = f"{count(len(entries), 'shard')}, {size(sum(entry['bytes'] for entry in entries))}"
    return section(
        "shards",
        "Shards",
        "Each covers a fixed range of the input, and is one file. Sizes are those of data/.",
        el("details", el("summary", words), listed, _more(entries, at_most=SHARDS_MAX))
        if entries
        else el("p", "None.", class_="empty"),
    )


def settings(told: Mapping[str, Any], *, redact_ids: bool) -> Markup:
    """List the settings in force. The manifest holds no secret, so there is none to leave out."""
    rows = [
        (
            el("span", name, class_="code"),
            HIDDEN if redact_ids and name in PERSONAL and value is not None else _setting(value),
        )
        for name, value in told["settings"].items()
    ]
    return section(
        "settings",
        "Settings",
        "As they were in force. Two exports with the same fingerprint were asked the same.",
        el(
            "details",
            el("summary", count(len(rows), "setting")),
            table("Settings in force", ("Setting", "Value"), rows),
        ),
        figures(
            ("started", timestamp(told["started_at"])),
            ("finished", timestamp(told["finished_at"])),
            ("fingerprint", foreign(told["fingerprint"], class_="code value")),
        ),
    )


def _setting(value: object) -> Content:
    if value is None or value in ({}, []):
        return el("span", "–", class_="empty")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return foreign(", ".join(f"{name}={kind}" for name, kind in value.items()), class_="code value")
    if isinstance(value, list):
        return foreign(", ".join(map(str, value)), class_="code value")
    return foreign(str(value), class_="code value")
