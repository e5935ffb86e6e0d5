"""Hosts of players: the table `player_hosts`. Who looked after whom, and since when, stays on record."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ScalarSelect, Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import people, player_hosts


@dataclass(frozen=True, slots=True)
class PlayerHost:
    """Somebody who looks after a player, or did until a moment."""

    email: str
    name: str
    since: datetime
    given_by: str
    until: datetime | None


async def set_host(
    connection: AsyncConnection, brand: str, player_id: str, person_id: str | None, by: str, now: datetime
) -> bool:
    """Give a player to somebody, or to nobody; False where it was so before."""
    mine = (player_hosts.c.brand == brand, player_hosts.c.player_id == player_id, player_hosts.c.until.is_(None))
    before = (
        await connection.execute(select(player_hosts.c.person_id).where(*mine).with_for_update())
    ).scalar_one_or_none()
    if before == person_id:
        return False
    await connection.execute(update(player_hosts).where(*mine).values(until=now))
    if person_id is not None:
        given = insert(player_hosts).values(
            brand=brand, player_id=player_id, person_id=person_id, since=now, given_by=by
        )
        # Of two who give at once the first has given.
        await connection.execute(given.on_conflict_do_nothing())
    return True


async def host_now(connection: AsyncConnection, brand: str, player_id: str) -> str | None:
    """Who looks after a player, by id; None for nobody in particular."""
    mine = (player_hosts.c.brand == brand, player_hosts.c.player_id == player_id, player_hosts.c.until.is_(None))
    return (await connection.execute(select(player_hosts.c.person_id).where(*mine))).scalar_one_or_none()


async def hosts_of(connection: AsyncConnection, brand: str, player_id: str, limit: int) -> list[PlayerHost]:
    """Who looks after a player and who did, the newest first."""
    columns = (people.c.email, people.c.name, player_hosts.c.since, player_hosts.c.given_by, player_hosts.c.until)
    found = (
        select(*columns)
        .join(people, people.c.id == player_hosts.c.person_id)
        .where(player_hosts.c.brand == brand, player_hosts.c.player_id == player_id)
        .order_by(player_hosts.c.id.desc())
        .limit(limit)
    )
    return [PlayerHost(*row) for row in await connection.execute(found)]


def hosted_by(brand: str, person_id: str | ScalarSelect[str]) -> Select[Any]:
    """The ids of the players whom somebody looks after now, for a condition."""
    return select(player_hosts.c.player_id).where(
        player_hosts.c.brand == brand, player_hosts.c.person_id == person_id, player_hosts.c.until.is_(None)
    )
