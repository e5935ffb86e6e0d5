"""One call of one function, as a journey's flow is read: what its names mean there, and which helpers it leads to."""

import ast
import inspect
from collections import Counter
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, get_type_hints

from workflows.declaration import Journey
from workflows.experiments import Experiment
from workflows.loyalty.point_currencies import PointCurrency
from workflows.player import Player
from workflows.rewards import RewardBase
from workflows.rules.measures import Measure
from workflows.rules.segments import Segment
from workflows.run import JourneyRun
from workflows.source.branches import Ways
from workflows.source.expressions import Names
from workflows.source.flow_graph import UNKNOWN, HelperCall, StepNode, Value
from workflows.source.functions import (
    Definition,
    arguments_of,
    defaults_of,
    definition_of,
    names_around,
    parameters_of,
    written_function,
)
from workflows.verb_table import VERBS


@dataclass
class Loop:
    """The ways out of a loop that is being read, and those that lead round it again."""

    leaving: Ways = field(default_factory=list)
    again: Ways = field(default_factory=list)


@dataclass
class Scope:
    """One call of one function: what its names mean and where its `return` leads."""

    names: Names
    players: frozenset[str]
    #: The functions that are being read, the innermost last: one that calls itself is not read again.
    calls: tuple[Any, ...]
    group: HelperCall | None = None
    #: The step whose result a variable holds.
    results: dict[str, StepNode] = field(default_factory=dict)
    nested: dict[str, Definition] = field(default_factory=dict)
    loops: list[Loop] = field(default_factory=list)
    returns: Ways = field(default_factory=list)
    returned: list[StepNode | None] = field(default_factory=list)

    def takes_steps(self, node: ast.AST) -> bool:
        """Whether a run takes a step somewhere in this code."""
        for part in ast.walk(node):
            match part:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name))) if name in self.players:
                    return True
                case ast.Call() if helper_call(part, self) is not None:
                    return True
        return False

    def matters(self, node: ast.AST) -> bool:
        """Whether a run takes a step here, or goes another way because of it."""
        leaving = ast.Return | ast.Raise | ast.Break | ast.Continue
        return any(isinstance(part, leaving) for part in ast.walk(node)) or self.takes_steps(node)

    def subject(self, verb: str, arguments: tuple[Value, ...], keywords: dict[str, Value]) -> str:
        """What the steps of a call are named after."""
        spec = VERBS.get(verb)
        if spec is not None and spec.subject is None:
            return ""
        if spec is not None and _takes_many(spec.name, spec.subject):
            return "|".join(map(_name_of, arguments))
        about = arguments[0] if arguments else keywords.get(spec.subject or "") if spec is not None else None
        return "" if about is None else _name_of(self._reward(about))

    def _reward(self, value: Value) -> Value:
        """The reward that a call makes, when its numbers are not known but its kind is."""
        if value.known is not UNKNOWN or not isinstance(value.code, ast.Call):
            return value
        constructor = self.names.value_of(value.code.func).known
        made = get_type_hints(constructor).get("return") if isinstance(constructor, FunctionType) else constructor
        if isinstance(made, type) and issubclass(made, RewardBase):
            return Value(value.words, made, value.code)
        return value


def scope_of(journey: Journey) -> tuple[Definition, Scope]:
    """The journey's own function, and the scope it is read in."""
    function: Any = journey.function
    definition = definition_of(function)
    names = Names(names_around(function), _assignments(definition))
    return definition, Scope(names, frozenset(parameters_of(definition)[:1]), (function,))


def helper_call(call: ast.Call, scope: Scope) -> tuple[Definition, Scope] | None:
    """The helper a call leads to and the scope it is read in; None if it takes no steps, or calls itself."""
    nested = scope.nested.get(call.func.id) if isinstance(call.func, ast.Name) else None
    function: Any = nested if nested is not None else written_function(scope.names.known(call.func))
    if function is None or function in scope.calls:
        return None
    if nested is not None:
        definition, around = nested, scope.names.known_names
    elif _is_designers(function):
        definition, around = definition_of(function), names_around(function)
    else:
        return None
    arguments = arguments_of(call, definition)
    outside = Names(around, Counter())
    bound = {name: outside.value_of(value) for name, value in defaults_of(definition).items()}
    bound |= {name: scope.names.value_of(value) for name, value in arguments.items()}
    players = {name for name, value in arguments.items() if isinstance(value, ast.Name) and value.id in scope.players}
    if nested is not None:
        # A function inside the journey sees the journey's player without being handed it.
        players |= scope.players - set(parameters_of(definition))
    inner = Scope(
        names=Names(around, _assignments(definition), bound),
        players=frozenset(players),
        calls=(*scope.calls, function),
        group=HelperCall(definition.name, (ast.get_docstring(definition) or "").partition("\n")[0], scope.group),
        nested=dict(scope.nested) if nested is not None else {},
    )
    return (definition, inner) if any(map(inner.takes_steps, definition.body)) else None


def _is_designers(function: FunctionType) -> bool:
    module = function.__module__
    return module.startswith("workflows.journeys.") or not module.startswith("workflows.")


def _assignments(definition: Definition) -> Counter[str]:
    """How often each local name is given a value; a parameter is given one by the caller."""
    names = (one.id for one in ast.walk(definition) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))
    return Counter([*names, *parameters_of(definition)])


def _takes_many(verb: str, parameter: str | None) -> bool:
    """Whether a verb takes any number of arguments under a parameter's name, as `first` does."""
    parameters = inspect.signature(getattr(Player, verb)).parameters
    return parameter is not None and parameters[parameter].kind is inspect.Parameter.VAR_POSITIONAL


def _name_of(value: Value) -> str:
    """What the runtime calls a value where a step is named after it."""
    known = value.known
    match known:
        case str():
            return known
        case RewardBase() | Segment() | Measure() | PointCurrency() | Experiment():
            return known.key if isinstance(known, Measure) else known.name
        case type() if issubclass(known, RewardBase):
            return str(known.model_fields["kind"].default)
        case type() if issubclass(known, JourneyRun):
            return known.definition.name
        case type():
            return known.__name__
    return value.words
