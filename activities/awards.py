"""`award`: what loyalty gives is settled here, under the player's lock, in one transaction with its decision.

No provider is asked, so nothing is ever in doubt: it is done with the step that says so, or not at all.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities import gate_decisions, gate_facts
from activities.clock import Clock
from activities.database import Database
from activities.effect_attempt import tried_for
from activities.intake.intake import Intake
from activities.journey_controls import held_by
from activities.loyalty_limits import house_gives
from activities.providers.register import RegisterUnavailable
from activities.registers import Registers, ToAsk
from activities.runs import RunOver
from activities.step_log import record_steps, recorded_outcome
from workflows.effects import AWARD, GRANT_UNKNOWN_AFTER, Award, AwardResult, Held
from workflows.field_types import Product
from workflows.gate.decide import may_grant
from workflows.gate.decision import Refusal
from workflows.gate.facts import GrantFacts
from workflows.gate.policy_book import PolicyBook
from workflows.loyalty.point_currencies import HOUSE_GIVES_NO_MORE
from workflows.player_state.prizes import PrizeGiving, give, why_not_awarded


class Awards:
    """Gives what loyalty settles itself. `product` is what journeys are about that do not say so."""

    def __init__(
        self,
        database: Database,
        intake: Intake,
        policies: PolicyBook,
        product: Product,
        registers: Registers,
        clock: Clock,
    ) -> None:
        self.database = database
        self.intake = intake
        self.policies = policies
        self.product = product
        self.registers = registers
        self.clock = clock

    @activity.defn(name=AWARD.name)
    async def award(self, request: Award) -> AwardResult | Held:
        """Give once, however often this is tried. Raises `RunOver` for a run that is over in the books."""
        settled = await self._settle(request, self.clock())
        if isinstance(settled, ToAsk):
            try:
                await self.registers.ask(request, settled.profile, settled.names)
            except RegisterUnavailable as away:
                if tried_for() < GRANT_UNKNOWN_AFTER:
                    raise away.to_be_tried_again() from None
            settled = await self._settle(request, self.clock(), asked=True)
        assert not isinstance(settled, ToAsk), "registers are asked once"
        return settled

    async def _settle(self, request: Award, now: datetime, *, asked: bool = False) -> AwardResult | Held | ToAsk:
        said = self.registers.known(request)
        async with self.database.transaction() as connection:
            player = await gate_facts.read(
                connection,
                request,
                self.intake.rules.journeys,
                now,
                request.key,
                registers=said,
                drawn_as=self.policies.drawn_as(request.brand),
            )
            if player is not None and not player.run_is_active:
                raise RunOver(request.run_id)
            if (earlier := await recorded_outcome(connection, request)) is not None:
                return AwardResult.model_validate(earlier.detail["result"])
            if (held := await held_by(connection, request, now)) is not None:
                return held
            reason = await self._against(connection, request, player, now, asked=asked)
            if isinstance(reason, ToAsk):
                return reason
            result = AwardResult.of(request.reward, reason, now)
            if reason is None:
                await self._give(connection, request, now)
            detail = {"kind": request.reward.kind, "reason": reason, "result": result.model_dump(mode="json")}
            await record_steps(connection, request, now, result.status, detail)
        return result

    async def _against(
        self,
        connection: AsyncConnection,
        request: Award,
        player: gate_facts.GatedPlayer | None,
        now: datetime,
        *,
        asked: bool,
    ) -> str | ToAsk | None:
        """What speaks against it, or whom to ask first. The gate is not asked about what is not there to be given."""
        state = player.state if player else None
        if (why := why_not_awarded(request, state, self.intake.rules.loyalty, now)) is not None:
            return why
        facts = player.facts if player else None
        policy = self.policies.of(request.brand, facts, now)
        grant = GrantFacts.of(request.reward, request.product or self.product, vip=request.vip, earned=request.earned)
        decision = may_grant(facts, grant, policy, now)
        if player is not None and not asked and (names := self.registers.wanted([decision], facts, policy, now)):
            return ToAsk(player.profile, names)
        decided = gate_decisions.Decided(request.key, request.reward.kind, decision)
        await gate_decisions.record(connection, request, [decided], player.release if player else 0, now)
        if isinstance(decision, Refusal):
            return str(decision.reason)
        return None if await self._house_gives(connection, request, now) else HOUSE_GIVES_NO_MORE

    async def _house_gives(self, connection: AsyncConnection, request: Award, now: datetime) -> bool:
        known = self.intake.rules.loyalty.currencies.get(request.currency)
        points = request.reward.awarded_points
        return await house_gives(connection, request.brand, known, request.player_id, points, now)

    async def _give(self, connection: AsyncConnection, request: Award, now: datetime) -> None:
        async with self.intake.locked(connection, request.brand, [request.player_id], now) as players:
            state = players.states[request.player_id]
            given = give(
                state,
                request.reward,
                PrizeGiving.by(request, players.rules.loyalty),
                players.rules,
                now,
                players.failures,
            )
            players.record(request.player_id, given)
