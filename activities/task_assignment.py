"""Whom a task is given to when it opens: reads who could have it, and asks the pure rule."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.people import who_may_work
from activities.player_hosts import host_now
from activities.work_profiles import away_now, colleagues, gives_out
from workflows.task_kinds import minutes_of
from workflows.task_routing import assignee


async def assignee_for(
    connection: AsyncConnection,
    whose: tuple[str, str],
    form: str,
    *,
    team: str,
    skill: str | None,
    language: str | None,
    now: datetime,
) -> str | None:
    """The name of who is given a task about a player; None leaves it to its team. `whose` is brand and player.

    Where the player has no host and nobody is given tasks, that costs two look-ups and nothing else.
    """
    brand, player_id = whose
    host = await host_now(connection, brand, player_id)
    if host is None and not await gives_out(connection, brand):
        return None
    able = await who_may_work(connection, brand, team, skill, now)
    chosen = assignee(
        await colleagues(connection, brand, able),
        host,
        await away_now(connection, brand, now),
        language=language,
        minutes=minutes_of(form),
    )
    return None if chosen is None else chosen.name
