"""Which events a run hears: types, and of some of them what its waits ask."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workflows.events import Event
from workflows.rules.failures import RuleFailure
from workflows.rules.where import Where, passes

Filters = Mapping[str, tuple[Where, ...]]


@dataclass(frozen=True)
class Hearing:
    """What a run can still use that has come to a place in its journey."""

    types: frozenset[str]
    filters: Filters
    #: The waits it can still come to, counted through the journey's code.
    waits: frozenset[int]

    def takes(self, event: Event, failures: list[RuleFailure]) -> bool:
        """Whether one of these waits may take `event`; a `where` that raises says no."""
        return takes(event, self.types, self.filters, failures)

    def is_less_than(self, other: "Hearing") -> bool:
        """Whether it is part of another one, and an event may wake that and not this."""
        return self.waits < other.waits and (self.types, self.filters) != (other.types, other.filters)


Places = Callable[[str], Hearing | None]
"""What a run can still use that has come to a step; None where that is no less than all its journey waits for."""


def everywhere_alike(_: str) -> Hearing | None:
    """The places of a journey of which nothing is known."""
    return None


def takes(event: Event, types: frozenset[str], filters: Filters, failures: list[RuleFailure]) -> bool:
    """Whether an event is of one of these types and one of the questions about its type takes it."""
    if event.type not in types:
        return False
    asked = filters.get(event.type)
    # As the run would get it: without personal data.
    return asked is None or any(passes(where, event.redacted(), failures) for where in asked)
