"""What a segment looks at, found in its code: the measures and the kinds of events it names, helpers included.

Read once a process, when the rules are built, and never by a run.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from workflows.errors import DesignError
from workflows.events import DepositApproved, Event, RoundCompleted
from workflows.rules.measures import Measure
from workflows.rules.segments import VISITS, Segment

Read = Measure | type[Event]

#: What some facts follow from; the others change so rarely that such events ask every segment.
FOLLOWS_FROM: Final[Mapping[str, tuple[type[Event], ...]]] = {
    "favourite_category": (RoundCompleted,),
    "usual_hours": VISITS,
    "deposits": (DepositApproved,),
    "deposited_minor": (DepositApproved,),
    "mean_deposit_minor": (DepositApproved,),
}


def reads(segment: Segment) -> frozenset[Read]:
    """The measures and the kinds of events a segment's code, with all its helpers, looks at.

    It looks for names. What is reached in another way, such as a measure out of a dictionary, is not found, and then
    the segment is not asked when that changes.

    A `DesignError` says so when a function uses a name around it that has no value.
    """
    return frozenset(_reads(segment.function, set()))


def _reads(function: Any, seen: set[int]) -> Iterator[Measure | type[Event]]:
    """Everything a function's code names that a segment can depend on, helpers included."""
    if id(function) in seen:
        return
    seen.add(id(function))
    names = set(_names(function.__code__))
    closed = [
        _inside(cell, name, function)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    ]
    given = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for found in [*closed, *given, *(function.__globals__[name] for name in names if name in function.__globals__)]:
        for one in _named(found, names, set()) if isinstance(found, ModuleType) else (found,):
            yield from _meant(one, seen)
    for fact, kinds in FOLLOWS_FROM.items():
        if fact in names:
            yield from kinds


def _named(module: ModuleType, names: set[str], met: set[int]) -> Iterator[Any]:
    """What a module holds under these names, and so do the modules it holds: `casino.measures.wagered`."""
    met.add(id(module))
    for name in names & vars(module).keys():
        found = vars(module)[name]
        if not isinstance(found, ModuleType):
            yield found
        elif id(found) not in met:
            yield from _named(found, names, met)


def _meant(found: Any, seen: set[int]) -> Iterator[Measure | type[Event]]:
    if isinstance(found, Measure) or (isinstance(found, type) and issubclass(found, Event) and found.type):
        yield found
    elif isinstance(found, Segment):
        yield from _reads(found.function, seen)
    elif isinstance(found, FunctionType):
        yield from _reads(found, seen)
    elif isinstance(found, partial):
        for part in (found.func, *found.args, *found.keywords.values()):
            yield from _meant(part, seen)
    elif isinstance(found, MethodType):
        yield from _reads(found.__func__, seen)
    elif callable(found) and (wrapped := getattr(found, "__dict__", {}).get("__wrapped__")) is not None:
        # `functools.lru_cache` and what else keeps the function it was put above.
        yield from _meant(wrapped, seen)


def _inside(cell: CellType, name: str, function: FunctionType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        told = f"{function.__name__} uses {name}, which has no value; give {name} its value above the function."
        raise DesignError(told) from None


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
