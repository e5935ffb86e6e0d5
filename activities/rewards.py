"""`grant`: reserve, call the bonus engine, confirm or void; each reward once.

A reservation is committed before the engine is called. Whatever is left reserved by a crash or a
lost answer is looked up by its key before anything else is done with it.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from prometheus_client import Counter
from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert
from temporalio import activity

from activities import gate
from activities.database import Database
from activities.provider import (
    BonusEngine,
    Credited,
    Declined,
    GrantOrder,
    KeyReused,
    NotSent,
    OutcomeUnknown,
)
from activities.settings import Settings
from activities.story import tell
from activities.tables import grants
from workflows.effects import GRANT, Give, GiveResult
from workflows.policy import Allowed, GrantFacts, Policy, Refused, may_grant

logger = logging.getLogger(__name__)

GRANTS = Counter("journeys_grants_total", "Grants by kind and what became of them.", ["kind", "status"])
SETTLED = frozenset({"confirmed", "refused", "unknown"})


class Grants:
    """Grants rewards through one bonus engine."""

    def __init__(
        self,
        database: Database,
        engine: BonusEngine,
        policy: Policy,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self.database = database
        self.engine = engine
        self.policy = policy
        self.settings = settings
        self.clock = clock

    @activity.defn(name=GRANT.name)
    async def give(self, given: Give) -> GiveResult:
        """Grant once. Raises `NotSent` or `OutcomeUnknown` to be tried again with the same key.

        A grant that stays unanswered longer than `unknown_after` is returned as `unknown`; the
        reconciler goes on asking and settles the row when the engine speaks.
        """
        row, asked_before = await self._reserve(given)
        if row.status not in SETTLED:
            try:
                answer = await self._settle_with_engine(row, look_first=asked_before)
            except (NotSent, OutcomeUnknown):
                if self.clock() - row.reserved_at < self.settings.unknown_after:
                    raise
                row = await self._write(row, "unknown", reason="the bonus engine never answered")
            except KeyReused as reused:
                logger.error("Grant %s needs a person: %s", row.id, reused)
                row = await self._write(row, "unknown", reason="the bonus engine holds another grant under this key")
            else:
                row = await self._record(row, answer)
        async with self.database.transaction() as connection:
            detail = {"kind": row.kind, "reason": row.reason, "provider_ref": row.provider_ref}
            await tell(connection, given, self.clock(), row.status, detail)
        return GiveResult(status=row.status, grant_id=row.id, reason=row.reason)

    async def reconcile_once(self, limit: int = 20) -> int:
        """Ask the engine about grants left unknown; how many were settled.

        One that the engine never heard of is voided there first, so that a request still on its
        way cannot pay out after we have called it refused.
        """
        async with self.database.reading() as connection:
            open_rows = (
                await connection.execute(
                    select(grants).where(grants.c.status == "unknown").order_by(grants.c.asked_at).limit(limit)
                )
            ).all()
        settled = 0
        for row in open_rows:
            try:
                answer = await self.engine.look_up(row.id)
                if answer is None and await self.engine.void(row.id):
                    answer = Declined(reason="never_arrived")
            except (NotSent, OutcomeUnknown):
                break
            if answer is not None:
                await self._record(row, answer)
                settled += 1
        return settled

    async def _reserve(self, given: Give) -> tuple[Row[Any], bool]:
        """Pass the gate and reserve, or find what an earlier attempt did; and whether it asked."""
        now = self.clock()
        async with self.database.transaction() as connection:
            known = await gate.read(connection, given.brand, given.player_id, now)
            found = await connection.execute(select(grants).where(grants.c.id == given.key))
            row = found.one_or_none()
            if row is not None:
                return row, True
            decision = may_grant(known.facts if known else None, GrantFacts.of(given.reward), self.policy, now)
            allowed = isinstance(decision, Allowed)
            values = {
                "id": given.key,
                "brand": given.brand,
                "player_id": given.player_id,
                "run_id": given.run_id,
                "step": given.step,
                "journey": given.journey,
                "kind": given.reward.kind,
                "reward": given.reward.model_dump(mode="json"),
                "status": "reserved" if allowed else "refused",
                "reason": str(decision.reason) if isinstance(decision, Refused) else None,
                "decision": {
                    "rule": decision.rule if isinstance(decision, Refused) else None,
                    "seen": dict(decision.seen),
                    "policy": decision.policy,
                },
                "reserved_at": now if allowed else None,
                "asked_at": now if allowed else None,
                "resolved_at": None if allowed else now,
                "created_at": now,
            }
            inserted = await connection.execute(insert(grants).values(values).returning(grants))
            row = inserted.one()
            if not allowed:
                GRANTS.labels(row.kind, "refused").inc()
            return row, False

    async def _settle_with_engine(self, row: Row[Any], *, look_first: bool) -> Credited | Declined:
        order = GrantOrder(
            grant_id=row.id,
            player_id=row.player_id,
            brand=row.brand,
            reward=row.reward,
            journey=row.journey,
            run_id=row.run_id,
            step=row.step,
        )
        if look_first:
            answer = await self.engine.look_up(row.id)
            if answer is not None:
                return answer
            if not await self._still_allowed(row):
                # It never arrived and may not any more: forbid the engine to take it late.
                await self.engine.void(row.id)
                return Declined(reason="protected_meanwhile")
        return await self.engine.credit(row.id, order)

    async def _still_allowed(self, row: Row[Any]) -> bool:
        async with self.database.transaction() as connection:
            known = await gate.read(connection, row.brand, row.player_id, self.clock())
        facts = GrantFacts(kind=row.kind, wager_x=row.reward.get("wager_x", 0))
        return isinstance(may_grant(known.facts if known else None, facts, self.policy, self.clock()), Allowed)

    async def _record(self, row: Row[Any], answer: Credited | Declined) -> Row[Any]:
        if isinstance(answer, Credited):
            return await self._write(row, "confirmed", provider_ref=answer.ref)
        return await self._write(row, "refused", reason=answer.reason)

    async def _write(
        self, row: Row[Any], status: str, *, reason: str | None = None, provider_ref: str | None = None
    ) -> Row[Any]:
        GRANTS.labels(row.kind, status).inc()
        async with self.database.transaction() as connection:
            written = await connection.execute(
                update(grants)
                .where(grants.c.id == row.id)
                .values(status=status, reason=reason, provider_ref=provider_ref, resolved_at=self.clock())
                .returning(grants)
            )
            settled: Row[Any] = written.one()
        return settled
