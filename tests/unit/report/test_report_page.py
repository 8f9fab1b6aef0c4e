"""The page of any run says what its manifest says, and nothing of the service becomes more than text."""

import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.report.facts import Column, Data, Example, Lengths, Spread, Top
from exporter.report.markup import ATTRIBUTES, ELEMENTS, visible
from exporter.report.page import render, without_details
from exporter.report.run import SHARDS_MAX
from tests.unit.report.conftest import MEANINGS, Element, busy, manifest, point, read

OLD = ("at_s", "width_s", "requests", "answers", "accounts", "latency_s_sum", "latency_s_max", "errors")
HOSTILE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30) | st.sampled_from(
    [
        "</style><script>alert(1)</script>",
        "\" onload='alert(1)' x=\"",
        "<svg/onload=alert(1)>",
        "\x00\u202e\n",
        "🦊" * 12,
    ]
)


def page_of(told: dict[str, Any], data: Data | None = None, **more: Any) -> Element:
    page = read(render(told, MEANINGS, data, **more))
    for found in page.all():
        assert found.name in ELEMENTS | {"html"}
        assert found.attributes.keys() <= {name.lower() for name in ATTRIBUTES}
    return page


def data_of(text: str, other: str) -> Data:
    """Everything on the page that others have a say in."""
    top = [Top(text, 5), Top(other, 3), Top(None, 1)]
    columns = [
        Column(text, "text", 10, 9, 3, exact=True, top=top, lengths=Lengths(0, 2.5, 9)),
        Column(other, "int64", 10, 9, 1, exact=False, top=[Top(5, 9)], spread=Spread(5, 5, 5.0)),
    ]
    return Data(
        columns, {text: [Example(text, 91000, other, text, 3)], "refused": [Example(None, None, None, other, 4)]}
    )


MARK = "ǂ"
"""A letter that stands nowhere in our own words."""
ISOLATED = {"bdi", "title", "desc"}
"""Where the direction of a text ends with it."""


def of(page: Element, text: str) -> set[str]:
    """The elements in which a text stands directly."""
    return {found.name for found in page.all() if any(isinstance(part, str) and text in part for part in found.content)}


@given(HOSTILE.map(lambda text: MARK + text), HOSTILE.map(lambda text: MARK + text))
def test_hostile_text_stays_text(text: str, other: str) -> None:
    """In names, values, messages, file names, codes and settings: found again as it is, and no element comes of it."""
    told = manifest(
        [point(0, requests=1, errors={text: 2, other: 1})],
        inputs=[{"name": text, "path": other}],
        bad_values={text: 1},
        ignored_attributes={other: 1},
        absent_attributes=[text],
        rejects_by_reason={text: 10},
        settings={"column": text, "types": {text: other}, "attributes": [other]},
        exporter=text,
    )
    page = page_of(told, data_of(text, other))
    plain = page_of(manifest([point(0, requests=1, errors={"a": 2, "b": 1})], **told_of(told)), data_of("a", "b"))
    isolated = {found.text for found in page.all("bdi")}
    assert {visible(text), visible(other)} <= isolated
    assert of(page, MARK) <= ISOLATED
    assert len(page.all()) - len(plain.all()) in range(-40, 41)
    assert page.all("style")[0].content == plain.all("style")[0].content


def told_of(told: dict[str, Any]) -> dict[str, Any]:
    """The same manifest with harmless texts."""
    return {
        "inputs": [{"name": "a", "path": "b"}],
        "bad_values": {"a": 1},
        "ignored_attributes": {"b": 1},
        "absent_attributes": ["a"],
        "rejects_by_reason": {"a": 10},
        "settings": {"column": "a", "types": {"a": "b"}, "attributes": ["b"]},
        "seconds": told["seconds"],
    }


def test_nothing_is_loaded_or_run() -> None:
    """No address, no script, no link out; and a policy that would forbid all of it."""
    page = render(manifest(busy(200)), MEANINGS, data_of("a", "b")).decode()
    assert "<script" not in page
    assert "://" not in page
    assert "url(" not in page
    assert "@import" not in page
    policy = next(found for found in read(page).all("meta") if "http-equiv" in found.attributes)
    assert (policy.attributes["content"] or "").startswith(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )
    assert all((found.attributes["href"] or "").startswith("#") for found in read(page).all("a"))


@pytest.mark.parametrize("number", [0, 1, 3, 600])
@pytest.mark.parametrize("width_s", [1.0, 512.0])
def test_a_run_of_any_length_is_drawn(number: int, width_s: float) -> None:
    """From nothing asked to three days; every figure of a chart is a number within it."""
    page = page_of(manifest(busy(number, width_s=width_s)))
    assert len(page.by_id("rate").all("figure")) == (1 if number else 0)
    for drawn in (found.attributes["d"] or "" for found in page.all("path")):
        assert drawn
        assert all(0 <= int(place) <= 10_000 for place in re.findall(r"-?\d+", drawn))
        assert not re.search(r"nan|inf|e", drawn)
    for name in ("x", "width", "x1", "x2"):
        shares = [found.attributes[name] or "" for found in page.by_id("rate").all() if name in found.attributes]
        assert all(0 <= float(share[:-1]) <= 100 for share in shares if share.endswith("%"))


def test_points_are_placed_by_their_seconds() -> None:
    """What nobody asked in is drawn as nothing, not left out: two points, a minute apart."""
    page = page_of(manifest([point(0, requests=50), point(59, requests=100)]))
    area = next(found for found in page.all("path") if found.attributes["class"] == "area")
    assert area.attributes["d"] == "M0 1000V500H167V1000H9833V0H10000V1000Z"


def test_the_manifest_of_an_older_version_is_drawn() -> None:
    """Its points know less, and so do its keys."""
    old = [{name: row[name] for name in OLD} for row in busy(50)]
    told = {key: value for key, value in manifest(old).items() if key not in {"slow_downs", "rate_min"}}
    page = page_of(told)
    assert "does not tell latencies" in page.by_id("latency").text
    assert "mean50 ms" in page.by_id("latency").text.replace("\n", "")


@given(st.lists(st.integers(0, 10**12), min_size=4, max_size=4))
def test_the_sum_is_that_of_the_manifest(numbers: list[int]) -> None:
    """Input = rows + rejects + duplicates + blank, in the figures of the manifest; a sum that is off is said to be."""
    terms: dict[str, Any] = dict(zip(("rows", "rejects", "duplicates", "blank"), numbers, strict=True))
    page = page_of(manifest(input=sum(numbers), **terms)).by_id("accounting")
    shown = [int(found.text.replace(",", "")) for found in page.all("strong")]
    assert shown == [sum(numbers), *numbers]
    assert "The sum holds." in page.text
    assert "off by 1" in page_of(manifest(input=sum(numbers) + 1, **terms)).by_id("accounting").text


def test_figures_are_those_of_the_manifest() -> None:
    """Requests, retries, refusals, cuts, pauses, rejects with their meaning, errors with theirs."""
    told = manifest(busy(200))
    page = page_of(told)
    figures = {found.content[0].text: found.content[1].text for found in page.all("div") if found.content and isinstance(found.content[0], Element) and found.content[0].name == "dt" and isinstance(found.content[1], Element)}  # fmt: skip
    assert figures["requests"] == "1,000"
    assert figures["retries"] == "20"
    assert figures["refused as too frequent"] == "5"
    assert figures["slow-downs"] == "2, to 70/s"
    assert figures["paused"] == "5.0 s, 1 outage"
    rejected = page.by_id("rejects").text
    assert "missing" in rejected
    assert "not in its answer" in rejected
    failed = sum(sum(row["errors"].values()) for row in told["series"])
    cells = [found.text for found in page.by_id("errors").all("td")]
    assert "The service failed inside." in cells
    assert sum(int(text.replace(",", "")) for text in cells if re.fullmatch("[0-9,]+", text)) == failed


def test_many_shards_stay_readable() -> None:
    """A written bound, and how many more there are."""
    shard = manifest()["shards"][0]
    for number, rows, more in ((SHARDS_MAX, SHARDS_MAX, None), (SHARDS_MAX + 1_234, SHARDS_MAX, "1,234 more")):
        found = page_of(manifest(shards=[shard] * number)).by_id("shards")
        assert len(found.all("tr")) == rows + 1
        assert (more or "manifest.json lists all") in found.text or not more


def test_an_export_of_nothing_has_a_page() -> None:
    """No row, no shard, no request."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("input", "rows", "rejects", "duplicates", "blank", "requests", "retries", "outages"), 0
    )
    page = page_of(manifest(shards=[], rejects_by_reason={}, **nothing), Data([]))
    assert "No account was rejected." in page.text
    assert "The export has no attribute column" in page.text


def test_what_was_not_counted_to_its_end_says_so() -> None:
    """More than so many values, each at least so often: never a false exact figure."""
    often = Column("a", "text", 10**8, 10**8, 10**6, exact=False, top=[Top("x", 500)], lengths=Lengths(1, 1.0, 1))
    text = page_of(manifest(), Data([often])).text
    assert "more than 1,000,000" in text
    assert "at least 500" in text


def test_a_thousand_attributes_with_long_names_have_a_page() -> None:
    """Each is folded, none is left out."""
    each = Column("n" * 5_000, "text", 9, 9, 1, exact=True, top=[Top("v" * 5_000, 9)], lengths=Lengths(1, 1.0, 1))
    page = page_of(manifest(), Data([each] * 1_000))
    assert len(page.by_id("values").all("details")) == 1_000
    assert "n" * 201 not in page.text
    assert "(5,000 characters)" in page.text


def test_typed_values_are_written_as_such() -> None:
    """Times in UTC, truth as words, numbers in full."""
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    columns = [
        Column("t", "timestamp", 2, 2, 1, exact=True, top=[Top(moment, 2)], spread=Spread(moment, moment)),
        Column("b", "bool", 2, 2, 1, exact=True, top=[Top(value=True, count=2)], spread=Spread(min=True, max=True)),
    ]
    text = page_of(manifest(), Data(columns)).by_id("values").text
    assert "2024-05-06 07:08:09" in text
    assert "true" in text


def test_headings_are_in_order_and_ids_are_one_of_a_kind() -> None:
    """One h1, then sections; each link of the page leads somewhere; charts and tables have names."""
    page = page_of(manifest(busy(200)), data_of("a", "b"))
    levels = [int(found.name[1]) for found in page.all() if re.fullmatch("h[1-6]", found.name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [found.attributes["id"] for found in page.all() if "id" in found.attributes]
    assert len(ids) == len(set(ids))
    assert {(found.attributes["href"] or "")[1:] for found in page.all("a")} <= set(ids)
    for found in page.all():
        assert set((found.attributes.get("aria-labelledby") or "").split()) <= set(ids)
    assert all(found.all("caption") for found in page.all("table"))
    assert all(found.attributes.get("scope") in {"row", "col"} for found in page.all("th"))
    drawn = [found for found in page.all("svg") if found.attributes.get("role") == "img"]
    assert drawn
    assert all(found.all("title") for found in drawn)
    assert {"header", "nav", "main", "footer"} <= {found.name for found in page.all()}


def test_a_page_that_cannot_be_made_has_one_in_its_place() -> None:
    """It says so, and where the figures are."""
    page = read(without_details(manifest(), "<b>why</b>"))
    assert "This page could not be made" in page.text
    assert "<b>why</b>" in page.text
    assert "manifest.json" in page.text
