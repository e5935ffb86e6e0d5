"""Which events of a type a journey can use: the `where=` of its waits, found as functions that intake can ask.

Only what stands for the same function whenever it is asked is taken. A `where=` that looks at something of its run,
such as the event that started it, is known to the run alone, which then hears every event of the type.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any

from workflows.rules.where import Where
from workflows.source.expressions import Names
from workflows.source.functions import resolve


@dataclass
class Interest:
    """By type of event, what its waits ask of it; None once one of them takes every event, or cannot be asked here."""

    asked: dict[str, list[Where] | None] = field(default_factory=dict)

    def add(self, kinds: Iterable[str], where: Where | None) -> None:
        """One wait for these types."""
        for kind in kinds:
            known = self.asked.setdefault(kind, [])
            if where is None:
                self.asked[kind] = None
            elif known is not None and where not in known:
                known.append(where)

    def filters(self, *, all_of: Iterable[str] = ()) -> dict[str, tuple[Where, ...]]:
        """The types of which only some events are used; never those of `all_of`, which the designer declared."""
        everything = {*all_of}
        return {kind: tuple(asked) for kind, asked in self.asked.items() if asked and kind not in everything}


def where_of(
    argument: ast.expr | None, function: FunctionType, names: Mapping[str, Any], own: frozenset[str]
) -> Where | None:
    """The function behind the `where=` of a wait in `function`; None where there is none, or it is the run's own.

    `names` are those that the function sees from outside, `own` those of its parameters and variables.
    """
    if isinstance(argument, ast.Lambda):
        return _lambda(argument, function)
    if argument is None or _root(argument) in own:
        return None
    value = Names(names, Counter(own)).known(argument) if isinstance(argument, ast.Call) else resolve(argument, names)
    return value if callable(value) else None


def _lambda(written: ast.Lambda, function: FunctionType) -> Where | None:
    """The lambda, made anew of the code that Python made of it; None where it holds something of its function."""
    if written.args.defaults or written.args.kw_defaults:
        return None
    made = [code for code in _inside(function.__code__) if _stands_at(code, written)]
    if len(made) != 1 or made[0].co_freevars:
        return None
    return FunctionType(made[0], function.__globals__)


def _inside(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inside(constant)


def _stands_at(code: CodeType, written: ast.Lambda) -> bool:
    """Whether it is that lambda: some of its instructions come from the lambda's own lines and columns."""
    body = written.body
    begins, ends = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
    places = [(line, column) for line, _, column, _ in code.co_positions() if line is not None and column is not None]
    return code.co_name == "<lambda>" and any(begins <= place < ends for place in places)


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
