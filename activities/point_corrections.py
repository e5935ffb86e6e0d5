"""The table `point_corrections`: points that a person gives or takes, and the second person where there are many.

What one person gives or takes of a player on a day alone is bounded; beyond that the wish waits until somebody else has
said yes. Both are people who are registered: who holds one key may hold two. The database itself refuses a decision by
whoever asked.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actors import Actor
from activities.intake.intake import Intake
from activities.loyalty_tables import point_corrections
from activities.people import find_person
from workflows.loyalty.point_currencies import PointCurrency

#: Points of one player that may be given or taken within a day without a second person.
ALONE: Final = 5_000
ALONE_WITHIN: Final = timedelta(days=1)

CorrectionState = Literal["waiting", "applied", "refused"]
#: Why a correction is not done.
CorrectionRefusal = Literal["unknown", "key_reused", "decided", "own", "nameless", "not_enough_points"]


class Correction(NamedTuple):
    """A row of `point_corrections`; `amount` is below 0 where points are taken."""

    id: str
    brand: str
    player_id: str
    currency: str
    amount: int
    reason: str
    state: CorrectionState
    asked_by: str
    asked_by_id: str
    asked_at: datetime
    decided_by: str | None
    decided_by_id: str | None
    decided_at: datetime | None

    def is_of(self, wish: "CorrectionWish") -> bool:
        """Whether it was made for this wish, and not for another one under the same key."""
        return (self.currency, self.amount, self.reason) == (wish.currency.name, wish.amount, wish.reason)


@dataclass(frozen=True)
class CorrectionWish:
    """What somebody asks for; the key is made once for each wish."""

    player_id: str
    currency: PointCurrency
    amount: int
    reason: str
    key: str


COLUMNS: Final = [point_corrections.c[name] for name in Correction._fields]


async def ask_for(
    connection: AsyncConnection, intake: Intake, actor: Actor, wish: CorrectionWish, now: datetime
) -> Correction | CorrectionRefusal:
    """Correct a player's points, or have the wish wait for a second person; the same wish again is the first one.

    Another wish under the key of one before is refused: whoever sends it would take the first for it.
    """
    cause = f"{actor.brand}\x00{actor.id}\x00{wish.player_id}\x00{wish.key}"
    correction_id = hashlib.sha256(cause.encode()).hexdigest()[:24]
    async with intake.locked(connection, actor.brand, [wish.player_id], now) as players:
        state = players.states.get(wish.player_id)
        if state is None:
            return "unknown"
        if (earlier := await find(connection, actor.brand, correction_id)) is not None:
            return earlier if earlier.is_of(wish) else "key_reused"
        alone = await _alone(connection, actor.brand, wish, now) + abs(wish.amount) <= ALONE
        if not alone and actor.kind == "key":
            return "nameless"
        if alone:
            made = state.correct_points(wish.currency, wish.amount, f"correction {correction_id}", now)
            if made is None:
                return "not_enough_points"
            players.record(wish.player_id, made)
        row: dict[str, Any] = {
            "id": correction_id,
            "brand": actor.brand,
            "player_id": wish.player_id,
            "currency": wish.currency.name,
            "amount": wish.amount,
            "reason": wish.reason,
            "state": "applied" if alone else "waiting",
            "asked_by": actor.name,
            "asked_by_id": actor.id,
            "asked_at": now,
        }
        written = await connection.execute(insert(point_corrections).values(row).returning(*COLUMNS))
        return Correction(*written.one())


async def decide(
    connection: AsyncConnection,
    intake: Intake,
    actor: Actor,
    correction: Correction,
    into: PointCurrency,
    now: datetime,
    *,
    approve: bool,
) -> Correction | CorrectionRefusal:
    """Say yes or no to a wish that waits, as somebody else than whoever asked; yes is for people who are registered."""
    async with intake.locked(connection, actor.brand, [correction.player_id], now) as players:
        locked = select(*COLUMNS).where(point_corrections.c.id == correction.id).with_for_update()
        found = Correction(*(await connection.execute(locked)).one())
        state = players.states.get(found.player_id)
        if found.state != "waiting" or state is None:
            return "decided"
        if found.asked_by_id == actor.id:
            return "own"
        # What a key asked for, before it was known by whom, nobody can be the second to.
        if approve and (actor.kind == "key" or await find_person(connection, actor.brand, found.asked_by_id) is None):
            return "nameless"
        if approve:
            made = state.correct_points(into, found.amount, f"correction {found.id}", now)
            if made is None:
                return "not_enough_points"
            players.record(found.player_id, made)
        values = {"state": "applied" if approve else "refused", "decided_by": actor.name, "decided_by_id": actor.id}
        closed = update(point_corrections).where(point_corrections.c.id == found.id)
        written = await connection.execute(closed.values(**values, decided_at=now).returning(*COLUMNS))
        return Correction(*written.one())


async def find(connection: AsyncConnection, brand: str, correction_id: str) -> Correction | None:
    """A brand's correction; None if there is none of this id."""
    mine = (point_corrections.c.id == correction_id, point_corrections.c.brand == brand)
    row = (await connection.execute(select(*COLUMNS).where(*mine))).one_or_none()
    return None if row is None else Correction(*row)


async def _alone(connection: AsyncConnection, brand: str, wish: CorrectionWish, now: datetime) -> int:
    """What was given and taken of the player without a second person, within the last day."""
    chosen = select(func.coalesce(func.sum(func.abs(point_corrections.c.amount)), 0)).where(
        point_corrections.c.brand == brand,
        point_corrections.c.player_id == wish.player_id,
        point_corrections.c.currency == wish.currency.name,
        point_corrections.c.state == "applied",
        point_corrections.c.decided_by_id.is_(None),
        point_corrections.c.asked_at > now - ALONE_WITHIN,
    )
    return int(await connection.scalar(chosen) or 0)
