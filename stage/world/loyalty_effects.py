"""What loyalty gives by a journey, in memory: points, tickets, spins of a wheel."""

from collections.abc import Callable

from stage.errors import warn_of
from stage.world.house_points import house_gives
from stage.world.records import StoryRecord
from stage.world.state import WorldState
from workflows.effects import Award, AwardResult, CloseSpin, EffectInput, OfferSpin, SpinGiven
from workflows.gate.decide import may_grant
from workflows.gate.decision import Refusal
from workflows.gate.facts import GateFacts, GrantFacts, spin_facts
from workflows.gate.register_check import as_if_unlisted
from workflows.loyalty.point_currencies import HOUSE_GIVES_NO_MORE
from workflows.player_state.prizes import PrizeGiving, give, why_not_awarded, why_not_offered
from workflows.rules.failures import RuleFailure


class LoyaltyEffects:
    """Gives what no bonus engine is asked for; `facts` are what the gate knows of a player."""

    def __init__(self, world: WorldState, facts: Callable[[EffectInput], GateFacts | None]) -> None:
        self._world = world
        self._facts = facts

    def award(self, request: Award) -> AwardResult:
        """Give now what the gate lets pass and the program knows."""
        world = self._world
        asked = GrantFacts.of(request.reward, request.product or world.product, vip=request.vip, earned=request.earned)
        player = world.player(request.player_id)
        reason = why_not_awarded(request, player, world.rules.loyalty, world.now) or self._refusal(request, asked)
        into = world.rules.loyalty.currencies.get(request.currency)
        if reason is None and not house_gives(world, into, request.player_id, request.reward.awarded_points):
            reason = HOUSE_GIVES_NO_MORE
        if reason is None:
            state, failures = world.player(request.player_id), list[RuleFailure]()
            giving = PrizeGiving.by(request, world.rules.loyalty)
            world.carry_out(state, give(state, request.reward, giving, world.rules, world.now, failures))
            warn_of(failures)
        result = AwardResult.of(request.reward, reason, world.now)
        self._record(request, result.status, kind=request.reward.kind, reason=reason)
        return result

    def offer_spin(self, request: OfferSpin) -> SpinGiven:
        """Give a spin, which `player_buttons` makes."""
        player = self._world.player(request.player_id)
        reason = why_not_offered(request, player, self._world.rules.loyalty)
        reason = reason or self._refusal(request, spin_facts(request, request.product or self._world.product))
        if reason is None:
            player.offer_spin(request, self._world.now)
        self._record(request, "offered" if reason is None else "withheld", wheel=request.wheel, reason=reason)
        return SpinGiven(reason=reason)

    def close_spin(self, request: CloseSpin) -> SpinGiven:
        """Take a spin back; where the player was first, what they spun."""
        self._world.player(request.player_id).take_back_spin(request.key)
        spun = next((one for one in self._world.spins if one.given_by == request.key), None)
        return SpinGiven(spun=None if spun is None else spun.told)

    def _refusal(self, request: EffectInput, asked: GrantFacts) -> str | None:
        world, facts = self._world, self._facts(request)
        policy = world.policies.of(world.brand, facts, world.now)
        decision = may_grant(as_if_unlisted(facts, policy, world.now), asked, policy, world.now)
        return str(decision.reason) if isinstance(decision, Refusal) else None

    def _record(self, request: EffectInput, outcome: str, **detail: str | None) -> None:
        self._world.story.append(StoryRecord(self._world.now, request.run_id, request.step, outcome, detail))
