"""What loyalty settles itself: points, a time in which they count more, a mission, tickets, a tier.

Whoever gives it, a journey, a wheel or a raffle, has asked the gate, and gives once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from workflows.effect_input import EffectInput
from workflows.effects import Award, Give, OfferSpin
from workflows.events import TierChanged
from workflows.field_types import Product
from workflows.json_object import JsonObject
from workflows.loyalty.point_currencies import PointCurrency
from workflows.loyalty.point_transfers import Cause, HouseAccount
from workflows.loyalty.program import LoyaltyProgram
from workflows.loyalty.tournaments import run_of
from workflows.player_state.decisions import Decision, TicketsGiven
from workflows.player_state.state import PlayerState
from workflows.rewards import RewardBase
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex

#: The journey of a prize that no journey gives.
NO_JOURNEY: Final = ""
#: Why what names something is not given that this release does not have.
NOT_DECLARED: Final = "not_declared"
#: Why a spin is not given to who is of a wheel's control share, whom nobody shows the wheel.
NOT_VISIBLE: Final = "not_visible"
#: Why a mission is not opened once more for who has completed it.
MISSION_COMPLETED: Final = "mission_completed"


@dataclass(frozen=True)
class PrizeGiving:
    """Who gives: the account of the house that points come from, why, and what it is about."""

    source: HouseAccount
    cause: Cause
    ref: str
    into: PointCurrency | None = None
    product: Product | None = None

    @classmethod
    def by(cls, request: Award, program: LoyaltyProgram) -> "PrizeGiving":
        """A step of a run gives."""
        into: PointCurrency | None = None
        if request.currency:
            said = PointCurrency(request.currency, request.expires)
            into = program.currencies[request.currency] if request.by_name else said
        return cls("issued:award", "journey", request.key, into)


def prize_request(
    brand: str,
    player_id: str,
    won_in: str,
    number: str,
    reward: RewardBase | JsonObject,
    product: Product | None,
    *,
    earned: bool = False,
) -> Give:
    """The grant of a prize of money; `won_in` and `number` name it for ever, as a run and its step do a grant.

    What is `earned` is the player's due, for which nobody is left without it for a comparison.
    """
    whose = {"brand": brand, "player_id": player_id, "journey": NO_JOURNEY, "product": product, "earned": earned}
    return Give.model_validate({**whose, "run_id": won_in, "step": number, "reward": reward})


def place_effect(brand: str, player_id: str, instance: str, place: int) -> EffectInput:
    """What stands for the step of a run where a place of a tournament's instance gives its prize."""
    won_in = run_of(brand, instance)
    return EffectInput(brand=brand, player_id=player_id, journey=NO_JOURNEY, run_id=won_in, step=f"place:{place}")


def why_not_awarded(request: Award, state: PlayerState | None, program: LoyaltyProgram, now: datetime) -> str | None:
    """Why there is nothing to award, before the gate is asked; None where nothing speaks against it.

    Its currency, mission, raffle or tier is not declared here; or the player has completed the mission and cannot begin
    it again yet. One that is under way counts as given: it is there to be filled.
    """
    if not _is_declared(request, program):
        return NOT_DECLARED
    mission = program.missions.get(request.reward.opened_mission or "")
    through = mission is not None and state is not None and state.is_through_with(mission, now)
    return MISSION_COMPLETED if through else None


def _is_declared(request: Award, program: LoyaltyProgram) -> bool:
    prize = request.reward
    if request.by_name and request.currency not in program.currencies:
        return False
    if prize.opened_mission is not None:
        return prize.opened_mission in program.missions
    if prize.tickets is not None:
        return prize.tickets[0] in program.raffles
    if prize.lifts_to is not None:
        return program.ladder is not None and program.ladder.place(prize.lifts_to[0]) >= 0
    return True


def why_not_offered(request: OfferSpin, state: PlayerState | None, program: LoyaltyProgram) -> str | None:
    """Why a player is given no spin, before the gate is asked; None where nothing speaks against it.

    The wheel is not declared here, where the journey knows it by name alone; or it is never shown to this player.
    """
    wheel = program.wheels.get(request.wheel)
    if wheel is None:
        return NOT_DECLARED if request.by_name else None
    return NOT_VISIBLE if state is not None and state.is_control(wheel) else None


def give(
    state: PlayerState,
    prize: RewardBase,
    giving: PrizeGiving,
    rules: RuleIndex,
    now: datetime,
    failures: list[RuleFailure],
) -> list[Decision]:
    """Give it now. What is not declared gives nothing."""
    program = rules.loyalty
    if not prize.settled_here:
        raise TypeError(f"{prize.name} is not settled here; the bonus engine gives it.")
    if prize.opened_mission in program.missions:
        state.open_mission(program.missions[str(prize.opened_mission)], now)
    if prize.tickets is not None and (raffle := program.raffles.get(prize.tickets[0])) is not None:
        return [TicketsGiven(raffle.name, raffle.period_of(now), prize.tickets[1], giving.ref, now)]
    if prize.lifts_to is not None:
        return _lift(state, *prize.lifts_to, giving, rules, now, failures)
    if giving.into is None or not (prize.awarded_points or prize.boost):
        return []
    more: dict[str, Any] = {"source": giving.source, "cause": giving.cause, "product": giving.product}
    return [*state.award(giving.into, prize, giving.ref, now, **more)]


def _lift(
    state: PlayerState,
    tier: str,
    lasts: timedelta | None,
    giving: PrizeGiving,
    rules: RuleIndex,
    now: datetime,
    failures: list[RuleFailure],
) -> list[Decision]:
    """Lift the player to a tier, through each on the way; who stands there or above stays."""
    decisions: list[Decision] = []
    for before, to in state.lift(tier, lasts, rules.loyalty, now):
        risen = TierChanged(
            event_id=f"prize:{giving.ref}:{to}"[:255],
            event_source="engine",
            occurred_at=now,
            from_tier=before,
            to=to,
            direction="up",
        )
        decisions += state.tell_tier(risen, rules, now, failures)
    return decisions
