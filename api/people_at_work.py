"""How people work in a brand: what they speak, how much of their day tasks may take, and when they are away."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import work_profiles
from activities.actors import Actor
from activities.people import Person, find_person
from activities.work_profiles import WorkProfile
from api.dependencies import EngineOf
from api.json_types import Line
from api.permissions import Key, acts, needs
from api.problems import COMMON, CORRECT, Problem, documented, missing
from workflows.events import Instant
from workflows.field_types import Whole

router = APIRouter(prefix="/v1/people/{person_id}", tags=["people"])

#: Absences of a person that are shown.
SHOWN: Final = 50
Reading = Annotated[Key, needs("people:manage", "tasks:lead", "tasks:work")]
Leading = Annotated[Actor, acts("people:manage", "tasks:lead")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$", min_length=2, max_length=2)]
Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", min_length=5, max_length=5)]
AbsenceId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class WorkBody(BaseModel):
    """How somebody works here, in place of what was known."""

    model_config = ConfigDict(
        extra="forbid",
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "languages": ["uk", "en"],
                    "minutes_a_day": 300,
                    "quiet_from": "19:00",
                    "quiet_until": "08:00",
                    "digest_at": "08:30",
                }
            ]
        },
    )

    languages: list[Language] = Field(default_factory=list, max_length=20)
    minutes_a_day: Annotated[int, Field(ge=0, le=1440), Whole] | None = Field(
        None, description="Minutes of a day that tasks may take; absent: they are given none, and take their own."
    )
    told_of: list[Literal["opened", "given", "unclaimed", "reminded", "escalated", "breached"]] | None = Field(
        None,
        max_length=6,
        description="Of what they are told by mail; absent: of all but every opening of their teams.",
    )
    quiet_from: Clock | None = Field(None, description="From when on they are told nothing, on their clock …")
    quiet_until: Clock | None = Field(None, description="… until when; then they are told what still holds.")
    digest_at: Clock | None = Field(None, description="When they read a digest of what waits; absent: never.")

    @model_validator(mode="after")
    def _quiet_has_two_ends(self) -> "WorkBody":
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValueError("give both ends of the quiet time, or none")
        return self


class AbsenceBody(BaseModel):
    """When somebody is not here."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"since": "2099-07-01T00:00:00Z", "until": "2099-07-15T00:00:00Z"}],
        },
    )

    since: Instant
    until: Instant
    stand_in: Line | None = Field(None, description="Who looks after their players meanwhile, by address or id.")


class AbsenceView(BaseModel):
    """An absence that is not over."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    since: datetime
    until: datetime
    stand_in: str | None = None
    given_by: str


class WorkView(WorkBody):
    """How somebody works here, and when they are away."""

    absences: list[AbsenceView] = Field(description="Those that are not over, the nearest first.")


@router.get("/work", responses={**COMMON, **documented(404)})
async def get_work(person_id: str, engine: EngineOf, key: Reading) -> WorkView:
    """How somebody works here."""
    async with engine.database.reading() as connection:
        person = await _found(connection, key.brand, person_id)
        return await _view(connection, key.brand, person, engine.clock())


@router.put("/work", responses={**COMMON, **documented(404)})
async def change_work(person_id: str, body: WorkBody, engine: EngineOf, actor: Leading) -> WorkView:
    """Say how somebody works here. In the console everybody says it of themselves."""
    now = engine.clock()
    profile = WorkProfile(
        tuple(dict.fromkeys(body.languages)),
        body.minutes_a_day,
        None if body.told_of is None else tuple(dict.fromkeys(body.told_of)),
        body.quiet_from,
        body.quiet_until,
        body.digest_at,
    )
    async with engine.database.transaction() as connection:
        person = await _found(connection, actor.brand, person_id)
        await work_profiles.write_profile(connection, actor.brand, person.id, profile, now)
        return await _view(connection, actor.brand, person, now)


@router.post("/absences", status_code=201, responses={**COMMON, **documented(404, 409)})
async def add_absence(person_id: str, body: AbsenceBody, engine: EngineOf, actor: Leading) -> WorkView:
    """Say when somebody is not here: their players' tasks go to `stand_in`, and nothing is given to them."""
    now = engine.clock()
    if body.until <= max(body.since, now):
        fault = {"pointer": "/until", "detail": "It would be over before it begins; give a later end."}
        raise Problem("invalid", CORRECT, errors=[fault])
    async with engine.database.transaction() as connection:
        person = await _found(connection, actor.brand, person_id)
        stand_in = await _stand_in(connection, actor.brand, person, body.stand_in)
        if len(await work_profiles.absences_of(connection, actor.brand, person.id, now, SHOWN)) >= SHOWN:
            raise Problem("too-many", f"They have {SHOWN} absences to come; end one first.")
        await work_profiles.add_absence(
            connection, actor.brand, person.id, body.since, body.until, stand_in=stand_in, by=actor.name
        )
        return await _view(connection, actor.brand, person, now)


@router.delete("/absences/{absence_id}", responses={**COMMON, **documented(404)})
async def end_absence(person_id: str, absence_id: AbsenceId, engine: EngineOf, actor: Leading) -> WorkView:
    """Somebody is back, or does not go."""
    now = engine.clock()
    async with engine.database.transaction() as connection:
        person = await _found(connection, actor.brand, person_id)
        if not await work_profiles.end_absence(connection, actor.brand, person.id, absence_id, now):
            raise missing("absence")
        return await _view(connection, actor.brand, person, now)


async def _found(connection: AsyncConnection, brand: str, person_id: str) -> Person:
    person = await find_person(connection, brand, person_id)
    if person is None:
        raise missing("person")
    return person


async def _stand_in(connection: AsyncConnection, brand: str, person: Person, named: str | None) -> str | None:
    if named is None:
        return None
    colleague = await find_person(connection, brand, named)
    if colleague is None or not colleague.active:
        raise missing("person in this brand")
    if colleague.id == person.id:
        fault = {"pointer": "/stand_in", "detail": "Nobody stands in for themselves; name a colleague, or nobody."}
        raise Problem("invalid", CORRECT, errors=[fault])
    return colleague.id


async def _view(connection: AsyncConnection, brand: str, person: Person, now: datetime) -> WorkView:
    profile = await work_profiles.profile_of(connection, brand, person.id)
    coming = await work_profiles.absences_of(connection, brand, person.id, now, SHOWN)
    return WorkView(
        **asdict(profile),
        absences=[AbsenceView.model_validate(one) for one in coming],
    )
