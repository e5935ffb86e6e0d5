"""Finding the journeys, and telling designers their mistakes before a player meets them.

`load` runs once a process, outside the Temporal sandbox, and no journey imports this package: a
registry filled by decorators would grow with every run that the sandbox imports a journey for.
"""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.abc import InspectLoader
from types import ModuleType
from typing import Any

from workflows import journey_versions
from workflows.declaration import Journey
from workflows.errors import DesignError
from workflows.experiments import Experiment
from workflows.figures.targets import Target, declared_targets
from workflows.forms import Form
from workflows.gate import policy_book
from workflows.gate.policies import HOUSE
from workflows.gate.policies import SHIPPED as SHIPPED_POLICIES
from workflows.gate.policy import Policy
from workflows.journey import journey as declares
from workflows.loyalty.program import NO_PROGRAM, LoyaltyProgram, mistakes_among
from workflows.rules.index import RuleIndex, clashes
from workflows.rules.segments import Segment
from workflows.run import JourneyRun
from workflows.scores import SCORES, score_of
from workflows.source import segment_probe
from workflows.source.declaration_lint import misdeclared, uses_trigger, where
from workflows.source.functions import resolve
from workflows.source.import_lint import impure_calls, impure_imports
from workflows.source.loyalty_loading import (
    asks_engine_for_a_tier,
    declared_loyalty,
    has_ladder,
    nameless_loyalty,
    two_givers_of_tiers,
    undelivered,
)
from workflows.source.releases import (
    ReleasedJourney,
    ReleaseIndex,
    is_releases,
    read_index,
    releases_package,
    with_versions,
)
from workflows.source.verb_lint import TemplateUse, VerbReading, read_verbs
from workflows.source.version_content import JourneyPackages

__all__ = ["SHIPPED", "Registry", "TemplateUse", "load", "shipped_packages"]

SHIPPED = "workflows.journeys"
_SHIPPED_SEGMENTS = f"{SHIPPED}.segments"


@dataclass(frozen=True)
class Registry:
    """Every journey of a deployment, checked."""

    journeys: Mapping[str, Journey]
    templates: tuple[TemplateUse, ...]
    forms: Mapping[str, Mapping[str, type[Form]]]
    segments: Mapping[str, Segment] = field(default_factory=dict)
    #: The releases of each journey, with those of its neighbours.
    releases: Mapping[str, ReleaseIndex] = field(default_factory=dict)
    #: The deployment's own policies, beside those that are shipped.
    policies: tuple[Policy, ...] = ()
    loyalty: LoyaltyProgram = NO_PROGRAM
    #: What figures are to come to.
    targets: tuple[Target, ...] = ()
    #: By name and version.
    experiments: Mapping[tuple[str, int], Experiment] = field(default_factory=dict)
    #: The scores of its player that the code of a journey asks for.
    asks_scores: frozenset[str] = frozenset()
    #: Journeys that came with the engine and that nobody enters: the deployment has a way of its own.
    left_out: frozenset[str] = frozenset()

    @property
    def reads_scores(self) -> frozenset[str]:
        """The scores that anything that is deployed looks at, the code of a journey or a measure."""
        return self.asks_scores | {name for one in self.rules.measures if (name := score_of(one)) is not None}

    @property
    def rules(self) -> RuleIndex:
        """What intake and the sweep decide by."""
        return RuleIndex(self.journeys, self.segments, self.loyalty, self.left_out)

    @property
    def workflows(self) -> list[type[JourneyRun]]:
        """The workflow classes a worker registers."""
        return [j.workflow_class for j in self.journeys.values() if j.workflow_class is not None]


def shipped_packages(chosen: Sequence[str]) -> tuple[str, ...]:
    """The packages and modules that SHIPPED_JOURNEYS stands for: `all`, `none`, or some journeys with the segments.

    Each journey that the engine ships with has a module of its name. Raises `DesignError` for any other name.
    """
    if [*chosen] == ["all"]:
        return (SHIPPED,)
    if [*chosen] == ["none"]:
        return ()
    modules = [info.name for info in pkgutil.iter_modules(importlib.import_module(SHIPPED).__path__, f"{SHIPPED}.")]
    others = {_SHIPPED_SEGMENTS, releases_package(SHIPPED, (SHIPPED,))}
    known = {module.rpartition(".")[2]: module for module in modules if module not in others}
    if wrong := [name for name in chosen if name not in known]:
        raise DesignError(
            f"SHIPPED_JOURNEYS names {', '.join(wrong)}; write all, none, or some of {', '.join(sorted(known))}."
        )
    return (*(known[name] for name in dict.fromkeys(chosen)), _SHIPPED_SEGMENTS)


def load(packages: Sequence[str] = (SHIPPED,)) -> Registry:
    """Import every module of `packages` and return their journeys.

    Raises `DesignError` with one sentence for each mistake found in any journey, so that a
    designer mends them all at once. A module that cannot be imported hides what comes after the
    line that failed.
    """
    journeys: dict[str, Journey] = {}
    templates: list[TemplateUse] = []
    forms: dict[str, dict[str, type[Form]]] = {}
    mistakes: list[str] = []
    asks_scores = frozenset[str]()
    tiers: dict[str, int] = {}
    named = tuple(packages)
    modules = {module.__name__: module for package in named for module in _modules(package, named, mistakes)}
    for module in modules.values():
        for journey in _declared_in(module):
            known = journeys.setdefault(journey.name, journey)
            if known is not journey:
                mistakes.append(_same_name(journey.name, where(known), where(journey)))
                continue
            mistakes += misdeclared(journey)
            reading = read_verbs(journey, named)
            mistakes += reading.mistakes
            journeys[journey.name] = replace(journey, **reading.listening(journey), uses_trigger=uses_trigger(journey))
            templates += reading.templates
            forms[journey.name] = reading.forms
            asks_scores |= _asked_scores(reading)
            if (line := asks_engine_for_a_tier(journey, reading.verb_calls)) is not None:
                tiers[journey.name] = line
    segments = _segments(modules.values(), mistakes)
    mistakes += clashes(journeys.values(), segments.values())
    policies = _policies(modules.values())
    mistakes += policy_book.clashes(policies)
    loyalty = declared_loyalty(modules.values())
    mistakes += mistakes_among(loyalty)
    mistakes += undelivered(loyalty, journeys)
    left_out = {name for name in tiers if has_ladder(loyalty) and where(journeys[name]).startswith(f"{SHIPPED}.")}
    mistakes += two_givers_of_tiers(loyalty, {name: line for name, line in tiers.items() if name not in left_out})
    experiments = _experiments(modules.values(), mistakes)
    if mistakes:
        raise DesignError("\n".join(dict.fromkeys(mistakes)))
    registry = Registry(dict(sorted(journeys.items())), tuple(templates), forms, segments, policies=policies)
    registry = replace(registry, loyalty=LoyaltyProgram.of(loyalty), experiments=experiments, asks_scores=asks_scores)
    registry = replace(registry, targets=declared_targets(modules.values()), left_out=frozenset(left_out))
    return _with_versions(registry, named)


def _with_versions(registry: Registry, packages: tuple[str, ...]) -> Registry:
    """The registry with every version of its journeys that a run may be on. Raises `DesignError`."""
    sources = JourneyPackages(packages)
    indexes: dict[str, ReleaseIndex] = {}
    released: dict[str, ReleasedJourney] = {}
    releases: dict[str, ReleaseIndex] = {}
    for name, journey in registry.journeys.items():
        module = journey.function.__module__
        folder = releases_package(module, packages)
        releases[name] = indexes[folder] = indexes.get(folder) or read_index(folder)
        released[name] = with_versions(journey, sources, releases[name])
    mistakes = [mistake for one in released.values() for mistake in one.mistakes]
    if mistakes:
        raise DesignError("\n".join(mistakes))
    forms, templates = dict(registry.forms), [*registry.templates]
    for name, one in released.items():
        present: dict[int, str | None] = {one.journey.version: None} if one.journey.version else {}
        frozen = {number: journey.function.__module__ for number, journey in one.journey.versions.items()}
        journey_versions.publish(one.journey.function.__module__, name, {**present, **frozen})
        for reading in one.readings.values():
            templates += [use for use in reading.templates if use not in templates]
            forms[name] = {**reading.forms, **forms[name]}
    journeys = {name: one.journey for name, one in released.items()}
    asks_scores = registry.asks_scores.union(
        *(_asked_scores(reading) for one in released.values() for reading in one.readings.values())
    )
    return replace(
        registry, journeys=journeys, forms=forms, templates=tuple(templates), releases=releases, asks_scores=asks_scores
    )


def _asked_scores(reading: VerbReading) -> frozenset[str]:
    """The scores that a journey asks for; every one where it does not name them plainly."""
    asked = frozenset[str]()
    for call, verb in reading.verb_calls.items():
        if verb == "score":
            match [*call.args, *(one.value for one in call.keywords)]:
                case [ast.Constant(value=str(name))]:
                    asked |= {name}
                case _:
                    asked |= {*SCORES}
    return asked


def _policies(modules: Iterable[ModuleType]) -> tuple[Policy, ...]:
    """Every policy that a module holds, alone or in a list, each once."""
    found: list[Policy] = []
    for module in modules:
        for one in vars(module).values():
            several = one if isinstance(one, list | tuple) else [one]
            found += [
                each for each in several if isinstance(each, Policy) and not any(each is known for known in found)
            ]
    return tuple(each for each in found if not any(each is shipped for shipped in (HOUSE, *SHIPPED_POLICIES)))


def _experiments(modules: Iterable[ModuleType], mistakes: list[str]) -> dict[tuple[str, int], Experiment]:
    """Every experiment that a module holds under a name; two that share a name and a version are a mistake."""
    held = [(module, one) for module in modules for one in vars(module).values() if isinstance(one, Experiment)]
    found: dict[tuple[str, int], Experiment] = {}
    mistakes += [
        f"{module.__name__}: there is another experiment {one.name!r} of version {one.version}; players would be drawn "
        "alike for both, so give one of them a name of its own."
        for module, one in held
        if found.setdefault((one.name, one.version), one) is not one
    ]
    return found


def _segments(modules: Iterable[ModuleType], mistakes: list[str]) -> dict[str, Segment]:
    """Every segment declared in a module and tried without a mistake."""
    segments: dict[str, Segment] = {}
    failed: set[str] = set()
    for module in modules:
        for one in vars(module).values():
            if not isinstance(one, Segment) or one.function.__module__ != module.__name__:
                continue
            known = segments.setdefault(one.name, one)
            code: Any = one.function
            at = f"{module.__name__}, line {code.__code__.co_firstlineno}"
            if known.function is not one.function:
                mistakes.append(
                    f"{at}: there is another segment {one.name} in {known.function.__module__}; rename one."
                )
                continue
            if not one.description:
                mistakes.append(f"{at}: the segment {one.name} does not say who is in it; write that as its docstring.")
            if inspect.iscoroutinefunction(one.function):
                mistakes.append(f"{at}: the segment {one.name} is async; write def, it decides at once.")
                continue
            wrong = [f"{at}: {mistake}" for mistake in segment_probe.mistakes(one)]
            mistakes += wrong
            failed |= {one.name} if wrong else set()
    # What a failed one reads may not even be segments, so it is compared with nothing.
    return {name: segments[name] for name in sorted(segments) if name not in failed}


def _modules(name: str, packages: tuple[str, ...], mistakes: list[str]) -> Iterator[ModuleType]:
    """The module and all below it, imported; what cannot be is a mistake and is left out."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        mistakes.append(
            f"JOURNEYS names {name}, but it cannot be imported: install the package or add its folder to PYTHONPATH."
        )
        return
    try:
        source = spec.loader.get_source(name) if isinstance(spec.loader, InspectLoader) else None
        tree = ast.parse(source or "")
    except (SyntaxError, ImportError) as wrong:
        line, why = getattr(wrong, "lineno", None) or 1, getattr(wrong, "msg", wrong)
        mistakes.append(f"{name}, line {line}: this is not Python: {why}.")
        return
    refused = list(impure_imports(tree, name, packages, is_package=spec.submodule_search_locations is not None))
    mistakes += refused
    try:
        module = importlib.import_module(name)
    except Exception as failure:  # noqa: BLE001 - whatever a designer's module raises is told with the rest
        # An import that was found wanting above is told already.
        if not (refused and isinstance(failure, ImportError)):
            mistakes.append(_failed(name, spec.origin, failure))
        return
    mistakes += impure_calls(tree, module)
    mistakes += _declared_twice(tree, module)
    mistakes += nameless_loyalty(tree, module)
    yield module
    for info in pkgutil.iter_modules(getattr(module, "__path__", []), f"{name}."):
        if not any(is_releases(info.name, package) for package in packages):
            yield from _modules(info.name, packages, mistakes)


def _failed(name: str, origin: str | None, failure: Exception) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(failure.__traceback__) if frame.filename == origin]
    at = f"{name}, line {lines[-1]}" if lines else name
    # "(/where/it/lies.py)" at the end of an ImportError helps nobody who reads a log of another machine.
    reason = re.sub(r" \(\S+\)$", "", str(failure))
    if isinstance(failure, DesignError):
        return f"{at}: {reason}"
    return f"{at}: importing it fails with {type(failure).__name__}: {reason.rstrip('.')}. Mend this line first."


def _declared_in(module: ModuleType) -> list[Journey]:
    classes = {
        id(value): value.definition
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, JourneyRun)
        and value is not JourneyRun
        and value.__module__ == module.__name__
    }
    return sorted(classes.values(), key=lambda journey: journey.name)


def _declared_twice(tree: ast.Module, module: ModuleType) -> Iterator[str]:
    """The second of two functions of one name replaces the first, so only the source shows both."""
    lines: dict[str, int] = {}
    for node in tree.body:
        if isinstance(node, ast.AsyncFunctionDef) and any(_is_journey(d, module) for d in node.decorator_list):
            if node.name in lines:
                first, second = (f"{module.__name__}, line {n}" for n in (lines[node.name], node.lineno))
                yield _same_name(node.name, first, second)
            lines.setdefault(node.name, node.lineno)


def _is_journey(decorator: ast.expr, module: ModuleType) -> bool:
    return isinstance(decorator, ast.Call) and resolve(decorator.func, vars(module)) is declares


def _same_name(name: str, first: str, second: str) -> str:
    return f"Two journeys are called {name}, in {first} and in {second}: a journey's name is its identity, rename one."
