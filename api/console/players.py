"""The page of a player: who they are, what happened to them and why, and what may be done for them now."""

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from api import gate_decisions, grants, messages, player_notes, player_reach, players, runs, tasks, timeline
from api.console.pages import ConsoleRoute
from api.console.rendering import path, render
from api.console.visitor import Visitor, VisitorOf
from api.dependencies import ApiEngine, EngineOf
from api.pagination import Page
from api.player_notes import HostView
from api.player_reach import ReachList
from api.players import PlayerView
from api.problems import Problem
from api.timeline import Kind

router = APIRouter(route_class=ConsoleRoute, prefix="/console/{brand}", include_in_schema=False)

Tab = Literal["timeline", "runs", "messages", "rewards", "notes", "tasks", "protection"]
TABS: Final[tuple[Tab, ...]] = ("timeline", "runs", "messages", "rewards", "notes", "tasks", "protection")
KINDS: Final[tuple[Kind, ...]] = ("event", "segment", "run", "step", "message", "grant", "task")
Token = Annotated[str | None, Query(max_length=1_000)]


@dataclass(frozen=True)
class PlayerPage:
    """A player, and the part of their story that is shown."""

    player: PlayerView
    tab: Tab
    rows: Page[BaseModel]
    hosts: list[HostView]
    reach: ReachList | None = None
    kinds: list[Kind] = field(default_factory=list)


@router.get("/players")
async def find(
    request: Request, engine: EngineOf, visitor: VisitorOf, page: Token = None, *, mine: bool = False
) -> Response:
    """The players of the brand, by id, or those whom the visitor looks after."""
    visitor.needs("players:read")
    host = visitor.person.id if mine else None
    query = players.PlayerQuery(page_size=50, page_token=page, host=host, show_names=True)
    listed = await players.list_players(engine, visitor.key, query)
    return render(request, visitor, "players.html", listed=listed, wanted="", missing=False, mine=mine)


@router.post("/players")
async def go(request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Open the player whose id was typed. By POST, because an address is kept in more places than a form."""
    visitor.needs("players:read")
    wanted = visitor.form.get("id", "").strip()[:100]
    try:
        await players.get_player(wanted, engine, visitor.key)
    except Problem:
        listed = await players.list_players(engine, visitor.key, players.PlayerQuery(page_size=50, show_names=True))
        given = {"listed": listed, "wanted": wanted, "missing": True, "mine": False}
        return render(request, visitor, "players.html", status=404, **given)
    return RedirectResponse(path(visitor.brand, "players", wanted), 303)


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
    return render(request, visitor, "player.html", page=shown, player=shown.player, tabs=TABS, all_kinds=KINDS)


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
    key, page = visitor.key, {"page_token": token, "page_size": 50}
    rows: Page[BaseModel]
    match tab:
        case "timeline":
            query = timeline.TimelineQuery.model_validate(page | ({"kind": kinds} if kinds else {}))
            rows = await timeline.list_timeline(player_id, engine, key, query)  # type: ignore[assignment]  # read only
        case "runs":
            rows = await runs.list_runs(engine, key, runs.RunQuery(player=player_id, **page))  # type: ignore[assignment, arg-type]
        case "messages":
            rows = await messages.list_messages(engine, key, messages.MessageQuery(player=player_id, **page))  # type: ignore[assignment, arg-type]
        case "rewards":
            rows = await grants.list_grants(engine, key, grants.GrantQuery(player=player_id, **page))  # type: ignore[assignment, arg-type]
        case "notes":
            rows = await player_notes.list_notes(player_id, engine, key, player_notes.NoteQuery.model_validate(page))  # type: ignore[assignment]  # read only
        case "tasks":
            states = ["open", "claimed", "completed", "expired", "cancelled"]
            task_query = tasks.TaskQuery.model_validate(page | {"player": player_id, "state": states, "sort": "due"})
            rows = (
                await tasks.list_tasks(engine, key, task_query)  # type: ignore[assignment]
                if visitor.may("tasks:work")
                else Page(items=[])
            )
        case "protection":
            rows = Page(items=[])
    hosts = await player_notes.list_hosts(player_id, engine, key)
    reach = await player_reach.get_reach(player_id, engine, key) if tab == "protection" else None
    return PlayerPage(found, tab, rows, hosts.items, reach, kinds)
