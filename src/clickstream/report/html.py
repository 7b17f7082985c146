"""Pieces of HTML. Everything that comes from data is escaped here."""

import html
from collections.abc import Iterable, Sequence


def text(value: object) -> str:
    """Text, escaped; characters that cannot be shown become spaces."""
    return html.escape("".join(each if each.isprintable() else " " for each in str(value)))


def element(name: str, *content: str, **attributes: object) -> str:
    """An element with content that is HTML already; `class_` stands for the attribute `class`."""
    named = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items())
    return f"<{name}{named}>{''.join(content)}</{name}>"


def paragraph(value: str, **attributes: object) -> str:
    """A paragraph of text."""
    return element("p", text(value), **attributes)


def table(caption: str, titles: Sequence[str], rows: Iterable[Sequence[object]], numbers: int = -1) -> str:
    """A table that scrolls by itself where it is wider than the page.

    Args:
        caption: Says what the table shows.
        titles: The titles of the columns.
        rows: The cells, as text; the first names the row.
        numbers: The first column of numbers; -1: none.
    """

    def kind(index: int) -> str:
        return "number" if 0 <= numbers <= index else "text"

    head = "".join(element("th", text(each), scope="col", class_=kind(index)) for index, each in enumerate(titles))
    body = "".join(
        element(
            "tr",
            element("th", text(row[0]), scope="row"),
            *(element("td", text(cell), class_=kind(index)) for index, cell in enumerate(row[1:], 1)),
        )
        for row in rows
    )
    made = element(
        "table", element("caption", text(caption)), element("thead", element("tr", head)), element("tbody", body)
    )
    # It can be scrolled by keyboard, so it must be reached by it and have a name.
    return element("div", made, class_="scroll", tabindex=0, role="region", aria_label=caption)


def joined(*content: str) -> str:
    """Pieces one after another."""
    return "".join(content)


def section(name: str, title: str, content: str) -> str:
    """A section of the page; `name` is its anchor."""
    heading = element("h2", text(title), id=f"{name}-title")
    return element("section", heading, content, id=name, aria_labelledby=f"{name}-title")


def figure(drawing: str, data: str, note: str) -> str:
    """A drawing with what it shows in words, and its data as a table that can be opened."""
    details = element("details", element("summary", "The data as a table"), data)
    return element("figure", drawing, element("figcaption", text(note)), details)
