"""The inbox and the page of a task: what waits, for whom, until when, and the form that answers it.

Everything works without a script: lists are links, moves are forms. A script adds keys, drafts that save themselves,
and lists that refresh.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from activities.people import actor_of
from activities.tasks import mark_of_history
from api import task_actions, task_counts, task_drafts, tasks
from api.console.form_fields import (
    FieldFault,
    FormField,
    answer_of,
    faults_told,
    fields_of,
    problems_by_name,
    typed_in,
    typed_of,
)
from api.console.pages import ConsoleRoute
from api.console.rendering import if_changed, path, render
from api.console.visitor import SignInNeeded, Visitor, VisitorOf, moment_of, own_form
from api.dependencies import ApiEngine, EngineOf
from api.pagination import Page
from api.player_glances import PlayerGlance
from api.players import PlayerView, read_player
from api.problems import Problem
from api.task_counts import TaskCountQuery, TaskCounts
from api.tasks import TaskQuery, TaskSummary, TaskView
from content.scripts import TaskScript, script_for
from workflows.local_time import known_zone


class TaskRoute(ConsoleRoute):
    """A route about tasks. An answer that comes after its session has ended becomes a draft, and never an answer."""

    @staticmethod
    async def keep_for_later(request: Request, needed: SignInNeeded) -> None:
        """Keep what was typed for the person whose session it was, if they sent it themselves and still work here."""
        session, task_id = needed.session, request.path_params.get("task_id")
        if request.method != "POST" or task_id is None or session is None or session.ended_at is not None:
            return
        engine: ApiEngine = request.app.state.engine
        try:
            form = await own_form(request, engine)
        except Problem:
            return
        async with engine.database.reading() as connection:
            actor = await actor_of(connection, request.path_params["brand"], session.person_id, engine.clock())
        if actor is not None and actor.may("tasks:work") and (typed := typed_in(form)):
            with suppress(Problem, ValidationError):
                body = task_drafts.DraftBody(fields=typed, task_version=_number(form.get("version", "")))
                await task_drafts.save_draft(task_id, body, engine, actor)


router = APIRouter(route_class=TaskRoute, prefix="/console/{brand}", include_in_schema=False)

Tab = Literal["mine", "team", "unclaimed", "overdue", "later"]
Move = Literal["claim", "release", "later", "reassign", "due", "comment"]
#: When a task that was put off is shown again, where the player's clock says nothing better.
LATER: Final = timedelta(hours=24)
ROWS: Final = 40
#: Seconds for which a list is not read again when no task has changed.
HOLDS: Final = 30


@dataclass(frozen=True)
class ListMark:
    """When a list was read, and how far the histories of tasks were then: what its ETag begins with.

    While it holds, the list is not even read again: two hundred people ask every few seconds, and mostly nothing has
    happened. What changes without a line (a player's tier, minutes that pass) shows when it holds no more.
    """

    history: int
    at: int

    def holds(self, etag: str) -> bool:
        """Whether what carries this ETag was read a moment ago and no task has changed since."""
        found = re.fullmatch(r'"(\d{1,22})\.(\d{1,12})\.\w+"', etag, re.ASCII)
        return found is not None and int(found[1]) == self.history and 0 <= self.at - int(found[2]) < HOLDS


@dataclass(frozen=True)
class InboxPage:
    """A list of tasks as a page shows it."""

    tab: Tab
    counts: TaskCounts
    tasks: Page[TaskSummary]


@dataclass(frozen=True)
class TaskPage:
    """A task as a page shows it, with what was typed into its form and what was wrong with that."""

    task: TaskView
    fields: list[FormField]
    typed: dict[str, str]
    faults: dict[str, str]
    player: PlayerView | None
    glance: PlayerGlance | None
    saved_at: datetime | None = None
    #: What stands against what was sent.
    refused: Problem | None = None
    #: The draft was begun on an earlier version of the task.
    changed_since: bool = False
    later_at: datetime | None = None
    script: TaskScript | None = None


@router.get("/inbox")
async def inbox(
    request: Request,
    engine: EngineOf,
    visitor: VisitorOf,
    tab: Tab = "mine",
    page: Annotated[str | None, Query(max_length=1_000)] = None,
    part: Literal["list"] | None = None,
) -> Response:
    """What waits for somebody and their teams."""
    visitor.needs("tasks:work")
    if part is None:
        shown = await read_inbox(engine, visitor, tab, page)
        return render(request, visitor, "inbox.html", inbox=shown, selected=None, tab=tab)
    async with engine.database.reading() as connection:
        mark = ListMark(await mark_of_history(connection), int(visitor.now.timestamp()))
    had = request.headers.get("if-none-match", "")
    if mark.holds(had):
        return Response(status_code=304, headers={"ETag": had})
    shown = await read_inbox(engine, visitor, tab, page)
    listed = render(request, visitor, "inbox_list.html", inbox=shown, selected=None, tab=tab)
    return if_changed(request, listed, mark=f"{mark.history}.{mark.at}.")


@router.get("/tasks/{task_id}")
async def task(
    task_id: str,
    request: Request,
    engine: EngineOf,
    visitor: VisitorOf,
    tab: Tab = "mine",
    part: Literal["news"] | None = None,
    *,
    sent: bool = False,
) -> Response:
    """A task beside the list it was opened from; `news` is what may change while somebody writes."""
    visitor.needs("tasks:work")
    shown = await read_task(engine, visitor, task_id)
    if part is not None:
        return if_changed(request, render(request, visitor, "task_news.html", page=shown, task=shown.task))
    listed = await read_inbox(engine, visitor, tab, None)
    return render(request, visitor, "task.html", page=shown, inbox=listed, selected=task_id, tab=tab, sent=sent)


@router.post("/tasks/{task_id}/answer")
async def answer(task_id: str, request: Request, engine: EngineOf, visitor: VisitorOf, tab: Tab = "mine") -> Response:
    """Answer a task and go on to the next; what does not fit comes back with everything that was typed."""
    visitor.needs("tasks:work")
    current = await tasks.get_task(task_id, engine, visitor.key, Response())
    fields = fields_of(current.form_schema)
    typed = typed_in(visitor.form)
    currency = str(current.snapshot.get("currency") or "EUR")
    given, faults = answer_of(fields, typed, currency)
    refused: Problem | None = None
    if not faults:
        seen = visitor.form.get("version", "")
        try:
            await task_actions.complete_task(
                task_id,
                task_actions.Completion(answer=given),
                engine,
                visitor.actor,
                Response(),
                if_match=f'"{seen}"' if seen else None,
            )
        except Problem as problem:
            faults, refused = faults_told(problem.errors), problem
        else:
            return await _next(engine, visitor, tab)
    # It stays, whatever becomes of this answer.
    await _keep(engine, visitor, task_id, typed, current.version)
    shown = await read_task(engine, visitor, task_id, typed=typed, faults=faults, refused=refused)
    listed = await read_inbox(engine, visitor, tab, None)
    status = refused.status_code if refused else 422
    return render(
        request, visitor, "task.html", status=status, page=shown, inbox=listed, selected=task_id, tab=tab, sent=False
    )


@router.post("/tasks/{task_id}/draft")
async def draft(task_id: str, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Keep what was typed so far."""
    visitor.needs("tasks:work")
    body = task_drafts.DraftBody(fields=typed_in(visitor.form), task_version=_number(visitor.form.get("version", "")))
    await task_drafts.save_draft(task_id, body, engine, visitor.actor)
    return Response(status_code=204)


@router.post("/tasks/{task_id}/{move}")
async def act(
    task_id: str, move: Move, request: Request, engine: EngineOf, visitor: VisitorOf, tab: Tab = "mine"
) -> Response:
    """Claim a task, give it back, put it off, pass it on, or note something about it."""
    visitor.needs("tasks:work")
    typed = typed_in(visitor.form)
    if typed:
        await _keep(engine, visitor, task_id, typed, 0)
    try:
        await _move(engine, visitor, task_id, move)
    except Problem as problem:
        if problem.status_code == 404:
            raise
        shown = await read_task(engine, visitor, task_id, refused=problem)
        listed = await read_inbox(engine, visitor, tab, None)
        return render(
            request,
            visitor,
            "task.html",
            status=problem.status_code,
            page=shown,
            inbox=listed,
            selected=task_id,
            tab=tab,
            sent=False,
        )
    return RedirectResponse(path(visitor.brand, "tasks", task_id, tab=tab), 303)


async def read_inbox(engine: ApiEngine, visitor: Visitor, tab: Tab, page: str | None) -> InboxPage:
    """A tab of the inbox, and how many tasks each tab has."""
    teams, me = sorted(visitor.actor.teams or ()), visitor.actor.name
    of_teams: Mapping[str, object] = {"team": teams} if teams else {}
    chosen: Mapping[Tab, Mapping[str, object]] = {
        "mine": {"assignee": me},
        "team": of_teams,
        "unclaimed": {"state": ["open"], **of_teams},
        "overdue": {"due_before": visitor.now, **of_teams},
        "later": {"follow_up": "later", **of_teams},
    }
    query = TaskQuery.model_validate(
        {"page_size": ROWS, "page_token": page, "show_player": True, "sort": "due", **chosen[tab]}
    )
    counts = await task_counts.count_tasks(engine, visitor.key, TaskCountQuery(assignee=me, team=teams))
    return InboxPage(tab, counts, await tasks.list_tasks(engine, visitor.key, query))


async def read_task(
    engine: ApiEngine,
    visitor: Visitor,
    task_id: str,
    *,
    typed: dict[str, str] | None = None,
    faults: list[FieldFault] | None = None,
    refused: Problem | None = None,
) -> TaskPage:
    """A task with its player, as far as the visitor may see them, and with what they typed before."""
    found = await tasks.get_task(task_id, engine, visitor.key, Response())
    fields = fields_of(found.form_schema)
    saved_at, changed_since = None, False
    if typed is None:
        kept = await _draft_of(engine, visitor, task_id)
        typed = dict(kept.fields) if kept else typed_of(fields, found.answer or {})
        saved_at = kept.saved_at if kept else None
        changed_since = kept is not None and 0 < kept.task_version < found.version
    player = await _player_of(engine, visitor, found.player_id)
    glance = None if player is None else _glance(player)
    return TaskPage(
        task=found,
        fields=fields,
        typed=typed,
        faults=dict(problems_by_name(faults or [])),
        player=player,
        glance=glance,
        saved_at=saved_at,
        refused=refused,
        changed_since=changed_since,
        later_at=_later(visitor.now, glance),
        script=script_for(engine.scripts, found.form, glance.language if glance else None, visitor.person.locale),
    )


async def _move(engine: ApiEngine, visitor: Visitor, task_id: str, move: Move) -> None:
    form, actor, answer = visitor.form, visitor.actor, Response()
    seen = f'"{form["version"]}"' if form.get("version") else None
    text = form.get("text", "").strip()[:2_000]
    match move:
        case "claim":
            await task_actions.claim_task(task_id, engine, actor, answer, seen)
        case "release":
            body = task_actions.ReleaseBody(comment=text or None)
            await task_actions.release_task(task_id, engine, actor, answer, body, None)
        case "later":
            until = moment_of(form.get("until", ""), visitor)
            await task_actions.change_task(
                task_id, task_actions.Changes(follow_up_at=until), engine, actor, answer, seen or "*"
            )
        case "reassign":
            to = form.get("to", "").strip()
            if not to:
                raise Problem("invalid", "Choose who takes the task over.")
            given = {"assignee": to} if "@" in to else {"team": to}
            handed = task_actions.Reassignment.model_validate(given | ({"comment": text} if text else {}))
            await task_actions.reassign_task(task_id, handed, engine, actor, answer, seen)
        case "due":
            visitor.needs("tasks:lead")
            due = task_actions.DueTime.model_validate(
                {"due_at": moment_of(form.get("due", ""), visitor), "reason": text}
            )
            await task_actions.move_due_time(task_id, due, engine, actor, answer, seen)
        case "comment":
            if not text:
                raise Problem("invalid", "Write something to note it.")
            await task_actions.comment_task(task_id, task_actions.Comment(text=text), engine, actor, answer)


async def _next(engine: ApiEngine, visitor: Visitor, tab: Tab) -> Response:
    """To the first task that waits in the tab, or to the list where none does."""
    listed = await read_inbox(engine, visitor, tab, None)
    first = listed.tasks.items[0].id if listed.tasks.items else None
    if first is None:
        return RedirectResponse(path(visitor.brand, "inbox", tab=tab), 303)
    return RedirectResponse(path(visitor.brand, "tasks", first, tab=tab, sent="true"), 303)


async def _keep(engine: ApiEngine, visitor: Visitor, task_id: str, typed: dict[str, str], version: int) -> None:
    # Whoever has answered already has nothing left to keep.
    with suppress(Problem):
        body = task_drafts.DraftBody(fields=typed, task_version=version)
        await task_drafts.save_draft(task_id, body, engine, visitor.actor)


def _number(typed: str) -> int:
    """A version as a form carries it; 0 for what is none."""
    return int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 10 else 0


async def _draft_of(engine: ApiEngine, visitor: Visitor, task_id: str) -> task_drafts.DraftView | None:
    try:
        return await task_drafts.get_draft(task_id, engine, visitor.actor)
    except Problem:
        return None


async def _player_of(engine: ApiEngine, visitor: Visitor, player_id: str) -> PlayerView | None:
    if not visitor.may("players:read"):
        return None
    try:
        return await read_player(player_id, engine, visitor.key, with_runs=False)
    except Problem:
        return None


def _glance(player: PlayerView) -> PlayerGlance:
    facts = {name: player.facts.get(name) for name in ("tier", "country", "language", "timezone")}
    return PlayerGlance(
        id=player.id,
        name=player.profile.get("first_name") or player.profile.get("username"),
        protected=player.protected.reason if player.protected else None,
        **facts,
    )


def _later(now: datetime, glance: PlayerGlance | None) -> datetime:
    """Ten in the morning of the player's next day, or the same time tomorrow where nobody knows their clock."""
    zone = known_zone(glance.timezone if glance else None)
    if zone is None:
        return now + LATER
    return (now.astimezone(zone) + LATER).replace(hour=10, minute=0, second=0, microsecond=0)
