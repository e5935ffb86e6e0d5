"""What is wrong with how a journey is declared, and what only the code of its function tells of the declaration."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args

from workflows.declaration import Entry, Goal, Journey
from workflows.rules.tied_to_run import has_tie
from workflows.rules.triggers import On
from workflows.source.functions import definition_of, reads_name


def where(journey: Journey) -> str:
    """The module and line of a journey's declaration."""
    function: Any = journey.function
    return f"{function.__module__}, line {function.__code__.co_firstlineno}"


def uses_trigger(journey: Journey) -> bool:
    """Whether the journey's code reads the event it begins with and does not declare that there may be none.

    Whoever lets players in by hand has none to give: each run would fail at that line, and wait for a release.
    """
    parameters = [*inspect.signature(journey.function).parameters.values()]
    if len(parameters) < 2:
        return False
    name, declared = parameters[1].name, parameters[1].annotation
    if "None" in declared if isinstance(declared, str) else declared is None or type(None) in get_args(declared):
        return False
    return reads_name(definition_of(journey.function), name)


def misdeclared(journey: Journey) -> Iterator[str]:
    """What is wrong with the declaration itself."""
    function: Any = journey.function
    at = f"Journey {journey.name}, line {function.__code__.co_firstlineno}"
    parameters = list(inspect.signature(journey.function).parameters.values())
    placed = [one for one in parameters if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]
    if len(placed) < 2:
        yield f"{at}: a journey is called with the player and the event it begins with; write both parameters."
    for one in parameters[2:]:
        if one.default is one.empty and one.kind not in {one.VAR_POSITIONAL, one.VAR_KEYWORD}:
            yield f"{at}: give the parameter {one.name} a default, because the first chapter begins without it."
    if not isinstance(journey.entry, Entry):
        yield f"{at}: entry= is one of once, always, every(...) and per(...), not {journey.entry!r}."
        return
    if not isinstance(journey.goal, Goal | None):
        yield f"{at}: goal= is goal(...), such as goal(DepositApproved, within=days(7)), not {journey.goal!r}."
    for kind in journey.listens:
        if not getattr(kind, "type", ""):
            yield f"{at}: no event has the type {getattr(kind, '__name__', repr(kind))}; listens= names event classes."
    for trigger in journey.triggers:
        kind = trigger.enters
        if isinstance(trigger, On) and trigger.same is not None:
            yield f"{at}: on({kind.__name__}, same=...) ties an exit to its run; nobody is in a run yet, so drop same=."
        for field in sorted(one for one in journey.tied_by if not has_tie(kind, one)):
            yield (
                f"{at}: same={field!r} ties it to the event it begins with, and {kind.__name__} has no such field that "
                "may be kept with a run."
            )
        if journey.entry.field is not None and journey.entry.field not in kind.model_fields:
            yield (
                f"{at}: per({journey.entry.field!r}) lets nobody in by {kind.__name__}, which has no such field; "
                f"name one of {', '.join(sorted(kind.model_fields))}."
            )
