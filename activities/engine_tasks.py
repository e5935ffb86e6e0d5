"""Tasks that the engine itself puts before people, without a run that waits: their rows, as `tasks.OPEN` takes them."""

from dataclasses import dataclass
from datetime import datetime

from workflows.json_object import JsonObject
from workflows.player_facts import PlayerFacts
from workflows.player_state.decisions import ReviewDue
from workflows.protection_forms import DUE, FORBIDDEN, PRIORITY, PROTECTION_FORMS, SKILL, STEPS, TEAM, HarmReview


@dataclass(frozen=True, slots=True)
class EngineTask:
    """A row for `tasks.OPEN`: a task that no run waits for."""

    id: str
    player_id: str
    step: str
    form: str
    question: str
    form_schema: JsonObject
    team: str
    skill: str
    reason: str
    forbidden: tuple[str, ...]
    snapshot: JsonObject
    priority: int
    due_at: datetime
    created_at: datetime

    @classmethod
    def asking(cls, form: str, task_id: str, reason: str, snapshot: JsonObject, now: datetime) -> "EngineTask":
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
    def reviewing(cls, due: ReviewDue, facts: PlayerFacts) -> "EngineTask":
        """The review of signs of harm that have become strong."""
        signs = {name: at.isoformat() for name, at in due.signs}
        seen = ", ".join(sorted({name.rpartition("/")[0] for name in signs}))
        reason = f"Strong signs of gambling harm: {seen or 'from before they were dated'}."
        snapshot = facts.model_dump(mode="json") | {"signs": signs}
        return cls.asking(HarmReview.__name__, due.task_id, reason, snapshot, due.at)
