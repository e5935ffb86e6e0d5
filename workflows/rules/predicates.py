"""What a designer's `where=` may be, and what becomes of one that fails."""

import warnings
from collections.abc import Callable
from typing import Any

from workflows.errors import DesignError
from workflows.events import Event

Where = Callable[[Any], bool]


class RuleWarning(UserWarning):
    """A designer's function raised and was taken for no; the message names it and the error."""


def passes(where: Where | None, event: Event) -> bool:
    """Whether `where` takes the event.

    One that raises takes nothing and warns: it is a designer's mistake about one event, and must not keep
    a whole batch of other players' events out.
    """
    if where is None:
        return True
    try:
        return bool(where(event))
    except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
        name = getattr(where, "__qualname__", repr(where))
        told = f"where={name} raised {type(error).__name__} on a {event.type} event ({error}); it was taken for no."
        warnings.warn(told, RuleWarning, stacklevel=2)
        return False


def concrete(kind: Any, word: str) -> type[Event]:
    """`kind`, if events of it can arrive at all."""
    if not (isinstance(kind, type) and issubclass(kind, Event)):
        raise DesignError(f"{word}(...) takes an event class of workflows, or one of your own, not {kind!r}.")
    if not kind.type:
        raise DesignError(f"{word}({kind.__name__}): no event has this type itself; name the events it stands for.")
    return kind
