"""What a new version of a journey changes, step by step: kept, changed, inserted, removed."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from workflows.source.flow_graph import Decision, Flow, Node, Repeat, StepNode, Value
from workflows.source.version_content import plain_text

Change = Literal["kept", "changed", "inserted", "removed"]


@dataclass(frozen=True)
class StepChange:
    """One step or question and what becomes of it. `old` and `new` are its nodes in the two flows.

    `step` is its id, in the old version where it is removed; `was` is its old id where that is another now. `words` say
    what changed of it, `after` names what comes before it.
    """

    change: Change
    step: str
    words: tuple[str, ...] = ()
    after: str = ""
    was: str = ""
    old: Node | None = None
    new: Node | None = None

    @property
    def how(self) -> str:
        """What changed of it, or where it was put in or taken out."""
        told = [*self.words, *([f"it was {self.was}"] if self.was else [])]
        place = f"after {self.after}" if self.after and self.change in {"inserted", "removed"} else ""
        return "; ".join(told) or place

    def __str__(self) -> str:
        return f"{self.change:<8}  {self.step}  {self.how}".rstrip()


def flow_changes(old: Flow, new: Flow) -> tuple[StepChange, ...]:
    """Every step and question of both versions, in the order of the new one; what was removed stands where it was."""
    before, now = _nodes(old), _nodes(new)
    matcher = SequenceMatcher(None, [_name(node) for node in before], [_name(node) for node in now], autojunk=False)
    found: list[StepChange] = []
    for how, first, last, new_first, new_last in matcher.get_opcodes():
        if how == "equal":
            pairs = zip(before[first:last], now[new_first:new_last], strict=True)
            found += [_kept(old, one, new, other) for one, other in pairs]
            continue
        for node in before[first:last]:
            found.append(StepChange("removed", _id(old, node), after=_last(found), old=node))
        for node in now[new_first:new_last]:
            found.append(StepChange("inserted", _id(new, node), after=_last(found), new=node))
    return tuple(found)


def by_node(changes: tuple[StepChange, ...]) -> Mapping[Node, StepChange]:
    """The changes by each node of either flow."""
    return {node: one for one in changes for node in (one.old, one.new) if node is not None}


def _nodes(flow: Flow) -> list[Node]:
    return [node for node in flow.nodes if isinstance(node, StepNode | Decision | Repeat)]


def _name(node: Node) -> str:
    match node:
        case StepNode():
            return node.name
        case Decision(words=words) | Repeat(words=words):
            return f"{type(node).__name__} {words}"
    return ""


def _id(flow: Flow, node: Node) -> str:
    match node:
        case StepNode():
            return f"{node.name}{flow.numbers[node]}"
        case Decision(words=words) | Repeat(words=words):
            return f"`{words}`"
    return ""


def _last(found: list[StepChange]) -> str:
    return next((one.step for one in reversed(found) if one.change != "removed"), "the start")


def _kept(old: Flow, one: Node, new: Flow, other: Node) -> StepChange:
    words = tuple(_differences(one, other)) if isinstance(one, StepNode) and isinstance(other, StepNode) else ()
    before, now = _id(old, one), _id(new, other)
    was = before if before != now else ""
    return StepChange("changed" if words or was else "kept", now, words, was=was, old=one, new=other)


def _differences(old: StepNode, new: StepNode) -> Iterator[str]:
    """What differs between two calls of one verb, argument by argument."""
    before = {**{str(n): value for n, value in enumerate(old.arguments, 1)}, **old.keywords}
    now = {**{str(n): value for n, value in enumerate(new.arguments, 1)}, **new.keywords}
    for name in dict.fromkeys([*before, *now]):
        said = "" if name.isdecimal() else f"{name} "
        if name not in now:
            yield f"{said}{_shown(before[name])} is gone"
        elif name not in before:
            yield f"{said}{_shown(now[name])} is new"
        elif not _same(before[name], now[name]):
            yield f"{said}{_shown(before[name])} -> {_shown(now[name])}"


def _same(old: Value, new: Value) -> bool:
    """Whether two arguments are the same: by their values where these are plain, else by the code's words."""
    values = plain_text(old.known), plain_text(new.known)
    return values[0] == values[1] if None not in values else old.words == new.words


def _shown(value: Value) -> str:
    known = plain_text(value.known)
    named = isinstance(value.code, ast.Name | ast.Attribute)
    return f"{value.words} ({value.known})" if known is not None and named else value.words
