"""Answers that are half written: kept for whoever writes them, whatever becomes of their window."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from activities import task_drafts, tasks
from activities.actors import Actor
from activities.audit.trail import unrecorded
from activities.erased_texts import about_somebody_erased
from activities.task_drafts import Draft
from api.dependencies import EngineOf
from api.json_types import NO_NUL
from api.permissions import acts
from api.problems import COMMON, Problem, documented, missing
from workflows.field_types import Whole

router = APIRouter(prefix="/v1/tasks/{task_id}/draft", tags=["tasks"])

#: Fields of a form, and what stands in one.
Typed = Annotated[str, Field(max_length=20_000, pattern=NO_NUL)]


class DraftBody(BaseModel):
    """What somebody typed so far, as they typed it: it need not fit the form."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"fields": {"answer.note": "Called, she moves"}, "task_version": 3}]},
    )

    fields: dict[str, Typed] = Field(max_length=100)
    task_version: Annotated[int, Field(ge=0, le=2**31 - 1), Whole] = Field(
        description="The version that was on the screen."
    )


class DraftView(DraftBody):
    """A draft, and when it was kept."""

    saved_at: datetime

    @classmethod
    def of(cls, draft: Draft) -> "DraftView":
        """As the API shows it."""
        return cls(fields=draft.fields, task_version=draft.task_version, saved_at=draft.saved_at)


Writing = Annotated[Actor, acts("tasks:work")]


@router.get("", responses={**COMMON, **documented(404)})
async def get_draft(task_id: str, engine: EngineOf, actor: Writing) -> DraftView:
    """What the caller has typed and not sent. Nobody else's draft is shown to anybody."""
    async with engine.database.reading() as connection:
        draft = await task_drafts.find_draft(connection, (actor.brand, task_id, actor.name))
    if draft is None:
        raise missing("draft")
    return DraftView.of(draft)


@router.put("", responses={**COMMON, **documented(404, 409)})
async def save_draft(task_id: str, body: DraftBody, engine: EngineOf, actor: Writing) -> DraftView:
    """Keep what the caller has typed, also for a task that somebody else has answered meanwhile.

    It goes when they answer, when they throw it away, and after 30 days.
    """
    # What is kept here is not what they do with the task, and may be kept because that was refused.
    with unrecorded():
        async with engine.database.transaction() as connection:
            task = await tasks.find(connection, actor.brand, task_id)
            if task is None:
                raise missing("task")
            if await about_somebody_erased(connection, task):
                raise Problem("task-closed", "The player was erased since: nothing that is typed about them is kept.")
            if task.answered_by == actor.name:
                raise Problem("task-closed", "You have answered this task; there is nothing left to keep.")
            whose = (actor.brand, task_id, actor.name)
            draft = await task_drafts.save_draft(
                connection, whose, task.player_id, body.fields, body.task_version, engine.clock()
            )
    return DraftView.of(draft)


@router.delete("", status_code=204, responses=COMMON)
async def forget_draft(task_id: str, engine: EngineOf, actor: Writing) -> Response:
    """Throw away what the caller has typed."""
    async with engine.database.transaction() as connection:
        await task_drafts.forget_draft(connection, (actor.brand, task_id, actor.name))
    return Response(status_code=204)
