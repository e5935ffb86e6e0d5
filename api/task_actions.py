"""What people do with tasks: claim, release, answer, comment, pass on, put off.

Conflicts are told after Camunda: 409 when somebody else was first, 412 when the caller's copy is stale. A repeated
request that already had its effect is answered like the first.
"""

from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Header, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import double_reviews, grant_doubts, harm_reviews, tasks
from activities.actors import Actor
from activities.api_keys import NAME
from activities.audit.trail import about
from activities.roles import EXECUTIVE
from activities.standalone_tasks import ENGINE_FORMS
from activities.task_drafts import forget_draft
from activities.task_rows import TaskConflict, TaskOutcome, TaskRequest, TaskRow, same
from api.dependencies import ApiEngine, EngineOf
from api.event_scopes import REVIEW
from api.form_validation import faults_of
from api.json_types import Document, Line, Prose
from api.permissions import acts
from api.problems import COMMON, CORRECT, Problem, documented, missing
from api.tasks import TaskView, etag, shown
from api.written_numbers import written_number
from workflows.double_forms import DoubleAccount
from workflows.events import Instant
from workflows.field_types import Whole
from workflows.forms import Form
from workflows.grant_forms import GrantInDoubt
from workflows.json_object import JsonObject
from workflows.protection_forms import SKILL as HARM_SKILL
from workflows.task_kinds import HOUSE_FORMS

router = APIRouter(prefix="/v1/tasks/{task_id}", tags=["tasks"])

#: People a refusal names who may answer instead.
MOST_NAMED: Final = 20
#: Bytes of an answer as JSON. It travels to the run in one piece and stays in its history.
ANSWER_LIMIT: Final = 64 * 1024

_MOVE = {**COMMON, **documented(404, 409, 412)}


def _without_default(schema: JsonObject) -> None:
    schema.pop("default")


def _short_enough(answer: JsonObject) -> JsonObject:
    if (size := len(orjson.dumps(answer))) > ANSWER_LIMIT:
        raise ValueError(
            f"must have at most {ANSWER_LIMIT:,} bytes as JSON, not {size:,}: shorten it, or keep the long part "
            "elsewhere and say where"
        )
    return answer


class Completion(BaseModel):
    """The answer to a task."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"answer": {"outcome": "approve", "note": "Payslips seen."}}]}
    )

    answer: Annotated[Document, AfterValidator(_short_enough)] = Field(
        description=f"An object that the task's `form_schema` describes, {ANSWER_LIMIT:,} bytes at most."
    )


class Comment(BaseModel):
    """Something to remember about a task."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "Called twice, no answer."}]})

    text: Prose


class ReleaseBody(BaseModel):
    """Why a task is given back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"comment": "I am away tomorrow."}]})

    comment: Prose | None = None


class Reassignment(BaseModel):
    """Who takes a task over: one person, or a team in which anybody may claim it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"assignee": "olena@example.com"}, {"team": "compliance"}],
            "oneOf": [{"required": ["assignee"]}, {"required": ["team"]}],
        },
    )

    # Empty is "not given" and cannot be given, so that the document can say "one of both" without nulls.
    assignee: Annotated[str, Field(pattern=f"^{NAME}$", json_schema_extra=_without_default)] = ""
    team: Annotated[Line, Field(json_schema_extra=_without_default)] = ""
    comment: Prose | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Reassignment":
        if bool(self.assignee) == bool(self.team):
            raise ValueError("give either an assignee or a team")
        return self


class Changes(BaseModel):
    """What of a task to change; what is absent stays. A follow-up of null shows the task again."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"priority": 80, "follow_up_at": "2026-01-16T08:00:00Z"}]}
    )

    priority: Annotated[int, Field(ge=0, le=100), Whole] = 50
    follow_up_at: Instant | None = None


class DueTime(BaseModel):
    """Until when a task has time now, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"due_at": "2099-01-16T12:00:00Z", "reason": "The player asked to be called on Friday."}]
        },
    )

    due_at: Instant
    reason: Prose


ActorOf = Annotated[Actor, acts("tasks:work")]
_IF_MATCH = Header(
    alias="If-Match",
    max_length=200,
    description="The ETag the caller read; 412 when the task changed since.",
    examples=['"3"'],
)
IfMatch = Annotated[str | None, _IF_MATCH]
Seen = Annotated[str, _IF_MATCH]


@router.post("/claim", responses=_MOVE)
async def claim_task(
    task_id: str, engine: EngineOf, actor: ActorOf, response: Response, if_match: IfMatch = None
) -> TaskView:
    """Take a task, so that nobody else works on it. 409 when somebody else was first; claiming twice is one claim."""
    async with engine.database.transaction() as connection:
        outcome = await tasks.claim(connection, _request(engine, actor, task_id, if_match))
        return await _shown(connection, outcome, response)


@router.post("/release", responses=_MOVE)
async def release_task(
    task_id: str,
    engine: EngineOf,
    actor: ActorOf,
    response: Response,
    given: ReleaseBody | None = None,
    if_match: IfMatch = None,
) -> TaskView:
    """Give a task back to its team; a comment helps the next person. Only who has claimed it may."""
    async with engine.database.transaction() as connection:
        request = _request(engine, actor, task_id, if_match)
        outcome = await tasks.release(connection, request, given.comment if given else None)
        return await _shown(connection, outcome, response)


@router.post("/complete", responses=_MOVE)
async def complete_task(
    task_id: str, body: Completion, engine: EngineOf, actor: ActorOf, response: Response, if_match: IfMatch = None
) -> TaskView:
    """Answer a task; the journey hears of it even if everything restarts in between.

    The answer must fit the form, or each fault is pointed at with 422. Whoever claimed the task answers it; an
    unclaimed one may be answered by anybody of its team with its skill, which claims it; 403 tells others who may.
    Where it wants several `approvals`, the task stays open with the answer as its `proposal` until so many people have
    given the same. The same answer again is the same answer; another one is a conflict.
    """
    async with engine.database.reading() as connection:
        task = await tasks.find(connection, actor.brand, task_id)
    if task is None:
        raise missing("task")
    form = _form_of(engine, task)
    if faults := faults_of(body.answer, task.form_schema, form):
        raise Problem("invalid", "The answer does not fit the form; correct what errors lists.", errors=faults)
    request = _request(engine, actor, task_id, if_match)
    is_review = task.run_id is None and task.form in ENGINE_FORMS
    judged = await _judge(engine, request, task, body.answer) if is_review else None
    async with engine.pools.ordinary.patient_transaction() as connection:
        outcome = judged
        if task.run_id is not None:
            outcome = await tasks.complete(connection, engine.intake, request, task.player_id, body.answer, form)
        elif not is_review:
            outcome = await tasks.complete_alone(connection, request, body.answer)
        if isinstance(outcome, TaskConflict) and outcome.why == "answered" and same(outcome.task.answer, body.answer):
            outcome = outcome.task
        if isinstance(outcome, TaskRow):
            await forget_draft(connection, (actor.brand, task_id, actor.name))
        return await _shown(connection, outcome, response)


@router.post("/comment", responses=_MOVE)
async def comment_task(task_id: str, body: Comment, engine: EngineOf, actor: ActorOf, response: Response) -> TaskView:
    """Add a comment to a task's history, open or closed."""
    async with engine.database.transaction() as connection:
        outcome = await tasks.comment(connection, _request(engine, actor, task_id), body.text)
        return await _shown(connection, outcome, response)


@router.post("/reassign", responses=_MOVE)
async def reassign_task(
    task_id: str, body: Reassignment, engine: EngineOf, actor: ActorOf, response: Response, if_match: IfMatch = None
) -> TaskView:
    """Pass a task on to a person, who has then claimed it, or to a team. Also somebody else's task."""
    async with engine.database.transaction() as connection:
        request = _request(engine, actor, task_id, if_match)
        outcome = await tasks.reassign(connection, request, body.comment, assignee=body.assignee, team=body.team)
        return await _shown(connection, outcome, response)


@router.patch("", responses={**_MOVE, **documented(428)})
async def change_task(
    task_id: str, body: Changes, engine: EngineOf, actor: ActorOf, response: Response, if_match: Seen
) -> TaskView:
    """Change a task's priority or put it off until a follow-up date. `If-Match` is required.

    The deadline belongs to the journey and cannot be changed here; of a task that was opened by hand `…/due` moves it.
    """
    async with engine.database.transaction() as connection:
        request = _request(engine, actor, task_id, if_match)
        values = {name: getattr(body, name) for name in body.model_fields_set}
        detail = body.model_dump(mode="json", exclude_unset=True)
        outcome = await tasks.change(connection, request, values, detail)
        return await _shown(connection, outcome, response)


@router.post("/due", responses=_MOVE)
async def move_due_time(
    task_id: str,
    body: DueTime,
    engine: EngineOf,
    actor: Annotated[Actor, acts("tasks:lead")],
    response: Response,
    if_match: IfMatch = None,
) -> TaskView:
    """Give a task that was opened by hand more time, or less, with a reason that stays in its history.

    The time of what a journey asks belongs to the journey, and that of a review to the law: 409.
    """
    now = engine.clock()
    if body.due_at <= now:
        fault = {"pointer": "/due_at", "detail": "This moment has passed; give one that is to come."}
        raise Problem("invalid", CORRECT, errors=[fault])
    async with engine.database.transaction() as connection:
        task = await tasks.find(connection, actor.brand, task_id)
        if task is not None and (task.run_id is not None or task.form not in HOUSE_FORMS):
            raise Problem("due-fixed", "Only the due time of a task that somebody opened by hand can be moved.")
        values = {"due_at": body.due_at, "reminded_at": None}
        detail = {"due_at": body.due_at.isoformat()}
        request = _request(engine, actor, task_id, if_match)
        return await _shown(connection, await tasks.change(connection, request, values, detail, body.reason), response)


async def _judge(engine: ApiEngine, request: TaskRequest, task: TaskRow, answer: JsonObject) -> TaskOutcome:
    """Complete what the engine itself asks. Raises the `Problem` that says who may."""
    if task.form == GrantInDoubt.__name__:
        return await grant_doubts.complete(engine.pools.ordinary, request, task, answer)
    if task.form == DoubleAccount.__name__:
        return await double_reviews.complete(engine.pools.ordinary, engine.intake, request, answer)
    if not request.actor.may(REVIEW):
        raise Problem(
            "scope", f"Only who is trained for it judges what protects a player: this needs the scope {REVIEW}."
        )
    return await harm_reviews.complete(engine.pools.ordinary, engine.intake, request, task.player_id, answer)


def _form_of(engine: ApiEngine, task: TaskRow) -> type[Form] | None:
    """The form of a task; what no journey asks is a review, or one of the house's own."""
    if task.journey is None:
        return ENGINE_FORMS.get(task.form) or HOUSE_FORMS.get(task.form)
    return engine.registry.forms.get(task.journey, {}).get(task.form)


def _request(engine: ApiEngine, actor: Actor, task_id: str, if_match: str | None = None) -> TaskRequest:
    return TaskRequest(actor.brand, task_id, actor, engine.clock(), _versions(if_match))


def _versions(if_match: str | None) -> frozenset[int] | None:
    """The versions of a task that an `If-Match` names; None for any. What is no ETag of ours names none."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = {tag.strip() for tag in if_match.split(",")}
    numbers = (written_number(tag[1:-1]) for tag in tags)
    return frozenset(number for number in numbers if number is not None and etag(number) in tags)


async def _shown(connection: AsyncConnection, outcome: TaskOutcome, response: Response) -> TaskView:
    """The task as the API shows it. Raises the `Problem` that says what stands against a change."""
    if isinstance(outcome, TaskRow):
        about(player_id=outcome.player_id)
        return await shown(connection, outcome, response)
    raise missing("task") if outcome is None else problem_of(outcome)


def problem_of(conflict: TaskConflict) -> Problem:
    """409 when somebody else was first or the task takes no more work, 412 when the caller's copy is stale."""
    task = conflict.task
    match conflict.why:
        case "closed":
            return Problem("task-closed", f"The task is {task.state}; it can only be read and commented.")
        case "claimed":
            detail = f"{task.assignee} has claimed the task; ask them to release it, or reassign it."
            return Problem("task-claimed", detail)
        case "stale":
            detail = f"The task is at version {task.version} now; read it again and decide anew."
            return Problem("stale", detail, headers={"ETag": etag(task.version)})
        case "answered":
            detail = f"{task.answered_by} gave another answer; it stands, and the journey goes on with it."
            return Problem("task-answered", detail)
        case "run_ended":
            detail = "The journey is over for this player; the task will be closed without an answer."
            return Problem("run-ended", detail)
        case "not_theirs":
            return _not_theirs(conflict)


def _not_theirs(conflict: TaskConflict) -> Problem:
    """403 with the reason, and who may instead."""
    able = ", ".join(conflict.may[:MOST_NAMED])
    told = f"It can be answered by {able}." if able else how_to_register(conflict.task)
    members = {"rule": conflict.rule, "may": [*conflict.may[:MOST_NAMED]]}
    return Problem("task-not-yours", f"{conflict.sentence} {told}", members=members)


def how_to_register(task: TaskRow) -> str:
    """What an operator does where nobody is left who may answer a task."""
    role = {EXECUTIVE: "executive", HARM_SKILL: "compliance"}.get(task.skill or "", "manager")
    skill = "" if task.skill in {None, EXECUTIVE} else f" --skill {task.skill}"
    command = f"journeys people add ADDRESS --name NAME --brand {task.brand} --role {role} --team {task.team}{skill}"
    return f"Nobody else who may is registered: register who is to answer, with `{command}` or POST /v1/people."
