"""What a segment looks at, found in its code: the measures and the kinds of events it names, helpers included.

Read once a process, when the rules are built, and never by a run.
"""

from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from workflows.events import DepositApproved, Event, RoundCompleted
from workflows.measures import Measure
from workflows.segments import VISITS, Segment

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
    """
    return frozenset(_reads(segment.function, set()))


def _reads(function: Any, seen: set[int]) -> Iterator[Measure | type[Event]]:
    """Everything a function's code names that a segment can depend on, helpers included."""
    if id(function) in seen:
        return
    seen.add(id(function))
    names = set(_names(function.__code__))
    closed = dict(
        zip(function.__code__.co_freevars, (c.cell_contents for c in function.__closure__ or ()), strict=True)
    )
    for found in [*closed.values(), *(function.__globals__[name] for name in names if name in function.__globals__)]:
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
    if isinstance(found, Measure) or (isinstance(found, type) and issubclass(found, Event)):
        yield found
    elif isinstance(found, Segment):
        yield from _reads(found.function, seen)
    elif isinstance(found, FunctionType):
        yield from _reads(found, seen)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
