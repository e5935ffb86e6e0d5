"""What a designer's `where=` may be, and what becomes of one that fails."""

from collections.abc import Callable
from typing import Any

from workflows.errors import DesignError
from workflows.events import Event
from workflows.rules.failures import RuleFailure

Where = Callable[[Any], bool]


def passes(where: Where | None, event: Event, failures: list[RuleFailure]) -> bool:
    """Whether `where` takes the event.

    One that raises takes nothing and is added to `failures`: it is a designer's mistake about one event, and must not
    keep a whole batch of other players' events out.
    """
    if where is None:
        return True
    try:
        return bool(where(event))
    except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
        failures.append(RuleFailure(getattr(where, "__qualname__", repr(where)), "where", error, event.type))
        return False


def require_event_type(kind: Any, word: str) -> type[Event]:
    """`kind`, if events of it can arrive at all; raises a `DesignError` otherwise."""
    if not (isinstance(kind, type) and issubclass(kind, Event)):
        raise DesignError(f"{word}(...) takes an event class of workflows, or one of your own, not {kind!r}.")
    if not kind.type:
        raise DesignError(f"{word}({kind.__name__}): no event has this type itself; name the events it stands for.")
    return kind
