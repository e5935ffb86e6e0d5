"""Managers' own figures: for oneself, and for who leads a team."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actors import Actor
from activities.figures.figure_store import courses_of, figures_of, newest_day
from activities.people import Person, colleagues, find_person, list_people
from api.dependencies import EngineOf
from api.figures import FigureView
from api.pagination import Filter
from api.permissions import acts
from api.problems import COMMON
from learning.differences import Conversion, share_interval
from workflows.figures.definitions import FIGURES, Taken, week_of
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/figures/managers", tags=["figures"])

#: The figures of a manager, in the order in which people read them.
OF_MANAGERS: Final = (
    *("hosted_players", "known_players", "milestones_missed"),
    *("answered_in_time", "manager_minutes", "manager_with_players"),
)
#: How far back the course goes.
COURSE: Final = timedelta(weeks=26)
#: People that one answer tells of.
MOST: Final = 500
Working = Annotated[Actor, acts("tasks:work", "tasks:lead")]
_FIGURE: Final[JsonObject] = {
    "name": "known_players",
    "title": "Of them known",
    "unit": "share",
    "period": "week",
    "starts": "2026-01-05",
    "split_by": "manager",
    "part": "olena@example.com",
    "currency": "",
    "value": 0.82,
    "low": 0.784,
    "high": 0.851,
    "n": 500,
    "of": 500,
    "immature": 0,
    "reason": None,
}


class ManagerFigures(BaseModel):
    """How it goes for a manager. A figure that is not there was not taken: nothing happened that it could be of."""

    person_id: str
    email: str
    name: str
    figures: list[FigureView] = Field(description="Of the newest week that is over.")
    course: list[FigureView] = Field(description="The weeks of half a year, the oldest first.")


class ManagerFigureList(BaseModel):
    """Managers with their figures, by name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "as_of": "2026-01-12",
                    "items": [
                        {
                            "person_id": "person_2f6c",
                            "email": "olena@example.com",
                            "name": "Olena K.",
                            "figures": [_FIGURE],
                            "course": [_FIGURE],
                        }
                    ],
                    "together": [],
                    "is_cut": False,
                }
            ]
        }
    )

    as_of: date | None = Field(description="With what was known at the end of this day, of UTC; null before the first.")
    items: list[ManagerFigures]
    together: list[FigureView] = Field(description="Of all of them, where they are more than one.")
    is_cut: bool = Field(
        False, description=f"Whether there are others: no more than {MOST} are told of at once; ask for `person`."
    )


class ManagerFigureQuery(BaseModel):
    """Of whom."""

    model_config = ConfigDict(extra="forbid")

    person: Annotated[Filter | None, Field(description="This one alone, by address or id.")] = None


@router.get("", responses=COMMON)
async def list_manager_figures(
    engine: EngineOf, actor: Working, query: Annotated[ManagerFigureQuery, Query()]
) -> ManagerFigureList:
    """How many players somebody looks after, how many they know, milestones missed, answers in time, time with players.

    Of oneself; with the scope `tasks:lead` also of everybody in one's teams. Somebody whose figures are not the
    caller's to see is not there. Whoever is in no team and hosts nobody is there without figures.
    """
    async with engine.database.reading() as connection:
        seen = await _seen(connection, actor, engine.clock(), query.person)
        found = [one for one in seen.values() if query.person in {None, one.id, one.email}]
        # Who asks is told of themselves, however many others there are.
        found.sort(key=lambda one: (one.id != actor.id, one.name, one.email))
        wanted, is_cut = {one.email: one for one in found[:MOST]}, len(found) > MOST
        as_of = await newest_day(connection, actor.brand)
        if as_of is None:
            nothing = [_told(one, (), ()) for one in _by_name(wanted)]
            return ManagerFigureList(as_of=None, items=nothing, together=[], is_cut=is_cut)
        newest = [one for one in await figures_of(connection, actor.brand, as_of) if _is_of(one, wanted)]
        course = await courses_of(connection, actor.brand, as_of, week_of(as_of - COURSE), wanted)
    items = [_told(one, newest, course) for one in _by_name(wanted)]
    whole = together(newest) if len(items) > 1 else []
    return ManagerFigureList(as_of=as_of, items=items, together=whole, is_cut=is_cut)


async def _seen(connection: AsyncConnection, actor: Actor, now: datetime, who: str | None) -> dict[str, Person]:
    """Whose figures the actor may see, by id; of a whole brand one more than are told of at once, or `who` alone."""
    own = await find_person(connection, actor.brand, actor.id) if actor.kind == "person" else None
    seen = {} if own is None else {own.id: own}
    if not actor.may("tasks:lead"):
        return seen
    if actor.teams is None:
        if who is None:
            some = await list_people(connection, actor.brand, limit=MOST + 1)
        else:
            one_alone = await find_person(connection, actor.brand, who)
            some = [] if one_alone is None else [one_alone]
        return seen | {one.id: one for one in some}
    return seen | await colleagues(connection, actor.brand, actor.teams, now)


def _is_of(one: Taken, wanted: Mapping[str, Person]) -> bool:
    return one.split_by == "manager" and one.period == "week" and one.part in wanted


def _by_name(wanted: Mapping[str, Person]) -> list[Person]:
    return sorted(wanted.values(), key=lambda one: (one.name, one.email))


def _told(person: Person, newest: Sequence[Taken], course: Sequence[Taken]) -> ManagerFigures:
    mine = {one.name: one for one in newest if one.part == person.email}
    theirs = [one for one in course if one.part == person.email and one.name in OF_MANAGERS]
    return ManagerFigures(
        person_id=person.id,
        email=person.email,
        name=person.name,
        figures=[FigureView.of_taken(mine[name]) for name in OF_MANAGERS if name in mine],
        course=[FigureView.of_taken(one) for one in theirs],
    )


def together(taken: Sequence[Taken]) -> list[FigureView]:
    """Managers' figures of one week as those of a team: counts and minutes added up, shares weighted by their `n`.

    The share of time with players is weighted by the time. A figure that none of them has is not there.
    """
    known = [one for one in taken if one.value is not None]
    minutes = {one.part: one.value or 0.0 for one in known if one.name == "manager_minutes"}
    told = []
    for name in OF_MANAGERS:
        mine = [one for one in known if one.name == name]
        if not mine:
            continue
        whole = Taken(name, "week", mine[0].starts, sum(one.n for one in mine), split_by="manager")
        if FIGURES[name].unit != "share":
            told.append(replace(whole, value=sum(one.value or 0.0 for one in mine)))
        elif name == "manager_with_players":
            time = sum(minutes.get(one.part, 0.0) for one in mine)
            with_players = sum((one.value or 0.0) * minutes.get(one.part, 0.0) for one in mine)
            told.append(replace(whole, value=with_players / time if time else None))
        else:
            share = Conversion(sum(round((one.value or 0.0) * one.n) for one in mine), whole.n)
            interval = share_interval(share)
            told.append(replace(whole, value=share.value, low=interval.low, high=interval.high, of=whole.n))
    return [FigureView.of_taken(one) for one in told]
