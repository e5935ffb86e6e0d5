"""People who work here, and what they were given: the tables `people` and `person_grants`.

A person is one row, however many brands they work in; roles, teams and skills are given brand by brand, with a day on
which they end where they do. What was given stays on record with who gave it and who took it back.
"""

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, RowMapping, ScalarSelect, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actors import Actor
from activities.console_sessions import Session, hash_of
from activities.roles import EXECUTIVE, ROLES, scopes_of, skills_of
from activities.tables import people, person_grants, sessions
from workflows.field_types import BRAND
from workflows.task_rights import GIVEN

GrantKind = Literal["role", "team", "skill"]
#: An address, in the letters in which histories name who acts.
EMAIL: Final = r"[A-Za-z0-9][A-Za-z0-9._~:+-]{0,62}@[A-Za-z0-9][A-Za-z0-9.-]{0,61}"
LONGEST_EMAIL: Final = 64


class NotGiven(ValueError):
    """Something cannot be given to a person; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who works here. `issuer` and `subject` are theirs at the provider of sign-in, once they signed in."""

    id: str
    brands: tuple[str, ...]
    email: str
    name: str
    locale: str
    zone: str
    active: bool
    issuer: str | None
    subject: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PersonGrant:
    """What a person has in a brand, since when, from whom and until when."""

    person_id: str
    brand: str
    kind: GrantKind
    name: str
    until: datetime | None
    reason: str | None
    granted_at: datetime
    granted_by: str


async def add_person(
    connection: AsyncConnection,
    brand: str,
    email: str,
    name: str,
    now: datetime,
    *,
    locale: str = "en",
    zone: str = "UTC",
) -> Person:
    """The person with this address, who works in `brand` from now on; who was known keeps their name, locale and zone.

    Raises ValueError with a sentence for an address or a brand that is none.
    """
    if not re.fullmatch(BRAND, brand):
        raise ValueError(f"{brand!r} is no brand; use 1 to 32 of the characters a-z, 0-9 and '-'.")
    if not re.fullmatch(EMAIL, email) or len(email) > LONGEST_EMAIL:
        raise ValueError(f"{email!r} is no address for histories; use letters, digits, . _ ~ : + - and one @.")
    made = insert(people).values(
        id=f"person_{secrets.token_hex(8)}",
        brands=[brand],
        email=email.lower(),
        name=name,
        locale=locale,
        zone=zone,
        created_at=now,
        updated_at=now,
    )
    brands = func.array_append(func.array_remove(people.c.brands, brand), brand)
    left = func.array_remove(people.c.left_brands, brand)
    known = made.on_conflict_do_update(
        index_elements=[func.lower(people.c.email)], set_={"brands": brands, "left_brands": left, "updated_at": now}
    )
    return _person((await connection.execute(known.returning(people))).mappings().one())


async def find_person(connection: AsyncConnection, brand: str, who: str) -> Person | None:
    """The person of a brand with this id or address; None where the brand has none."""
    found = select(people).where(*_called(brand, who))
    row = (await connection.execute(found)).mappings().one_or_none()
    return None if row is None else _person(row)


def id_of_person(brand: str, who: str) -> ScalarSelect[str]:
    """The id of the person of a brand with this id or address, for a statement that asks for more; NULL without one."""
    return select(people.c.id).where(*_called(brand, who)).scalar_subquery()


async def list_people(connection: AsyncConnection, brand: str, after: str = "", limit: int = 50) -> list[Person]:
    """The people of a brand by their ids, those after `after`."""
    found = select(people).where(people.c.brands.contains([brand]), people.c.id > after)
    rows = await connection.execute(found.order_by(people.c.id).limit(limit))
    return [_person(row) for row in rows.mappings()]


async def sign_in(
    connection: AsyncConnection, issuer: str, subject: str, now: datetime, *, email: str | None = None
) -> Person | None:
    """Who signs in as `subject` of `issuer`; None for somebody who does not work here, or not any more.

    At a first sign-in it is whoever has the address, which must be one that the provider has verified: from then on the
    subject is theirs, and an address alone opens nothing.
    """
    mine = (people.c.issuer == issuer) & (people.c.subject == subject)
    row = (await connection.execute(select(people).where(mine, people.c.active))).mappings().one_or_none()
    if row is None and email is not None:
        first = (
            update(people)
            .where(func.lower(people.c.email) == email.lower(), people.c.subject.is_(None), people.c.active)
            .values(issuer=issuer, subject=subject, updated_at=now)
            .returning(people)
        )
        row = (await connection.execute(first)).mappings().one_or_none()
    return None if row is None else _person(row)


async def brands_for_groups(connection: AsyncConnection, email: str, brands: Collection[str]) -> list[str]:
    """Those of the brands that whoever has this address works in not yet, and did not have to leave."""
    columns = (people.c.brands, people.c.left_brands, people.c.active)
    found = (
        await connection.execute(select(*columns).where(func.lower(people.c.email) == email.lower()))
    ).one_or_none()
    if found is None:
        return sorted(brands)
    return sorted({*brands} - {*found.brands, *found.left_brands}) if found.active else []


async def brands_of(connection: AsyncConnection, person_id: str) -> tuple[str, ...]:
    """The brands that somebody works in, as long as they work here."""
    found = select(people.c.brands).where(people.c.id == person_id, people.c.active)
    return tuple((await connection.execute(found)).scalar_one_or_none() or ())


async def change_person(connection: AsyncConnection, person_id: str, now: datetime, **values: Any) -> Person:
    """Write a person's new name, locale, zone or whether they still work here."""
    changed = update(people).where(people.c.id == person_id).values(updated_at=now, **values).returning(people)
    return _person((await connection.execute(changed)).mappings().one())


async def leave_brand(connection: AsyncConnection, person: Person, brand: str, by: Actor, now: datetime) -> None:
    """Have a person work in a brand no more, and not by a group either: what they had there is taken back."""
    await connection.execute(
        update(person_grants)
        .where(person_grants.c.person_id == person.id, person_grants.c.brand == brand, _OPEN)
        .values(revoked_at=now, revoked_by=by.name)
    )
    left = update(people).where(people.c.id == person.id)
    brands = func.array_remove(people.c.brands, brand)
    left_brands = func.array_append(func.array_remove(people.c.left_brands, brand), brand)
    await connection.execute(left.values(brands=brands, left_brands=left_brands, updated_at=now))


async def give(
    connection: AsyncConnection,
    person: Person,
    kind: GrantKind,
    name: str,
    by: Actor,
    now: datetime,
    *,
    until: datetime | None = None,
    reason: str | None = None,
) -> PersonGrant:
    """Give a person of the actor's brand a role, a team or a skill, until a day or for good.

    Given again it has the new end and the new giver; the record of the old one stays. Raises NotGiven for a name that
    cannot be given, an end that is past, and for oneself, which the database refuses too.
    """
    _check(person, kind, name, by, now, until)
    await take_back(connection, person, kind, name, by, now)
    given = insert(person_grants).values(
        person_id=person.id,
        brand=by.brand,
        kind=kind,
        name=name,
        until=until,
        reason=reason,
        granted_at=now,
        granted_by=by.name,
        granted_by_id=by.id,
    )
    return _grant((await connection.execute(given.returning(person_grants))).mappings().one())


async def take_back(
    connection: AsyncConnection, person: Person, kind: GrantKind, name: str, by: Actor, now: datetime
) -> bool:
    """Take back what a person has in the actor's brand; False where they have it not."""
    taken = await connection.execute(
        update(person_grants)
        .where(
            person_grants.c.person_id == person.id,
            person_grants.c.brand == by.brand,
            person_grants.c.kind == kind,
            person_grants.c.name == name,
            _OPEN,
        )
        .values(revoked_at=now, revoked_by=by.name)
    )
    return bool(taken.rowcount)


async def grants_of(
    connection: AsyncConnection, brand: str, person_ids: Collection[str], now: datetime
) -> Sequence[PersonGrant]:
    """What these people have in a brand at `now`, in the order of their names."""
    found = select(person_grants).where(
        person_grants.c.brand == brand, person_grants.c.person_id.in_(person_ids), _OPEN, _lasting(now)
    )
    rows = await connection.execute(found.order_by(person_grants.c.kind, person_grants.c.name))
    return [_grant(row) for row in rows.mappings()]


async def person_with_grants(
    connection: AsyncConnection, brand: str, who: str, now: datetime
) -> tuple[Person, Sequence[PersonGrant]] | None:
    """The person of a brand with this id or address, and what they have there at `now`; None where the brand has none.

    In one statement: every call of a person begins with it.
    """
    found = select(people, *_GIVEN).outerjoin(person_grants, _theirs(brand, now)).where(*_called(brand, who))
    asked = await connection.execute(found.order_by(person_grants.c.kind, person_grants.c.name))
    rows = asked.mappings().all()
    return (_person(rows[0]), _given(rows)) if rows else None


async def signed_in(
    connection: AsyncConnection, brand: str, secret: str, now: datetime
) -> tuple[Session, tuple[Person, Sequence[PersonGrant]] | None] | None:
    """The session behind a secret, and its person with what they have in a brand at `now`, if they work there.

    In one statement: every page begins with it. A session that is over is answered too; None where there never was one.
    """
    working = (people.c.id == sessions.c.person_id) & people.c.brands.contains([brand])
    found = (
        select(people, *_SESSION, *_GIVEN)
        .select_from(sessions)
        .outerjoin(people, working)
        .outerjoin(person_grants, _theirs(brand, now))
        .where(sessions.c.id_hash == hash_of(secret))
        .order_by(person_grants.c.kind, person_grants.c.name)
    )
    rows = (await connection.execute(found)).mappings().all()
    if not rows:
        return None
    session = Session(*(rows[0][column.name] for column in _SESSION))
    return session, None if rows[0]["id"] is None else (_person(rows[0]), _given(rows))


@dataclass(frozen=True, slots=True)
class LastWord:
    """The newest record of something a person was given: by whom, and who took it back."""

    granted_by: str
    revoked_by: str | None
    is_open: bool


async def newest_grants(
    connection: AsyncConnection, brand: str, person_id: str
) -> dict[tuple[GrantKind, str], LastWord]:
    """The last word on everything that a person ever was given in a brand, by kind and name."""
    row = person_grants.c
    columns = (row.kind, row.name, row.granted_by, row.revoked_by, row.revoked_at.is_(None))
    found = select(*columns).where(row.brand == brand, row.person_id == person_id).order_by(row.id)
    return {(kind, name): LastWord(*word) for kind, name, *word in await connection.execute(found)}


async def holders(
    connection: AsyncConnection, brand: str, kind: GrantKind, name: str, now: datetime
) -> Sequence[Person]:
    """The people who have a role, a team or a skill in a brand at `now`; of a role's own skill those with the role."""
    if kind == "skill" and name == EXECUTIVE:
        kind, name = "role", "executive"
    found = select(people).join(person_grants, person_grants.c.person_id == people.c.id)
    having = (person_grants.c.brand == brand, person_grants.c.kind == kind, person_grants.c.name == name)
    found = found.where(*having, _OPEN, _lasting(now), people.c.active)
    rows = await connection.execute(found.order_by(people.c.email))
    return [_person(row) for row in rows.mappings()]


async def colleagues(
    connection: AsyncConnection, brand: str, teams: Collection[str], now: datetime
) -> dict[str, Person]:
    """The people of any of these teams in a brand at `now`, by id."""
    return {one.id: one for team in sorted(teams) for one in await holders(connection, brand, "team", team, now)}


async def who_may_work(
    connection: AsyncConnection, brand: str, team: str, skill: str | None, now: datetime
) -> Sequence[Person]:
    """The people who may work on a task of a team, with a skill if it asks for one."""
    able = list(await holders(connection, brand, "team", team, now))
    if skill is not None:
        skilled = {one.id for one in await holders(connection, brand, "skill", skill, now)}
        able = [one for one in able if one.id in skilled]
    grants = await grants_of(connection, brand, [one.id for one in able], now)
    roles = {one.id: frozenset(g.name for g in grants if g.person_id == one.id and g.kind == "role") for one in able}
    return [one for one in able if "tasks:work" in scopes_of(roles[one.id])]


async def actor_of(connection: AsyncConnection, brand: str, who: str, now: datetime) -> Actor | None:
    """A person, by id or address, as an actor in a brand; None where they do not work there, or not any more."""
    found = await person_with_grants(connection, brand, who, now)
    if found is None or not found[0].active:
        return None
    person, grants = found
    return actor_from(person, brand, grants)


def actor_from(person: Person, brand: str, grants: Sequence[PersonGrant]) -> Actor:
    """The actor that a person with these grants is."""
    had = {kind: frozenset(one.name for one in grants if one.kind == kind) for kind in ("role", "team", "skill")}
    return Actor(
        brand,
        person.email,
        "person",
        person.id,
        scopes=scopes_of(had["role"]),
        teams=had["team"],
        skills=had["skill"] | skills_of(had["role"]),
    )


def _check(person: Person, kind: GrantKind, name: str, by: Actor, now: datetime, until: datetime | None) -> None:
    if by.id == person.id:
        raise NotGiven("Nobody gives a role, a team or a skill to themselves; ask a colleague who may.")
    if kind == "role" and name not in ROLES:
        raise NotGiven(f"There is no role {name}; the roles are {', '.join(ROLES)}.")
    if kind == "skill" and name == EXECUTIVE:
        raise NotGiven("The skill executive comes with the role executive; give the role.")
    if not re.fullmatch(GIVEN, name):
        raise NotGiven(f"{name!r} names no {kind}; use 1 to 64 of the characters a-z, 0-9, '.', '_' and '-'.")
    if until is not None and until <= now:
        raise NotGiven("It would have ended already; give an end that is to come, or none.")


_OPEN: Final = person_grants.c.revoked_at.is_(None)


#: Columns of what is read beside a person, by names that no column of a person has.
_GIVEN: Final = tuple(person_grants.c[name].label(f"given_{name}") for name in PersonGrant.__slots__)
_SESSION: Final = tuple(sessions.c[name].label(f"session_{name}") for name in Session.__dataclass_fields__)


def _theirs(brand: str, now: datetime) -> ColumnElement[bool]:
    return (person_grants.c.person_id == people.c.id) & (person_grants.c.brand == brand) & _OPEN & _lasting(now)


def _given(rows: Sequence[RowMapping]) -> list[PersonGrant]:
    """What a person has, from rows of which there is one without anything where they have nothing."""
    fields = {name: column.name for name, column in zip(PersonGrant.__slots__, _GIVEN, strict=True)}
    return [
        PersonGrant(**{name: row[label] for name, label in fields.items()})
        for row in rows
        if row["given_person_id"] is not None
    ]


def _called(brand: str, who: str) -> tuple[ColumnElement[bool], ...]:
    return people.c.brands.contains([brand]), or_(people.c.id == who, func.lower(people.c.email) == who.lower())


def _lasting(now: datetime) -> ColumnElement[bool]:
    return or_(person_grants.c.until.is_(None), person_grants.c.until > now)


def _person(row: RowMapping) -> Person:
    return Person(**{name: row[name] for name in Person.__slots__} | {"brands": tuple(row["brands"])})


def _grant(row: RowMapping) -> PersonGrant:
    return PersonGrant(**{name: row[name] for name in PersonGrant.__slots__})
