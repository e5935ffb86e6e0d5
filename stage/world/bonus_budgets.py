"""Budgets of bonuses in memory: what a player got of late, and what a journey and the brand may still give today."""

from datetime import UTC

from stage.world.state import WorldState
from workflows.effects import Give
from workflows.gate.bonus_value import WITHIN, day_budgets, over_budget
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import GateFacts, GrantFacts
from workflows.gate.policy import Policy
from workflows.rewards.base import value_of


def bonus_value(world: WorldState, player_id: str, *, but: str | None = None) -> int:
    """What the person's bonuses of the last 30 days are worth, those of one run left out."""
    state = world.players.get(player_id)
    ids = {player_id} if state is None else {player_id, *state.accounts}
    due = {name for name, journey in world.rules.journeys.items() if journey.earned}
    mine = (one for one in world.grants if one.player_id in ids and one.run_id != but and one.journey not in due)
    given = (one for one in mine if one.status not in {"refused", "revoked"})
    return sum(value_of(one.reward) or 0 for one in given if one.at > world.now - WITHIN)


def within_budgets(
    world: WorldState, request: Give, facts: GateFacts, asked: GrantFacts, policy: Policy, decision: Allowed
) -> Allowed | Refusal:
    """Take a reward from the budgets of the day, from all or none; the refusal where one has too little left."""
    used, day = world.limits, world.now.astimezone(UTC).date()
    budgets = day_budgets(world.rules.journeys.get(request.journey), policy, facts.currency)
    if not budgets or asked.value == 0:
        return decision
    names = {f"bonuses {one.journey} {one.currency} {day}": one for one in budgets}
    for name, budget in names.items():
        if asked.value is None or used.get(name, 0) + asked.value > budget.most:
            return over_budget(budget, decision, asked.value)
    for name in names:
        used[name] = used.get(name, 0) + (asked.value or 0)
    return decision
