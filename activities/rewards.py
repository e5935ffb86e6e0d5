"""`grant`: reserve, call the bonus engine, confirm or void; each reward once.

A reservation is committed before the engine is called. Whatever is left reserved by a crash or a
lost answer is looked up by its key before anything else is done with it. A grant has one owner at
a time: the run's attempt while it is `reserved`, the reconciler once it is `unknown`.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from prometheus_client import Counter
from sqlalchemy import ColumnElement, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities import gate_decisions, gate_facts
from activities.bonus_budgets import spend
from activities.clock import Clock
from activities.database import Database
from activities.effect_attempt import attempt_number, retry_after, tried_for
from activities.grant_lives import LIVES, UNTAKEN
from activities.journey_controls import held_by
from activities.outgoing.outbox import announce
from activities.providers.bonus_engine import (
    BonusEngine,
    Credited,
    Declined,
    GrantOrder,
    KeyReused,
    NotAccepted,
    OutcomeUnknown,
)
from activities.providers.breaker import wait_for
from activities.providers.register import RegisterUnavailable
from activities.registers import Registers
from activities.runs import RunOver
from activities.settings import Settings
from activities.step_log import record_steps
from activities.tables import grants, runs
from workflows.declaration import Journey
from workflows.effects import GRANT, NEVER_ANSWERED, Give, GiveResult, Held
from workflows.gate.bonus_value import day_budgets, over_budget
from workflows.gate.decide import may_grant
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import give_facts
from workflows.gate.policy_book import PolicyBook
from workflows.gate.reasons import Reason
from workflows.json_object import JsonObject
from workflows.outgoing_events import OutgoingEvent
from workflows.player_state.prizes import NO_JOURNEY, prize_request
from workflows.rewards.base import value_of
from workflows.rewards.kinds import OFFERED_KINDS

logger = logging.getLogger(__name__)

GRANTS = Counter("journeys_grants_total", "Grants by kind and what became of them.", ["kind", "status"])
#: Only `reserved` is open; the others are settled, though the reconciler may still change `unknown`.
GrantStatus = Literal["reserved", "confirmed", "refused", "unknown", "revoked"]
#: Only a person can settle this one: what the engine holds under our key is not what we asked for.
KEY_TAKEN = "the bonus engine holds another grant under this key"
# Longer than any attempt lasts, so that a grant nobody has touched for so long has no owner.
LEASE = timedelta(minutes=1)

_OFFERED: Final = ", ".join(f"'{kind}'" for kind in OFFERED_KINDS)


class GrantRow(NamedTuple):
    """What the effect and the reconciler read of a row of `grants`."""

    id: str
    brand: str
    player_id: str
    run_id: str
    step: str
    journey: str
    kind: str
    reward: JsonObject
    decision: JsonObject
    status: GrantStatus
    reason: str | None
    provider_ref: str | None
    reserved_at: datetime | None
    asked_at: datetime | None


_COLUMNS = [grants.c[name] for name in GrantRow._fields]


class Grants:
    """Grants rewards through one bonus engine."""

    def __init__(
        self,
        database: Database,
        journeys: Mapping[str, Journey],
        engine: BonusEngine,
        policies: PolicyBook,
        settings: Settings,
        registers: Registers,
        clock: Clock,
    ) -> None:
        self.database = database
        self.journeys = journeys
        self.engine = engine
        self.policies = policies
        self.settings = settings
        self.registers = registers
        self.clock = clock

    @activity.defn(name=GRANT.name)
    async def give(self, request: Give) -> GiveResult | Held:
        """Grant once. Raises `NotAccepted` or `OutcomeUnknown` to be tried again with the same key.

        A grant that stays unanswered longer than `unknown_after` is returned as `unknown`; the
        reconciler goes on asking and settles the row when the engine speaks.
        """
        reserved = await self._reserve(request)
        if isinstance(reserved, Held):
            return reserved
        row, asked_before = reserved
        if row.status == "reserved":
            try:
                answer = await self._ask_engine(request, row, look_first=asked_before)
            except (NotAccepted, OutcomeUnknown) as unanswered:
                assert row.reserved_at is not None
                if (left := row.reserved_at + self.settings.unknown_after - self.clock()) > timedelta(0):
                    pause = unanswered.retry_after
                    again = None if pause is None else wait_for(pause, attempt_number())
                    raise retry_after(unanswered, again, within=left) from None
                row = await self._write(row, "unknown", reason=NEVER_ANSWERED)
            except KeyReused as reused:
                logger.error("Grant %s needs a person: %s", row.id, reused)  # noqa: TRY400 - the sentence says it all
                row = await self._write(row, "unknown", reason=KEY_TAKEN)
            else:
                if isinstance(answer, Held):
                    return answer
                row = await self._record(row, answer)
        if row.status == "reserved":
            raise OutcomeUnknown("A later attempt has taken this grant over; it will tell what became of it.")
        async with self.database.transaction() as connection:
            detail = {"kind": row.kind, "reason": row.reason, "provider_ref": row.provider_ref}
            await record_steps(connection, request, self.clock(), row.status, detail)
        # One that was taken back meanwhile is none that the player has.
        status: Literal["confirmed", "refused", "unknown"] = "refused" if row.status == "revoked" else row.status
        return GiveResult(status=status, grant_id=row.id, reason=row.reason)

    async def reconcile_once(self, limit: int = 20) -> int:
        """Ask the engine about grants left unknown, the longest unasked first; how many were settled.

        One that the engine never heard of is voided there first, so that a request still on its
        way cannot pay out after we have called it refused. A reservation whose run is over has
        nobody else to settle it and is treated alike. Any number may run side by side.
        """
        settled = 0
        for _ in range(limit):
            row = await self._claim_doubtful()
            if row is None:
                break
            try:
                answer = await self.engine.look_up(row.id)
                if answer is None and await self.engine.void(row.id):
                    answer = Declined(reason="never_arrived")
            except (NotAccepted, OutcomeUnknown) as unanswered:
                logger.info("Grant %s stays unknown: %s", row.id, unanswered)
                continue
            if answer is not None:
                await self._record(row, answer)
                settled += 1
        return settled

    async def revoke_once(self, limit: int = 20) -> int:
        """Ask the engine to take offers back that somebody must not have any more; how many are done with.

        The void has the grant's own key, so asking again changes nothing. Where the engine refuses, for the player has
        taken the reward, it stays the player's. Any number may run side by side.
        """
        done = 0
        for _ in range(limit):
            row = await self._claim_revoked()
            if row is None:
                break
            try:
                taken_back = await self.engine.void(row.id)
            except (NotAccepted, OutcomeUnknown) as unanswered:
                logger.info("Grant %s is to be taken back and is not yet: %s", row.id, unanswered)
                continue
            await self._revoked(row.id, taken_back=taken_back)
            done += 1
        return done

    async def pay_prizes_once(self, limit: int = 20) -> int:
        """Have the bonus engine give prizes that no run gives, of wheels and the like; how many are done with.

        Each was reserved in the transaction that won it. The gate is asked anew, and a prize stays reserved until the
        engine has answered. Any number may run side by side.
        """
        done = 0
        for _ in range(limit):
            row = await self._claim_prize()
            if row is None:
                break
            product = row.decision["seen"].get("journey_product")
            request = prize_request(row.brand, row.player_id, row.run_id, row.step, row.reward, product)
            try:
                answer = await self._ask_engine(request, row, look_first=True)
            except (NotAccepted, OutcomeUnknown) as unanswered:
                logger.info("Prize %s is to be given and is not yet: %s", row.id, unanswered)
                continue
            assert not isinstance(answer, Held), "a prize is no journey's, and nobody holds it"
            await self._record(row, answer)
            done += 1
        return done

    async def _claim_prize(self) -> GrantRow | None:
        """Take one reserved prize; until the lease is over nobody else takes it."""
        now = self.clock()
        waiting = (grants.c.status == "reserved", grants.c.journey == NO_JOURNEY, grants.c.asked_at <= now)
        async with self.database.transaction() as connection:
            return await _claim(connection, grants.c.asked_at, *waiting, asked_at=now + LEASE)

    async def _claim_revoked(self) -> GrantRow | None:
        """Take one confirmed offer that is to be taken back; until the lease is over nobody else takes it."""
        now = self.clock()
        due = (grants.c.revoke_due <= now, grants.c.status == "confirmed")
        async with self.database.transaction() as connection:
            return await _claim(connection, grants.c.revoke_due, *due, revoke_due=now + LEASE)

    async def _revoked(self, grant_id: str, *, taken_back: bool) -> None:
        values: JsonObject = {"revoke_due": None}
        if taken_back:
            values |= {"status": "revoked", "reason": grants.c.revoke_reason, "resolved_at": self.clock()}
        async with self.database.transaction() as connection:
            mine = (grants.c.id == grant_id, grants.c.status == "confirmed")
            written = await connection.execute(update(grants).where(*mine).values(values).returning(grants.c.kind))
            kind = written.scalar_one_or_none()
        if kind is not None and taken_back:
            GRANTS.labels(kind, "revoked").inc()

    async def _claim_doubtful(self) -> GrantRow | None:
        """Take one grant nobody owns; until the lease is over nobody else takes it."""
        now = self.clock()
        ended = exists().where(runs.c.id == grants.c.run_id, runs.c.state == "ended")
        async with self.database.transaction() as connection:
            doubtful = or_(
                (grants.c.status == "unknown") & (grants.c.reason == NEVER_ANSWERED),
                (grants.c.status == "reserved") & ended,
            )
            mine = {"asked_at": now, "status": "unknown", "reason": NEVER_ANSWERED}
            row = await _claim(connection, grants.c.asked_at, doubtful, grants.c.asked_at <= now - LEASE, **mine)
            if row is not None:
                announce(connection, OutgoingEvent.about("grant.unknown", row, now))
        return row

    async def _reserve(self, request: Give) -> tuple[GrantRow, bool] | Held:
        """Pass the gate and reserve, or find what an earlier attempt did; and whether it asked.

        A hold keeps nobody from finding out what became of a grant that was asked for before.
        """
        asked = False
        while True:
            now, row = self.clock(), None
            async with self.database.transaction() as connection:
                player = await self._read(connection, request, now)
                if player is not None and not player.run_is_active:
                    raise RunOver(request.run_id)
                query = select(*_COLUMNS).where(grants.c.id == request.key).with_for_update()
                earlier = (await connection.execute(query)).one_or_none()
                if earlier is not None:
                    return await _own_reservation(connection, GrantRow(*earlier), now), True
                if (held := await held_by(connection, request, now)) is not None:
                    return held
                decision = self._decide(request, player, now)
                wanted = [] if asked else self._registers_wanted(request, player, decision, now)
                if not wanted:
                    decision = await self._within_budgets(connection, request, player, decision, now)
                    await _note(connection, request, decision, player, now)
                    values = _new_grant(request, decision, player.facts.currency if player else None, now)
                    inserted = await connection.execute(insert(grants).values(values).returning(*_COLUMNS))
                    row = GrantRow(*inserted.one())
                    if row.status == "refused":
                        announce(connection, OutgoingEvent.about("grant.refused", row, now))
            if row is not None:
                if row.status == "refused":
                    GRANTS.labels(row.kind, "refused").inc()
                return row, False
            asked = True
            away = await self._ask_registers(request, player, wanted)
            if away is not None and tried_for() < self.settings.unknown_after:
                raise away.to_be_tried_again()

    async def _ask_engine(self, request: Give, row: GrantRow, *, look_first: bool) -> Credited | Declined | Held:
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
            if not await self._still_allowed(request):
                # It never arrived and may not any more: forbid the engine to take it late.
                if await self.engine.void(row.id):
                    return Declined(reason=str(Reason.PROTECTED_MEANWHILE))
                raise OutcomeUnknown("The bonus engine does not void a grant the player may not have; look it up.")
            if (held := await self._hold(request)) is not None:
                return held
        return await self.engine.credit(row.id, order)

    async def _hold(self, request: Give) -> Held | None:
        """What a grant that certainly never arrived is answered while its journey is held, None when it may go on.

        It stays reserved, with no time running out against it.
        """
        async with self.database.transaction() as connection:
            held = await held_by(connection, request, self.clock())
            if held is not None:
                await connection.execute(update(grants).where(grants.c.id == request.key).values(reserved_at=None))
        return held

    async def _read(self, connection: AsyncConnection, request: Give, now: datetime) -> gate_facts.GatedPlayer | None:
        said = self.registers.known(request)
        journeys, policies = self.journeys, self.policies
        return await gate_facts.read(connection, request, journeys, now, request.key, registers=said, policies=policies)

    def _registers_wanted(
        self, request: Give, player: gate_facts.GatedPlayer | None, decision: Allowed | Refusal, now: datetime
    ) -> list[str]:
        facts = player.facts if player else None
        return self.registers.wanted([decision], facts, self.policies.of(request.brand, facts, now), now)

    async def _ask_registers(
        self, request: Give, player: gate_facts.GatedPlayer | None, wanted: Sequence[str]
    ) -> RegisterUnavailable | None:
        """Ask what the gate misses, outside of any transaction; what stood against an answer."""
        try:
            await self.registers.ask(request, player.profile if player else {}, wanted)
        except RegisterUnavailable as away:
            return away
        return None

    async def _still_allowed(self, request: Give) -> bool:
        asked = False
        while True:
            now = self.clock()
            async with self.database.transaction() as connection:
                player = await self._read(connection, request, now)
                decision = self._decide(request, player, now)
                if asked or not (wanted := self._registers_wanted(request, player, decision, now)):
                    if not isinstance(decision, Allowed):
                        # Tried again until the engine voids it, it is decided as often, and said once.
                        decided = gate_decisions.Decided(request.key, request.reward.kind, decision)
                        release = player.release if player else 0
                        await gate_decisions.record_change(connection, request, decided, release, now)
                    return isinstance(decision, Allowed)
            asked = True
            if (away := await self._ask_registers(request, player, wanted)) is not None:
                raise NotAccepted(str(away), away.retry_after)

    def _decide(self, request: Give, player: gate_facts.GatedPlayer | None, now: datetime) -> Allowed | Refusal:
        facts = player.facts if player else None
        asked = give_facts(request, self.settings.product)
        return may_grant(facts, asked, self.policies.of(request.brand, facts, now), now)

    async def _within_budgets(
        self,
        connection: AsyncConnection,
        request: Give,
        player: gate_facts.GatedPlayer | None,
        decision: Allowed | Refusal,
        now: datetime,
    ) -> Allowed | Refusal:
        """Take what the gate lets pass from the budgets of the day; the refusal where one has too little left."""
        if not isinstance(decision, Allowed) or player is None or request.approved or request.earned:
            return decision
        policy = self.policies.of(request.brand, player.facts, now)
        budgets = day_budgets(self.journeys.get(request.journey), policy, player.facts.currency)
        value = value_of(request.reward)
        if not budgets or value == 0:
            return decision
        lacking = budgets[0] if value is None else await spend(connection, request.brand, budgets, value, now)
        return decision if lacking is None else over_budget(lacking, decision, value)

    async def _record(self, row: GrantRow, answer: Credited | Declined) -> GrantRow:
        if isinstance(answer, Credited):
            return await self._write(row, "confirmed", provider_ref=answer.ref)
        return await self._write(row, "refused", reason=answer.reason)

    async def _write(
        self, row: GrantRow, status: GrantStatus, *, reason: str | None = None, provider_ref: str | None = None
    ) -> GrantRow:
        """Settle a grant, or leave it to whoever has taken it over since; the row as it stands."""
        settled: JsonObject = {"revoke_due": None} if status == "refused" else {}
        async with self.database.transaction() as connection:
            written = await connection.execute(
                update(grants)
                .where(grants.c.id == row.id, grants.c.status == row.status, grants.c.asked_at == row.asked_at)
                .values(status=status, reason=reason, provider_ref=provider_ref, resolved_at=self.clock(), **settled)
                .returning(*_COLUMNS)
            )
            mine = written.one_or_none()
            if mine is None:
                theirs = await connection.execute(select(*_COLUMNS).where(grants.c.id == row.id))
                return GrantRow(*theirs.one())
            announce(connection, OutgoingEvent.about(f"grant.{status}", mine, self.clock()))
        GRANTS.labels(row.kind, status).inc()
        return GrantRow(*mine)


async def _note(
    connection: AsyncConnection,
    request: Give,
    decision: Allowed | Refusal,
    player: gate_facts.GatedPlayer | None,
    now: datetime,
) -> None:
    decided = gate_decisions.Decided(request.key, request.reward.kind, decision)
    await gate_decisions.record(connection, request, [decided], player.release if player else 0, now)


async def _claim(
    connection: AsyncConnection, order: ColumnElement[Any], *where: ColumnElement[bool], **values: object
) -> GrantRow | None:
    """Take the first grant that nobody holds, and mark it as taken."""
    chosen = select(grants.c.id).where(*where).order_by(order).limit(1)
    one = chosen.with_for_update(skip_locked=True, of=grants).scalar_subquery()
    claimed = await connection.execute(update(grants).where(grants.c.id == one).values(values).returning(*_COLUMNS))
    row = claimed.one_or_none()
    return None if row is None else GrantRow(*row)


async def reserve_prize(
    connection: AsyncConnection, request: Give, decision: Allowed, currency: str | None, now: datetime
) -> None:
    """Reserve a prize in the transaction that wins it; `Grants.pay_prizes_once` gives it when that is committed."""
    await connection.execute(insert(grants).values(_new_grant(request, decision, currency, now)))


def _new_grant(request: Give, decision: Allowed | Refusal, currency: str | None, now: datetime) -> JsonObject:
    """The row of a grant asked for the first time: reserved, or refused by the gate."""
    allowed = isinstance(decision, Allowed)
    return {
        "id": request.key,
        "brand": request.brand,
        "player_id": request.player_id,
        "run_id": request.run_id,
        "step": request.step,
        "journey": request.journey,
        "kind": request.reward.kind,
        "reward": request.reward.model_dump(mode="json"),
        "status": "reserved" if allowed else "refused",
        "reason": str(decision.reason) if isinstance(decision, Refusal) else None,
        "decision": gate_facts.decision_record(decision),
        "reserved_at": now if allowed else None,
        "asked_at": now if allowed else None,
        "resolved_at": None if allowed else now,
        "created_at": now,
        "value_minor": 0 if request.earned else value_of(request.reward),
        "currency": currency,
    }


async def _own_reservation(connection: AsyncConnection, row: GrantRow, now: datetime) -> GrantRow:
    """Own a reservation for another attempt; a settled grant is nobody's any more."""
    if row.status != "reserved":
        return row
    owned = await connection.execute(
        update(grants)
        .where(grants.c.id == row.id)
        .values(asked_at=now, reserved_at=func.coalesce(grants.c.reserved_at, now))
        .returning(*_COLUMNS)
    )
    return GrantRow(*owned.one())


#: Marks what players were offered and have not taken, as far as anybody told: the engine is asked about each.
REVOKE_OFFERS: Final = text(
    f"""
    UPDATE grants g SET revoke_due = t.at, revoke_reason = t.reason
    FROM json_to_recordset(CAST(:rows AS json)) AS t (player_id text, reason text, at timestamptz)
    WHERE g.brand = :brand AND g.player_id = t.player_id AND g.revoke_reason IS NULL
      AND g.status IN ('reserved', 'confirmed', 'unknown') AND g.kind IN ({_OFFERED})
      AND g.created_at > t.at - make_interval(secs => coalesce(CAST(g.reward ->> 'valid' AS double precision), 604800))
      AND {UNTAKEN}
    """  # noqa: S608 - our own words
)
#: Writes into grants what the bonus engine told of them in the events with numbers from `:after` to `:until`.
NOTE_LIVES: Final = text(f"UPDATE grants g {LIVES}")
FORGET: Final = text(
    "DELETE FROM grants WHERE id = ANY(ARRAY(SELECT id FROM grants WHERE resolved_at < :before LIMIT :limit))"
)
