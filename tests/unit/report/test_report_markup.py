"""Text of the service can be anything; on the page it is text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.report.markup import el, escape, foreign, visible
from tests.unit.report.conftest import read

HOSTILE = [
    "</style><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "<!-- -->]]>&lt;&#60;&amp;",
    "a\x00b\x1b[31m\r\n\t",
    "\u202eevil\u2066x\u2069\u200f\ufeff",
    "👨‍👩‍👧‍👦🦊" * 5,
    "\ud800",
]


@given(st.text(st.characters(codec=None)) | st.sampled_from(HOSTILE))
def test_whatever_text_goes_in_comes_out_as_text(text: str) -> None:
    """In an element and in an attribute, a parser finds the same text, with what cannot be seen written out."""
    made = el("p", text, foreign(text), title=text)
    (found,) = read(made.html).content
    assert not isinstance(found, str)
    assert found.attributes == {"title": visible(text)}
    assert [part if isinstance(part, str) else part.name for part in found.content] == [visible(text), "bdi"][
        not text :
    ]
    assert found.text == visible(text) * 2
    assert made.html.encode("utf-8")


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp", "Lo", "Mn"])))
def test_what_can_be_seen_stays(text: str) -> None:
    """Only what nobody sees is written out."""
    assert visible(text) == text


@given(st.text(st.characters(codec=None)) | st.sampled_from(HOSTILE))
def test_nothing_unseen_is_left(text: str) -> None:
    """No control character, no turn of direction, no half of a character; and seeing twice changes nothing."""
    shown = visible(text)
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)
    assert not set(shown) & set(
        "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff\u061c"
    )
    assert not any(0xD800 <= ord(char) < 0xE000 for char in shown)
    assert visible(shown) == shown


def test_emoji_stay_whole() -> None:
    """What joins characters to one is no control of ours to show."""
    assert visible("👨‍👩‍👧‍👦") == "👨‍👩‍👧‍👦"
    assert visible("a\x00\n\x7f\u202e") == "a‹U+0000›‹U+000A›‹U+007F›‹U+202E›"


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("script", {}),
        ("img", {}),
        ("a b", {}),
        ("p", {"onclick": "alert(1)"}),
        ("p", {"style": "color:red"}),
        ("rect", {"src": "x"}),
        ("a", {"href": "https://example.com"}),
        ("a", {"href": "javascript:alert(1)"}),
    ],
)
def test_what_the_tables_do_not_name_cannot_be_made(name: str, attributes: dict[str, str]) -> None:
    """No element or attribute that could run or load something, not by a mistake of ours either."""
    with pytest.raises(ValueError, match="there is no"):
        el(name, **attributes)


def test_escaping_is_done_once() -> None:
    """What is escaped already is text like any other."""
    assert escape("&amp;") == "&amp;amp;"
    assert el("p", el("p", "<")).html == "<p><p>&lt;</p></p>"
