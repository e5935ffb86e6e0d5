"""Which facts of the player a moment hangs on that `until` is given as a function."""

import ast
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from workflows.source.functions import definition_of, parameters_of


def facts_of(moment: ast.expr, value: Any) -> Iterator[str]:
    """The facts that a moment's function reads of its player: a lambda where it is written, or a function by name."""
    definition: ast.AST
    if isinstance(moment, ast.Lambda):
        definition, names = moment, [one.arg for one in moment.args.args]
    elif isinstance(value, FunctionType):
        definition = definition_of(value)
        names = [*parameters_of(definition)]
    else:
        return
    for node in ast.walk(definition):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names[:1]:
            yield node.attr
