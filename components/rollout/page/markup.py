"""HTML whose every text is escaped.

element("p", "a < b", class_="note")            # <p class="note">a &lt; b</p>
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Escaped already."""

    __slots__ = ()


Child = str | Html | None
_VOID = frozenset({"meta", "line", "circle", "rect", "polyline", "polygon", "path"})


def element(name: str, /, *children: Child | Iterable[Child], **attributes: object) -> Html:
    """`class_` is `class`, `stroke_width` is `stroke-width`; None leaves an attribute out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(_escaped(child) for child in _flat(children))
    return Html(f"<{name}{given}/>" if name in _VOID and not inside else f"<{name}{given}>{inside}</{name}>")


def table(head: Sequence[Child], rows: Iterable[Sequence[Child]]) -> Html:
    cells = element("thead", element("tr", [element("th", cell) for cell in head]))
    body = element("tbody", [element("tr", [element("td", cell) for cell in row]) for row in rows])
    return element("div", element("table", cells, body), class_="scroll")


def _flat(children: Iterable[Child | Iterable[Child]]) -> Iterable[Child]:
    for child in children:
        if child is None or isinstance(child, str):
            yield child
        else:
            yield from child


def _escaped(child: Child) -> str:
    if child is None:
        return ""
    return child if isinstance(child, Html) else html.escape(child)


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
