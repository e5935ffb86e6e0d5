"""Which journeys an event lets a player into, as far as their triggers say, and by which value they remember it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from workflows.declaration import Journey
from workflows.events import Event, SegmentEntered, SegmentLeft
from workflows.player_state.decisions import Moved
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex

#: Why a journey's entry rule does not let a player in.
EntryRefusal = Literal[
    "other_brand", "too_late", "needs_event", "entered_for_it", "in_too_many", "in_it", "once", "too_soon", "outranked"
]


def entered_journeys(
    event: Event, fired: Sequence[str], derived: Sequence[Event], rules: RuleIndex, failures: list[RuleFailure]
) -> list[tuple[Journey, Event]]:
    """The open journeys whose triggers fire, each once and who goes first first, with the event it is entered with."""
    entered: dict[str, tuple[Journey, Event]] = {}
    candidates = [(journey, event) for journey in rules.triggered_by(event, failures)]
    candidates += [(journey, event) for key in fired for journey in rules.by_key.get(key, ())]
    candidates += [(journey, happened) for happened in derived for journey in rules.triggered_by(happened, failures)]
    for journey, trigger in candidates:
        if journey.name in rules.closed:
            continue
        entered.setdefault(journey.name, (journey, trigger))
    return [entered[name] for name in sorted(entered, key=lambda name: (-entered[name][0].priority, name))]


def entry_key(journey: Journey, trigger: Event | None) -> str | None:
    """The value that a journey with `per(field)` remembers of what lets a player in."""
    if journey.entry.field is None or trigger is None:
        return None
    value = getattr(trigger, journey.entry.field, None)
    return None if value is None else str(value)


def segment_change(move: Moved, at: datetime) -> Event:
    """The event journeys receive when time alone moved a player; `at` is when the answer changed."""
    kind = SegmentEntered if move.entered else SegmentLeft
    event_id = f"segment:{move.segment}:{int(at.timestamp())}:{kind.type}"
    return kind(event_id=event_id, event_source="engine", occurred_at=at, segment=move.segment)
