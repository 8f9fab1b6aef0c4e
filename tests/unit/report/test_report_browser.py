"""The page in a browser: it fits, loads nothing, runs nothing, and can be read, at three widths, by day and by night.

Needs Chromium under /usr/bin/chromium (apt-get install chromium).
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, ViewportSize, sync_playwright

from exporter.report.facts import Column, Data, Example, Histogram, Lengths, Spread, Top
from exporter.report.page import render, without_details
from tests.unit.report.conftest import MEANINGS, busy, manifest, point

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
HOSTILE = (
    "</style><script>alert(1)</script>",
    "\" onload='alert(1)'><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "\u202eevil\u2066\x00\x1b[31m\n\r",
    "🦊" * 12,
    "م" * 60,
    "W" * 4_000,
)
WIDTHS = (360, 768, 1280)
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the browser once."""
    if not CHROMIUM.exists():
        pytest.skip(
            f"{CHROMIUM} is not there, and the page has to be looked at in a browser (apt-get install chromium)"
        )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


def column(place: int, text: str) -> Column:
    """An attribute of one of five kinds."""
    begin, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    common: dict[str, Any] = {"rows": 10**8, "filled": 10**8 - place, "distinct": 10**6, "exact": place % 2 == 0}
    kinds: Mapping[int, dict[str, Any]] = {
        0: {"type": "text", "top": [Top(each, 10**7) for each in HOSTILE], "lengths": Lengths(0, 1234.5, 4_000)},
        1: {"type": "int64", "top": [Top(-(2**63), 2)], "spread": Spread(-(2**63), 2**63 - 1, 0.1)}
        | {"histogram": Histogram([-(2**63), 0, 2**63], [5, 10**7])},
        2: {"type": "float64", "top": [Top(1.5, 10**8)], "spread": Spread(-1e308, 1e308, 1e-300)}
        | {"histogram": Histogram([n / 7 for n in range(24)], list(range(23)))},
        3: {"type": "timestamp", "top": [Top(begin, 1)], "spread": Spread(begin, end)}
        | {"histogram": Histogram([begin, end], [10**8])},
        4: {"type": "bool", "top": [Top(value=True, count=3)], "spread": Spread(min=False, max=True)},
    }
    return Column(attribute=f"{text}{place}", **common, **kinds[place % 5])


def data_of(columns: int) -> Data:
    """So many attributes, and a few rejects."""
    examples = [Example(text, 91000, text, text, 10**8) for text in HOSTILE]
    return Data([column(place, HOSTILE[place % len(HOSTILE)]) for place in range(columns)], {"refused": examples})


def hostile_run() -> dict[str, Any]:
    """A manifest whose every text is hostile."""
    return manifest(
        [point(0, requests=9, errors=dict.fromkeys(HOSTILE, 3) | {str(n): 1 for n in range(20)})],
        inputs=[{"name": text, "path": text} for text in HOSTILE],
        bad_values=dict.fromkeys(HOSTILE, 5),
        absent_attributes=list(HOSTILE),
        settings={text: text for text in HOSTILE},
        exporter=HOSTILE[0],
        fingerprint="f" * 64,
    )


SHARD = {"file": "data/part-000000.parquet", "rows": 200_000, "bytes": 12_345_678, "rejects": 7}
SHARDS = [SHARD | {"first_row": 200_000 * n + 1, "last_row": 200_000 * (n + 1)} for n in range(700)]
MANY = {"input": 10**11, "rows": 10**11 - 20, "shards": SHARDS}
PAGES: Mapping[str, Callable[[], bytes]] = {
    "busy": lambda: render(manifest(busy(600, width_s=432.0), **MANY), MEANINGS, data_of(20)),
    "calm": lambda: render(manifest([point(n, requests=100, answers=100) for n in range(3)]), MEANINGS),
    "sixty attributes": lambda: render(manifest(busy(90)), MEANINGS, data_of(60)),
    "nothing": lambda: render(manifest(shards=[], rejects_by_reason={}), MEANINGS, Data([])),
    "hostile": lambda: render(hostile_run(), MEANINGS, data_of(7)),
    "not made": lambda: without_details(manifest(), HOSTILE[0]),
}


@pytest.fixture(params=sorted(PAGES))
def page_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One of the pages, as a file."""
    path = tmp_path / "report.html"
    path.write_bytes(PAGES[request.param]())
    return path


def opened(browser: Browser, path: Path, width: int, scheme: Any) -> tuple[Page, list[str]]:
    """Open a page with all its details; whatever it does besides being there is noted."""
    size: ViewportSize = {"width": width, "height": 800}
    page = browser.new_page(viewport=size, color_scheme=scheme)
    seen: list[str] = []

    def dismissed(dialog: Dialog) -> None:
        seen.append(f"opened {dialog.message}")
        dialog.dismiss()

    page.on("request", lambda request: seen.append(f"asked for {request.url}"))
    page.on("console", lambda message: seen.append(f"said {message.text}"))
    page.on("pageerror", lambda error: seen.append(f"failed {error}"))
    page.on("dialog", dismissed)
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert seen.pop(0) == f"asked for {path.as_uri()}"
    return page, seen


# What stands beyond the sides of the window though nothing there can be moved to show it.
BEYOND = """() => [...document.querySelectorAll('body *')].filter(each => {
    if (each.closest('.scroll, .skip') || each.matches('title, desc')) return false;
    const box = each.getBoundingClientRect();
    return box.width > 0 && (box.left < -1 || box.right > innerWidth + 1);
}).map(each => each.outerHTML.slice(0, 120))"""

# Texts whose contrast to what lies behind them is below 4.5 (WCAG AA).
FAINT = """() => {
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
    const behind = each => {
        for (let at = each; at; at = at.parentElement) {
            const color = parts(getComputedStyle(at).backgroundColor);
            if (color.length < 4 || color[3] > 0) return color;
        }
        return [255, 0, 255];
    };
    const faint = [];
    for (const each of document.querySelectorAll('body *')) {
        const own = [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (!own || each.matches('title, desc') || each.closest('.skip')) continue;
        const style = getComputedStyle(each);
        const color = parts(each.closest('svg') ? style.fill : style.color);
        const [a, b] = [light(color), light(behind(each))].sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5) faint.push([each.outerHTML.slice(0, 80), (a + 0.05) / (b + 0.05)]);
    }
    return faint;
}"""

OVERLAPPING_LABELS = """() => [...document.querySelectorAll('svg[role=img]')].flatMap(chart => {
    const boxes = [...chart.querySelectorAll('text')].map(each => each.getBoundingClientRect()).filter(box => box.width);
    return boxes.flatMap((a, n) => boxes.slice(n + 1).filter(b =>
        a.left < b.right && b.left < a.right && a.top + 4 < b.bottom && b.top + 4 < a.bottom).map(() => chart.id || chart.textContent.slice(0, 60)));
})"""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_fits_loads_nothing_and_can_be_read(browser: Browser, page_file: Path, width: int, scheme: str) -> None:
    """No sideways scrolling, no request, no word on the console, no dialog; charts are there, texts stand out."""
    page, seen = opened(browser, page_file, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(BEYOND) == []
    assert page.evaluate(FAINT) == []
    assert page.evaluate(OVERLAPPING_LABELS) == []
    for chart in page.query_selector_all("svg[role=img]"):
        box = chart.bounding_box()
        assert box
        assert box["width"] > 100
        assert box["height"] > 50
    assert page.evaluate("document.scripts.length") == 0
    assert seen == []
    page.close()


def test_day_and_night_differ(browser: Browser, tmp_path: Path) -> None:
    """Dark on light, and light on dark."""
    path = tmp_path / "report.html"
    path.write_bytes(PAGES["calm"]())
    found = {}
    for scheme in SCHEMES:
        page, _ = opened(browser, path, 768, scheme)
        found[scheme] = page.evaluate(
            "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
        )
        page.close()
    assert found["light"][0] != found["dark"][0]
    assert found["light"][1] != found["dark"][1]


def test_a_page_that_would_run_something_is_seen_to(browser: Browser, tmp_path: Path) -> None:
    """What looks for scripts and requests here would find them: a page with the policy taken out and a script put in."""
    path = tmp_path / "report.html"
    page = PAGES["calm"]().replace(b"<main", b"<script>alert(1)</script><img src='http://127.0.0.1:9/x'><main", 1)
    path.write_bytes(page.replace(b'http-equiv="Content-Security-Policy"', b'name="nothing"'))
    _, seen = opened(browser, path, 768, "light")
    assert "opened 1" in seen
    assert any(words.startswith("asked for http://127.0.0.1:9/x") for words in seen)
    path.write_bytes(page)
    _, seen = opened(browser, path, 768, "light")
    assert "opened 1" not in seen


def test_it_prints(browser: Browser, tmp_path: Path) -> None:
    """To pages of paper, without what is of use on a screen alone."""
    path = tmp_path / "report.html"
    path.write_bytes(PAGES["busy"]())
    page, _ = opened(browser, path, 1280, "dark")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
