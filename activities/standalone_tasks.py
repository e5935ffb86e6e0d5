"""Tasks that no run waits for, of the engine itself and of people: their rows, as `tasks.OPEN` takes them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Protocol

from activities.actors import ENGINE, Actor
from workflows import grant_forms
from workflows.double_forms import DoubleAccount
from workflows.forms import Form
from workflows.grant_forms import GrantInDoubt
from workflows.json_object import JsonObject
from workflows.player_facts import PlayerFacts
from workflows.player_state.decisions import ReviewDue
from workflows.protection_forms import DUE, FORBIDDEN, PRIORITY, PROTECTION_FORMS, SKILL, STEPS, TEAM, HarmReview
from workflows.task_kinds import BY_HAND, TASK_KINDS


class DoubtfulGrant(Protocol):
    """What of a reward people are shown who find out whether it was given."""

    @property
    def id(self) -> str:
        """Its id, which is its Idempotency-Key."""
        ...

    @property
    def player_id(self) -> str:
        """Whose it is."""
        ...

    @property
    def journey(self) -> str:
        """Which journey gave it."""
        ...

    @property
    def reward(self) -> JsonObject:
        """What was to be given."""
        ...

    @property
    def reason(self) -> str | None:
        """Why nobody can say."""
        ...


#: Every form that the engine itself asks.
ENGINE_FORMS: Final[Mapping[str, type[Form]]] = MappingProxyType(
    {**PROTECTION_FORMS, GrantInDoubt.__name__: GrantInDoubt, DoubleAccount.__name__: DoubleAccount}
)


def doubt_id_of(grant_id: str) -> str:
    """The id of the task about a reward in doubt; of one reward there is one."""
    return hashlib.sha256(f"doubt {grant_id}".encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class StandaloneTask:
    """A row for `tasks.OPEN`. Who is `assignee` has it in hand from the beginning."""

    id: str
    player_id: str
    step: str
    form: str
    question: str
    form_schema: JsonObject
    team: str
    skill: str | None
    reason: str
    forbidden: Sequence[str]
    snapshot: JsonObject
    priority: int
    due_at: datetime
    created_at: datetime
    escalate_to: str | None = None
    approvals: int = 1
    assignee: str | None = None
    #: Who opened it, as its history names them.
    actor: str = ENGINE
    actor_id: str | None = None
    key_id: str | None = None

    @classmethod
    def asking(cls, form: str, task_id: str, reason: str, snapshot: JsonObject, now: datetime) -> "StandaloneTask":
        """A task of one of the forms of protection; `snapshot` names the player and says what is known."""
        asked = PROTECTION_FORMS[form]
        return cls(
            id=task_id,
            player_id=str(snapshot["player_id"]),
            step=STEPS[form],
            form=form,
            question=(asked.__doc__ or "").strip(),
            form_schema=asked.model_json_schema(),
            team=TEAM,
            skill=SKILL,
            reason=reason,
            forbidden=FORBIDDEN,
            snapshot=snapshot,
            priority=PRIORITY,
            due_at=now + DUE[form],
            created_at=now,
        )

    @classmethod
    def reviewing(cls, due: ReviewDue, facts: PlayerFacts) -> "StandaloneTask":
        """The review of signs of harm that have become strong."""
        signs = {name: at.isoformat() for name, at in due.signs}
        seen = ", ".join(sorted({name.rpartition("/")[0] for name in signs}))
        reason = f"Strong signs of gambling harm: {seen or 'from before they were dated'}."
        snapshot = facts.model_dump(mode="json") | {"signs": signs}
        return cls.asking(HarmReview.__name__, due.task_id, reason, snapshot, due.at)

    @classmethod
    def by_hand(
        cls, kind: str, task_id: str, reason: str, facts: PlayerFacts, actor: Actor, now: datetime, due_at: datetime
    ) -> "StandaloneTask":
        """A task of one of the house's kinds, which somebody opens."""
        asked = TASK_KINDS[kind]
        return cls(
            id=task_id,
            player_id=facts.player_id,
            step=f"{BY_HAND}:{kind}",
            form=asked.form.__name__,
            question=asked.question,
            form_schema=asked.form.model_json_schema(),
            team=asked.team,
            skill=asked.skill,
            reason=reason,
            forbidden=asked.forbidden,
            snapshot=facts.model_dump(mode="json"),
            priority=asked.priority,
            due_at=due_at,
            created_at=now,
            escalate_to=asked.escalate_to,
            approvals=asked.approvals,
            actor=actor.name,
            actor_id=actor.id,
            key_id=actor.key_id,
        )

    @classmethod
    def doubting(cls, grant: DoubtfulGrant, now: datetime) -> "StandaloneTask":
        """The question whether the player has a reward that the bonus engine says nothing of."""
        return cls(
            id=doubt_id_of(grant.id),
            player_id=grant.player_id,
            step=grant_forms.STEP,
            form=GrantInDoubt.__name__,
            question=(GrantInDoubt.__doc__ or "").strip(),
            form_schema=GrantInDoubt.model_json_schema(),
            team=grant_forms.TEAM,
            skill=None,
            reason=f"A reward of {grant.journey} is in doubt: {grant.reason}.",
            forbidden=grant_forms.FORBIDDEN,
            snapshot={"player_id": grant.player_id, "grant_id": grant.id, "reward": grant.reward},
            priority=grant_forms.PRIORITY,
            due_at=now + grant_forms.DUE,
            created_at=now,
        )
