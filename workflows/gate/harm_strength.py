"""How strong a player's signs of harm are under a policy at a moment."""

from datetime import datetime

from workflows.gate.facts import GateFacts
from workflows.gate.policy import Policy
from workflows.player_state.harm_watch import strength_of, stronger


def harm_strength(facts: GateFacts, policy: Policy, now: datetime) -> str | None:
    """`none`, weak, medium or strong, of all signs together; None: not known."""
    if facts.harm is None or facts.harm_signs is None:
        return None
    return stronger(facts.harm, strength_of(facts.harm_signs, policy.harm_fades_after, now))
