"""How people work in a brand and when they are away: the tables `work_profiles` and `absences`."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.people import Person, actor_of
from activities.tables import absences, people, tasks, work_profiles
from workflows.local_time import zone
from workflows.task_kinds import minutes_of
from workflows.task_notices import OccasionName
from workflows.task_routing import Colleague, OutOfOffice


@dataclass(frozen=True, slots=True)
class WorkProfile:
    """What somebody speaks, as two letters each, and how many minutes of their day tasks may take.

    `told_of` are occasions (None: the usual ones); the rest are hours of their clock, as "22:00".
    """

    languages: tuple[str, ...] = ()
    minutes_a_day: int | None = None
    told_of: tuple[OccasionName, ...] | None = None
    quiet_from: str | None = None
    quiet_until: str | None = None
    digest_at: str | None = None


@dataclass(frozen=True, slots=True)
class Absence:
    """When somebody is not here. `stand_in` is a colleague's address."""

    id: int
    since: datetime
    until: datetime
    stand_in: str | None
    given_by: str


_COLUMNS: Final = [work_profiles.c[name] for name in WorkProfile.__dataclass_fields__]


async def profile_of(connection: AsyncConnection, brand: str, person_id: str) -> WorkProfile:
    """How somebody works here, as far as they said."""
    return (await profiles_of(connection, brand, [person_id])).get(person_id, WorkProfile())


async def profiles_of(connection: AsyncConnection, brand: str, person_ids: Collection[str]) -> dict[str, WorkProfile]:
    """How these people work, by id; who said nothing is left out."""
    mine = (work_profiles.c.brand == brand, work_profiles.c.person_id.in_(person_ids))
    found = await connection.execute(select(work_profiles.c.person_id, *_COLUMNS).where(*mine))
    return {person_id: _profile(values) for person_id, *values in found}


def _profile(values: Sequence[Any]) -> WorkProfile:
    known = dict(zip(WorkProfile.__dataclass_fields__, values, strict=True))
    told_of = known["told_of"]
    known |= {"languages": tuple(known["languages"]), "told_of": None if told_of is None else tuple(told_of)}
    return WorkProfile(**known)


async def write_profile(
    connection: AsyncConnection, brand: str, person_id: str, profile: WorkProfile, now: datetime
) -> None:
    """Write down how somebody works here, in place of what was known."""
    told_of = None if profile.told_of is None else [*profile.told_of]
    values = asdict(profile) | {"languages": [*profile.languages], "told_of": told_of, "updated_at": now}
    writing = insert(work_profiles).values(brand=brand, person_id=person_id, **values)
    await connection.execute(writing.on_conflict_do_update(index_elements=["brand", "person_id"], set_=values))


async def add_absence(
    connection: AsyncConnection,
    brand: str,
    person_id: str,
    since: datetime,
    until: datetime,
    *,
    stand_in: str | None,
    by: str,
) -> int:
    """Write down when somebody is not here; the absence's id. `stand_in` is a colleague, by id."""
    values = {"since": since, "until": until, "stand_in": stand_in, "given_by": by}
    adding = insert(absences).values(brand=brand, person_id=person_id, **values).returning(absences.c.id)
    return int((await connection.execute(adding)).scalar_one())


async def end_absence(connection: AsyncConnection, brand: str, person_id: str, absence_id: int, now: datetime) -> bool:
    """Somebody is back, or does not go; False for an absence that there is not."""
    mine = (absences.c.id == absence_id, absences.c.brand == brand, absences.c.person_id == person_id)
    ended = await connection.execute(update(absences).where(*mine, absences.c.ended_at.is_(None)).values(ended_at=now))
    return bool(ended.rowcount)


async def absences_of(
    connection: AsyncConnection, brand: str, person_id: str, now: datetime, limit: int
) -> list[Absence]:
    """When somebody is away, now and later, the nearest first."""
    stand_ins = people.alias()
    found = (
        select(absences.c.id, absences.c.since, absences.c.until, stand_ins.c.email, absences.c.given_by)
        .outerjoin(stand_ins, stand_ins.c.id == absences.c.stand_in)
        .where(absences.c.brand == brand, absences.c.person_id == person_id)
        .where(absences.c.ended_at.is_(None), absences.c.until > now)
        .order_by(absences.c.since, absences.c.id)
        .limit(limit)
    )
    return [Absence(*row) for row in await connection.execute(found)]


async def away_now(connection: AsyncConnection, brand: str, now: datetime) -> Mapping[str, OutOfOffice]:
    """Who is not here at `now`, by id. Of several absences at once the one that was told last counts."""
    found = (
        select(absences.c.person_id, absences.c.stand_in)
        .where(absences.c.brand == brand, absences.c.ended_at.is_(None))
        .where(absences.c.since <= now, absences.c.until > now)
        .order_by(absences.c.id)
    )
    return {row.person_id: OutOfOffice(row.stand_in) for row in await connection.execute(found)}


async def gives_out(connection: AsyncConnection, brand: str) -> bool:
    """Whether anybody of a brand is given tasks at all."""
    some = select(work_profiles.c.person_id).where(
        work_profiles.c.brand == brand, work_profiles.c.minutes_a_day.is_not(None)
    )
    return (await connection.execute(some.limit(1))).one_or_none() is not None


async def colleagues(connection: AsyncConnection, brand: str, able: Sequence[Person]) -> list[Colleague]:
    """These people as tasks are given to them, with the minutes that those in their hands take."""
    profiles = await profiles_of(connection, brand, [one.id for one in able])
    taken = await _taken(connection, brand, [one.email for one in able])
    found = []
    for one in able:
        profile = profiles.get(one.id, WorkProfile())
        languages = frozenset(profile.languages)
        found.append(Colleague(one.id, one.email, languages, profile.minutes_a_day, taken[one.email]))
    return found


async def _taken(connection: AsyncConnection, brand: str, names: Collection[str]) -> Counter[str]:
    in_hand = (tasks.c.brand == brand, tasks.c.state == "claimed", tasks.c.assignee.in_(names))
    counted = select(tasks.c.assignee, tasks.c.form, func.count()).where(*in_hand)
    minutes = Counter[str]()
    for name, form, number in await connection.execute(counted.group_by(tasks.c.assignee, tasks.c.form)):
        minutes[name] += number * minutes_of(form)
    return minutes


async def digest_readers(connection: AsyncConnection) -> list[tuple[str, Person, str]]:
    """Who reads a digest in which brand, and at what hour of their clock."""
    found = (
        select(work_profiles.c.brand, work_profiles.c.digest_at, *(people.c[name] for name in Person.__slots__))
        .join(people, people.c.id == work_profiles.c.person_id)
        .where(work_profiles.c.digest_at.is_not(None), people.c.active)
    )
    return [(brand, Person(*person), digest_at) for brand, digest_at, *person in await connection.execute(found)]


async def inbox_numbers(connection: AsyncConnection, brand: str, person: Person, now: datetime) -> dict[str, int]:
    """What waits for somebody: `mine`, of it for `today`, `overdue`, and what is `unclaimed` in their teams."""
    actor = await actor_of(connection, brand, person.id, now)
    teams = tasks.c.team.in_(sorted((actor and actor.teams) or ()))
    mine = tasks.c.assignee == person.email
    local = now.astimezone(zone(person.zone))
    midnight = datetime.combine(local.date() + timedelta(days=1), time(), local.tzinfo)
    wanted = {
        "mine": mine,
        "today": and_(mine, tasks.c.due_at < midnight),
        "overdue": and_(or_(mine, teams), tasks.c.due_at < now),
        "unclaimed": and_(teams, tasks.c.state == "open"),
    }
    counted = select(*(func.count().filter(which).label(name) for name, which in wanted.items()))
    waiting = (tasks.c.brand == brand, tasks.c.state.in_(("open", "claimed")))
    return dict((await connection.execute(counted.where(*waiting))).mappings().one())
