"""A segment tried on a player of whom nothing is known, to see what it looks at and whether its code names that.

`reads` finds names in the code. What is reached in another way would be looked at and never kept, and the segment
would stay as it first was, without a word.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from workflows.errors import DesignError
from workflows.events import Event
from workflows.local_time import LocalTime
from workflows.player_state.projection import PlayerProjection
from workflows.rules.measures import Measure
from workflows.rules.segments import Segment, Statistics
from workflows.rules.where import require_event_type
from workflows.source.segment_dependencies import FOLLOWS_FROM, Read, reads

NOBODY_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
FACTS: Final = frozenset(name for name, one in vars(Statistics).items() if isinstance(one, property))


class Observed(Statistics):
    """Statistics of nobody that remember what they were asked for."""

    def __init__(self) -> None:
        super().__init__(PlayerProjection("", ""), NOBODY_AT)
        self.asked: set[Read] = set()
        self.facts: set[str] = set()

    def __getattribute__(self, name: str) -> Any:
        """Remember a fact, and what it follows from."""
        if name in FACTS:
            self.facts.add(name)
            self.asked.update(FOLLOWS_FROM.get(name, ()))
        return super().__getattribute__(name)

    def __getitem__(self, measure: Measure) -> int:
        """Remember a measure."""
        key: Any = measure
        if not isinstance(key, Measure):
            name = getattr(key, "__name__", None) or repr(key)
            raise DesignError(f"player[...] takes a measure, such as count(DepositApproved), not {name}.")
        self.asked.add(measure)
        return super().__getitem__(measure)

    def changed(self, pattern: Measure, *, to_protect: bool = False) -> bool:
        """Remember a pattern, whatever it is asked for."""
        if isinstance(pattern, Measure):
            self.asked.add(pattern)
        return super().changed(pattern, to_protect=to_protect)

    def count(self, kind: type[Event]) -> int:
        """Remember a kind of event."""
        self.asked.add(require_event_type(kind, "player.count"))
        return super().count(kind)

    def first(self, kind: type[Event]) -> datetime | None:
        """Remember a kind of event."""
        self.asked.add(require_event_type(kind, "player.first"))
        return super().first(kind)

    def last(self, kind: type[Event]) -> datetime | None:
        """Remember a kind of event."""
        self.asked.add(require_event_type(kind, "player.last"))
        return super().last(kind)

    def locally(self, when: LocalTime) -> bool:
        """Remember that the clock was asked."""
        self.facts.add("locally")
        return super().locally(when)

    def registered_for(self, duration: timedelta) -> bool:
        """Remember that the registration was asked for."""
        self.facts.add("registered_for")
        return super().registered_for(duration)


def mistakes(segment: Segment) -> Iterator[str]:
    """What is wrong with a segment's code, each a sentence that follows on the segment's name and place."""
    player = Observed()
    try:
        named = reads(segment)
        segment.function(player)
    except DesignError as refusal:
        yield f"the segment {segment.name} cannot be asked: {refusal}"
        return
    except Exception as failure:  # noqa: BLE001 - whatever a designer's function raises
        because = " Every statistic may be 0 or None." if _may_be_of_nothing(failure) else ""
        error = f"{type(failure).__name__}: {failure}".rstrip(".").replace(Observed.__name__, Statistics.__name__)
        yield f"the segment {segment.name} fails on a player of whom nothing is known, with {error}.{because}"
        return
    # It is pure: what looks at nothing here looks at nothing of anybody.
    if not player.asked and not player.facts:
        yield (
            f"the segment {segment.name} looks at nothing of the player, so that nobody ever comes in or leaves; "
            "read a measure, an event or a fact, such as player.deposits."
        )
    for words in sorted(one.words if isinstance(one, Measure) else one.__name__ for one in player.asked - named):
        yield (
            f"the segment {segment.name} looks at {words}, which its code does not name, so that no such event would "
            "ask it again; read it by its own name, not out of a list or another variable."
        )


def _may_be_of_nothing(failure: Exception) -> bool:
    """Whether a 0 or a None may be why."""
    if isinstance(failure, TypeError | AttributeError):
        return "NoneType" in str(failure)
    return isinstance(failure, ArithmeticError | ValueError | LookupError)
