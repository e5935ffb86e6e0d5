"""A journey as a flow: its verbs and decisions as nodes, and the ways a run can take between them.

`flow_reader.py` reads it off a journey's code; the diagram draws it and the check walks it. Every step knows which of
the runtime's step ids it can have: `send:guide#1`, or in a loop `ask:HostCall#n`.
"""

import ast
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from workflows.declaration import Journey
from workflows.events import Event
from workflows.verb_table import VERBS, Shape

UNKNOWN: Final = object()
"""The value of an expression when only a run can tell."""


@dataclass(frozen=True)
class Value:
    """An argument: its value if that is known beforehand, and the code's own words for it."""

    words: str
    known: Any = UNKNOWN
    code: ast.expr | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class StartNode:
    """Where every run begins."""


@dataclass(frozen=True, eq=False)
class StepNode:
    """One call of a verb. `subject` is what the step's id names: a template, a reward, a form, an event."""

    verb: str
    subject: str
    line: int
    arguments: tuple[Value, ...] = ()
    keywords: Mapping[str, Value] = field(default_factory=dict)
    kinds: tuple[type[Event], ...] = ()
    #: Where the code makes it.
    call: ast.Call | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What the runtime counts the step under: `send:welcome`."""
        return f"{self.verb}:{self.subject}" if self.subject else self.verb

    @property
    def shape(self) -> Shape:
        """What its verb does to the player."""
        return VERBS[self.verb].shape if self.verb in VERBS else "other"

    @property
    def waits(self) -> bool:
        """Whether a run stands here until something happens or a time has come."""
        return self.verb in VERBS and VERBS[self.verb].waits


@dataclass(frozen=True, eq=False)
class Decision:
    """A question the code asks without a verb; its ways out are labelled."""

    words: str
    line: int


@dataclass(frozen=True, eq=False)
class Repeat:
    """The head of a loop that is not itself a step."""

    words: str
    line: int


@dataclass(frozen=True, eq=False)
class EndNode:
    """A run, or with `again` a chapter of it, ends here."""

    again: str | None = None


Node = StartNode | StepNode | Decision | Repeat | EndNode


@dataclass(frozen=True)
class Edge:
    """A way from one node to the next, taken when `words` holds.

    After a wait, `kinds` are the events that may have come on this way; empty means that none did if
    `happened` is False, and that nobody asked if it is None.
    """

    source: Node
    target: Node
    words: str = ""
    kinds: tuple[type[Event], ...] = ()
    happened: bool | None = None


@dataclass(frozen=True, eq=False)
class HelperCall:
    """The nodes of one call of a helper."""

    name: str
    about: str
    parent: "HelperCall | None" = None


@dataclass(frozen=True)
class Numbers:
    """Which of the runtime's counts a step can have: from `first` to `last`, without end in a loop."""

    first: int
    last: int | None

    def __str__(self) -> str:
        if self.last is None:
            return "#n"
        return f"#{self.first}" if self.last == self.first else f"#{self.first} to #{self.last}"

    def __contains__(self, number: int) -> bool:
        return self.first <= number and (self.last is None or number <= self.last)


@dataclass(frozen=True)
class Flow:
    """A journey's nodes in the order of its code, and the ways between them."""

    journey: Journey
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    groups: Mapping[Node, HelperCall]
    numbers: Mapping[StepNode, Numbers]

    @property
    def start(self) -> Node:
        """The first node."""
        return self.nodes[0]

    @property
    def steps(self) -> Iterator[StepNode]:
        """The nodes that are steps."""
        return (node for node in self.nodes if isinstance(node, StepNode))

    def after(self, node: Node) -> list[Edge]:
        """The ways out of a node."""
        return [edge for edge in self.edges if edge.source is node]

    def before(self, node: Node) -> list[Edge]:
        """The ways into a node."""
        return [edge for edge in self.edges if edge.target is node]

    def reachable(self, origin: Node, through: Callable[[Edge], bool] = lambda _: True) -> set[Node]:
        """Every node that a run at `origin` can still come to by edges that `through` lets pass, and `origin`."""
        reached, waiting = {origin}, [origin]
        while waiting:
            node = waiting.pop()
            for edge in self.after(node):
                if edge.target not in reached and through(edge):
                    reached.add(edge.target)
                    waiting.append(edge.target)
        return reached


def numbered(nodes: Sequence[Node], edges: Sequence[Edge]) -> dict[StepNode, Numbers]:
    """Which count of its name each step can have, over every way that leads to it."""
    numbers: dict[StepNode, Numbers] = {}
    for name in {node.name for node in nodes if isinstance(node, StepNode)}:
        counted = [node for node in nodes if isinstance(node, StepNode) and node.name == name]
        fewest, most = _least(nodes, edges, counted), _greatest(nodes, edges, counted)
        for step in counted:
            numbers[step] = Numbers(fewest[step], most[step] if most[step] <= len(counted) else None)
    return numbers


def _least(nodes: Sequence[Node], edges: Sequence[Edge], counted: Collection[Node]) -> dict[Node, int]:
    best = {nodes[0]: 0}
    changed = True
    while changed:
        changed = False
        for edge in edges:
            if edge.source in best:
                count = best[edge.source] + (edge.target in counted)
                if count < best.get(edge.target, count + 1):
                    best[edge.target] = count
                    changed = True
    return best


def _greatest(nodes: Sequence[Node], edges: Sequence[Edge], counted: Collection[Node]) -> dict[Node, int]:
    most = {nodes[0]: 0}
    endless = len(counted) + 1  # a way that counts more than there are steps has gone round a loop
    changed = True
    while changed:
        changed = False
        for edge in edges:
            if edge.source in most:
                count = min(endless, most[edge.source] + (edge.target in counted))
                if count > most.get(edge.target, -1):
                    most[edge.target] = count
                    changed = True
    return most
