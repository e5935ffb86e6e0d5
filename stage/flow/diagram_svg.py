"""A picture as SVG, laid out by Graphviz (its port to Rust, which a wheel brings along)."""

import re
import shutil
import subprocess
import sysconfig
import textwrap
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from html import escape
from typing import Final

from stage.errors import StageError
from stage.flow.diagram import Arrow, Card, Frame, Picture

PROGRAM: Final = "graphviz-pure"
_PATIENCE = 30.0
_ABOUT = 64

#: Fill, line and ink of each kind of card, by day and then by night.
_COLOURS: Final = {
    "start": ("#f6f7f9", "#5b6472", "#1c2330", "#20262f", "#8b95a5", "#eef1f5"),
    "message": ("#e4eefc", "#3b6fd4", "#12274f", "#16294d", "#6b9bf2", "#e4eefc"),
    "reward": ("#e2f5e7", "#2f9150", "#0d3a1c", "#12351f", "#56c27a", "#e2f5e7"),
    "human": ("#ffe8cc", "#d9730d", "#4f2600", "#4a2a08", "#ff9d3d", "#fff1de"),
    "wait": ("#f1edfb", "#7a5fc0", "#2c1f57", "#2a2146", "#a98ff0", "#f1edfb"),
    "decision": ("#fff8db", "#b08900", "#463600", "#3a3006", "#d9b53a", "#fff8db"),
    "other": ("#f1f3f6", "#8a93a3", "#2a303b", "#262c35", "#8a93a3", "#e6e9ee"),
    "end": ("#3c4452", "#3c4452", "#fffffe", "#aeb7c4", "#aeb7c4", "#14181e"),
}
#: The line of what a newer version changes.
_CHANGES: Final = {"inserted": "#1b7f3b", "changed": "#c77700", "removed": "#c62828"}
_GROUND, _LINE, _QUIET, _EDGE = "#ffffff", "#6b7585", "#5b6472", "#b9c1cc"
_NIGHT = {_GROUND: "#12161c", _LINE: "#8b95a5", _QUIET: "#a5aebb", _EDGE: "#4d5663"}
_TEXT = 'Helvetica, Arial, "Liberation Sans", Arimo, sans-serif'
# Text is laid out this much larger than it is drawn: the reader's font may be wider than the one measured here.
_ROOM: Final = 1.13
_CODE = '"Courier New", "Liberation Mono", Cousine, Courier, monospace'


def svg(shown: Picture) -> str:
    """The picture as an SVG document that can be read by day and, where the reader prefers it, by night.

    Raises `StageError` where the program is missing or refuses.
    """
    program = shutil.which(PROGRAM, path=sysconfig.get_path("scripts")) or shutil.which(PROGRAM)
    if program is None:
        raise StageError(f"{PROGRAM} is not installed here; run `make setup`, or draw the diagram with --mermaid.")
    try:
        drawn = subprocess.run(  # noqa: S603 - no part of the command comes from outside
            [program, "-Tsvg"], input=dot(shown), capture_output=True, encoding="utf-8", timeout=_PATIENCE, check=True
        )
    except subprocess.TimeoutExpired as slow:
        raise StageError(f"{PROGRAM} did not draw {shown.title} in {_PATIENCE:.0f} seconds.") from slow
    except subprocess.CalledProcessError as refusal:
        raise StageError(f"{PROGRAM} did not draw {shown.title}: {refusal.stderr.strip()}") from refusal
    # What comes before the root is a DOCTYPE that some viewers would fetch.
    opening, _, body = drawn.stdout[drawn.stdout.index("<svg") :].partition(">")
    steps = {card.key: card.step or card.title[0] for card in shown.cards}
    body = re.sub(r"<title>(.*?)</title>\n", lambda found: _titled(steps.get(found[1])), body)
    body = re.sub(r'font-size="([\d.]+)"', lambda found: f'font-size="{float(found[1]) / _ROOM:.1f}"', body)
    title = f"<title>{escape(shown.title)}: {escape(shown.about)}</title>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{opening}>\n{title}\n<style>\n{_style()}</style>{body}'


def dot(shown: Picture) -> str:
    """The picture in the language of Graphviz."""
    ends = {card.key for card in shown.cards if card.kind == "end"}
    lines = [
        "digraph {",
        f'  graph [rankdir=TB, bgcolor="{_GROUND}", pad=0.3, nodesep=0.45, ranksep=0.36, fontname=Helvetica]',
        f'  node [shape=box, style="rounded,filled", fontname=Helvetica, fontsize={_size(12)}, margin="0.16,0.09"]',
        f'  edge [fontname=Helvetica, fontsize={_size(10.5)}, color="{_LINE}", fontcolor="{_QUIET}", arrowsize=0.7]',
        *_inside(shown, None),
        *(_arrow(arrow, ends) for arrow in shown.arrows),
        "}",
    ]
    return "\n".join(lines)


def _inside(shown: Picture, frame: str | None) -> list[str]:
    lines = [_card(card, shown) for card in shown.cards if card.frame == frame]
    for inner in shown.frames:
        if inner.parent == frame:
            lines += [f"  subgraph cluster_{inner.key} {{", _framed(inner), *_inside(shown, inner.key), "  }"]
    return lines


def _framed(frame: Frame) -> str:
    label = _font(frame.title, color=_QUIET, size=10.5)
    return f'  graph [label=<{label}>, labeljust=l, style="rounded,dashed", color="{_EDGE}", margin=12, class=frame]'


def _card(card: Card, shown: Picture) -> str:
    fill, line, ink, *_ = _COLOURS[card.kind]
    style = {
        "class": card.kind,
        "fillcolor": fill,
        "color": line,
        "fontcolor": ink,
        "penwidth": "2.6" if card.kind == "human" else "1.2",
        "tooltip": card.step or card.verb,
    }
    if card.kind == "decision":
        style |= {"shape": "hexagon", "style": "filled", "margin": "0,0.05"}
    if card.kind == "end":
        style |= {"margin": "0.14,0.04", "height": "0.2", "width": "0.3"}
    if card.change in _CHANGES:
        style |= {"color": _CHANGES[card.change], "penwidth": "3.2", "class": f"{card.kind} {card.change}"}
    if card.change == "removed":
        style |= {"style": f"{style.get('style', 'rounded,filled')},dashed", "fillcolor": _GROUND}
    attributes = ", ".join(f'{name}="{_quoted(value)}"' for name, value in style.items())
    rows = _start(shown) if card.kind == "start" else _rows(card)
    return f"  {card.key} [{attributes}, label=<{_table(rows)}>]"


def _rows(card: Card) -> Iterable[str]:
    side = "CENTER" if card.kind == "decision" else "LEFT"
    if card.change in _CHANGES:
        yield _cell(_font(card.change, color=_CHANGES[card.change], size=9.5), side)
    if card.verb:
        yield _cell(_font(card.verb, color=_QUIET, size=9.5), side)
    for line in card.title:
        yield _cell(_escaped(line) if card.kind in {"decision", "end"} else f"<B>{_escaped(line)}</B>", side)
    for line in card.lines:
        yield _cell(_escaped(line), side)
    if card.step:
        yield _cell(_font(card.step, color=_QUIET, size=8.5, face="Courier"), side)
    if card.count:
        yield _cell(f"<B>{_font(card.count, size=14)}</B>", side)


def _start(shown: Picture) -> Iterable[str]:
    yield _cell(f"<B>{_font(shown.title, size=16)}</B>", "LEFT")
    for line in textwrap.wrap(shown.about, _ABOUT):
        yield _cell(_escaped(line), "LEFT")
    facts = [(_font(f"{name}  ", color=_QUIET), _escaped(fact)) for name, fact in shown.facts]
    yield _cell(_table(_cell(name, "LEFT") + _cell(fact, "LEFT") for name, fact in facts), "LEFT")


def _cell(said: str, side: str) -> str:
    return f'<TD ALIGN="{side}">{said}</TD>'


def _table(rows: Iterable[str]) -> str:
    said = "".join(f"<TR>{row}</TR>" for row in rows)
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1.5">{said}</TABLE>'


def _arrow(arrow: Arrow, ends: AbstractSet[str]) -> str:
    # Ways on pull harder than ways out, so that the main way runs straight down.
    style = f"class=way, weight={1 if arrow.target in ends else 8}"
    # The cell keeps the words off the line.
    cell = f'<TABLE BORDER="0" CELLBORDER="0"><TR><TD>{_escaped(arrow.words)}</TD></TR></TABLE>'
    label = f", label=<{cell}>" if arrow.words else ""
    if arrow.removed:
        style += f', color="{_CHANGES["removed"]}", constraint=false'
    if arrow.back:
        return f"  {arrow.target} -> {arrow.source} [{style}{label}, dir=back, style=dashed]"
    return f"  {arrow.source} -> {arrow.target} [{style}{label}]"


def _titled(title: str | None) -> str:
    """What a pointer resting on a card is told: the step's id; nothing on arrows and frames."""
    return "" if title is None else f"<title>{escape(title)}</title>\n"


def _size(points: float) -> str:
    return f"{points * _ROOM:g}"


def _font(text: str, *, color: str = "", size: float = 0, face: str = "") -> str:
    attributes = {"COLOR": color, "POINT-SIZE": _size(size) if size else "", "FACE": face}
    said = "".join(f' {name}="{value}"' for name, value in attributes.items() if value)
    return f"<FONT{said}>{_escaped(text)}</FONT>"


def _escaped(text: str) -> str:
    # Graphviz reads a backslash even here.
    return escape(text).replace("\\", "\\\\")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _style() -> str:
    lines = [f"text {{ font-family: {_TEXT}; }}", f'text[font-family^="Courier"] {{ font-family: {_CODE}; }}']
    lines += ["@media (prefers-color-scheme: dark) {"]
    for day, night in _NIGHT.items():
        lines += [f'  [fill="{day}"] {{ fill: {night}; }}', f'  [stroke="{day}"] {{ stroke: {night}; }}']
    for kind, (_, _, _, fill, line, ink) in _COLOURS.items():
        lines += [
            f"  .{kind} path, .{kind} polygon {{ fill: {fill}; stroke: {line}; }}",
            f'  .{kind} text {{ fill: {ink}; }} .{kind} text[fill="{_QUIET}"] {{ fill: {_NIGHT[_QUIET]}; }}',
        ]
    lines.append("}")
    # Later and more particular than what the night says of each kind.
    lines += [
        f"g.{change} path, g.{change} polygon {{ stroke: {colour}; }}"
        f' g.{change} text[fill="{colour}"] {{ fill: {colour}; }}'
        for change, colour in _CHANGES.items()
    ]
    return "\n".join(lines) + "\n"
