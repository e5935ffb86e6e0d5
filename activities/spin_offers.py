"""`spin`: a journey gives a spin of a wheel, and takes it back when its time is over.

What the player spins of it is told to the run as the answer to its step, by `activities/player_commands.py` in the
transaction of the spin.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities import gate_decisions, gate_facts
from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.journey_controls import held_by
from activities.runs import RunOver
from activities.step_log import record_steps, recorded_outcome
from activities.wheel_spins import spin_given_by
from workflows.effects import CLOSE_SPIN, OFFER_SPIN, CloseSpin, Held, OfferSpin, SpinGiven
from workflows.field_types import Product
from workflows.gate.decide import may_grant
from workflows.gate.decision import Refusal
from workflows.gate.facts import spin_facts
from workflows.gate.policy_book import PolicyBook
from workflows.gate.register_check import as_if_unlisted
from workflows.player_state.prizes import why_not_offered


class SpinOffers:
    """Gives spins and takes them back. `product` is what journeys are about that do not say so."""

    def __init__(
        self, database: Database, intake: Intake, policies: PolicyBook, product: Product, clock: Clock
    ) -> None:
        self.database = database
        self.intake = intake
        self.policies = policies
        self.product = product
        self.clock = clock

    @activity.defn(name=OFFER_SPIN.name)
    async def offer(self, request: OfferSpin) -> SpinGiven | Held:
        """Give once, however often this is tried. Raises `RunOver` for a run that is over in the books.

        National registers are asked when the player spins: until then nothing was given.
        """
        now = self.clock()
        async with self.database.transaction() as connection:
            drawn_as = self.policies.drawn_as(request.brand)
            journeys = self.intake.rules.journeys
            player = await gate_facts.read(connection, request, journeys, now, request.key, drawn_as=drawn_as)
            if player is not None and not player.run_is_active:
                raise RunOver(request.run_id)
            if (earlier := await recorded_outcome(connection, request)) is not None:
                return SpinGiven(reason=earlier.detail["reason"])
            if (held := await held_by(connection, request, now)) is not None:
                return held
            reason = await self._against(connection, request, player, now)
            if reason is None:
                async with self.intake.locked(connection, request.brand, [request.player_id], now) as players:
                    players.states[request.player_id].offer_spin(request, now)
            outcome = "offered" if reason is None else "withheld"
            await record_steps(connection, request, now, outcome, {"wheel": request.wheel, "reason": reason})
        return SpinGiven(reason=reason)

    async def _against(
        self, connection: AsyncConnection, request: OfferSpin, player: gate_facts.GatedPlayer | None, now: datetime
    ) -> str | None:
        """What speaks against it. The gate is not asked about a wheel that is not there, or that is never shown."""
        if (why := why_not_offered(request, player.state if player else None, self.intake.rules.loyalty)) is not None:
            return why
        facts = player.facts if player else None
        policy = self.policies.of(request.brand, facts, now)
        asked = spin_facts(request, request.product or self.product)
        decision = may_grant(as_if_unlisted(facts, policy, now), asked, policy, now)
        decided = gate_decisions.Decided(request.key, asked.kind, decision)
        await gate_decisions.record(connection, request, [decided], player.release if player else 0, now)
        return str(decision.reason) if isinstance(decision, Refusal) else None

    @activity.defn(name=CLOSE_SPIN.name)
    async def close(self, request: CloseSpin) -> SpinGiven:
        """Take the spin back; where the player was first, what they spun is the answer."""
        now = self.clock()
        async with self.database.transaction() as connection:
            async with self.intake.locked(connection, request.brand, [request.player_id], now) as players:
                for state in players.states.values():
                    state.take_back_spin(request.key)
            spun = await spin_given_by(connection, request.brand, request.player_id, request.key)
            await record_steps(connection, request, now)
        return SpinGiven(spun=spun)
