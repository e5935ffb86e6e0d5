"""Whether a module stays as it was imported, whatever its functions do.

Runs that share such a module cannot tell that they do. The question is answered on the safe side: what this cannot see
to be unchangeable counts as changeable.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import cache, partial
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, MappingProxyType, ModuleType
from typing import Any, Final

from pydantic import BaseModel

from workflows.source.import_lint import PURE

ENGINE_PACKAGE: Final = "workflows."
_VALUES: Final = (
    *(str, bytes, int, float, complex, bool, type(None), Decimal, Fraction, date, time, timedelta, tzinfo),
    *(Enum, range, re.Pattern, ModuleType, BuiltinFunctionType),
)
#: What changes a list, a dictionary, a set or what is made of them.
CHANGING: Final = frozenset(
    {
        *("add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "insert"),
        *("intersection_update", "pop", "popitem", "popleft", "remove", "reverse", "rotate", "setdefault", "sort"),
        *("subtract", "symmetric_difference_update", "update"),
    }
)
#: What only reads a container, of its methods and of what it may be given to.
_READING: Final = frozenset({"count", "get", "index", "items", "keys", "values"})
_READERS: Final = frozenset(
    {
        *("all", "any", "dict", "enumerate", "frozenset", "len", "list", "max", "min", "reversed", "set", "sorted"),
        *("str", "sum", "tuple", "zip"),
    }
)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def stays(name: str) -> bool:
    """Whether the imported module of this name, and what it takes from modules beside it, stays as it is.

    Modules of the engine do: they hold no state of a run. False for one that cannot be imported, and where there is no
    source to look at.
    """
    return all(module is not None and _stays_alone(module) for module in _reached(name))


def _reached(first: str) -> Iterator[ModuleType | None]:
    """A module and those it takes something from, but for the engine's own and for Python's; None for a lost one."""
    seen: set[str] = set()
    left = [first]
    while left:
        if (one := left.pop()) in seen:
            continue
        seen.add(one)
        try:
            module = import_module(one)
        except ImportError:
            yield None
            continue
        yield module
        for name, value in vars(module).items():
            if name.startswith("__"):
                continue
            home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(home, str) and not _is_known(home):
                left.append(home)


def _is_known(module: str) -> bool:
    top = module.partition(".")[0]
    journeys = module.startswith(("workflows.journeys.", "workflows.programs."))
    return not journeys and (top in PURE or top in {"builtins", "pydantic_core", "temporalio"})


@cache
def _stays_alone(module: ModuleType) -> bool:
    try:
        tree = ast.parse(module.__spec__.loader.get_source(module.__name__))  # type: ignore[union-attr]  # one without is told below
    except (AttributeError, ImportError, OSError, SyntaxError, TypeError):
        return False
    held = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    # No other kind of them: a `defaultdict` changes when it is read.
    containers = {name for name, value in held.items() if type(value) in {list, dict, set}}
    fixed = all(_cannot_change(value, module.__name__) for name, value in held.items() if name not in containers)
    return (
        fixed
        and all(_elements_cannot_change(held[name], module.__name__) for name in containers)
        and not any(_changes(one, held.keys(), containers) for one in ast.walk(tree) if isinstance(one, Function))
    )


# ---- values -------------------------------------------------------------------------------------


def _cannot_change(value: object, home: str) -> bool:
    if isinstance(value, tuple | frozenset | MappingProxyType):
        return _elements_cannot_change(value, home)
    if isinstance(value, partial):
        return _elements_cannot_change((value.func, *value.args, *value.keywords.values()), home)
    if isinstance(value, FunctionType | type):
        return value.__module__ != home or _made_here_cannot_change(value, home)
    # What is declared with the engine's words, and what typing makes of annotations.
    of = type(value).__module__
    return isinstance(value, _VALUES) or of.startswith(ENGINE_PACKAGE) or of in {"typing", "types"}


def _made_here_cannot_change(made: FunctionType | type, home: str) -> bool:
    if isinstance(made, FunctionType):
        return _function_cannot_change(made, home)
    if (played := getattr(getattr(made, "definition", None), "function", None)) is not None:
        return _cannot_change(played, home)  # a journey: the class around it is the engine's
    return issubclass(made, BaseModel) or _class_cannot_change(made, home)


def _elements_cannot_change(held: Any, home: str) -> bool:
    elements = [*held.keys(), *held.values()] if isinstance(held, Mapping) else [*held]
    return all(_cannot_change(one, home) for one in elements)


def _function_cannot_change(function: FunctionType, home: str) -> bool:
    kept = [cell.cell_contents for cell in function.__closure__ or () if cell.cell_contents is not function]
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return not vars(function) and all(_cannot_change(one, home) for one in (*kept, *defaults))


def _class_cannot_change(made: type, home: str) -> bool:
    """By what it holds under names of the designer's; the rest belongs to who makes classes."""
    held = [value for name, value in vars(made).items() if not name.startswith("_")]
    plain = [getattr(value, "__func__", getattr(value, "fget", value)) for value in held]
    descriptors = ("member_descriptor", "getset_descriptor", "_tuplegetter")
    return all(type(one).__name__ in descriptors or _cannot_change(one, home) for one in plain)


# ---- code ---------------------------------------------------------------------------------------


def _changes(function: Function, held: Any, containers: set[str]) -> bool:
    """Whether a function may change what its module holds, or gives a container of it away."""
    own = {one.arg for one in ast.walk(function) if isinstance(one, ast.arg)}
    own |= {one.id for one in ast.walk(function) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    inside = [node for part in _body(function) for node in ast.walk(part)]
    read = {id(name) for node in inside for name in _only_read(node)}
    for node in inside:
        if isinstance(node, ast.Global):
            return True
        root = _root(node)
        if root is None or root.id in own or root.id not in held:
            continue
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            return True
        if isinstance(node, ast.Attribute) and node.attr in CHANGING:
            return True
        if isinstance(node, ast.Name) and node.id in containers and id(node) not in read:
            return True
    return any(_is_call_of(node, {"setattr", "delattr", "vars", "globals", "next"}) for node in inside)


def _only_read(node: ast.AST) -> Iterator[ast.AST]:
    """The names that a piece of code does nothing with but look at what they hold."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield node.value
    elif isinstance(node, ast.Compare):
        yield from (node.left, *node.comparators)
    elif isinstance(node, ast.For | ast.comprehension):
        yield node.iter
    elif isinstance(node, ast.Starred) or (isinstance(node, ast.Attribute) and node.attr in _READING):
        yield node.value
    elif isinstance(node, ast.Call) and _is_call_of(node, _READERS):
        yield from node.args


def _is_call_of(node: ast.AST, names: Any) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _root(node: ast.AST) -> ast.Name | None:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node if isinstance(node, ast.Name) else None


def _body(function: Function) -> list[ast.AST]:
    return [function.body] if isinstance(function, ast.Lambda) else [*function.body]
