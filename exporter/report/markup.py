"""Elements of the page: whatever is no Markup is escaped, so no text of the service can become an element or a style.

Only the elements and attributes of the two tables exist, and a link leads within the page alone.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape as escape_html
from typing import Union

ELEMENTS = frozenset(
    (
        *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "nav", "section", "article"),
        *("h1", "h2", "h3", "p", "a", "ul", "li", "dl", "dt", "dd", "div", "span", "strong", "bdi", "abbr"),
        *("figure", "figcaption", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary"),
        *("svg", "path", "rect", "line", "text", "desc"),
    )
)
ATTRIBUTES = frozenset(
    (
        *("lang", "charset", "name", "content", "http-equiv", "class", "id", "href", "scope", "title", "tabindex"),
        *("role", "aria-label", "aria-labelledby", "aria-hidden", "viewBox", "preserveAspectRatio", "width", "height"),
        *("x", "y", "x1", "x2", "y1", "y2", "d"),
    )
)
VOID = frozenset({"meta"})

# Control characters, what turns the direction of text, and what nobody sees. Joiners stay: emoji and scripts need them.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufdd0-\ufdef\ufeff\uffa0\ufff9-\uffff\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class Markup:
    """HTML of our own making: `el` makes it, and nothing else should but constants of this package."""

    html: str


Content = Union[Markup, str, None, Iterable["Content"]]  # noqa: UP007 - a name in quotes cannot be joined with |


def visible(text: str) -> str:
    """Write a text so that each of its characters can be seen: what cannot be is written as its number."""
    return _UNSEEN.sub(lambda found: f"‹U+{ord(found[0]):04X}›", text)


def escape(text: str) -> str:
    """Write a text as HTML that shows it, in an element or in a quoted attribute. The only escaping of the page."""
    return escape_html(visible(text), quote=True)


def el(name: str, /, *content: Content, **attributes: str | float | None) -> Markup:
    """Make an element; an attribute that is None is left out, `class_` is `class`, `aria_label` is `aria-label`.

    Raises ValueError for an element or attribute that no table names, and for a link that leads out of the page.
    """
    if name not in ELEMENTS:
        raise ValueError(f"there is no element {name}")
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(content).html}</{name}>")


def join(content: Content) -> Markup:
    """Put pieces one behind the other; text among them is escaped."""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(escape(content))
    return Markup("".join(join(piece).html for piece in content or ()))


def foreign(text: str, **attributes: str) -> Markup:
    """Show text that is not ours: its direction ends with it."""
    return el("bdi", text, **attributes)


def _attribute(key: str, value: str | float) -> str:
    name = key.rstrip("_").replace("_", "-")
    if name not in ATTRIBUTES or (name == "href" and not str(value).startswith("#")):
        raise ValueError(f"there is no attribute {name}={str(value)!r}")
    return f' {name}="{escape(str(value))}"'
