"""A function of a designer, read without running it: its syntax tree, its parameters, and what its names stand for.

Every reader of designers' code begins here: the checks at start-up, the flow of a journey, what a segment depends on,
and the fingerprint of a rule.
"""

import ast
import dis
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from symtable import symtable
from types import CodeType, FunctionType
from typing import Any

from workflows.errors import DesignError

Definition = ast.FunctionDef | ast.AsyncFunctionDef


# ---- by its source --------------------------------------------------------------------------------


@cache
def definition_of(function: Any) -> Definition:
    """The function's `def`, with the line numbers of its file.

    Raises `OSError` where Python has no source, as for code made by `exec`.
    """
    lines, _ = inspect.findsource(function)
    for node in ast.walk(ast.parse("".join(lines))):
        if isinstance(node, Definition) and node.name == function.__name__:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == function.__code__.co_firstlineno:
                return node
    raise AssertionError(f"{function.__qualname__} is not where its code says it is")


def written_function(value: Any) -> FunctionType | None:
    """The `def` behind a value that is called, without what `functools.wraps` put around it; None for all else."""
    function = inspect.unwrap(value) if isinstance(value, FunctionType) else None
    return function if isinstance(function, FunctionType) and function.__name__ != "<lambda>" else None


def parameters_of(definition: Definition) -> list[str]:
    """The names of the parameters, without `*args` and `**kwargs`."""
    spec = definition.args
    return [one.arg for one in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]


def defaults_of(definition: Definition) -> dict[str, ast.expr]:
    """The default of each parameter that has one."""
    spec = definition.args
    placed = [one.arg for one in (*spec.posonlyargs, *spec.args)]
    defaults = dict(zip(reversed(placed), reversed(spec.defaults), strict=False))
    named = zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
    return defaults | {one.arg: value for one, value in named if value is not None}


def arguments_of(call: ast.Call, definition: Definition) -> dict[str, ast.expr]:
    """What a call hands to each parameter; what it unpacks with a star is left out."""
    placed = [one.arg for one in (*definition.args.posonlyargs, *definition.args.args)]
    arguments = dict(zip(placed, call.args, strict=False))
    return arguments | {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}


def reads_name(definition: Definition, name: str) -> bool:
    """Whether a function's code, or a function inside it, reads a name of its own, such as a parameter."""
    tables = symtable(ast.unparse(definition), "<definition>", "exec").get_children()
    (table,) = (one for one in tables if one.get_name() == definition.name)
    inside = (one.lookup(name) for one in table.get_children() if name in one.get_identifiers())
    return table.lookup(name).is_referenced() or any(symbol.is_free() for symbol in inside)


def resolve(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """The object a name or a dotted name stands for in a module; None when it cannot be told."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(resolve(node.value, names), node.attr, None)
    return None


# ---- by what Python made of it --------------------------------------------------------------------


def names_around(function: FunctionType) -> dict[str, Any]:
    """What every name that a function can see from outside stands for: its module's, and of functions around it."""
    return {**function.__globals__, **inspect.getclosurevars(function).nonlocals}


def names_in(code: CodeType) -> Iterator[str]:
    """The global names and attributes that code mentions, in itself and in the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def rebinds(code: CodeType) -> bool:
    """Whether it gives another value to a name of the function around it, which outlives the call."""
    rebound = {step.argval for step in dis.get_instructions(code) if step.opname in {"STORE_DEREF", "DELETE_DEREF"}}
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    return bool(rebound & {*code.co_freevars}) or any(rebinds(one) for one in inner)


def values_read(function: FunctionType) -> dict[str, Any]:
    """What a function's code reads from outside, by name: names of its module that it mentions, and names around it.

    `inspect.getclosurevars` does not look into lambdas and other functions inside. An attribute called as the module
    calls something is taken for it, so this may be more than is read, and never less.

    Raises a `DesignError` for a name around it that has no value yet.
    """
    mentioned = sorted(set(names_in(function.__code__)))
    values = {name: function.__globals__[name] for name in mentioned if name in function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:
            raise DesignError(
                f"{function.__name__} uses {name}, which has no value; give {name} its value above the function."
            ) from None
    return values


def default_values(function: FunctionType) -> tuple[Any, ...]:
    """What the parameters with a default have by default, in their order."""
    return (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
