"""What the groups of an identity provider give people here when they sign in; what stands in Postgres decides.

Groups seed. What a person was given by hand is never touched, what somebody took back stays taken back whatever the
groups say, a brand that somebody had to leave stays left, and what a group gave goes with the group.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actors import Actor
from activities.audit.trail import Act, audit
from activities.people import GrantKind, Person, add_person, brands_for_groups, give, newest_grants, sign_in, take_back
from activities.settings import GroupGrant

#: Whom histories name where a group gave something or took it back.
PROVISIONER: Final = "identity-provider"
Wanted = set[tuple[str, GrantKind, str]]


@dataclass(frozen=True, slots=True)
class SignedInGroups:
    """Who signs in, and the groups that the provider says they are in; no address where it verified none."""

    email: str
    name: str
    groups: Sequence[str]


def wanted_by(groups: Iterable[str], given: Mapping[str, Sequence[GroupGrant]]) -> Wanted:
    """What these groups give, as brand, kind and name. Pure."""
    found: Wanted = set()
    for one in (grant for group in groups for grant in given.get(group, ())):
        kinds: tuple[tuple[GrantKind, Sequence[str]], ...] = (
            ("role", one.roles),
            ("team", one.teams),
            ("skill", one.skills),
        )
        found |= {(one.brand, kind, name) for kind, names in kinds for name in names}
    return found


async def sign_in_with_groups(
    connection: AsyncConnection,
    who: SignedInGroups,
    issuer: str,
    subject: str,
    given: Mapping[str, Sequence[GroupGrant]],
    now: datetime,
) -> Person | None:
    """Who works here as this issuer and subject, with what their groups give them now; None for a stranger.

    Also where no group gives anything any more: what they gave is taken back.
    """
    email = who.email or None
    person = await sign_in(connection, issuer, subject, now, email=email)
    known = who if person is None else replace(who, email=person.email)
    if known.email and await begin_by_groups(connection, known, given, now):
        person = await sign_in(connection, issuer, subject, now, email=email)
    if person is not None:
        await give_by_groups(connection, person, who.groups, given, now)
    return person


async def begin_by_groups(
    connection: AsyncConnection, who: SignedInGroups, given: Mapping[str, Sequence[GroupGrant]], now: datetime
) -> bool:
    """Have somebody work in the brands of their groups, but for those a person had them leave; whether one is new."""
    wanted = {brand for brand, _, _ in wanted_by(who.groups, given)}
    missing = await brands_for_groups(connection, who.email, wanted) if wanted else []
    for brand in missing:
        await add_person(connection, brand, who.email, who.name, now)
    return bool(missing)


async def give_by_groups(
    connection: AsyncConnection,
    person: Person,
    groups: Sequence[str],
    given: Mapping[str, Sequence[GroupGrant]],
    now: datetime,
) -> None:
    """Give somebody who signs in what their groups give, and take back what a group gave that they have left."""
    wanted = wanted_by(groups, given)
    for brand in person.brands:
        by = Actor(brand, PROVISIONER, "engine", PROVISIONER)
        known = await newest_grants(connection, brand, person.id)
        changed: list[str] = []
        for (kind, name), last in sorted(known.items()):
            if last.is_open and last.granted_by == PROVISIONER and (brand, kind, name) not in wanted:
                await take_back(connection, person, kind, name, by, now)
                changed.append(f"-{kind} {name}")
        for _, kind, name in sorted(one for one in wanted if one[0] == brand):
            before = known.get((kind, name))
            if before is None or (not before.is_open and before.revoked_by == PROVISIONER):
                await give(connection, person, kind, name, by, now, reason="by a group of the identity provider")
                changed.append(f"+{kind} {name}")
        if changed:
            audit(connection, Act(by, "provision_person", object=person.id, detail={"changed": [*changed]}))
