"""Who gets no offers so that somebody can say what offers change: a journey's control arm, a brand's holdout.

Nothing here protects a player, and nothing that does is withheld: it is asked last, of marketing, surveys and bonuses.
"""

from collections.abc import Sequence
from datetime import datetime

from workflows.gate.decision import Refusal, unread
from workflows.gate.facts import GateFacts, holdout_place
from workflows.gate.policy import Policies, Policy
from workflows.gate.reasons import Reason


def gets_no_offers(arm: str, place: int, policy: Policy) -> bool:
    """Whether `withheld` refuses whatever is offered to a player of this place in a run of this arm."""
    return arm == "control" or place < policy.holdout


def is_held_out(brand: str, accounts: Sequence[str], place: str | None, policies: Policies, *at: datetime) -> bool:
    """Whether a person with these accounts, in a jurisdiction, is in the brand's holdout at one of these moments."""
    shares = {policies.at(brand, place, moment).holdout for moment in at} - {0}
    return bool(shares) and holdout_place(policies.drawn_as(brand), *accounts) < max(shares)


def withheld(facts: GateFacts, policy: Policy, asked: list[str]) -> Refusal | None:
    """The refusal for a player who is compared with others, None for everybody else."""
    asked.append("control-arm")
    if facts.arm == "control":
        what = "The player is in the control group of the journey, which gets no offers."
        return Refusal(Reason.WITHHELD_CONTROL, "control-arm", what)
    if not policy.holdout:
        return None
    asked.append("holdout")
    if facts.holdout_place is None:
        return unread("place among the players", "holdout")
    if facts.holdout_place < policy.holdout:
        what = f"The player is among the {policy.holdout} % of the brand's players who get no offers."
        return Refusal(Reason.WITHHELD_HOLDOUT, "holdout", what)
    return None
