"""Finding the journeys, and telling designers their mistakes before a player meets them.

`load` runs once a process, outside the Temporal sandbox, and no journey imports this module: a
registry filled by decorators would grow with every run that the sandbox imports a journey for.
"""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import FunctionType, ModuleType
from typing import Any

from workflows.errors import DesignError
from workflows.events import Event
from workflows.forms import Form
from workflows.journey import Journey, JourneyRun

SHIPPED = "workflows.journeys"

# Everything a journey may import. What is missing here either reads the world (files, network,
# clock, random) or would make replay depend on something outside the run.
PURE = frozenset(
    [
        "__future__",
        "calendar",
        "collections",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "itertools",
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
WAITS = {"event": "within", "first": "within", "ask": "due"}


@dataclass(frozen=True)
class TemplateUse:
    """One `send` in a journey's code."""

    journey: str
    template: str
    channels: frozenset[str]
    line: int


@dataclass
class _Reading:
    """What a journey's code was seen to do."""

    listens: set[str] = field(default_factory=set)
    templates: list[TemplateUse] = field(default_factory=list)
    forms: dict[str, type[Form]] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Registry:
    """Every journey of a deployment, checked."""

    journeys: Mapping[str, Journey]
    templates: tuple[TemplateUse, ...]
    forms: Mapping[str, Mapping[str, type[Form]]]

    @property
    def workflows(self) -> list[type[JourneyRun]]:
        """The workflow classes a worker registers."""
        return [j.workflow_class for j in self.journeys.values() if j.workflow_class is not None]


def load(packages: Sequence[str] = (SHIPPED,)) -> Registry:
    """Import every module of `packages` and return their journeys.

    Raises `DesignError` with one sentence for each mistake found in any journey, so that a
    designer mends them all at once.
    """
    journeys: dict[str, Journey] = {}
    templates: list[TemplateUse] = []
    forms: dict[str, dict[str, type[Form]]] = {}
    mistakes: list[str] = []
    for module in _modules(packages):
        mistakes += _impure_imports(module, tuple(packages))
        for cls in _declared_in(module):
            journey = cls.definition
            known = journeys.get(journey.name)
            if known is not None:
                mistakes.append(
                    f"Two journeys are called {journey.name}, in {known.function.__module__} and "
                    f"{module.__name__}: a journey's name is its identity, rename one."
                )
                continue
            reading = _read(journey)
            mistakes += reading.mistakes
            listens = reading.listens | {kind.type for kind in journey.listens}
            journeys[journey.name] = replace(journey, listens_to=frozenset(listens))
            templates += reading.templates
            forms[journey.name] = reading.forms
    if mistakes:
        raise DesignError("\n".join(mistakes))
    return Registry(dict(sorted(journeys.items())), tuple(templates), forms)


def _modules(packages: Sequence[str]) -> Iterator[ModuleType]:
    for name in packages:
        try:
            package = importlib.import_module(name)
        except ModuleNotFoundError as missing:
            raise DesignError(
                f"JOURNEYS names {name}, but {missing.name} cannot be imported: install the package "
                "or add its folder to PYTHONPATH."
            ) from missing
        yield package
        for info in sorted(
            pkgutil.walk_packages(getattr(package, "__path__", []), f"{name}."),
            key=lambda found: found.name,
        ):
            yield importlib.import_module(info.name)


def _declared_in(module: ModuleType) -> list[type[JourneyRun]]:
    return [
        value
        for _, value in sorted(vars(module).items())
        if isinstance(value, type)
        and issubclass(value, JourneyRun)
        and value is not JourneyRun
        and value.__module__ == module.__name__
    ]


def _impure_imports(module: ModuleType, packages: tuple[str, ...]) -> Iterator[str]:
    try:
        tree = ast.parse(inspect.getsource(module))
    except OSError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [] if node.level else [node.module or ""]
        else:
            continue
        for name in names:
            ours = any(name == p or name.startswith(f"{p}.") for p in packages)
            temporal = name == "temporalio" or name.startswith("temporalio.workflow")
            if not ours and not temporal and name.partition(".")[0] not in PURE:
                yield (
                    f"{module.__name__}, line {node.lineno}: a journey may not import {name}, because "
                    "replay must give the same run every time; leave the work to a verb of Player."
                )


def _read(journey: Journey) -> _Reading:
    reading = _Reading()
    seen: set[FunctionType] = set()
    waiting: list[Any] = [journey.function]
    while waiting:
        function = waiting.pop()
        if not isinstance(function, FunctionType) or function in seen:
            continue
        seen.add(function)
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        offset = function.__code__.co_firstlineno - 1
        names = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                _read_verb(journey, node, names, offset, reading)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                helper = names.get(node.func.id)
                if getattr(helper, "__module__", None) == function.__module__:
                    waiting.append(helper)
    return reading


def _read_verb(journey: Journey, call: ast.Call, names: Mapping[str, Any], offset: int, reading: _Reading) -> None:
    assert isinstance(call.func, ast.Attribute)
    verb = call.func.attr
    owner = call.func.value
    if not (isinstance(owner, ast.Name) and owner.id == "player"):
        return
    where = f"Journey {journey.name}, line {call.lineno + offset}"
    given = {keyword.arg for keyword in call.keywords}
    if verb in WAITS and WAITS[verb] not in given and None not in given:
        reading.mistakes.append(
            f"{where}: player.{verb}(...) waits without an end; add {WAITS[verb]}=, such as {WAITS[verb]}=days(1)."
        )
    if verb in {"event", "first"}:
        for argument in call.args:
            kind = _resolve(argument, names)
            if isinstance(kind, type) and issubclass(kind, Event):
                reading.listens.add(kind.type)
            elif isinstance(argument, (ast.Name, ast.Attribute)) and kind is None and journey.listens:
                continue
            else:
                reading.mistakes.append(
                    f"{where}: {ast.unparse(argument)} is not a declared event type; use a class of "
                    "workflows.events, declare one of your own, or name it in listens=."
                )
    elif verb == "send":
        _read_send(journey, call, where, offset, reading)
    elif verb == "ask" and call.args:
        form = _resolve(call.args[0], names)
        if isinstance(form, type) and issubclass(form, Form):
            reading.forms[form.__name__] = form
        else:
            reading.mistakes.append(
                f"{where}: player.ask needs a Form class that the module can see, not {ast.unparse(call.args[0])}."
            )


def _read_send(journey: Journey, call: ast.Call, where: str, offset: int, reading: _Reading) -> None:
    if not call.args or not isinstance(call.args[0], ast.Constant):
        reading.mistakes.append(
            f"{where}: name the template of player.send(...) as a plain string, so that it can be "
            "checked before a player needs it."
        )
        return
    channels: set[str] = set()
    for keyword in call.keywords:
        if keyword.arg in {"via", "fallback"}:
            channels |= {
                node.value
                for node in ast.walk(keyword.value)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    reading.templates.append(
        TemplateUse(journey.name, str(call.args[0].value), frozenset(channels or {"email"}), call.lineno + offset)
    )


def _resolve(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_resolve(node.value, names), node.attr, None)
    return None
