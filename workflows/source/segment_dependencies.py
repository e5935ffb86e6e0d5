"""What a segment depends on: the measures and event types that its code names, helpers included.

Read once a process, when the rules are built, and never by a run.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

from workflows.events import DepositApproved, Event, RoundCompleted
from workflows.rules.measures import Measure
from workflows.rules.segments import VISITS, Segment
from workflows.source.functions import default_values, names_in, values_read

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
    return frozenset(_reads_of(segment, set()))


def _reads(function: FunctionType, seen: set[int]) -> Iterator[Read]:
    """Everything a function's code names that a segment can depend on, helpers included."""
    if id(function) in seen:
        return
    seen.add(id(function))
    names = set(names_in(function.__code__))
    for value in (*values_read(function).values(), *default_values(function)):
        for one in _members(value, names, set()) if isinstance(value, ModuleType) else (value,):
            yield from _reads_of(one, seen)
    for fact, kinds in FOLLOWS_FROM.items():
        if fact in names:
            yield from kinds


def _members(module: ModuleType, names: set[str], seen: set[int]) -> Iterator[Any]:
    """What a module holds under these names, and so do the modules it holds: `casino.measures.wagered`."""
    seen.add(id(module))
    for name in names & vars(module).keys():
        value = vars(module)[name]
        if not isinstance(value, ModuleType):
            yield value
        elif id(value) not in seen:
            yield from _members(value, names, seen)


def _reads_of(value: Any, seen: set[int]) -> Iterator[Read]:
    """What a value is as a dependency, or what the function behind it reads."""
    if isinstance(value, Measure) or (isinstance(value, type) and issubclass(value, Event) and value.type):
        yield value
    elif isinstance(value, Segment):
        yield from _reads_of(value.function, seen)
    elif isinstance(value, FunctionType):
        yield from _reads(value, seen)
    elif isinstance(value, partial):
        for part in (value.func, *value.args, *value.keywords.values()):
            yield from _reads_of(part, seen)
    elif isinstance(value, MethodType):
        yield from _reads_of(value.__func__, seen)
    elif callable(value) and (wrapped := getattr(value, "__dict__", {}).get("__wrapped__")) is not None:
        # `functools.lru_cache` and what else keeps the function it was put above.
        yield from _reads_of(wrapped, seen)
