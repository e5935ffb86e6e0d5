"""The inbox of a run: the events it has heard and not used yet, oldest first, and what it had to let go."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import JsonValue, ValidationError

from workflows.errors import UnknownEventType
from workflows.events import Event
from workflows.rules.where import Where

# What a run carries along is bounded, because a payload is: 2 MiB, beyond which Temporal takes no step any more.
MOST_EVENTS: Final = 1_000
#: Of all events together, as JSON, when a chapter hands them on to the next.
MOST_BYTES: Final = 768 * 1024
#: What an event's envelope takes, about.
ENVELOPE: Final = 200


class Inbox:
    """Events with their numbers in order of arrival; a run's own, so replay rebuilds it."""

    def __init__(self, wires: Sequence[Mapping[str, Any]], numbers: Sequence[int], arrived: int = 0) -> None:
        self.entries: list[tuple[int, Event]] = []
        #: The number of the last event that arrived.
        self.arrived = 0
        #: Whether an event was ever let go.
        self.overflowed = False
        #: By type, what was let go since it was last told.
        self.dropped: Counter[str] = Counter()
        for wire, number in zip(wires, numbers or range(1, len(wires) + 1), strict=True):
            self.arrived = number - 1
            self.add(wire)
        # The last that arrived may be used up by now, and a wait for what is fresh have begun behind it.
        self.arrived = max(self.arrived, arrived)

    def add(self, wire: Mapping[str, Any]) -> bool:
        """Keep an event, the oldest being let go when there are too many; False when it cannot be read.

        A run outlives releases: an event whose type is gone or has changed must not wedge it, for the stop that comes
        after it would never be heard.
        """
        try:
            event = Event.from_wire(wire)
        except (UnknownEventType, ValidationError):
            return False
        self.arrived += 1
        self.entries.append((self.arrived, event))
        if len(self.entries) > MOST_EVENTS:
            self._drop_oldest()
        return True

    def oldest(self, kinds: Sequence[type[Event]], where: Where | None, after: int) -> Event | None:
        """The oldest event of `kinds` whose number is higher than `after`, left in place."""
        for index, (number, event) in enumerate(self.entries):
            if number <= after:
                continue
            kind = next((k for k in kinds if isinstance(event, k) or event.type == k.type), None)
            if kind is None:
                continue
            if not isinstance(event, kind):
                # A designer's own event class exists once more inside the sandbox.
                event = kind.from_wire(event.to_wire())  # noqa: PLW2901 - kept as the same event
                self.entries[index] = (number, event)
            if where is None or where(event):
                return event
        return None

    def use(self, event: Event) -> None:
        """Remove an event."""
        self.entries = [entry for entry in self.entries if entry[1] is not event]

    def trim(self) -> None:
        """Let go of the oldest until the rest fits into the input of a chapter."""
        size = sum(len(event.to_data()) + ENVELOPE for _, event in self.entries)
        while size > MOST_BYTES:
            size -= len(self._drop_oldest().to_data()) + ENVELOPE

    def told(self) -> dict[str, JsonValue]:
        """By type, how many events were let go since this was last asked."""
        dropped: dict[str, JsonValue] = dict(sorted(self.dropped.items()))
        self.dropped.clear()
        return dropped

    def _drop_oldest(self) -> Event:
        _, event = self.entries.pop(0)
        self.overflowed = True
        self.dropped[event.type] += 1
        return event
