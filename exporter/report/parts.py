"""Pieces that sections are made of: a section, a table, a row of figures, a key of a chart. Pure."""

from collections.abc import Container, Iterable, Sequence

from exporter.report.markup import Content, Markup, el


def section(name: str, title: str, note: Content, *content: Content) -> Markup:
    """Make a section with its heading and a note beside it; `name` is its anchor."""
    heading = el("h2", title, id=f"{name}-head")
    return el(
        "section",
        el("div", heading, el("p", note) if note else None, class_="head"),
        el("div", *content, class_="body"),
        id=name,
        aria_labelledby=f"{name}-head",
    )


def figures(*pairs: tuple[Content, Content]) -> Markup:
    """Show some figures, each under what it is."""
    return el("dl", [el("div", el("dt", name), el("dd", value)) for name, value in pairs], class_="figures")


def table(
    caption: str,
    heads: Sequence[Content],
    rows: Iterable[Sequence[Content]],
    *,
    numbers: Container[int] = (),
    prose: int | None = None,
) -> Markup:
    """Make a table that can be moved sideways where it is too wide.

    The first cell of a row is its heading; columns in `numbers` stand to the right, `prose` is one of sentences.
    """

    def kind(place: int) -> str | None:
        return "n" if place in numbers else "prose" if place == prose else None

    body = [
        el("tr", el("th", row[0], scope="row"), [el("td", cell, class_=kind(n)) for n, cell in enumerate(row) if n])
        for row in rows
    ]
    made = el(
        "table",
        el("caption", caption),
        el("thead", el("tr", [el("th", head, scope="col", class_=kind(place)) for place, head in enumerate(heads)])),
        el("tbody", body),
    )
    return el("div", made, class_="scroll", tabindex="0", role="region", aria_label=caption)


def key(class_: str, words: Content) -> Markup:
    """Explain a colour of a chart."""
    swatch = el(
        "svg",
        el("rect", width="100%", height="100%", class_=class_),
        class_="swatch",
        width="10",
        height="10",
        aria_hidden="true",
    )
    return el("span", swatch, words, class_="key")
