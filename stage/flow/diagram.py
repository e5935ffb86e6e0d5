"""A journey as a picture: what is on each card, which arrows join them, and how many players stood where.

This module decides what is shown; `diagram_mermaid.py` and `diagram_svg.py` decide how.
"""

import ast
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from stage.flow.flow_changes import Change, flow_changes
from workflows.declaration import Entry, Journey
from workflows.events import SegmentEntered
from workflows.experiments import Experiment
from workflows.local_time import LocalTime
from workflows.rules.triggers import InactiveRule, MilestoneRule, OfSegment, On, Streak, Trigger
from workflows.rules.where import Where
from workflows.send_choices import BestChannel, BestHour
from workflows.source.expressions import plain, span
from workflows.source.flow_graph import Decision, EndNode, Flow, HelperCall, Node, Repeat, StartNode, StepNode, Value
from workflows.verb_table import Shape

Kind = Shape | Literal["start", "end"]

#: Characters in a line of a card.
WIDTH: Final = 40
_GLUE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Card:
    """One node as it is shown. `step` is the step id, or the ids, that the runtime gives it."""

    key: str
    kind: Kind
    verb: str
    title: tuple[str, ...]
    lines: tuple[str, ...] = ()
    step: str = ""
    count: str = ""
    frame: str | None = None
    #: What becomes of it in the newer of two versions; empty where one is drawn alone.
    change: Change | Literal[""] = ""


@dataclass(frozen=True)
class Arrow:
    """A way from card to card; `back` leads to a card that was drawn before."""

    source: str
    target: str
    words: str = ""
    back: bool = False
    #: Only the older of two versions has it.
    removed: bool = False


@dataclass(frozen=True)
class Frame:
    """The frame around the cards of a helper."""

    key: str
    title: str
    parent: str | None = None


@dataclass(frozen=True)
class Picture:
    """A journey's diagram before it is drawn. `facts` stand at the top."""

    title: str
    about: str
    facts: tuple[tuple[str, str], ...]
    cards: tuple[Card, ...]
    arrows: tuple[Arrow, ...]
    frames: tuple[Frame, ...]


def picture(flow: Flow, counts: Mapping[str, int] | None = None) -> Picture:
    """What to draw of a journey. `counts` are the runs seen at each step id.

    One id can belong to several cards where ways part and meet again: `grant:reload#1` is the first offer of
    one player and the second of another. The id does not tell them apart, so such cards say "up to".
    """
    keys = {node: f"n{index}" for index, node in enumerate(flow.nodes)}
    frames: dict[HelperCall, Frame] = {}
    for group in flow.groups.values():
        _frame(group, frames)
    joined: dict[tuple[str, str], list[str]] = {}
    for edge in flow.edges:
        words = joined.setdefault((keys[edge.source], keys[edge.target]), [])
        if edge.words and edge.words not in words:
            words.append(edge.words)
    order = list(keys.values())
    journey = flow.journey
    return Picture(
        title=journey.name,
        about=journey.description,
        facts=tuple(_facts(journey)),
        cards=tuple(_card(node, keys[node], flow, frames, counts) for node in flow.nodes),
        arrows=tuple(
            Arrow(source, target, " or ".join(words), back=order.index(target) <= order.index(source))
            for (source, target), words in joined.items()
        ),
        frames=tuple(frames.values()),
    )


def picture_of_changes(
    old: Flow, new: Flow, counts: Mapping[str, int] | None = None, new_counts: Mapping[str, int] | None = None
) -> Picture:
    """Two versions as one picture: the newer one, with what it removes of the older in its place.

    `counts` are runs by the older version's step ids, for they are the runs that a release concerns; `new_counts` are
    runs that play the newer, where there are some. Give one of them.
    """
    changes = flow_changes(old, new)
    older, newer = picture(old, counts), picture(new, new_counts)
    old_cards, new_cards = (dict(zip(flow.nodes, one.cards, strict=True)) for flow, one in ((old, older), (new, newer)))
    keys = {old_cards[old.start].key: new_cards[new.start].key}
    cards: list[Card] = [new_cards[new.start]]
    for one in changes:
        if one.new is None:
            assert one.old is not None
            card = old_cards[one.old]
            keys[card.key] = f"old_{card.key}"
            cards.append(replace(card, key=keys[card.key], frame=None, change="removed"))
            continue
        card = new_cards[one.new]
        count = card.count
        if one.old is not None:
            keys[old_cards[one.old].key], count = card.key, old_cards[one.old].count or count
        cards.append(
            replace(card, change=one.change, count=count, lines=(*card.lines, *_wrapped("; ".join(one.words))))
        )
    ends = {card.key: card.title for node, card in new_cards.items() if isinstance(node, EndNode)}
    # An end is an end: a way to one is gone only where the newer version ends at none of its kind from there.
    old_ends = {card.key: card.title for node, card in old_cards.items() if isinstance(node, EndNode)}
    keys |= {key: next((one for one, said in ends.items() if said == title), "") for key, title in old_ends.items()}
    kept = {(arrow.source, ends.get(arrow.target, arrow.target)) for arrow in newer.arrows}
    gone = [
        Arrow(source, target, arrow.words, arrow.back, removed=True)
        for arrow in older.arrows
        for source, target in [(keys[arrow.source], keys[arrow.target])]
        if target and (source, old_ends.get(arrow.target, target)) not in kept
    ]
    return replace(
        newer,
        cards=(*cards, *(new_cards[node] for node in new.nodes if isinstance(node, EndNode))),
        arrows=(*newer.arrows, *gone),
    )


# ---- cards ------------------------------------------------------------------------------------------


def _card(
    node: Node, key: str, flow: Flow, frames: Mapping[HelperCall, Frame], counts: Mapping[str, int] | None
) -> Card:
    group = flow.groups.get(node)
    frame = None if group is None else frames[group].key
    match node:
        case StartNode():
            return Card(key, "start", "", (flow.journey.name,))
        case EndNode(again=None):
            return Card(key, "end", "", ("end",))
        case EndNode(again=chapter):
            return Card(key, "end", "", (str(chapter),))
        case Decision(words=words):
            return Card(key, "decision", "", _wrapped(_glued(words)), frame=frame)
        case Repeat(words=words):
            return Card(key, "decision", "repeat", (words,), frame=frame)
    verb, title, lines = _described(node)
    step = f"{node.name}{flow.numbers[node]}"
    count = "" if counts is None else _counted(node, flow, counts)
    return Card(key, node.shape, verb, _wrapped(title), tuple(line for line in lines if line), step, count, frame)


def _described(step: StepNode) -> tuple[str, str, Sequence[str]]:  # noqa: PLR0911 - one match over the verbs
    """A step in words: what is done, with what, and how."""
    named = step.keywords
    first = step.arguments[0].words if step.arguments else ""
    subject = step.subject
    match step.verb:
        case "send":
            instead = _channels(", else by", named.get("fallback"))
            hour = named["at"].known if "at" in named else None
            when = f", {hour.words}" if isinstance(hour, BestHour) else ""
            return "send", subject, _wrapped(_channels("by", named.get("via")) + instead + when)
        case "grant":
            return "grant", subject.replace("_", " "), _wrapped(_arguments(step.arguments[0])) if step.arguments else ()
        case "ask":
            team = f"team {_word(named, 'team')}" + _after(", skill ", named, "skill")
            eyes = _after("agreed by ", named, "approvals") + _after(" not by who answered ", named, "not_by").replace(
                "[", ""
            ).replace("]", "")
            due = f"due in {_word(named, 'due')}" + _after(", then ", named, "escalate_to")
            return "ask", subject, [team, *_wrapped(eyes.strip()), due]
        case "event" | "first":
            within = f"within {_word(named, 'within')}" + (" from now on" if "fresh" in named else "")
            asked = "" if "where" in named and isinstance(named["where"].known, LocalTime) else "where "
            return "wait for", subject.replace("|", " or "), [within, *_wrapped(_after(asked, named, "where"))]
        case "sleep":
            return "wait", first, ()
        case "until":
            if "lambda" in first:
                return "wait until", _wrapped(first.partition(":")[2].strip())[0], ["moves with the player's facts"]
            day = _after("on ", named, "weekday") or _after("on ", named, "on")
            return "wait until", first, [f"{day} of the player's clock".strip() if day else "on the player's clock"]
        case "refresh":
            return "read again", "the player's facts", ()
        case "split":
            return "split", subject, [", ".join(f"{name} {share.words}" for name, share in named.items())]
        case "arm" if step.arguments and isinstance(tried := step.arguments[0].known, Experiment):
            return "experiment", subject, [", ".join(f"{name} {share} %" for name, share in tried.arms.items())]
    more = [*(value.words for value in step.arguments[1:]), *(f"{name}={value.words}" for name, value in named.items())]
    return step.verb.replace("_", " "), subject.replace("_", " "), _wrapped(_listed(more))


def _word(named: Mapping[str, Value], name: str) -> str:
    """An argument as it is read: the known text rather than the name of a constant."""
    value = named.get(name)
    if value is None:
        return "…"
    return value.known if isinstance(value.known, str) else value.words


def _after(words: str, named: Mapping[str, Value], name: str) -> str:
    return f"{words}{_word(named, name)}" if name in named else ""


def _channels(words: str, value: Value | None) -> str:
    if value is None:
        return "by email" if words == "by" else ""
    if isinstance(value.known, BestChannel):
        return f"{words} {value.known.words}"
    known = [value.known] if isinstance(value.known, str) else value.known
    if not isinstance(known, list | tuple):
        return f"{words} {value.words}"
    *before, last = known or [""]
    return f"{words} {', '.join(before)}{' and ' if before else ''}{last}" if last else ""


def _arguments(value: Value) -> str:
    """What stands between the parentheses of a reward's phrase."""
    if not isinstance(value.code, ast.Call):
        return value.words
    return _listed(plain(part).replace("=", " ", 1) for part in (*value.code.args, *value.code.keywords))


def _counted(step: StepNode, flow: Flow, counts: Mapping[str, int]) -> str:
    """How many were seen here, and how many may have been here or at another card of the same id."""
    certain = shared = 0
    others = [other for other in flow.steps if other.name == step.name and other is not step]
    for number, count in _numbered(step.name, counts).items():
        if number in flow.numbers[step]:
            if any(number in flow.numbers[other] for other in others):
                shared += count
            else:
                certain += count
    if not shared:
        return f"{certain:,}"
    return f"{certain:,} to {certain + shared:,}" if certain else f"up to {shared:,}"


def _numbered(name: str, counts: Mapping[str, int]) -> dict[int, int]:
    numbered = {}
    for step, count in counts.items():
        called, _, number = step.rpartition("#")
        if called == name and number.isdecimal():
            numbered[int(number)] = count
    return numbered


def _frame(group: HelperCall, frames: dict[HelperCall, Frame]) -> Frame:
    if group not in frames:
        parent = None if group.parent is None else _frame(group.parent, frames).key
        frames[group] = Frame(f"g{len(frames)}", group.name, parent)
    return frames[group]


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(part.replace(" ", _GLUE) for part in parts)


def _glued(question: str) -> str:
    """A question that is broken before its `or` and `and` rather than inside what they join."""
    kept = re.sub(r" (?!(or|and)\b)", _GLUE, question)
    return question if max(map(len, kept.split(" "))) > WIDTH else kept


def _wrapped(text: str) -> tuple[str, ...]:
    lines = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    return tuple(line.replace(_GLUE, " ") for line in lines)


# ---- what stands at the top ---------------------------------------------------------------------------


def _facts(journey: Journey) -> list[tuple[str, str]]:
    triggers = [*map(triggered, journey.triggers)] or ["nothing; by hand or from another journey"]
    facts = [("or on" if index else "starts on", trigger) for index, trigger in enumerate(triggers)]
    facts.append(("enters", entered(journey.entry)))
    if journey.goal is not None:
        kind, tie = journey.goal.kind.__name__, _same(journey.goal.same)
        sought = f"{kind}{_where(journey.goal.where)}{tie} within {span(journey.goal.within)}"
        facts.append(("goal", sought))
    if journey.exit_on:
        facts.append(("leaves on", " or ".join(map(triggered, journey.exit_on))))
    facts.append(("over after", span(journey.ends_after)))
    facts.append(("control", f"{journey.control} % get no offers" if journey.control else "none"))
    return facts


def triggered(trigger: Trigger) -> str:
    """What starts a journey, in a few words."""
    match trigger:
        case On(where=OfSegment(segment), kind=kind):
            return f"{'comes into' if kind is SegmentEntered else 'leaves'} {segment}"
        case On(kind=kind, where=where, same=same):
            return f"{kind.__name__}{_where(where)}{_same(same)}"
        case MilestoneRule(kind=kind, count=count):
            return f"{kind.__name__} number {count}"
        case Streak(kind=kind, length=length, broken_by=broken, within=within, where=where):
            words = f"{length} times {kind.__name__}{_where(where)} in a row"
            words += f" within {span(within)}" if within is not None else ""
            return words + (f", broken by {broken.__name__}" if broken is not None else "")
        case InactiveRule(kind=kind, duration=duration):
            return f"no {kind.__name__} for {span(duration)}"
        case _:
            return trigger.words


def entered(entry: Entry) -> str:
    """How often a player may enter, in a few words."""
    match entry:
        case Entry(period=period) if period is not None:
            return f"at most once in {span(period)}"
        case Entry(field=field) if field is not None:
            return f"once for each {field}"
        case Entry(kind="once"):
            return "once in a lifetime"
    return "each time, one run at a time"


def _same(field: str | None) -> str:
    return "" if field is None else f" of the same {field}"


def _where(where: Where | None) -> str:
    if where is None:
        return ""
    if isinstance(where, LocalTime):
        return f" {where.words}"
    name = getattr(where, "__name__", "")
    return " where …" if name in {"", "<lambda>"} else f" where {name}"
