"""`player.amount` and `player.fit` on the stage: in the wallet's own currency, or no offer and a word why."""

from typing import Any

import pytest

from stage.testing.rehearsal import Rehearsal, Rehearse, player
from workflows import DepositApproved, Player, amounts, bonus_money, days, free_spins, journey, on, once

MOST_WON = amounts(EUR=500, JPY=80_000)
CEILING = {"": amounts(EUR=1_000, JPY=1_000), "gold": amounts(EUR=5_000)}


@journey(on(DepositApproved), entry=once, ends_after=days(2), control=0)
async def fits(player: Player, deposit: DepositApproved) -> None:
    """Gives what fits."""
    if most_won := player.amount(MOST_WON):
        await player.grant(free_spins(10, max_win=most_won))
    if gift := player.fit(5, 10, of=player.mean_deposit_minor or deposit.amount_minor, ceiling=CEILING):
        await player.grant(bonus_money(gift))


def given(run: Rehearsal) -> list[int]:
    amounts_of = (one.model_dump() for one in run.rewards)
    return [int(one.get("max_win_minor") or one["amount_minor"]) for one in amounts_of]


def said(run: Rehearsal) -> list[tuple[str, str]]:
    lines = (line for line in run.world.story if line.step.partition("#")[0] in {"amount", "fit"})
    return [(line.step, line.outcome) for line in lines]


@pytest.mark.parametrize(
    ("about", "deposit", "amounts_given"),
    [
        ({"currency": "EUR"}, 8_000, [500, 500]),
        ({"currency": "EUR"}, 90_000, [500, 1_000]),
        ({"currency": "EUR", "tier": "gold"}, 60_000, [500, 5_000]),
        ({"currency": "JPY"}, 8_000, [80_000, 500]),
    ],
)
async def test_an_offer_is_in_the_wallets_currency_and_by_tier(
    rehearse: Rehearse, about: dict[str, Any], deposit: int, amounts_given: list[int]
) -> None:
    run = await rehearse(fits, player(**about), amount_minor=deposit)
    await run.advance(days(1))
    assert given(run) == amounts_given
    assert said(run) == [("amount#1", "declared"), ("fit#1", "fitted")]


async def test_a_currency_that_nobody_declared_brings_no_offer_and_is_said(rehearse: Rehearse) -> None:
    run = await rehearse(fits, player(currency="UAH"), amount_minor=8_000)
    await run.advance(days(1))
    assert run.granted == []
    assert said(run) == [("amount#1", "no_amount"), ("fit#1", "no_amount")]
