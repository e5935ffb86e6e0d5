"""Players as a list: found by what people know of them, and what a host wants to see of theirs at a glance."""

from calendar import isleap
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, func, select, union_all
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actors import Actor
from activities.engine import Engine
from activities.people import id_of_person
from activities.player_hosts import hosted_by
from activities.player_lookups import birthdays_between, born_on, found_by, silent_since
from activities.tables import memberships, player_notes, players, tasks
from activities.task_signatures import within_rights
from activities.tasks import OPEN_STATES
from api.dependencies import EngineOf
from api.pagination import Filter, Page, PageQuery
from api.permissions import acts
from api.players import COLUMNS, PlayerRow, PlayerSummary, summary_of
from api.problems import COMMON, Problem
from workflows.events import SessionLogin
from workflows.local_time import zone
from workflows.player_state.state import PlayerState

router = APIRouter(prefix="/v1/players", tags=["players"])

Reading = Annotated[Actor, acts("players:read")]
#: Birthdays that are looked ahead to, in days.
MOST_DAYS: Final = 92


class PlayerQuery(PageQuery):
    """Which players. `tier`, `silent` and `birthday` are asked of few: name a host, a segment or `q` as well."""

    host: Annotated[Filter | None, Field(description="Whom this person looks after, by address or id.")] = None
    segment: Annotated[Filter | None, Field(description="Who is in this segment now.")] = None
    q: Annotated[
        str | None,
        Field(
            min_length=2,
            max_length=100,
            pattern=r"^[^\x00]*$",
            description="Who has this id, whose name, user name or mail address begins so, or whose telephone number "
            "ends so. The first thousand of each.",
        ),
    ] = None
    tier: Annotated[Filter | None, Field(description="Of these, who has this tier.")] = None
    silent: Annotated[
        int | None, Field(ge=1, le=3650, description="Of these, who has not logged in for so many days.")
    ] = None
    birthday: Annotated[
        int | None,
        Field(
            ge=0,
            le=MOST_DAYS,
            description="Of these, whose birthday is today or in so many days, where they are; a page may have fewer.",
        ),
    ] = None
    show_names: Annotated[bool, Field(description="Say what the players are called.")] = False
    show_portfolio: Annotated[bool, Field(description="Say what their host wants to see of them.")] = False


class PortfolioGlance(BaseModel):
    """What a host wants to see of a player in a list."""

    birthday_in: int | None = Field(None, description="Days until their next birthday, where they are; 0 is today.")
    last_login: datetime | None = None
    last_contact: datetime | None = Field(None, description="The newest note of a call or a letter, or answered call.")
    next_task_due: datetime | None = Field(
        None, description="When the first of their open tasks is due that you may do."
    )
    next_task_id: str | None = Field(None, description="Which task that is.")


class ListedPlayer(PlayerSummary):
    """A player in a list."""

    model_config = ConfigDict(json_schema_extra=PlayerSummary.model_config.get("json_schema_extra"))

    portfolio: PortfolioGlance | None = Field(None, description="In a list that was asked for with `show_portfolio`.")


@router.get("", responses=COMMON)
async def list_players(engine: EngineOf, actor: Reading, query: Annotated[PlayerQuery, Query()]) -> Page[ListedPlayer]:
    """The players of the key's brand, by id: all, or those whom somebody looks after, or finds."""
    return await players_for(engine, actor, query)


async def players_for(engine: Engine, actor: Actor, query: PlayerQuery) -> Page[ListedPlayer]:
    """The players of the actor's brand; the tasks told of each are those that the actor may work on."""
    brand = actor.brand
    chosen = select(*COLUMNS).where(players.c.brand == brand)
    after = query.after(brand, str)
    if after is not None:
        chosen = chosen.where(players.c.id > after[0])
    now = engine.clock()
    async with engine.database.reading() as connection:
        chosen = _narrowed(_chosen(chosen, brand, query), query, now)
        result = await connection.execute(chosen.order_by(players.c.id).limit(query.size + 1))
        page, token = query.page(brand, [PlayerRow(*row) for row in result], lambda row: (row.id,))
        states = [row.player_state() for row in page]
        kept = [one for one in zip(page, states, strict=True) if _has_birthday(one[1], query.birthday, now)]
        ids = [row.id for row, _ in kept]
        glances = await _glances(connection, actor, ids, now) if query.show_portfolio else {}
    return Page(items=[_listed(row, state, query, glances, now) for row, state in kept], next_page_token=token)


def _chosen(chosen: Select[Any], brand: str, query: PlayerQuery) -> Select[Any]:
    """Those of a host, a segment and a name, whichever are asked for."""
    if query.host is not None:
        chosen = chosen.where(players.c.id.in_(hosted_by(brand, id_of_person(brand, query.host))))
    if query.segment is not None:
        inside = (memberships.c.brand == brand, memberships.c.segment == query.segment, memberships.c.left_at.is_(None))
        chosen = chosen.where(players.c.id.in_(select(memberships.c.player_id).where(*inside)))
    if query.q is not None:
        chosen = chosen.where(found_by(brand, query.q))
    return chosen


def _narrowed(chosen: Select[Any], query: PlayerQuery, now: datetime) -> Select[Any]:
    """Of few, those with a tier, who are silent, or whose birthday comes. Raises `Problem` where they are all."""
    narrowing = [name for name in ("tier", "silent", "birthday") if getattr(query, name) is not None]
    if narrowing and query.host is None and query.segment is None and query.q is None:
        raise Problem(
            "invalid", f"Name a host, a segment or q as well as {narrowing[0]}; of all players it is too much."
        )
    if query.tier is not None:
        chosen = chosen.where(func.lower(players.c.state["facts"]["tier"].astext) == query.tier.lower())
    if query.silent is not None:
        chosen = chosen.where(silent_since(now - timedelta(days=query.silent)))
    if query.birthday is not None:
        # Whatever the day is where they are; which it is is asked of each below.
        chosen = chosen.where(born_on(birthdays_between((now - timedelta(days=1)).date(), query.birthday + 3)))
    return chosen


def _listed(
    row: PlayerRow, state: PlayerState, query: PlayerQuery, glances: dict[str, PortfolioGlance], now: datetime
) -> ListedPlayer:
    portfolio = glances.get(row.id, PortfolioGlance()) if query.show_portfolio else None
    if portfolio is not None:
        portfolio.last_login = state.last.get(SessionLogin.type)
        portfolio.birthday_in = birthday_in(state.born, today_of(state, now))
    listed = ListedPlayer(**dict(summary_of(row, state, now)), portfolio=portfolio)
    listed.name = (row.profile.get("first_name") or row.profile.get("username")) if query.show_names else None
    return listed


def _has_birthday(state: PlayerState, within: int | None, now: datetime) -> bool:
    if within is None:
        return True
    ahead = birthday_in(state.born, today_of(state, now))
    return ahead is not None and ahead <= within


def today_of(state: PlayerState, now: datetime) -> date:
    """The day it is where the player is."""
    return now.astimezone(zone(state.facts.get("timezone"))).date()


def birthday_in(born: str | None, today: date) -> int | None:
    """Days from `today` to the next birthday of who was born on "MM-DD"; who was on 29 February has it on the 28th."""
    if born is None:
        return None
    month, day = map(int, born.split("-"))
    coming = (date(year, month, 28 if born == "02-29" and not isleap(year) else day) for year in _years(today))
    return min((one - today).days for one in coming if one >= today)


def _years(today: date) -> tuple[int, int]:
    return today.year, today.year + 1


async def _glances(
    connection: AsyncConnection, actor: Actor, ids: Sequence[str], now: datetime
) -> dict[str, PortfolioGlance]:
    """Of each of these players: when somebody spoke to them last, and what the actor may do next.

    A task in a colleague's hands is told where there is no other.
    """
    brand = actor.brand
    noted = select(player_notes.c.player_id, func.max(player_notes.c.at)).where(
        player_notes.c.brand == brand, player_notes.c.player_id.in_(ids), player_notes.c.kind == "contact"
    )
    of_theirs = (tasks.c.brand == brand, tasks.c.player_id.in_(ids))
    answered = select(tasks.c.player_id, func.max(tasks.c.closed_at)).where(
        *of_theirs, tasks.c.answer["outcome"].astext == "reached", tasks.c.closed_at <= now
    )
    in_other_hands = func.coalesce(tasks.c.assignee, actor.name) != actor.name
    waiting = (
        select(tasks.c.player_id, tasks.c.id, tasks.c.due_at)
        .where(*of_theirs, tasks.c.state.in_(OPEN_STATES), within_rights(actor))
        .ext(distinct_on(tasks.c.player_id))
        .order_by(tasks.c.player_id, in_other_hands, tasks.c.due_at, tasks.c.id)
    )
    contacts = union_all(noted.group_by(player_notes.c.player_id), answered.group_by(tasks.c.player_id))
    spoken: dict[str, datetime] = {}
    for player_id, at in await connection.execute(contacts):
        spoken[player_id] = max(at, spoken.get(player_id, at))
    found = {one: PortfolioGlance(last_contact=spoken.get(one)) for one in ids}
    for player_id, task_id, due_at in await connection.execute(waiting):
        found[player_id].next_task_due, found[player_id].next_task_id = due_at, task_id
    return found
