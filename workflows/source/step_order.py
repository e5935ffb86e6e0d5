"""Whether the flow of a journey shows every order in which a run can take its steps.

The flow is drawn of what is written where it is written. Where a coroutine is awaited elsewhere than it is called, an
error is caught, or the player handed to something that is not read, a run may come back to a step that the flow shows
behind it. Whoever must be right about what still lies ahead asks here first.
"""

import ast
import inspect
from collections.abc import Callable, Collection, Mapping
from types import FunctionType
from typing import Any

from workflows.declaration import again
from workflows.player import Player
from workflows.source.functions import Definition, resolve
from workflows.verb_table import VERBS

#: What the flow follows straight on, or not at all: no step may be taken inside.
_OUT_OF_LINE = (
    ast.Try,
    ast.TryStar,
    ast.With,
    ast.AsyncWith,
    ast.AsyncFor,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.Lambda,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
)


def in_order(
    definition: Definition,
    players: Collection[str],
    parents: Mapping[ast.AST, ast.AST],
    helper_of: Callable[[ast.Call], FunctionType | None],
) -> bool:
    """Whether a function takes its steps as its flow shows.

    `players` are the names that stand for the player, `helper_of` the helper that a call leads to and that is read too.
    """
    nodes = [node for statement in definition.body for node in ast.walk(statement)]
    hidden = any(isinstance(node, _OUT_OF_LINE) and _mentions(node, players) for node in nodes)
    guarded = any(isinstance(node, ast.match_case) and _asks_first(node, players) for node in nodes)
    named = [node for node in nodes if isinstance(node, ast.Name) and node.id in players]
    return not hidden and not guarded and all(_is_handed_on(node, parents, helper_of) for node in named)


def ends_plainly(function: Any, definition: Definition, names: Mapping[str, Any]) -> bool:
    """Whether a journey's own function returns nothing, or `again(...)` where its flow sees that."""
    inside = {
        node
        for nested in ast.walk(definition)
        if nested is not definition and isinstance(nested, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(nested)
    }
    returned = [node.value for node in ast.walk(definition) if isinstance(node, ast.Return) and node not in inside]
    own = function.__code__.co_varnames
    return all(value is None or _is_plain_end(value, names, own) for value in returned)


def comes_back(calls: Collection[tuple[Any, Any]]) -> bool:
    """Whether helpers call each other in a circle; `calls` are pairs of who calls and who is called."""
    left = set(calls)
    while left:
        called = {helper for _, helper in left}
        outer = {pair for pair in left if pair[0] not in called}
        if not outer:
            return True
        left -= outer
    return False


def _mentions(node: ast.AST, names: Collection[str]) -> bool:
    return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node))


def _asks_first(case: ast.match_case, players: Collection[str]) -> bool:
    return case.guard is not None and _mentions(case.guard, players)


def _is_handed_on(
    name: ast.Name, parents: Mapping[ast.AST, ast.AST], helper_of: Callable[[ast.Call], FunctionType | None]
) -> bool:
    """Whether a player's name is used for a verb or a fact, or handed to a helper, and awaited on the spot."""
    parent = parents.get(name)
    if not isinstance(name.ctx, ast.Load) or parent is None:
        return False
    if isinstance(parent, ast.Attribute):
        call = parents.get(parent)
        if parent.attr not in VERBS:
            return True
        verb = getattr(Player, parent.attr)
        return isinstance(call, ast.Call) and (_is_awaited(call, parents) or not inspect.iscoroutinefunction(verb))
    call = parents.get(parent) if isinstance(parent, ast.keyword) else parent
    helper = helper_of(call) if isinstance(call, ast.Call) else None
    if helper is None or not isinstance(call, ast.Call):
        return False
    return _is_awaited(call, parents) or not inspect.iscoroutinefunction(helper)


def _is_awaited(call: ast.Call, parents: Mapping[ast.AST, ast.AST]) -> bool:
    return isinstance(parents.get(call), ast.Await)


def _is_plain_end(value: ast.expr, names: Mapping[str, Any], own: Collection[str]) -> bool:
    match value:
        case ast.Constant(value=None):
            return True
        case ast.IfExp(body=body, orelse=orelse):
            return _is_plain_end(body, names, own) and _is_plain_end(orelse, names, own)
        case ast.Call(func=ast.Name(id=name)) if name in own:
            return False
        case ast.Call(func=func):
            return resolve(func, names) is again
    return False
