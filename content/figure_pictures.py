"""Small pictures of figures as SVG, without style of their own: a page's rules for its classes colour them."""

from collections.abc import Sequence
from html import escape
from typing import Final

WIDTH: Final = 120
HEIGHT: Final = 28
_MARGIN: Final = 3
#: The side of a picture of two figures against each other, and the room around it.
SIDE: Final = 220
_ROOM: Final = 8


def sparkline(values: Sequence[float | None], title: str) -> str:
    """A line through values in the order of their time, the newest marked; weeks without a number are left out.

    Fewer than two numbers make no line and give an empty text.
    """
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(value for _, value in known), max(value for _, value in known)
    wide, tall = WIDTH - 2 * _MARGIN, HEIGHT - 2 * _MARGIN
    points = [
        (
            _MARGIN + wide * place / (len(values) - 1),
            _MARGIN + tall * (1 - (value - low) / (high - low) if high > low else 0.5),
        )
        for place, value in known
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img"'
        f' aria-label="{escape(title, quote=True)}"><polyline points="{line}" fill="none" stroke="currentColor"'
        f' stroke-width="1.5"/><circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="currentColor"/></svg>'
    )


def interval_bar(value: float, low: float, high: float, title: str) -> str:
    """A difference with its interval on a line around zero, which is marked."""
    reach = max(abs(low), abs(high), 1e-12)
    wide = WIDTH - 2 * _MARGIN

    def place(number: float) -> float:
        return _MARGIN + wide * (number + reach) / (2 * reach)

    middle = HEIGHT / 2
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img"'
        f' aria-label="{escape(title, quote=True)}">'
        f'<line x1="{place(0):.1f}" x2="{place(0):.1f}" y1="2" y2="{HEIGHT - 2}" stroke="currentColor"'
        ' stroke-dasharray="2 2" stroke-width="1"/>'
        f'<line x1="{place(low):.1f}" x2="{place(high):.1f}" y1="{middle}" y2="{middle}" stroke="currentColor"'
        ' stroke-width="3"/>'
        f'<circle cx="{place(value):.1f}" cy="{middle}" r="4" fill="currentColor"/></svg>'
    )


def share_bar(share: float, title: str) -> str:
    """A share from 0 to 1 as the filled part of a bar; what is left of the bar is the rest."""
    wide, tall, top = WIDTH - 2 * _MARGIN, 10, (HEIGHT - 10) / 2
    filled = wide * min(1.0, max(0.0, share))
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img"'
        f' aria-label="{escape(title, quote=True)}">'
        f'<rect x="{_MARGIN}" y="{top}" width="{wide}" height="{tall}" rx="2" fill="none" stroke="currentColor"/>'
        f'<rect x="{_MARGIN}" y="{top}" width="{filled:.1f}" height="{tall}" rx="2" fill="currentColor"/></svg>'
    )


def calibration_plot(points: Sequence[tuple[float, float]], title: str) -> str:
    """What was said, from left to right, against what came, from below: chances that are true lie on the diagonal.

    Both are shares from 0 to 1, and the picture shows all of that, so one of two models can be held against another.
    """
    places = [(_across(said), _up(came)) for said, came in points]
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="currentColor"/>' for x, y in places)
    return _plot(_line(places, 1) + dots, title)


def gain_curve(amounts: Sequence[tuple[float, float]], title: str) -> str:
    """Which part of all was expected of the players ranked highest, dashed, and which came of them.

    `amounts` are of parts of equally many players, those ranked highest first: what was expected and what came. A
    ranking that knows nothing goes along the diagonal.
    """
    expected, came = ([one[side] for one in amounts] for side in (0, 1))
    return _plot(_line(_gained(expected), 2, ' stroke-dasharray="5 4"') + _line(_gained(came), 2), title)


def _gained(values: Sequence[float]) -> list[tuple[float, float]]:
    total, so_far, places = sum(values), 0.0, [(_across(0), _up(0))]
    for place, value in enumerate(values, 1):
        so_far += value
        places.append((_across(place / len(values)), _up(so_far / total if total else 0.0)))
    return places


def _line(places: Sequence[tuple[float, float]], wide: int, more: str = "") -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="{wide}"{more}/>'


def _across(share: float) -> float:
    return _ROOM + (SIDE - 2 * _ROOM) * min(1.0, max(0.0, share))


def _up(share: float) -> float:
    return SIDE - _across(share)


def _plot(drawn: str, title: str) -> str:
    near, far = _across(0), _across(1)
    return (
        f'<svg class="plot" viewBox="0 0 {SIDE} {SIDE}" width="{SIDE}" height="{SIDE}" role="img"'
        f' aria-label="{escape(title, quote=True)}">'
        f'<rect x="{near}" y="{near}" width="{far - near}" height="{far - near}" fill="none" stroke="currentColor"'
        ' stroke-opacity="0.4"/>'
        f'<line x1="{near}" y1="{far}" x2="{far}" y2="{near}" stroke="currentColor" stroke-opacity="0.5"'
        f' stroke-dasharray="2 3"/>{drawn}</svg>'
    )
