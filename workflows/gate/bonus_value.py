"""How much bonus value fits a player within 30 days: what the house gives at most, and what fits their wallet."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from workflows.declaration import Journey
from workflows.gate.decision import Allowed, Refusal, unread
from workflows.gate.facts import GateFacts, GrantFacts
from workflows.gate.policy import Policy
from workflows.gate.reasons import Reason
from workflows.player_state.net_deposits import UNKNOWN

#: How far back bonuses are added up.
WITHIN: Final = timedelta(days=30)
_RULE: Final = "bonus-value"


def above_the_ceiling(facts: GateFacts, grant: GrantFacts, policy: Policy, _now: datetime) -> Refusal | None:
    """The refusal where the house gives nobody so much."""
    if _costs_nothing(grant):
        return None
    if facts.currency is None:
        return unread("currency", _RULE)
    return _within(facts, grant, policy.bonus_ceiling.get(facts.currency, 0), "is the most for anybody")


def unfitting(facts: GateFacts, grant: GrantFacts, policy: Policy, _now: datetime) -> Refusal | None:
    """The refusal where so much does not fit what the player pays in."""
    if _costs_nothing(grant):
        return None
    if facts.currency is None or facts.net_deposits is None:
        return unread("deposits", _RULE)
    most = min(fit.most(facts.net_deposits, facts.currency) for fit in policy.bonus_fit)
    return _within(facts, grant, most, "fits what they paid in")


def _costs_nothing(grant: GrantFacts) -> bool:
    return grant.approved or grant.earned or grant.value == 0


def _within(facts: GateFacts, grant: GrantFacts, most: int, what: str) -> Refusal | None:
    if facts.bonus_value is None:
        return unread("bonuses of the last 30 days", _RULE)
    if grant.value is None:
        return Refusal(Reason.OVER_VALUE, _RULE, f"Nobody can say what a {grant.kind} is worth.")
    if facts.bonus_value + grant.value <= most:
        return None
    had = f"The player had {facts.bonus_value} of bonus value in 30 days and would get {grant.value}"
    return Refusal(Reason.OVER_VALUE, _RULE, f"{had}; {most} {what}, in minor units of {facts.currency}.")


@dataclass(frozen=True, slots=True)
class DayBudget:
    """What all players together may get in a day (UTC) in one currency, minor units: of a journey, or of the brand."""

    #: Empty: of the brand, whatever the journey.
    journey: str
    currency: str
    most: int


def day_budgets(journey: Journey | None, policy: Policy, currency: str | None) -> list[DayBudget]:
    """The budgets that a reward in this currency is taken from, the journey's first; one without the currency is 0."""
    declared = [("", policy.bonus_per_day)]
    if journey is not None:
        declared.insert(0, (journey.name, journey.budget))
    code = currency or UNKNOWN
    return [DayBudget(name, code, most.get(code, 0)) for name, most in declared if most]


def over_budget(budget: DayBudget, decision: Allowed, value: int | None) -> Refusal:
    """The refusal of a reward that everything else lets pass, and that a budget of the day has too little for."""
    whose, reason = f"The budget of {budget.journey}", Reason.OVER_JOURNEY_BUDGET
    if not budget.journey:
        whose, reason = "The brand's budget", Reason.OVER_BRAND_BUDGET
    worth = "a value that nobody can say" if value is None else f"{value}"
    detail = f"{whose}, {budget.most} a day, has less left than {worth}, in minor units of {budget.currency}."
    return Refusal(reason, "bonus-budget", detail, decision.seen, decision.policy)
