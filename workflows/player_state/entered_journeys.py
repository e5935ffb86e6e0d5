"""Which journeys an event lets a player into, as far as their triggers say."""

from collections.abc import Sequence

from workflows.declaration import Journey
from workflows.events import Event
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex


def entered_journeys(
    event: Event, fired: Sequence[str], derived: Sequence[Event], rules: RuleIndex, failures: list[RuleFailure]
) -> list[tuple[Journey, Event]]:
    """The open journeys whose triggers fire, by name, each once, with the event it is entered with."""
    entered: dict[str, tuple[Journey, Event]] = {}
    candidates = [(journey, event) for journey in rules.triggered_by(event, failures)]
    candidates += [(journey, event) for key in fired for journey in rules.by_key.get(key, ())]
    candidates += [(journey, happened) for happened in derived for journey in rules.triggered_by(happened, failures)]
    for journey, trigger in candidates:
        if journey.name in rules.closed:
            continue
        entered.setdefault(journey.name, (journey, trigger))
    return [entered[name] for name in sorted(entered)]
