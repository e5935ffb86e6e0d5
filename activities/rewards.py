"""`grant`: reserve, call the bonus engine, confirm or void; each reward once.

A reservation is committed before the engine is called. Whatever is left reserved by a crash or a
lost answer is looked up by its key before anything else is done with it. A grant has one owner at
a time: the run's attempt while it is `reserved`, the reconciler once it is `unknown`.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities import gate_decisions, gate_facts, grant_rows
from activities.bonus_budgets import spend
from activities.clock import Clock
from activities.database import Database
from activities.effect_attempt import attempt_number, retry_after, tried_for
from activities.grant_rows import GRANTS, GrantRow, GrantStatus
from activities.journey_controls import held_by
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
from activities.runs import RunOver, hold_active
from activities.settings import Settings
from activities.step_log import record_steps
from workflows.declaration import Journey
from workflows.effects import GRANT, NEVER_ANSWERED, REVOKE, Give, GiveResult, Held
from workflows.gate.bonus_value import day_budgets, over_budget
from workflows.gate.decide import may_grant
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import give_facts
from workflows.gate.policy_book import PolicyBook
from workflows.gate.reasons import Reason
from workflows.json_object import JsonObject
from workflows.player_state.grant_progress import TAKEN
from workflows.player_state.prizes import prize_request
from workflows.revocation import JOURNEY_TOOK_IT, NO_SUCH_GRANT, Revoke, RevokeResult
from workflows.rewards.base import value_of

logger = logging.getLogger(__name__)

#: Only a person can settle this one: what the engine holds under our key is not what we asked for.
KEY_TAKEN = "the bonus engine holds another grant under this key"


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
        return GiveResult(status=status, grant_id=row.id, reason=row.reason, provider_ref=row.provider_ref)

    @activity.defn(name=REVOKE.name)
    async def revoke(self, request: Revoke) -> RevokeResult | Held:
        """Take a reward back, unless the player has taken it. Raises as `give` does, to be tried again.

        That it is wanted back is written first: should the run end before the engine answers, the reconciler asks on.
        """
        async with self.database.transaction() as connection:
            await hold_active(connection, request.run_id)
            now = self.clock()
            if (held := await held_by(connection, request, now)) is not None:
                return held
            row = await grant_rows.lock(connection, request.grant_id)
            result = _without_asking(row, request)
            if result is None:
                await grant_rows.want_back(connection, request.grant_id, JOURNEY_TOOK_IT, now + grant_rows.LEASE)
        if result is None:
            try:
                taken_back = await self.engine.void(request.grant_id)
            except (NotAccepted, OutcomeUnknown) as unanswered:
                pause = unanswered.retry_after
                again = None if pause is None else wait_for(pause, attempt_number())
                raise retry_after(unanswered, again) from None
            status: Literal["revoked", "kept"] = "revoked" if taken_back else "kept"
            result = RevokeResult(status=status, reason=JOURNEY_TOOK_IT if taken_back else "used")
            async with self.database.transaction() as connection:
                await grant_rows.end_revocation(connection, request.grant_id, taken_back=taken_back, now=self.clock())
        async with self.database.transaction() as connection:
            await record_steps(connection, request, self.clock(), result.status, {"reason": result.reason})
        return result

    async def reconcile_once(self, limit: int = 20) -> int:
        """Ask the engine about grants left unknown, the longest unasked first; how many were settled.

        One that the engine never heard of is voided there first, so that a request still on its
        way cannot pay out after we have called it refused. A reservation whose run is over has
        nobody else to settle it and is treated alike. Any number may run side by side.
        """
        settled = 0
        for _ in range(limit):
            async with self.database.transaction() as connection:
                row = await grant_rows.claim_doubtful(connection, self.clock())
            if row is None:
                break
            try:
                answer = await self.engine.look_up(row.id)
                if answer is None and await self.engine.void(row.id):
                    answer = Declined(reason="never_arrived")
            except (NotAccepted, OutcomeUnknown) as unanswered:
                logger.info("Grant %s stays unknown: %s", row.id, unanswered)
                answer = None
            if answer is not None:
                await self._record(row, answer)
                settled += 1
            elif (row.reserved_at or self.clock()) <= self.clock() - self.settings.unknown_after:
                async with self.database.transaction() as connection:
                    await grant_rows.doubt(connection, row, self.clock())
        return settled

    async def revoke_once(self, limit: int = 20) -> int:
        """Ask the engine to take offers back that somebody must not have any more; how many are done with.

        The void has the grant's own key, so asking again changes nothing. Where the engine refuses, for the player has
        taken the reward, it stays the player's. Any number may run side by side.
        """
        done = 0
        for _ in range(limit):
            async with self.database.transaction() as connection:
                row = await grant_rows.claim_revoked(connection, self.clock())
            if row is None:
                break
            try:
                taken_back = await self.engine.void(row.id)
            except (NotAccepted, OutcomeUnknown) as unanswered:
                logger.info("Grant %s is to be taken back and is not yet: %s", row.id, unanswered)
                continue
            async with self.database.transaction() as connection:
                await grant_rows.end_revocation(connection, row.id, taken_back=taken_back, now=self.clock())
            done += 1
        return done

    async def pay_prizes_once(self, limit: int = 20) -> int:
        """Have the bonus engine give prizes that no run gives, of wheels and the like; how many are done with.

        Each was reserved in the transaction that won it. The gate is asked anew, and a prize stays reserved until the
        engine has answered. Any number may run side by side.
        """
        done = 0
        for _ in range(limit):
            async with self.database.transaction() as connection:
                row = await grant_rows.claim_prize(connection, self.clock())
            if row is None:
                break
            seen = row.decision["seen"]
            product, earned = seen.get("journey_product"), bool(seen.get("earned"))
            request = prize_request(row.brand, row.player_id, row.run_id, row.step, row.reward, product, earned=earned)
            try:
                answer = await self._ask_engine(request, row, look_first=True)
            except (NotAccepted, OutcomeUnknown) as unanswered:
                logger.info("Prize %s is to be given and is not yet: %s", row.id, unanswered)
                continue
            assert not isinstance(answer, Held), "a prize is no journey's, and nobody holds it"
            await self._record(row, answer)
            done += 1
        return done

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
                if (earlier := await grant_rows.lock(connection, request.key)) is not None:
                    return await grant_rows.own(connection, earlier, now), True
                if (held := await held_by(connection, request, now)) is not None:
                    return held
                decision = self._decide(request, player, now)
                wanted = [] if asked else self._registers_wanted(request, player, decision, now)
                if not wanted:
                    decision = await self._within_budgets(connection, request, player, decision, now)
                    await _note(connection, request, decision, player, now)
                    currency = player.facts.currency if player else None
                    values = _new_grant(request, decision, currency, now)
                    row = await grant_rows.insert_new(connection, values, now)
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
                await grant_rows.hold(connection, request.key)
        return held

    async def _read(self, connection: AsyncConnection, request: Give, now: datetime) -> gate_facts.GatedPlayer | None:
        said = self.registers.known(request)
        journeys, policies = self.journeys, self.policies
        return await gate_facts.read(
            connection,
            request,
            journeys,
            now,
            request.key,
            registers=said,
            policies=policies,
            drawn_as=policies.drawn_as(request.brand),
        )

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
        async with self.database.transaction() as connection:
            return await grant_rows.settle(
                connection, row, status, self.clock(), reason=reason, provider_ref=provider_ref
            )


async def _note(
    connection: AsyncConnection,
    request: Give,
    decision: Allowed | Refusal,
    player: gate_facts.GatedPlayer | None,
    now: datetime,
) -> None:
    decided = gate_decisions.Decided(request.key, request.reward.kind, decision)
    await gate_decisions.record(connection, request, [decided], player.release if player else 0, now)


async def reserve_prize(
    connection: AsyncConnection, request: Give, decision: Allowed, currency: str | None, now: datetime
) -> None:
    """Reserve a prize in the transaction that wins it; `Grants.pay_prizes_once` gives it when that is committed."""
    await grant_rows.insert_new(connection, _new_grant(request, decision, currency, now), now)


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


def _without_asking(row: GrantRow | None, request: Revoke) -> RevokeResult | None:
    """What becomes of taking a reward back where the bonus engine need not be asked; None where it must be."""
    if row is None or (row.brand, row.player_id) != (request.brand, request.player_id):
        return RevokeResult(status="kept", reason=NO_SUCH_GRANT)
    if row.status in ("refused", "revoked"):
        return RevokeResult(status="revoked", reason=row.reason)
    return RevokeResult(status="kept", reason=row.stage) if row.stage in TAKEN else None
