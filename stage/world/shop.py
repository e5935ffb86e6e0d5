"""The shop in memory: the same questions in the same order as `activities/shop_purchases.py`."""

from stage.world.house_points import house_gives
from stage.world.player_buttons import refused_by_gate
from stage.world.records import PurchaseRecord
from stage.world.state import WorldState
from workflows.gate.facts import GrantFacts
from workflows.gate.reasons import Reason
from workflows.loyalty.point_currencies import HOUSE_GIVES_NO_MORE
from workflows.loyalty.shop_items import stock_of
from workflows.player_state.purchases import buy, product_paid_with, purchase_refusal, redeem, refund
from workflows.rewards import RewardBase
from workflows.rules.failures import RuleFailure


def buy_item(world: WorldState, player_id: str, name: str) -> str | None:
    """A player buys an item now for what it costs; why it was not sold, None if it was."""
    item = world.rules.loyalty.shop.get(name)
    if item is None:
        return "unknown"
    state, now = world.player(player_id), world.now
    if state.opted_out:
        return str(Reason.OPTED_OUT)
    failures: list[RuleFailure] = []
    reason: str | None = purchase_refusal(state, item, world.rules, now, failures)
    reason = reason or refused_by_gate(world, player_id, GrantFacts.of_item(item, product_paid_with(state, item, now)))
    if reason is not None:
        return reason
    used = world.limits.get(stock_of(name), 0) + 1
    if item.stock is not None and used > item.stock:
        return "out_of_stock"
    given = item.gives.awarded_points if isinstance(item.gives, RewardBase) and item.settles_here else 0
    if not house_gives(world, item.into, player_id, given):
        return HOUSE_GIVES_NO_MORE
    world.limits[stock_of(name)] = used
    purchase_id = f"purchase-{len(world.purchases) + 1}"
    bought = buy(state, item, purchase_id, world.rules, now, failures)
    made = PurchaseRecord(
        now,
        purchase_id,
        player_id,
        name,
        item.paid_in.name,
        item.price,
        bought.slices,
        bought.run_id,
        "fulfilled" if item.settles_here else "reserved",
    )
    world.purchases.append(made)
    world.carry_out(state, world.with_shadows(state, bought.decisions))
    return None


def settle(world: WorldState, run_id: str) -> None:
    """Settle the purchase that a run was to deliver, now that it is over; of any other run nothing.

    Nobody ever says here what became of a grant in doubt, so its points stay held.
    """
    made = next((one for one in world.purchases if one.run_id == run_id and one.state == "reserved"), None)
    if made is None:
        return
    ref = f"{made.item} {made.purchase_id}"
    buyer = world.player(made.player_id)
    granted = [one.status for one in world.grants if one.run_id == run_id][-1:]
    if granted == ["unknown"]:
        return
    sent = any(
        one.run_id == run_id and one.answer is not None and one.answer.get("outcome") == "sent"
        for one in world.tasks.values()
    )
    if granted == ["confirmed"] or sent:
        made.state = "fulfilled"
        world.carry_out(buyer, redeem(buyer, made.currency, made.price, ref, world.now))
        return
    made.state = "refunded"
    world.limits[stock_of(made.item)] -= 1
    into = world.player(buyer.merged_into or buyer.player_id)
    for account, transfer in refund(buyer, into, made.item, made.currency, made.slices, ref, world.now, at=made.at):
        world.carry_out(world.player(account), [transfer])
