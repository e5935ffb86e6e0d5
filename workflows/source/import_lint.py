"""Whether a module of journeys is pure: it reads no file, no network, no clock and no chance."""

import ast
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from workflows.rules.segments import Statistics, segment
from workflows.source.functions import resolve

# Everything a journey may import. What is missing here either reads the world (files, network,
# clock, random) or would make replay depend on something outside the run.
PURE = frozenset(
    [
        "__future__",
        "abc",
        "bisect",
        "calendar",
        "collections",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "pydantic",
        "re",
        "statistics",
        "string",
        "textwrap",
        "types",
        "typing",
        "typing_extensions",
        "workflows",
        "zoneinfo",
    ]
)
FROM_TEMPORAL = ("temporalio.workflow", "temporalio.common", "temporalio.exceptions")
MACHINERY = ("workflows.source", "workflows.temporal_internals")
CLOCK = frozenset({"now", "utcnow", "today"})
#: What of `temporalio.workflow` a journey may call: it keeps two orders of steps apart.
KEPT_BY_TEMPORAL = frozenset({"patched", "deprecate_patch"})
WORLD = frozenset({"open", "input", "print", "exec", "eval", "compile", "breakpoint", "__import__"})


def impure_imports(tree: ast.Module, module: str, packages: tuple[str, ...], *, is_package: bool) -> Iterator[str]:
    """A sentence for each import that a journey may not make, or that names what is not there."""
    home = module if is_package else module.rpartition(".")[0]
    for node in _at_run_time(tree):
        at = f"{module}, line {getattr(node, 'lineno', 1)}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _refusal(alias.name, at, module, packages)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = importlib.util.resolve_name("." * node.level + base, home)
            if base == "temporalio":
                for alias in node.names:
                    yield from _refusal(f"{base}.{alias.name}", at, module, packages)
                continue
            refusals = list(_refusal(base, at, module, packages))
            yield from refusals
            if not refusals and (base == "workflows" or base.startswith("workflows.")):
                yield from _unknown_names(node, base, at)


def impure_calls(tree: ast.Module, module: ModuleType) -> Iterator[str]:
    """A sentence for each call that would give another answer when a run is replayed."""
    names = vars(module)
    in_segments = {id(node) for one in ast.walk(tree) if _is_of_segment(one, names) for node in ast.walk(one)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        at, called = f"{module.__name__}, line {node.lineno}", node.func
        if (temporal := _of_temporal(called, names)) is not None:
            reads_clock = temporal in {"now", "time", "time_ns"}
            instead = "read another moment there; use player.now" if reads_clock else "do it again; use a verb"
            yield (
                f"{at}: a journey may not call workflow.{temporal}() of temporalio: a later chapter plays the journey "
                f"from the top, and would {instead}."
            )
        elif isinstance(called, ast.Attribute) and called.attr in CLOCK:
            owner = resolve(called.value, names)
            spelled = ast.unparse(called.value)
            # A class imported inside a function is not among the module's names; its own name must do.
            if owner is datetime or owner is date or (owner is None and spelled.split(".")[-1] in {"datetime", "date"}):
                clock = f"{at}: {spelled}.{called.attr}() reads the machine's clock, and"
                if id(node) in in_segments:
                    yield (
                        f"{clock} nobody would know when to ask the segment again; use player.quiet(...), "
                        "player.registered_for(...) or a measure with last=, which take a duration."
                    )
                else:
                    yield (
                        f"{clock} a replay would read another moment; use player.now, or the occurred_at of an event."
                    )
        elif isinstance(called, ast.Name) and called.id in WORLD and called.id not in names:
            yield f"{at}: a journey may not call {called.id}(), it would run again with every replay; use a verb."


def _of_temporal(called: ast.expr, names: Mapping[str, Any]) -> str | None:
    """The function of `temporalio.workflow` that is called, by its name; None for others and for what is allowed."""
    function = resolve(called, names)
    if isinstance(function, type) or not str(getattr(function, "__module__", "")).startswith("temporalio.workflow"):
        return None
    name = str(getattr(function, "__name__", ""))
    return None if name in KEPT_BY_TEMPORAL or not name else name


def _is_of_segment(node: ast.AST, names: Mapping[str, Any]) -> bool:
    """Whether it is a segment's function, or a helper of one: it is handed the statistics of a player."""
    if not isinstance(node, ast.FunctionDef):
        return False
    notes = [one.annotation for one in ast.walk(node.args) if isinstance(one, ast.arg) and one.annotation is not None]
    return any(resolve(one, names) is segment for one in node.decorator_list) or any(
        resolve(one, names) is Statistics for one in notes
    )


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, without what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for statement in child.orelse:
                yield statement
                yield from _at_run_time(statement)
            continue
        yield child
        yield from _at_run_time(child)


def _refusal(name: str, at: str, module: str, packages: tuple[str, ...]) -> Iterator[str]:
    root = name.partition(".")[0]
    if _below(name, MACHINERY):
        yield f"{at}: a journey may not import {name}, which is the engine's own; write it with the words of workflows."
    elif _below(name, packages) or root in PURE or name == "temporalio" or _below(name, FROM_TEMPORAL):
        return
    elif root == module.partition(".")[0]:
        yield f"{at}: {name} is not checked; name its package in JOURNEYS as well, so that a journey may import it."
    else:
        yield (
            f"{at}: a journey may not import {name}, because replay must give the same run every time; "
            "leave the work to a verb of Player."
        )


def _unknown_names(node: ast.ImportFrom, base: str, at: str) -> Iterator[str]:
    try:
        known = importlib.import_module(base)
    except ModuleNotFoundError:
        yield f"{at}: there is no {base}; everything a journey is written with is imported from workflows."
        return
    for alias in node.names:
        if alias.name == "*" or hasattr(known, alias.name) or _is_module(known, alias.name):
            continue
        close = get_close_matches(alias.name, dir(known), 1)
        mend = f"did you mean {close[0]}?" if close else "an event of your own is a subclass of Event."
        yield f"{at}: {base} has no {alias.name}; {mend}"


def _is_module(package: ModuleType, name: str) -> bool:
    return hasattr(package, "__path__") and importlib.util.find_spec(f"{package.__name__}.{name}") is not None


def _below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
