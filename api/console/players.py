"""The page of a player: who they are, what happened to them and why, and what may be done for them now."""

import secrets
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, get_args

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter

from activities.erasures import Ground
from api import (
    erasure,
    gate_decisions,
    grants,
    messages,
    player_notes,
    player_reach,
    players,
    runs,
    tasks,
    tasks_by_hand,
    timeline,
)
from api.console.pages import ConsoleRoute
from api.console.rendering import path, render
from api.console.visitor import Visitor, VisitorOf, moment_of
from api.dependencies import ApiEngine, EngineOf
from api.pagination import Page
from api.player_list import MOST_DAYS, ListedPlayer, PlayerQuery, players_for
from api.player_notes import HostView
from api.player_reach import ReachList
from api.players import PlayerView
from api.problems import Problem
from api.timeline import Kind
from workflows.task_kinds import TASK_KINDS

router = APIRouter(route_class=ConsoleRoute, prefix="/console/{brand}", include_in_schema=False)

Tab = Literal["timeline", "runs", "messages", "rewards", "notes", "tasks", "protection"]
TABS: Final[tuple[Tab, ...]] = get_args(Tab)
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: What a tab may list.
Rows = (
    timeline.TimelinePage
    | Page[runs.ListedRun]
    | Page[messages.Message]
    | Page[grants.GrantView]
    | Page[player_notes.NoteView]
    | Page[tasks.TaskSummary]
)
#: Characters of a ticket's number.
LONGEST_REFERENCE: Final = 100
#: Why somebody is erased, as the form offers it.
GROUNDS: Final[tuple[Ground, ...]] = get_args(Ground)
#: Characters that are looked for at least.
SHORTEST: Final = 2
Token = Annotated[str | None, Query(max_length=1_000)]


@dataclass(frozen=True)
class PlayerPage:
    """A player, and the part of their story that is shown."""

    player: PlayerView
    tab: Tab
    rows: Rows
    hosts: list[HostView]
    reach: ReachList | None = None
    kinds: list[Kind] = field(default_factory=list)


@router.get("/players")
async def find(
    request: Request,
    engine: EngineOf,
    visitor: VisitorOf,
    page: Token = None,
    *,
    silent: Annotated[int | None, Query(ge=1, le=3650)] = None,
    birthday: Annotated[int | None, Query(ge=0, le=MOST_DAYS)] = None,
    mine: bool = False,
) -> Response:
    """The players of the brand, by id, or the portfolio of the visitor: whose birthday comes, who stays away."""
    visitor.needs("players:read")
    narrowed = {"silent": silent, "birthday": birthday} if mine else {}
    given = {"host": visitor.person.id, "show_portfolio": True, **narrowed} if mine else {}
    query = PlayerQuery.model_validate({"page_size": 50, "page_token": page, "show_names": True, **given})
    listed = await players_for(engine, visitor.actor, query)
    shown: dict[str, Any] = {"listed": listed, "wanted": "", "missing": False, "mine": mine, "narrowed": narrowed}
    return render(request, visitor, "players.html", **shown)


@router.post("/players")
async def go(request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Open the one player who is found, or list them. By POST: an address is kept in more places than a form."""
    visitor.needs("players:read")
    wanted = visitor.form.get("q", "").strip()[:100]
    found: Page[ListedPlayer] = Page(items=[])
    if len(wanted) >= SHORTEST:
        query = PlayerQuery(q=wanted, page_size=200, show_names=True)
        found = await players_for(engine, visitor.actor, query)
    if len(found.items) == 1 or any(one.id == wanted for one in found.items):
        chosen = next((one for one in found.items if one.id == wanted), found.items[0])
        return RedirectResponse(path(visitor.brand, "players", chosen.id), 303)
    missing = not found.items
    shown: dict[str, Any] = {"listed": found, "wanted": wanted, "missing": missing, "mine": False, "narrowed": {}}
    return render(request, visitor, "players.html", status=404 if missing else 200, **shown)


@router.get("/players/{player_id}")
async def player(
    player_id: str,
    request: Request,
    engine: EngineOf,
    visitor: VisitorOf,
    tab: Tab = "timeline",
    kind: Annotated[list[Kind] | None, Query(max_length=7)] = None,
    page: Token = None,
) -> Response:
    """A player with one part of their story."""
    visitor.needs("players:read")
    shown = await _read(engine, visitor, player_id, tab, kind or [], page)
    given: dict[str, Any] = {
        "tabs": TABS,
        "all_kinds": KINDS,
        "task_kinds": TASK_KINDS,
        "grounds": GROUNDS,
        "once": secrets.token_urlsafe(12),
    }
    return render(request, visitor, "player.html", page=shown, player=shown.player, **given)


@router.post("/players/{player_id}/task")
async def new_task(player_id: str, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Put a task about a player before somebody, once however often the form is sent."""
    visitor.needs("tasks:work")
    given: dict[str, object] = {
        name: visitor.form[name].strip()
        for name in ("kind", "reason", "assignee")
        if visitor.form.get(name, "").strip()
    }
    body = tasks_by_hand.NewTask.model_validate(
        {"player_id": player_id, **given, "due_at": moment_of(visitor.form.get("due", ""), visitor)}
    )
    once = visitor.form.get("once") or secrets.token_urlsafe(12)
    opened = await tasks_by_hand.open_task(body, engine, visitor.actor, Response(), once)
    return RedirectResponse(path(visitor.brand, "tasks", opened.id, tab="mine"), 303)


@router.post("/players/{player_id}/note")
async def note(player_id: str, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Note something about a player."""
    visitor.needs("tasks:work")
    given = {name: visitor.form[name].strip() for name in ("text", "kind", "source") if visitor.form.get(name)}
    await player_notes.write_note(player_id, player_notes.NoteBody.model_validate(given), engine, visitor.actor)
    return RedirectResponse(path(visitor.brand, "players", player_id, tab="notes"), 303)


@router.post("/players/{player_id}/host")
async def host(player_id: str, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Have somebody look after a player."""
    visitor.needs("tasks:work")
    body = player_notes.HostBody(person=visitor.form.get("person", "").strip() or None)
    await player_notes.change_host(player_id, body, engine, visitor.actor)
    return RedirectResponse(path(visitor.brand, "players", player_id, tab="notes"), 303)


@router.post("/players/{player_id}/exclude")
async def exclude(player_id: str, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Leave a player alone from now on."""
    visitor.needs("tasks:work", "events:write")
    kind, reason = visitor.form.get("kind", ""), visitor.form.get("reason", "").strip()[:2_000]
    given = {"kind": kind, "scope": "brand"} | ({"reason": reason} if reason else {})
    body = players.ExclusionBody.model_validate(given)
    await players.exclude_player(player_id, body, engine, visitor.actor, Response())
    return RedirectResponse(path(visitor.brand, "players", player_id, tab="protection"), 303)


@router.post("/players/{player_id}/erase")
async def erase(player_id: str, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Erase a player; it takes proof of who asks."""
    visitor.needs("players:erase")
    visitor.proves_themselves()
    reference = visitor.form.get("reference", "").strip()
    if not reference or len(reference) > LONGEST_REFERENCE:
        raise Problem("invalid", "Write the number of the ticket, and nothing of the person.")
    ground = TypeAdapter(Ground).validate_python(visitor.form.get("ground", ""))
    await erasure.erase_player(player_id, engine, visitor.actor, Response(), ground, reference)
    return RedirectResponse(path(visitor.brand, "players", player_id, tab="protection"), 303)


@router.get("/messages/{message_id:path}")
async def message(message_id: str, request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """A message as it was sent, or why it was not."""
    visitor.needs("players:read")
    shown = await messages.get_message(message_id, engine, visitor.key)
    decided = await gate_decisions.list_decisions(
        engine, visitor.key, gate_decisions.DecisionQuery(effect=message_id, page_size=5)
    )
    return render(request, visitor, "message.html", message=shown, decisions=decided.items)


@router.get("/decisions")
async def decisions(
    request: Request,
    engine: EngineOf,
    visitor: VisitorOf,
    player: Annotated[str | None, Query(max_length=100)] = None,
    outcome: Literal["allowed", "refused", "waits", ""] = "",
    page: Token = None,
) -> Response:
    """What the gate allowed, refused and put off, with the rule that spoke."""
    visitor.needs("players:read")
    query = gate_decisions.DecisionQuery(player=player or None, outcome=outcome or None, page_token=page)
    listed = await gate_decisions.list_decisions(engine, visitor.key, query)
    return render(request, visitor, "decisions.html", listed=listed, player_id=player or "", outcome=outcome)


async def _read(
    engine: ApiEngine, visitor: Visitor, player_id: str, tab: Tab, kinds: list[Kind], token: str | None
) -> PlayerPage:
    found = await players.get_player(player_id, engine, visitor.key)
    rows = await _rows(engine, visitor, player_id, tab, kinds, {"page_token": token, "page_size": 50})
    hosts = await player_notes.read_hosts(engine, visitor.brand, player_id)
    reach = await player_reach.get_reach(player_id, engine, visitor.key) if tab == "protection" else None
    return PlayerPage(found, tab, rows, hosts, reach, kinds)


async def _rows(  # noqa: PLR0911 - one list a tab
    engine: ApiEngine, visitor: Visitor, player_id: str, tab: Tab, kinds: list[Kind], page: dict[str, Any]
) -> Rows:
    """What a tab lists of a player; nothing where it lists nothing, or the visitor may not see it."""
    key, of_player = visitor.key, {"player": player_id, **page}
    match tab:
        case "timeline":
            query = timeline.TimelineQuery.model_validate(page | ({"kind": kinds} if kinds else {}))
            return await timeline.read_timeline(player_id, engine, key, query)
        case "runs":
            return await runs.list_runs(engine, key, runs.RunQuery.model_validate(of_player))
        case "messages":
            return await messages.list_messages(engine, key, messages.MessageQuery.model_validate(of_player))
        case "rewards":
            return await grants.list_grants(engine, key, grants.GrantQuery.model_validate(of_player))
        case "notes":
            return await player_notes.list_notes(player_id, engine, key, player_notes.NoteQuery.model_validate(page))
        case "tasks" if visitor.may("tasks:work"):
            states = ["open", "claimed", "completed", "expired", "cancelled"]
            wanted = tasks.TaskQuery.model_validate(of_player | {"state": states, "sort": "due"})
            return await tasks.list_tasks(engine, key, wanted)
    return Page[tasks.TaskSummary](items=[])
