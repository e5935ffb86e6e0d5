"""Who works here: people with what they were given, API keys, and how somebody works themselves."""

from datetime import datetime, time
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from activities.roles import ROLES
from api import keys, people, people_at_work
from api.console.pages import ConsoleRoute
from api.console.rendering import path, render
from api.console.visitor import Visitor, VisitorOf, moment_of
from api.dependencies import EngineOf
from api.problems import Problem
from api.written_numbers import written_number

router = APIRouter(route_class=ConsoleRoute, prefix="/console/{brand}", include_in_schema=False)

Token = Annotated[str | None, Query(max_length=1_000)]
Change = Literal["give", "take", "leave"]
#: Of what people are told, as their own page asks.
OCCASIONS: Final = ("given", "unclaimed", "reminded", "escalated", "breached", "opened")


@router.get("/people")
async def listed(request: Request, engine: EngineOf, visitor: VisitorOf, page: Token = None) -> Response:
    """Who works in the brand, with what they were given, and its API keys."""
    visitor.needs("people:manage")
    query = people.PeopleQuery(page_size=100, page_token=page)
    found = await people.list_people(engine, visitor.key, query)
    known = await keys.list_keys(engine, visitor.key, keys.KeyQuery(page_size=100))
    return render(request, visitor, "people.html", people=found, keys=known.items, roles=ROLES)


@router.post("/people")
async def add(engine: EngineOf, visitor: VisitorOf) -> Response:
    """Somebody begins to work here."""
    visitor.needs("people:manage")
    visitor.proves_themselves()
    typed = {name: visitor.form.get(name, "").strip() for name in ("email", "name", "locale", "zone")}
    body = people.NewPerson.model_validate({name: value for name, value in typed.items() if value})
    await people.add_person(body, engine, visitor.actor)
    return RedirectResponse(path(visitor.brand, "people"), 303)


@router.post("/people/{person_id}/{change}")
async def decide(person_id: str, change: Change, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Give somebody a role, a team or a skill, take it back, or have them leave the brand."""
    visitor.needs("people:manage")
    visitor.proves_themselves()
    form, actor = visitor.form, visitor.actor
    if change == "leave":
        await people.remove_person(person_id, engine, actor)
        return RedirectResponse(path(visitor.brand, "people"), 303)
    name, kind = form.get("name", "").strip(), form.get("kind", "")
    if kind not in set(people.Kind) or not name:
        raise Problem("invalid", "Choose what is given, and write its name.")
    if change == "take":
        await people.take_back(person_id, people.Kind(kind), name, engine, actor)
    else:
        until = moment_of(form.get("until", ""), visitor)
        body = people.Giving(until=until, reason=form.get("reason", "").strip()[:2_000] or None)
        await people.give(person_id, people.Kind(kind), name, engine, actor, body)
    return RedirectResponse(path(visitor.brand, "people"), 303)


@router.get("/work")
async def own_work(request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """How the visitor works: what they speak, their time, of what they are told, when they are away."""
    visitor.needs("tasks:work")
    shown = await people_at_work.get_work(visitor.person.id, engine, visitor.key)
    return render(request, visitor, "work.html", work=shown, occasions=OCCASIONS)


@router.post("/work")
async def say_own_work(engine: EngineOf, visitor: VisitorOf) -> Response:
    """Say how one works."""
    visitor.needs("tasks:work")
    form = visitor.form
    typed = {name: form.get(name, "").strip() for name in ("quiet_from", "quiet_until", "digest_at")}
    given: dict[str, object] = {name: value or None for name, value in typed.items()}
    given["languages"] = [one for one in form.get("languages", "").lower().replace(",", " ").split() if one]
    given["told_of"] = [one for one in OCCASIONS if form.get(f"told-{one}")]
    if minutes := form.get("minutes_a_day", "").strip():
        known = written_number(minutes)
        given["minutes_a_day"] = -1 if known is None else known
    body = people_at_work.WorkBody.model_validate(given)
    await people_at_work.change_work(visitor.person.id, body, engine, visitor.actor)
    return RedirectResponse(path(visitor.brand, "work"), 303)


@router.post("/absence")
async def go_away(engine: EngineOf, visitor: VisitorOf) -> Response:
    """Say when one is away, from the morning of a day to the end of another; or that one is back."""
    visitor.needs("tasks:work")
    if ended := visitor.form.get("back", ""):
        absence = written_number(ended)
        if absence is None:
            raise Problem("not-found", "There is no such absence.")
        await people_at_work.end_absence(visitor.person.id, absence, engine, visitor.actor)
        return RedirectResponse(path(visitor.brand, "work"), 303)
    since, until = _midnight(visitor, "since"), _midnight(visitor, "until", end=True)
    stand_in = visitor.form.get("stand_in", "").strip() or None
    body = people_at_work.AbsenceBody.model_validate({"since": since, "until": until, "stand_in": stand_in})
    await people_at_work.add_absence(visitor.person.id, body, engine, visitor.actor)
    return RedirectResponse(path(visitor.brand, "work"), 303)


def _midnight(visitor: Visitor, name: str, *, end: bool = False) -> datetime | None:
    """The begin of a day that was typed, in the visitor's zone, or its end."""
    day = moment_of(visitor.form.get(name, ""), visitor)
    return None if day is None else datetime.combine(day.date(), time.max if end else time.min, visitor.zone)
