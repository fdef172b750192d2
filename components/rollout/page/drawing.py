"""Charts as inline SVG: a line with its band over time, and evidence against its bounds.

draw_series("click_rate", points, boundary=0.0)
draw_evidence(history.evidence, planned_looks(standing))
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence

from components.rollout.page.history import Evidence, Point
from components.rollout.page.markup import Html, element

WIDTH, HEIGHT = 520, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 30
Scale = Callable[[float], float]


def draw_series(
    label: str,
    points: Sequence[Point],
    *,
    boundaries: Sequence[tuple[float, str]],
    marks: Sequence[tuple[datetime.datetime, str]] = (),
) -> Html:
    """Value and band over time; `boundaries` are horizontal, each with its meaning, `marks` what happened when."""
    if not points:
        return _empty(label)
    times = [point.time.timestamp() for point in points]
    # Early bands are wider than anything of interest: the later half sets the scale, the rest is cut off.
    settled = points[len(points) // 2 :]
    values = [value for point in settled for value in (point.low, point.high, point.value)]
    values += [value for value, _ in boundaries]
    x, y = _scale_x(min(times), max(times)), _scale_y(min(values), max(values))
    upper = [(x(time), y(point.high)) for time, point in zip(times, points, strict=True)]
    lower = [(x(time), y(point.low)) for time, point in zip(times, points, strict=True)]
    middle = [(x(time), y(point.value)) for time, point in zip(times, points, strict=True)]
    return _chart(
        label,
        element("polygon", points=_path([*upper, *reversed(lower)]), class_="band"),
        [_mark(x(time.timestamp()), text) for time, text in marks if times[0] <= time.timestamp() <= times[-1]],
        [_boundary(y(value), text) for value, text in boundaries],
        element("polyline", points=_path(middle), class_="line"),
        element("circle", cx=middle[-1][0], cy=middle[-1][1], r=3.5, class_="dot"),
        _axis_y(min(values), max(values), y),
        _axis_time(times, x),
    )


def draw_evidence(path: Sequence[Evidence], looks: Sequence[Evidence], *, taken: Sequence[Evidence]) -> Html:
    """z over information: the path of all snapshots, the bound of each look, and the looks that were taken."""
    label = "z of the promotion test over information"
    values = [0.0, *(each.z for each in (*looks, *taken)), *(each.z for each in path)]
    values = [min(max(value, -4.0), 12.0) for value in values]
    x, y = _scale_x(0.0, max([1.0, *(each.information for each in path)])), _scale_y(min(values), max(values))
    line = [(x(each.information), y(each.z)) for each in path]
    bounds = [(x(each.information), y(each.z)) for each in looks]
    return _chart(
        label,
        element("polyline", points=_path(bounds), class_="bound") if bounds else None,
        [element("rect", x=cx - 4, y=cy - 4, width=8, height=8, class_="boundmark") for cx, cy in bounds],
        element("polyline", points=_path(line), class_="line") if line else None,
        [element("circle", cx=x(look.information), cy=y(look.z), r=5, class_="dot") for look in taken],
        _axis_y(min(values), max(values), y),
        [
            element("text", f"{share:.0%}", x=x(share), y=HEIGHT - 10, class_="tick", text_anchor="middle")
            for share in (0, 0.25, 0.5, 0.75, 1)
        ],
        element("text", "promoted above", x=WIDTH - _RIGHT, y=_TOP + 10, class_="tick", text_anchor="end"),
    )


def draw_ratio(points: Sequence[tuple[datetime.datetime, float]], *, threshold: float) -> Html:
    series = [Point(time, value, value, value) for time, value in points]
    return draw_series("log evidence of unequal arms", series, boundaries=[(threshold, "holds above")])


def _chart(label: str, *parts: Html | Sequence[Html] | None) -> Html:
    drawn = element(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=label,
        preserveAspectRatio="xMidYMid meet",
    )
    return element("figure", element("figcaption", label), drawn)


def _empty(label: str) -> Html:
    return element("figure", element("figcaption", label), element("p", "nothing measured yet", class_="note"))


def _scale_x(low: float, high: float) -> Scale:
    span = high - low or 1.0
    return lambda value: _LEFT + (value - low) / span * (WIDTH - _LEFT - _RIGHT)


def _scale_y(low: float, high: float) -> Scale:
    low, high = _padded(low, high)

    def scale(value: float) -> float:
        kept = min(max(value if math.isfinite(value) else high, low), high)
        return HEIGHT - _BOTTOM - (kept - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    return scale


def _padded(low: float, high: float) -> tuple[float, float]:
    space = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return low - space, high + space


def _boundary(y: float, text: str) -> Html:
    line = element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="bound")
    return element("g", line, element("text", text, x=_LEFT + 6, y=y - 4, class_="tick"))


def _mark(x: float, text: str) -> Html:
    line = element("line", x1=x, x2=x, y1=_TOP, y2=HEIGHT - _BOTTOM, class_="axis")
    return element("g", line, element("text", text, x=x + 3, y=_TOP + 9, class_="tick"))


def _axis_y(low: float, high: float, y: Scale) -> list[Html]:
    marks = [low + (high - low) * share for share in (0, 0.5, 1)] if high > low else [low]
    found = [
        element("text", f"{mark:.3g}", x=_LEFT - 6, y=y(mark) + 4, class_="tick", text_anchor="end") for mark in marks
    ]
    return [element("line", x1=_LEFT, x2=_LEFT, y1=_TOP, y2=HEIGHT - _BOTTOM, class_="axis"), *found]


def _axis_time(times: Sequence[float], x: Scale) -> list[Html]:
    ends = {times[0]: "start", times[-1]: "end"} if times[-1] > times[0] else {times[0]: "start"}
    return [
        element("text", _stamp(time), x=x(time), y=HEIGHT - 10, class_="tick", text_anchor=anchor)
        for time, anchor in ends.items()
    ]


def _stamp(time: float) -> str:
    return datetime.datetime.fromtimestamp(time, datetime.UTC).strftime("%m-%d %H:%M")


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
