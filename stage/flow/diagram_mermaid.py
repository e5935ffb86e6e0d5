"""A picture as Mermaid text, for places that draw it themselves: repositories, wikis, chats."""

from html import escape

from stage.flow.diagram import Card, Picture

_SHAPES = {
    "start": ('["', '"]'),
    "message": ('["', '"]'),
    "reward": ('["', '"]'),
    "human": ('[["', '"]]'),
    "wait": ('("', '")'),
    "decision": ('{{"', '"}}'),
    "other": ('["', '"]'),
    "end": ('(["', '"])'),
}
_STYLES = (
    "classDef start fill:#f6f7f9,stroke:#5b6472,color:#1c2330",
    "classDef message fill:#e4eefc,stroke:#3b6fd4,color:#12274f",
    "classDef reward fill:#e2f5e7,stroke:#2f9150,color:#0d3a1c",
    "classDef human fill:#ffe8cc,stroke:#d9730d,color:#4f2600,stroke-width:3px",
    "classDef wait fill:#f1edfb,stroke:#7a5fc0,color:#2c1f57",
    "classDef decision fill:#fff8db,stroke:#b08900,color:#463600",
    "classDef other fill:#f1f3f6,stroke:#8a93a3,color:#2a303b",
    "classDef end_ fill:#3c4452,stroke:#3c4452,color:#ffffff",
)
_GONE = "stroke:#c62828,stroke-dasharray:4"
_CHANGES = {
    "inserted": "stroke:#1b7f3b,stroke-width:4px",
    "changed": "stroke:#b08900,stroke-width:4px",
    "removed": f"fill:#ffffff,color:#8c2020,stroke-width:3px,{_GONE}",
}


def mermaid(shown: Picture) -> str:
    """The picture as a Mermaid flowchart, ending in a newline."""
    lines = [f"---\ntitle: {shown.title}\n---", "flowchart TB"]
    lines += _cards(shown, None, "  ")
    for arrow in shown.arrows:
        line = "-.->" if arrow.back else "-->"
        words = f'|"{_escaped(arrow.words)}"|' if arrow.words else ""
        lines.append(f"  {arrow.source} {line}{words} {arrow.target}")
    lines += [f"  {style}" for style in _STYLES]
    gone = [str(number) for number, arrow in enumerate(shown.arrows) if arrow.removed]
    lines += [f"  linkStyle {','.join(gone)} {_GONE}"] if gone else []
    lines += [f"  style {card.key} {_CHANGES[card.change]}" for card in shown.cards if card.change in _CHANGES]
    return "\n".join(lines) + "\n"


def _cards(shown: Picture, frame: str | None, indent: str) -> list[str]:
    lines = [indent + _card(card, shown) for card in shown.cards if card.frame == frame]
    for inner in shown.frames:
        if inner.parent == frame:
            lines += [f'{indent}subgraph {inner.key}["{_escaped(inner.title)}"]']
            lines += _cards(shown, inner.key, indent + "  ")
            lines += [f"{indent}end", f"{indent}style {inner.key} fill:none,stroke:#b9c1cc,stroke-dasharray:5"]
    return lines


def _card(card: Card, shown: Picture) -> str:
    opening, closing = _SHAPES[card.kind]
    title = "<br/>".join(map(_escaped, card.title))
    title = title if card.kind == "decision" else f"<b>{title}</b>"
    said = [f"{_escaped(card.verb)} {title}".strip(), *map(_escaped, card.lines)]
    if card.kind == "start":
        said += [_escaped(shown.about), *(f"{_escaped(name)}: {_escaped(fact)}" for name, fact in shown.facts)]
    said = [f"<b>{card.change}</b>", *said] if card.change in _CHANGES else said
    said += [f"<i>{_escaped(card.step)}</i>"] if card.step else []
    said += [f"<b>{_escaped(card.count)}</b>"] if card.count else []
    style = "end_" if card.kind == "end" else card.kind  # `end` closes a subgraph
    return f"{card.key}{opening}{'<br/>'.join(said)}{closing}:::{style}"


def _escaped(text: str) -> str:
    # A number sign begins an entity of Mermaid's own.
    return escape(text.replace("#", "\0"), quote=True).replace("&#x27;", "'").replace("&", "#").replace("\0", "#35;")
