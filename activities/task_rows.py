"""A task as it is read, who wants what of it, and what may stand against that; `activities.tasks` writes them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import orjson

from activities.actors import Actor
from workflows.json_object import JsonObject
from workflows.task_rights import Rule


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A row of `tasks`. `version` is one more after every change."""

    id: str
    brand: str
    player_id: str
    #: None: the engine itself asks, and no run waits.
    run_id: str | None
    step: str
    journey: str | None
    form: str
    question: str
    form_schema: JsonObject
    team: str
    skill: str | None
    reason: str
    forbidden: list[str]
    snapshot: JsonObject
    state: str
    assignee: str | None
    priority: int
    due_at: datetime
    follow_up_at: datetime | None
    reminded_at: datetime | None
    escalated_at: datetime | None
    escalate_to: str | None
    answer: JsonObject | None
    answered_by: str | None
    closed_at: datetime | None
    version: int
    created_at: datetime
    approvals: int
    not_by: list[str]
    proposal: JsonObject | None
    round: int
    #: The keys of what people were told of it, and when that is looked at again.
    told: list[str]
    tell_at: datetime | None


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """Who wants to do something to which task, and the versions of it they can have read; None is any."""

    brand: str
    task_id: str
    actor: Actor
    now: datetime
    versions: Collection[int] | None = None


@dataclass(frozen=True, slots=True)
class TaskConflict:
    """Why a task is left as it is. `answered` is told of a repeated answer too: whoever asked compares them."""

    why: Literal["closed", "claimed", "stale", "answered", "run_ended", "not_theirs"]
    task: TaskRow
    #: Of `not_theirs`: the rule that stands against it, and the sentence.
    rule: Rule | None = None
    sentence: str = ""
    #: And who may, by address.
    may: tuple[str, ...] = ()


#: The task after a change; None where the brand has no such task.
TaskOutcome = TaskRow | TaskConflict | None


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal, with true not being 1."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
