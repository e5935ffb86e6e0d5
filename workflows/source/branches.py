"""The ways out of a node: what a step's result can be, which of it a `case` takes, and what each way is called."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from workflows.events import Event
from workflows.forms import Form
from workflows.source.expressions import plain
from workflows.source.flow import Node, StepNode, Value

#: Verbs whose result is something or nothing, and what the two are called.
OUTCOMES: Final[Mapping[str, tuple[str, str]]] = {
    "ask": ("answered", "nobody answered"),
    "event": ("it came", "it did not come"),
    "first": ("one came", "none came"),
    "grant": ("confirmed", "not confirmed"),
    "start": ("entered", "not entered"),
}


@dataclass(frozen=True)
class Way:
    """A way that leads out of a node and has not arrived anywhere yet."""

    source: Node
    words: str = ""
    kinds: tuple[type[Event], ...] = ()
    happened: bool | None = None


Front = list[Way]


def alternatives(step: StepNode | None) -> list[str]:
    """What a step's result can be, by name; empty where that is not known."""
    match step:
        case StepNode(verb="event" | "first"):
            return [*(kind.__name__ for kind in step.kinds), "None"] if step.kinds else []
        case StepNode(verb="ask", given=[Value(known=type() as form), *_]) if issubclass(form, Form):
            return [form.__name__, "None"]
        case StepNode(verb="send"):
            return ["Sent", "Suppressed"]
        case StepNode(verb="split"):
            return [name for name in step.named if name != "**"]
    return []


def taken_by(pattern: ast.pattern, left: Sequence[str], *, partly: bool = False) -> list[str]:  # noqa: PLR0911 - one match
    """Which of the results still `left` a pattern takes; with `partly`, also those it takes some of."""
    match pattern:
        case ast.MatchClass(cls=cls, patterns=inside, kwd_patterns=named) if partly or not (inside or named):
            name = ast.unparse(cls).rpartition(".")[2]
            return [name] if name in left else []
        case ast.MatchSingleton(value=None):
            return ["None"] if "None" in left else []
        case ast.MatchValue(value=ast.Constant(value=str(name))):
            return [name] if name in left else []
        case ast.MatchOr(patterns=patterns):
            return [name for inner in patterns for name in taken_by(inner, left, partly=partly)]
        case ast.MatchAs(pattern=None):
            return list(left)
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return taken_by(inner, left, partly=partly)
    return []


def takes_all(pattern: ast.pattern) -> bool:
    """Whether a pattern takes whatever comes."""
    return isinstance(pattern, ast.MatchAs) and (pattern.pattern is None or takes_all(pattern.pattern))


def pattern_words(case: ast.match_case) -> str:
    """A case in the code's own words."""
    words = "otherwise" if takes_all(case.pattern) else plain(case.pattern).removesuffix("()")
    return words if case.guard is None else f"{words} if {plain(case.guard)}"


def way_of(source: Node, step: StepNode | None, names: Sequence[str]) -> Way:
    """The way out of a step whose result is one of `names`."""
    if step is None or not names:
        return Way(source, "otherwise")
    kinds = tuple(kind for kind in step.kinds if kind.__name__ in names)
    nothing = _nothing(step)
    words = " or ".join(nothing if name == "None" else name for name in names)
    happened = "None" not in names if step.kinds and not (kinds and "None" in names) else None
    return Way(source, words, kinds, happened)


def _nothing(step: StepNode) -> str:
    within = step.named.get("within")
    return f"{within.words} passed" if within is not None else OUTCOMES.get(step.verb, ("", "None"))[1]


def outcomes(step: StepNode) -> tuple[Front, Front]:
    """The ways out of a step that came to something, and that came to nothing."""
    came = " or ".join(kind.__name__ for kind in step.kinds) or OUTCOMES[step.verb][0]
    return [Way(step, came, step.kinds, happened=True)], [Way(step, _nothing(step), (), happened=False)]


def stands_at(front: Front, step: StepNode) -> bool:
    """Whether a step was the last thing done, whatever its result."""
    return len(front) == 1 and front[0].source is step and not front[0].words
