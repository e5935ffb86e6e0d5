"""Whether national registers of excluded players have said that they do not list a player, lately enough."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from workflows.gate.decision import Refusal
from workflows.gate.facts import GateFacts, RegisterAnswer
from workflows.gate.policy import Policy
from workflows.gate.reasons import Reason


def on_a_register(facts: GateFacts, policy: Policy, now: datetime, asked: list[str]) -> Refusal | None:
    """The refusal where a register lists the player, or where one has not answered lately enough."""
    if not policy.registers:
        return None
    asked.append("register")
    answers = facts.registers or {}
    for name in sorted(policy.registers):
        if name in answers and answers[name].listed:
            return Refusal(Reason.SELF_EXCLUDED, "register", f"The register {name} lists the player.")
    if stale := registers_to_ask(answers, policy, now):
        what = f"Of {', '.join(stale)} there is no answer that is new enough, and unknown means no."
        return Refusal(Reason.REGISTER_UNKNOWN, "register", what)
    return None


def registers_to_ask(answers: Mapping[str, RegisterAnswer], policy: Policy, now: datetime) -> list[str]:
    """The registers whose answer is missing or too old; one exactly as old as it may be is too old."""
    return [
        name
        for name, good_for in sorted(policy.registers.items())
        if (answer := answers.get(name)) is None or now - answer.at >= good_for
    ]


def as_if_unlisted(facts: GateFacts | None, policy: Policy, now: datetime) -> GateFacts | None:
    """The facts as if every register had just said that it does not list the player.

    For what hands nothing over, the stage and shadows: nobody is asked about a person there.
    """
    if facts is None or not policy.registers:
        return facts
    return replace(facts, registers={name: RegisterAnswer(listed=False, at=now) for name in policy.registers})
