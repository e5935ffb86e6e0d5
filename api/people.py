"""People who work in a brand, and what they are given: roles, teams and skills."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import people
from activities.actors import Actor, ActorKind
from activities.people import EMAIL, LONGEST_EMAIL, GrantKind, NotGiven, Person, PersonGrant
from api.dependencies import EngineOf
from api.json_types import Line, Prose, Switch
from api.pagination import Page, PageQuery
from api.permissions import Key, acts, needs
from api.problems import COMMON, Problem, documented, missing
from workflows.field_types import Timezone
from workflows.json_object import JsonObject
from workflows.task_rights import GIVEN

router = APIRouter(prefix="/v1/people", tags=["people"])
me = APIRouter(prefix="/v1/me", tags=["people"])

Reading = Annotated[Key, needs("people:manage", "tasks:work")]
Deciding = Annotated[Actor, acts("people:manage")]
Email = Annotated[str, StringConstraints(max_length=LONGEST_EMAIL, pattern=f"^{EMAIL}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[A-Z]{2})?$", max_length=5)]
Given = Annotated[str, Path(pattern=f"^{GIVEN}$", max_length=64)]


class Kind(StrEnum):
    """What can be given."""

    ROLES = "roles"
    TEAMS = "teams"
    SKILLS = "skills"


KINDS: Final[dict[Kind, GrantKind]] = {Kind.ROLES: "role", Kind.TEAMS: "team", Kind.SKILLS: "skill"}
_EXAMPLE: Final[JsonObject] = {"email": "olena@example.com", "name": "Olena K.", "locale": "uk", "zone": "Europe/Kyiv"}

_KNOWN: Final[JsonObject] = _EXAMPLE | {"id": "person_2f6c", "active": True}


class NewPerson(BaseModel):
    """Somebody who begins to work in the brand."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    email: Email
    name: Line
    locale: Locale = "en"
    zone: Timezone = "UTC"


class PersonChanges(BaseModel):
    """What of a person to change; what is absent stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"active": False}]})

    # None is "not given" and cannot be given.
    name: Line = ""
    locale: Locale = "en"
    zone: Timezone = "UTC"
    active: Switch = Field(True, description="False for who has left: they can do nothing any more.")


class Giving(BaseModel):
    """Until when something is given, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"until": "2027-01-15T00:00:00Z", "reason": "Certificate of 15 January."}]},
    )

    until: AwareDatetime | None = Field(None, description="When it ends by itself; never if absent.")
    reason: Prose | None = None


class GrantedView(BaseModel):
    """A role, a team or a skill that somebody has."""

    model_config = ConfigDict(from_attributes=True)

    kind: GrantKind
    name: str
    until: datetime | None = None
    reason: str | None = None
    granted_at: datetime
    granted_by: str


class PersonView(BaseModel):
    """A person, with what they have in the key's brand."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_KNOWN]})

    id: str
    email: str
    name: str
    locale: str
    zone: str
    active: bool
    created_at: datetime
    grants: list[GrantedView]


class Me(BaseModel):
    """Who the caller is, and what they may do."""

    model_config = ConfigDict(from_attributes=True)

    brand: str
    kind: ActorKind
    id: str
    name: str
    scopes: list[str]
    teams: list[str] | None = Field(None, description="Absent for a key that may work on any team's tasks.")
    skills: list[str]


class PeopleQuery(PageQuery):
    """Which page of the people."""


@me.get("", responses=COMMON)
async def get_me(actor: Annotated[Actor, acts()]) -> Me:
    """Who acts with this key (and `X-Actor`), with scopes, teams and skills as they hold now."""
    return Me(
        brand=actor.brand,
        kind=actor.kind,
        id=actor.id,
        name=actor.name,
        scopes=sorted(actor.scopes),
        teams=None if actor.teams is None else sorted(actor.teams),
        skills=sorted(actor.skills),
    )


@router.get("", responses=COMMON)
async def list_people(engine: EngineOf, key: Reading, query: Annotated[PeopleQuery, Query()]) -> Page[PersonView]:
    """The people of the key's brand."""
    after = query.after(key.brand, str)
    async with engine.database.reading() as connection:
        found = await people.list_people(connection, key.brand, after[0] if after else "", query.size + 1)
        page, token = query.page(key.brand, found, lambda person: (person.id,))
        return Page(items=await _views(connection, key.brand, page, engine.clock()), next_page_token=token)


@router.post("", status_code=201, responses=COMMON)
async def add_person(body: NewPerson, engine: EngineOf, actor: Deciding) -> PersonView:
    """Have somebody work in the brand. Known by this address already, they keep the name, locale and zone they have."""
    now = engine.clock()
    async with engine.database.transaction() as connection:
        given = {"locale": body.locale, "zone": body.zone}
        person = await people.add_person(connection, actor.brand, body.email, body.name, now, **given)
        return await _view(connection, actor.brand, person, now)


@router.get("/{person_id}", responses={**COMMON, **documented(404)})
async def get_person(person_id: str, engine: EngineOf, key: Reading) -> PersonView:
    """A person of the brand, by id or address."""
    async with engine.database.reading() as connection:
        person = await _found(connection, key.brand, person_id)
        return await _view(connection, key.brand, person, engine.clock())


@router.patch("/{person_id}", responses={**COMMON, **documented(404, 409)})
async def change_person(person_id: str, body: PersonChanges, engine: EngineOf, actor: Deciding) -> PersonView:
    """Change a person's name, locale or zone, or say that they have left. It holds within a second.

    Who works in other brands too can only be made to leave this one: `DELETE`.
    """
    now = engine.clock()
    values: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    async with engine.database.transaction() as connection:
        person = await _found(connection, actor.brand, person_id)
        if "active" in values and person.brands != (actor.brand,):
            raise Problem("other-brands", "They work in other brands too; let them leave this one with DELETE.")
        if values:
            person = await people.change_person(connection, person.id, now, **values)
        return await _view(connection, actor.brand, person, now)


@router.delete("/{person_id}", status_code=204, responses={**COMMON, **documented(404)})
async def remove_person(person_id: str, engine: EngineOf, actor: Deciding) -> None:
    """Have somebody work in the brand no more: roles, teams and skills there are taken back."""
    async with engine.database.transaction() as connection:
        person = await _found(connection, actor.brand, person_id)
        await people.leave_brand(connection, person, actor.brand, actor, engine.clock())


@router.put("/{person_id}/{kind}/{given}", responses={**COMMON, **documented(404)})
async def give(
    person_id: str, kind: Kind, given: Given, engine: EngineOf, actor: Deciding, body: Giving | None = None
) -> PersonView:
    """Give a person a role, a team or a skill. Given again, it has the new end. Nobody gives anything to themselves."""
    now, wanted = engine.clock(), body or Giving()
    async with engine.database.transaction() as connection:
        person = await _found(connection, actor.brand, person_id)
        try:
            await people.give(
                connection, person, KINDS[kind], given, actor, now, until=wanted.until, reason=wanted.reason
            )
        except NotGiven as refused:
            raise Problem("invalid", str(refused), errors=[{"parameter": "given", "detail": str(refused)}]) from None
        return await _view(connection, actor.brand, person, now)


@router.delete("/{person_id}/{kind}/{given}", responses={**COMMON, **documented(404)})
async def take_back(person_id: str, kind: Kind, given: Given, engine: EngineOf, actor: Deciding) -> PersonView:
    """Take a role, a team or a skill back. It holds within a second; taking back twice is one."""
    now = engine.clock()
    async with engine.database.transaction() as connection:
        person = await _found(connection, actor.brand, person_id)
        await people.take_back(connection, person, KINDS[kind], given, actor, now)
        return await _view(connection, actor.brand, person, now)


async def _found(connection: AsyncConnection, brand: str, person_id: str) -> Person:
    person = await people.find_person(connection, brand, person_id)
    if person is None:
        raise missing("person")
    return person


async def _view(connection: AsyncConnection, brand: str, person: Person, now: datetime) -> PersonView:
    (view,) = await _views(connection, brand, [person], now)
    return view


async def _views(connection: AsyncConnection, brand: str, found: Sequence[Person], now: datetime) -> list[PersonView]:
    had: dict[str, list[PersonGrant]] = {person.id: [] for person in found}
    for grant in await people.grants_of(connection, brand, [*had], now):
        had[grant.person_id].append(grant)
    return [
        PersonView(
            id=person.id,
            email=person.email,
            name=person.name,
            locale=person.locale,
            zone=person.zone,
            active=person.active,
            created_at=person.created_at,
            grants=[GrantedView.model_validate(grant) for grant in had[person.id]],
        )
        for person in found
    ]
