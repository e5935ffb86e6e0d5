"""Whether a module stays as it was imported, whatever its functions do.

Runs that share such a module cannot tell that they do. What this cannot see to be unchangeable counts as changeable.
Who takes pains to change what Python lets nobody change by chance, by `object.__setattr__` or by another name for a
class, is not seen.
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
from importlib.util import resolve_name
from types import (
    BuiltinFunctionType,
    FunctionType,
    GenericAlias,
    MappingProxyType,
    ModuleType,
    UnionType,
)
from typing import Any, Final

from pydantic import BaseModel

from workflows.source.functions import rebinds
from workflows.source.import_lint import PURE
from workflows.source.version_content import is_module

ENGINE_PACKAGE: Final = "workflows."
_VALUES: Final = (
    *(str, bytes, int, float, complex, bool, type(None), Decimal, Fraction, date, time, timedelta, tzinfo),
    *(range, re.Pattern, GenericAlias, UnionType),
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
        left += [name for name in _imports(module) if not _is_known(name)]
        for name, value in [*vars(module).items()]:
            if _of_python(name):
                continue
            home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(home, str) and not _is_known(home):
                left.append(home)


def _is_known(module: str) -> bool:
    top = module.partition(".")[0]
    journeys = module.startswith(("workflows.journeys.", "workflows.programs."))
    return not journeys and (top in PURE or top in {"builtins", "pydantic_core", "temporalio"})


def _of_python(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


@cache
def _tree(module: ModuleType) -> ast.Module | None:
    """What is written in a module; None where there is no source to look at."""
    read = getattr(getattr(module.__spec__, "loader", None), "get_source", None)
    try:
        source = None if read is None else read(module.__name__)
    except (ImportError, OSError):
        return None
    return None if source is None else ast.parse(source)


def _imports(module: ModuleType) -> Iterator[str]:
    """The modules that one imports, whatever has become of what it took from them."""
    for node in ast.walk(_tree(module) or ast.Module([], [])):
        if isinstance(node, ast.Import):
            named = [(alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            home = resolve_name("." * node.level + (node.module or ""), module.__package__ or "")
            named = [(f"{home}.{alias.name}", home) for alias in node.names]
        else:
            continue
        yield from (full if full == base or is_module(full) else base for full, base in named if not _is_known(full))


@cache
def _stays_alone(module: ModuleType) -> bool:
    if (tree := _tree(module)) is None:
        return False
    held = {name: value for name, value in vars(module).items() if not _of_python(name)}
    # No other kind of them: a `defaultdict` changes when it is read.
    containers = {name for name, value in held.items() if type(value) in {list, dict, set}}
    try:
        fixed = all(_cannot_change(value) for name, value in held.items() if name not in containers)
        fixed = fixed and all(_elements_cannot_change(held[name]) for name in containers)
    except (RecursionError, ValueError):
        return False  # what goes in a circle, and a closure's name that nothing was given to
    return fixed and not any(
        _changes(one, held.keys(), containers) for one in ast.walk(tree) if isinstance(one, Function)
    )


# ---- values -------------------------------------------------------------------------------------


def _cannot_change(value: object) -> bool:
    if isinstance(value, tuple | frozenset | MappingProxyType):
        return _elements_cannot_change(value)
    if isinstance(value, partial):
        return _elements_cannot_change((value.func, *value.args, *value.keywords.values()))
    if isinstance(value, BuiltinFunctionType):
        return _cannot_change(value.__self__)  # that of a list, `seen.append`, changes the list
    if isinstance(value, FunctionType | type):
        return _is_known(str(value.__module__)) or _made_here_cannot_change(value)
    if isinstance(value, Enum):
        return _elements_cannot_change([value.value, *(one for name, one in vars(value).items() if name[0] != "_")])
    # What is declared with the engine's words, and what typing makes of annotations.
    of = type(value).__module__
    # A module beside is not: what it holds may be called by another name here, which is not followed.
    known_module = isinstance(value, ModuleType) and _is_known(value.__name__)
    return (
        known_module
        or isinstance(value, _VALUES)
        or (of.startswith(ENGINE_PACKAGE) and _is_known(of))
        or of == "typing"
    )


def _made_here_cannot_change(made: FunctionType | type) -> bool:
    if isinstance(made, FunctionType):
        return _function_cannot_change(made)
    if (played := getattr(getattr(made, "definition", None), "function", None)) is not None:
        return _cannot_change(played)  # a journey: the class around it is the engine's
    if issubclass(made, BaseModel):
        inherited = set[str]().union(*(getattr(base, "__class_vars__", ()) for base in made.__bases__))
        return _elements_cannot_change([vars(made).get(name) for name in made.__class_vars__ - inherited])
    return _class_cannot_change(made)


def _elements_cannot_change(held: Any) -> bool:
    elements = [*held.keys(), *held.values()] if isinstance(held, Mapping) else [*held]
    return all(_cannot_change(one) for one in elements)


def _function_cannot_change(function: FunctionType) -> bool:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    # A method that says `super()` keeps its class, which is looked at where it is held.
    kept = [cell.cell_contents for name, cell in cells if name != "__class__"]
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return (
        not vars(function)
        and not (kept and rebinds(function.__code__))
        and all(_cannot_change(one) for one in (*kept, *defaults) if one is not function)
    )


#: What the makers of classes keep under names of their own.
_OF_MAKERS: Final = frozenset({"_abc_impl", "_field_defaults", "_is_protocol", "_is_runtime_protocol"})


def _class_cannot_change(made: type) -> bool:
    """By what it holds under names of the designer's; the rest belongs to who makes classes."""
    enum = issubclass(made, Enum)
    held = [
        value
        for name, value in vars(made).items()
        if not _of_python(name) and name not in _OF_MAKERS and not (enum and name.startswith("_"))
    ]
    plain = [getattr(value, "__func__", getattr(value, "fget", value)) for value in held]
    descriptors = ("member_descriptor", "getset_descriptor", "_tuplegetter")
    return all(type(one).__name__ in descriptors or _cannot_change(one) for one in plain)


# ---- code ---------------------------------------------------------------------------------------


def _changes(function: Function, held: Any, containers: set[str]) -> bool:
    """Whether a function may change what its module holds, or gives a container of it away."""
    own = {*_own(function)}
    inside = [node for part in _body(function) for node in ast.walk(part)]
    read = {id(name) for node in inside for name in _only_read(node)}
    for node in inside:
        if isinstance(node, ast.Global) or _imports_beside(node) or _changes_class(node):
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


def _own(function: Function) -> Iterator[str]:
    """The names that are the function's, without those of functions and comprehensions inside it."""
    yield from (one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg))
    left = _body(function)
    while left:
        node = left.pop()
        if isinstance(node, Function | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        left += ast.iter_child_nodes(node)


def _imports_beside(node: ast.AST) -> bool:
    """Whether a function takes something from a module beside its own while it runs."""
    if isinstance(node, ast.Import):
        return not all(_is_known(alias.name) for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return bool(node.level) or not all(_is_known(f"{node.module}.{alias.name}") for alias in node.names)
    return False


def _changes_class(node: ast.AST) -> bool:
    """Whether it gives an attribute to a class by way of `cls`, `self.__class__` or `type(self)`."""
    if not isinstance(node, ast.Attribute) or isinstance(node.ctx, ast.Load):
        return False
    root = _root(node)
    through = [one.attr for one in ast.walk(node.value) if isinstance(one, ast.Attribute)]
    return root is None or root.id == "cls" or "__class__" in through


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
