"""The ways out of a node: what a step's result can be, which of it a `case` takes, and what each way is called."""

import ast
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from workflows.events import Event
from workflows.experiments import Experiment
from workflows.forms import Form
from workflows.player import Player
from workflows.source.expressions import plain
from workflows.source.flow_graph import Node, StepNode, Value
from workflows.verb_table import VERBS


@dataclass(frozen=True)
class Way:
    """A way that leads out of a node and has not arrived anywhere yet."""

    source: Node
    words: str = ""
    kinds: tuple[type[Event], ...] = ()
    happened: bool | None = None


Ways = list[Way]
"""The ways that have led to where the reader is; none when no run comes there."""


def alternatives(step: StepNode | None) -> list[str]:
    """What a step's result can be, by name; empty where that is not known."""
    match step:
        case None:
            return []
        case StepNode(verb="split"):
            return [name for name in step.keywords if name != "**"]
        case StepNode(verb="arm", arguments=[Value(known=Experiment() as tried), *_]):
            return [*tried.arms]
        case StepNode(verb="ask", arguments=[Value(known=type() as form), *_]) if issubclass(form, Form):
            return [form.__name__, "None"]
        case StepNode(kinds=kinds) if kinds:
            return [*(kind.__name__ for kind in kinds), "None"]
    return _result_classes(step.verb)


def _result_classes(verb: str) -> list[str]:
    """The classes of which a verb returns one, where its annotation names several."""
    if verb not in VERBS:
        return []
    classes = get_args(inspect.signature(getattr(Player, verb)).return_annotation)
    known = [one.__name__ for one in classes if isinstance(one, type) and one is not type(None)]
    return known if len(known) == len(classes) else []


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


def branches_on(step: StepNode, *, answer: bool | str) -> tuple[Ways, Ways] | None:
    """The ways out of a step with this answer and without it: something, nothing, or a part of a split by its name.

    None where such an answer to this step is not known.
    """
    if isinstance(answer, str):
        if step.verb not in {"split", "arm"}:
            return None
        others = [name for name in alternatives(step) if name != answer]
        return [way_of(step, step, [answer])], [way_of(step, step, others)]
    results = _results(step)
    if results is None:
        return None
    words = " or ".join(kind.__name__ for kind in step.kinds) or results[0]
    something, nothing = [Way(step, words, step.kinds, happened=True)], [Way(step, _nothing(step), happened=False)]
    return (something, nothing) if answer else (nothing, something)


def _results(step: StepNode) -> tuple[str, str] | None:
    return VERBS[step.verb].results if step.verb in VERBS else None


def _nothing(step: StepNode) -> str:
    within = step.keywords.get("within")
    if within is not None:
        return f"{within.words} passed"
    return (_results(step) or ("", "None"))[1]


def stands_at(ways: Sequence[Way], step: StepNode) -> bool:
    """Whether a step was the last thing done, whatever its result."""
    return len(ways) == 1 and ways[0].source is step and not ways[0].words
