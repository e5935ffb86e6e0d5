"""The shop: what was bought and is not given in the purchase itself."""

from typing import Annotated, Literal

from workflows import Form, ItemPurchased, Player, days, journey, on, per
from workflows.events import Pii
from workflows.rewards import Gift


class ParcelToSend(Form):
    """Send the player what they bought, or say that it cannot be sent: then they have their points back."""

    outcome: Literal["sent", "not_possible"]
    tracking: Annotated[str, Pii()] = ""


def to_deliver(purchase: ItemPurchased) -> bool:
    """Whether something is still to come."""
    return purchase.to_deliver


@journey(
    on(ItemPurchased, where=to_deliver),
    entry=per("purchase_id"),
    ends_after=days(30),
    earned=True,
    waives={"no-goal": "It brings what was paid for.", "no-control": "What was paid for is not withheld."},
)
async def shop_order(player: Player, purchase: ItemPurchased) -> None:
    """A reward through the bonus engine, a parcel by a person; when it ends the purchase is settled or given back."""
    bought = purchase.gives
    if isinstance(bought, Gift):
        await player.ask(
            ParcelToSend,
            team="support",
            due=days(5),
            escalate_to="support-lead",
            reason=f"Bought {purchase.item} in the shop for {purchase.price} points.",
        )
    elif bought is not None:
        await player.grant(bought)
