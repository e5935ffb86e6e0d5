"""What the gate is asked before a wheel is spun: whether every prize that may come out may be given to the player.

A draw must not know the player, so whoever may not have one of the prizes does not spin; nobody's odds are others.
"""

from collections.abc import Sequence
from datetime import datetime

from workflows.gate.decide import may_grant
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import GateFacts, GrantFacts
from workflows.gate.policy import Policy
from workflows.loyalty.wheels import Wheel


def prize_facts(wheel: Wheel) -> list[GrantFacts]:
    """What the gate looks at of a spin and of everything that it may give, each once."""
    asked = [GrantFacts(kind="mini_game", journey_product=wheel.product, value=0)]
    asked += [GrantFacts.of(prize, wheel.product) for prize in wheel.prizes]
    return list(dict.fromkeys(asked))


def first_refusal(
    facts: GateFacts | None, asked: Sequence[GrantFacts], policy: Policy, now: datetime
) -> tuple[str, Allowed | Refusal]:
    """The kind of reward that the gate first refuses, and why; where it refuses none, the last one and what it said.

    Raises IndexError where nothing is asked.
    """
    decided = [(one.kind, may_grant(facts, one, policy, now)) for one in asked]
    return next((one for one in decided if isinstance(one[1], Refusal)), decided[-1])
