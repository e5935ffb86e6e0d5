"""A payment that was taken back: a person looks before anything else is said to the player."""

from typing import Annotated, Literal

from workflows import Form, PaymentReversed, Player, SupportCaseClosed, days, goal, journey, minutes, on, per
from workflows.events import Pii


class DisputedPayment(Form):
    """A settled payment was undone. Look at what happened before anybody writes to the player."""

    outcome: Literal["settled", "contacted", "passed_on"]
    note: Annotated[str, Pii()] = ""


@journey(
    on(PaymentReversed),
    entry=per("payment_id"),
    goal=goal(SupportCaseClosed, within=days(7)),
    ends_after=days(7),
    waives={"no-control": "A dispute is looked at whoever has it."},
)
async def disputed_payment(player: Player, undone: PaymentReversed) -> None:
    """Half an hour for a person; nothing is sent by machine."""
    await player.ask(
        DisputedPayment,
        team="payments",
        due=minutes(30),
        escalate_to="payments-lead",
        reason=f"A payment of {undone.amount_minor} minor units was undone: {undone.kind}.",
        forbidden=["no offer, no bonus"],
        priority=90,
    )
