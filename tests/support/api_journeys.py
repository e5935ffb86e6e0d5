"""Journeys of a package outside `workflows`, as a casino would add its own; for the tests of the API."""

from datetime import date
from typing import Annotated, Literal

from pydantic import model_validator

from workflows import (
    DepositApproved,
    DepositFailed,
    Form,
    HarmSignal,
    Player,
    SessionLogin,
    Statistics,
    WithdrawalRequested,
    days,
    every,
    experiment,
    goal,
    hours,
    journey,
    looks,
    no_more,
    on,
    once,
    per,
    segment,
    total,
)
from workflows.events import Pii

TRIED = experiment(
    "api-tried",
    arms={"push": 50, "control": 50},
    goal=goal(DepositApproved, within=days(7)),
    guardrails=[no_more(HarmSignal)],
    plan=looks(days(7), base=20, detect=5),
)
DEPOSITED = total(DepositApproved, "amount_minor", last=days(30))


class Affordability(Form):
    """Is this player's spend affordable and sustainable?"""

    outcome: Literal["approve", "reject", "more_documents"]
    since: date | None = None
    note: str = ""
    source: Annotated[str, Pii()] = ""

    @model_validator(mode="after")
    def _a_rejection_has_a_reason(self) -> "Affordability":
        if self.outcome == "reject" and not self.note:
            raise ValueError("say in the note why")
        return self


@journey(on(DepositFailed), entry=once, goal=goal(DepositApproved, within=days(7)), ends_after=days(30))
async def api_review(player: Player, _failed: DepositFailed) -> None:
    """Ask a manager about a failed deposit."""
    review = await player.ask(
        Affordability, team="vip", skill="aml", due=hours(48), escalate_to="vip-head", forbidden=["offer a bonus"]
    )
    await player.mark("reviewed", outcome=review.outcome if review else None)


@journey(entry=every(days(7)), ends_after=days(1))
async def api_call(player: Player, _trigger: None) -> None:
    """Wait for the player to come back after a call. Only a person starts it."""
    await player.event(SessionLogin, within=days(1))


@journey(entry=once, ends_after=days(1), control=100)
async def api_control(player: Player, _trigger: None) -> None:
    """Everybody is in the control group."""
    await player.event(SessionLogin, within=days(1))


@journey(on(WithdrawalRequested), entry=per("payment_id"), ends_after=days(1))
async def api_withdrawal(player: Player, _requested: WithdrawalRequested) -> None:
    """One run a withdrawal."""
    await player.event(SessionLogin, within=days(1))


@journey(entry=once, ends_after=days(1), control=50)
async def api_offer(player: Player, _trigger: None) -> None:
    """Half of the players are in the control group. Only people start it, for one player or for many."""
    await player.event(SessionLogin, within=days(1))


@segment
def api_depositor(player: Statistics) -> bool:
    """Whoever deposited once."""
    return player.deposits > 0


@segment
def api_spender(player: Statistics) -> bool:
    """Whoever deposited 50 or more in the last 30 days."""
    return player[DEPOSITED] >= 5_000
