"""What other systems may hear of us: the types of outgoing events, and what each says.

An event is a fact that was committed. It names ids, states and amounts; personal data stays behind, and whoever needs
more reads it over the API. A type is added here, with its fields; whoever brings it about announces it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from workflows.json_object import JsonObject

#: The family of what journeys themselves say, by `player.webhook(name)`.
OWN: Final = "journey"
#: Everything, as a filter says it.
EVERYTHING: Final = "*"
#: What a test of a subscription says; it goes to that subscription alone.
TEST: Final = "webhook.test"
#: Bytes of an event's data. Receivers take twenty thousand of a request (Standard Webhooks 1.0).
MOST_DATA: Final = 16_000
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}\Z")

_OF_A_RUN: Final = {"journey": "journey", "run_id": "run_id", "step": "step"}
_TASK: Final = {
    "task_id": "id",
    **_OF_A_RUN,
    "form": "form",
    "team": "team",
    "skill": "skill",
    "state": "state",
    "assignee": "assignee",
    "priority": "priority",
    "due_at": "due_at",
    "version": "version",
}
_MESSAGE: Final = {
    "message_id": "id",
    **_OF_A_RUN,
    "channel": "channel",
    "template": "template",
    "class": "message_class",
    "reason": "reason",
}
_GRANT: Final = {
    "grant_id": "id",
    **_OF_A_RUN,
    "kind": "kind",
    "reward": "reward",
    "reason": "reason",
    "provider_ref": "provider_ref",
}


@dataclass(frozen=True, slots=True)
class OutgoingType:
    """One type of event: when it comes, and its fields, each with the name that the row behind it has for it."""

    when: str
    fields: Mapping[str, str]


OUTGOING_TYPES: Final[Mapping[str, OutgoingType]] = {
    "task.opened": OutgoingType("a journey or a person asks people something, or a player contests", _TASK),
    "task.claimed": OutgoingType("somebody works on a task", _TASK),
    "task.released": OutgoingType("a task went back to its team", _TASK),
    "task.reassigned": OutgoingType("a task was passed on to a person or a team", _TASK),
    "task.changed": OutgoingType("a task has another priority or follow-up date", _TASK),
    "task.reminded": OutgoingType("half of a task's time is over", _TASK),
    "task.unclaimed": OutgoingType("a quarter of a task's time is over and nobody has it", _TASK),
    "task.breached": OutgoingType("a task's time is over, and it is still open", _TASK),
    "task.escalated": OutgoingType("nobody answered in time, and another team has it", _TASK),
    "task.completed": OutgoingType("somebody answered; the answer is read under `/v1/tasks/{id}`", _TASK),
    "task.expired": OutgoingType("nobody answered, and the journey went on", _TASK),
    "task.cancelled": OutgoingType("its run ended before anybody answered", _TASK),
    "message.sent": OutgoingType("a channel took a message, or it lies in the inbox on the site", _MESSAGE),
    "message.suppressed": OutgoingType("the gate said no; `reason` says why", _MESSAGE),
    "message.failed": OutgoingType("a channel refused a message for good, or it could not be written", _MESSAGE),
    "message.unknown": OutgoingType("a message was handed over and nobody can say whether it arrived", _MESSAGE),
    "grant.confirmed": OutgoingType("the bonus engine gave a reward", _GRANT),
    "grant.refused": OutgoingType("the gate or the bonus engine said no", _GRANT),
    "grant.unknown": OutgoingType("the bonus engine never answered; a later event tells", _GRANT),
    "grant.revoked": OutgoingType("a reward was taken back before the player took it", _GRANT),
    "run.started": OutgoingType(
        "a player entered a journey, in either arm",
        {
            "run_id": "run_id",
            "journey": "journey",
            "version": "version",
            "arm": "arm",
            "ends_at": "ends_at",
            "cause": "cause",
        },
    ),
    "run.ended": OutgoingType("a run is over", {"run_id": "run_id", "journey": "journey", "outcome": "outcome"}),
    "player.protected": OutgoingType(
        "a fact came that protects: an exclusion, a signal of harm, a closed account, a consent withdrawn",
        {"because": "type", "event_id": "event_id", "source": "event_source"},
    ),
}
FAMILIES: Final = tuple(dict.fromkeys([*(name.partition(".")[0] for name in OUTGOING_TYPES), OWN]))


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """A fact that others may hear. `id` names it for good; None: it is given one when it is written."""

    brand: str
    player_id: str
    type: str
    at: datetime
    data: JsonObject
    id: str | None = None

    @classmethod
    def about(cls, kind: str, row: Any, at: datetime, **given: object) -> "OutgoingEvent":
        """An event of a type of the table, with its fields from `given` or read off a row: an object, or a mapping.

        The row names the brand and the player unless they are given.
        """
        if isinstance(row, Mapping):
            given = {**row, **given}

        def read(name: str) -> Any:
            return given[name] if name in given else getattr(row, name)

        data = {name: read(source) for name, source in OUTGOING_TYPES[kind].fields.items()}
        present = {name: value for name, value in data.items() if value is not None}
        return cls(read("brand"), read("player_id"), kind, at, present)


def own_type(name: str) -> str:
    """The type of what a journey says by `player.webhook(name)`.

    Raises:
        ValueError: the name is none.
    """
    if not _NAME.match(name):
        raise ValueError(
            f"{name!r} is no name of an outgoing event; use up to 40 of a-z, 0-9, '_' and '-', a letter first."
        )
    return f"{OWN}.{name}"


def filters_of(kind: str) -> list[str]:
    """Every filter that lets a type pass: itself, its family, everything."""
    return [kind, f"{kind.partition('.')[0]}.{EVERYTHING}", EVERYTHING]


def wrong_filters(filters: Iterable[str]) -> list[str]:
    """A sentence for each filter that would never let anything pass."""
    return [_sentence(one) for one in filters if not _lets_something_pass(one)]


def _lets_something_pass(one: str) -> bool:
    family, dot, rest = one.partition(".")
    if one == EVERYTHING or one in OUTGOING_TYPES:
        return True
    return bool(dot) and family in FAMILIES and (rest == EVERYTHING or (family == OWN and bool(_NAME.match(rest))))


def _sentence(one: str) -> str:
    families = ", ".join(f"{family}.*" for family in FAMILIES)
    return f"Nothing is called {one!r}: name a type of docs/webhooks.md, a family ({families}), or * for everything."
