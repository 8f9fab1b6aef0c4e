"""The site: it builds without a warning, and loads nothing from elsewhere."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.docs.fences import DOCS, ROOT

ELSEWHERE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)
CSS = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^)"']+)""")
WORDS = frozenset({"canonical", "next", "prev"})
"""What a `link` may be that nobody loads."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    place = tmp_path_factory.mktemp("site")
    built = _build(ROOT / "mkdocs.yml", place)
    assert built.returncode == 0, built.stderr
    return place


def _build(config: Path, place: Path) -> "subprocess.CompletedProcess[str]":
    # Not --quiet: warnings that are not said are not counted, and the build is strict no more.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(place)]
    env = environment(PYTHONWARNINGS="", NO_MKDOCS_2_WARNING="1")
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT, check=False)


class Loads(HTMLParser):
    """What a page has a browser load: scripts, styles, images, fonts, frames."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of every address but those of links that a reader follows."""
        told = {name: value or "" for name, value in attrs}
        if tag == "link" and not set(told.get("rel", "").split()) <= WORDS:
            self.found.append(told.get("href", ""))
        self.found += [told[name] for name in ("src", "srcset", "poster", "data") if name in told]
        self.found += CSS.findall(told.get("style", ""))


def loaded(page: str) -> Iterator[str]:
    """Give the addresses elsewhere that a page loads."""
    parser = Loads()
    parser.feed(page)
    return (address for address in parser.found if ELSEWHERE.match(address))


def test_the_site_builds_without_a_warning(site: Path) -> None:
    """Every page of the navigation is there, every page is in the navigation, and every link leads somewhere."""
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS).with_suffix(".html")).exists()
    assert not list(site.rglob("*.py"))


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """No font, script, style or image comes from another address: it works without a network, and tells nobody who reads it."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert not list(loaded(page.read_text(encoding="utf-8"))), page.name
    for style in site.rglob("*.css"):
        assert not CSS.findall(style.read_text(encoding="utf-8")), style.name


def test_what_is_loaded_from_elsewhere_would_be_seen() -> None:
    """Each of the ways in which a page loads something."""
    for page in (
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="preconnect" href="https://fonts.example">',
        '<link rel="stylesheet" href="//fonts.example/a.css">',
        '<img src="http://images.example/a.png">',
        '<p style="background: url(https://images.example/a.png)">',
    ):
        assert list(loaded(page)), page
    assert not list(loaded('<a href="https://vendor.example">docs</a><img src="a.png"><link rel="icon" href="b.png">'))


def test_a_dead_link_breaks_the_build(tmp_path: Path) -> None:
    """The build is strict about links, anchors and pages that nobody finds."""
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(config + "\nnav:\n  - Home: index.md\n", encoding="utf-8")
    docs = tmp_path / "docs"
    docs.mkdir()
    cases = {"# Fine": 0, "[x](nowhere.md)": 1, "[x](#nowhere)": 1, "[x](/index.md)": 1}
    for text, code in cases.items():
        (docs / "index.md").write_text(text, encoding="utf-8")
        built = _build(tmp_path / "mkdocs.yml", tmp_path / "site")
        assert bool(built.returncode) == bool(code), f"{text}: {built.stderr}"
    (docs / "index.md").write_text("# Fine", encoding="utf-8")
    (docs / "lost.md").write_text("# Nobody finds me", encoding="utf-8")
    assert _build(tmp_path / "mkdocs.yml", tmp_path / "site").returncode
