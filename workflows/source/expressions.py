"""The value of an expression in a journey, where it is known before any run, and how its designer would say it."""

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from workflows.local_time import LocalTime
from workflows.source.flow_graph import UNKNOWN, Value

# Functions whose result depends on their arguments alone, so that calling them here tells what a run would get.
_PURE = ("workflows.local_time", "workflows.rewards", "workflows.send_choices")
_UNITS = {"days": "day", "hours": "hour", "minutes": "minute", "seconds": "second"}


@dataclass
class Names:
    """What names mean inside one call of a function: `bound` ones have a known value, `local` ones only in a run."""

    known_names: Mapping[str, Any]
    local: Counter[str]
    bound: dict[str, Value] = field(default_factory=dict)

    def value_of(self, node: ast.expr) -> Value:
        """An expression's value, as far as the code alone tells, and its words."""
        if isinstance(node, ast.Name) and node.id in self.bound:
            return self.bound[node.id]
        known = self.known(node)
        return Value(_words_of(node, known), known, node)

    def known(self, node: ast.expr) -> Any:  # noqa: PLR0911 - one match over the kinds of expression
        """The value of an expression, or `UNKNOWN`."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in self.bound:
                return self.bound[name].known
            case ast.Name(id=name):
                return UNKNOWN if name in self.local else self.known_names.get(name, UNKNOWN)
            case ast.Attribute(value=owner, attr=attribute):
                known = self.known(owner)
                return UNKNOWN if known is UNKNOWN else getattr(known, attribute, UNKNOWN)
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                values = [self.known(part) for part in parts]
                return UNKNOWN if any(value is UNKNOWN for value in values) else values
            case ast.Call():
                return self._result_of(node)
        return UNKNOWN

    def _result_of(self, call: ast.Call) -> Any:
        function = self.known(call.func)
        if function is not timedelta and not str(getattr(function, "__module__", "")).startswith(_PURE):
            return UNKNOWN
        arguments = [self.known(argument) for argument in call.args]
        keywords = {one.arg: self.known(one.value) for one in call.keywords if one.arg is not None}
        if any(value is UNKNOWN for value in (*arguments, *keywords.values())) or len(keywords) < len(call.keywords):
            return UNKNOWN
        return function(*arguments, **keywords)


def plain(node: ast.AST) -> str:
    """The code's own words, with strings in the quotes a designer types."""
    return ast.unparse(node).replace("await player.", "").replace("await ", "").replace("'", '"')


def span(duration: timedelta) -> str:
    """A duration in the largest unit that divides it: 36 hours, 7 days."""
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, rest = divmod(duration.total_seconds(), seconds)
        if count and not rest:
            return _counted(f"{count:.0f}", unit)
    return str(duration)


def _words_of(node: ast.expr, known: Any) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Call(func=ast.Name(id=units), args=[ast.Constant(value=int() | float() as count)]) if units in _UNITS:
            return _counted(f"{count}", _UNITS[units])
    if isinstance(known, LocalTime):
        return known.words
    return span(known) if isinstance(known, timedelta) else plain(node)


def _counted(count: str, unit: str) -> str:
    return f"{count} {unit}" if count == "1" else f"{count} {unit}s"
