"""What shipped journeys offer is declared for each currency; in any other there is no offer, and the story says why."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from stage.testing.rehearsal import Rehearsal, Rehearse, player
from workflows import PlayerRegistered, RoundCompleted, SessionLogin, days
from workflows.journeys.churn_risk import churn_risk
from workflows.journeys.first_deposit import first_deposit
from workflows.journeys.loss_back import loss_back
from workflows.journeys.second_deposit import second_deposit
from workflows.journeys.tier_up import tier_up

FRIDAY = datetime(2026, 3, 6, 12, tzinfo=UTC)


async def played(rehearse: Rehearse, journey: Any, currency: str | None) -> Rehearsal:
    """Somebody to whom each of these journeys has something to offer."""
    if journey is first_deposit:
        run = await rehearse(journey, player(currency=currency), begins=False)
        await run.happens(PlayerRegistered, currency=currency)
        await run.advance(days(4))
    elif journey is loss_back:
        run = await rehearse(journey, player(currency=currency), begins=False, at=FRIDAY)
        await run.happens(SessionLogin)
        await run.happens(RoundCompleted, stake_minor=3_000_000, win_minor=0)
        await run.advance(days(3))
    elif journey in {second_deposit, tier_up}:
        run = await rehearse(journey, player(currency=currency), at=FRIDAY)
        await run.advance(days(3))
    else:
        run = await rehearse(journey, player(currency=currency, deposits=3), begins=False, at=FRIDAY)
        await run.happens(SessionLogin)
        await run.advance(days(12))
    return run


OFFERS = [
    (first_deposit, "deposit_match", "cap_minor", {"EUR": 10_000, "SEK": 100_000}),
    (loss_back, "cashback", "cap_minor", {"EUR": 50_000, "BRL": 250_000}),
    (second_deposit, "reload", "cap_minor", {"EUR": 5_000, "UAH": 200_000}),
    (tier_up, "free_spins", "max_win_minor", {"EUR": 10_000, "SEK": 100_000}),
    (churn_risk, "free_spins", "max_win_minor", {"EUR": 5_000, "CAD": 7_500}),
]


@pytest.mark.parametrize(("journey", "kind", "field", "amounts"), OFFERS)
async def test_an_offer_is_the_declared_amount_of_the_wallets_currency(
    rehearse: Rehearse, journey: Any, kind: str, field: str, amounts: dict[str, int]
) -> None:
    for currency, most in amounts.items():
        run = await played(rehearse, journey, currency)
        (offer,) = (one for one in map(BaseModel.model_dump, run.rewards) if one["kind"] == kind)
        assert offer[field] == most


@pytest.mark.parametrize(("journey", "kind"), [(journey, kind) for journey, kind, _, _ in OFFERS])
@pytest.mark.parametrize(("currency", "why"), [("JPY", "no_amount"), (None, "no_currency")])
async def test_in_another_currency_there_is_no_offer_and_the_story_says_so(
    rehearse: Rehearse, journey: Any, kind: str, currency: str | None, why: str
) -> None:
    run = await played(rehearse, journey, currency)
    assert kind not in run.granted
    assert {line.outcome for line in run.world.story if line.step.startswith("amount")} == {why}
    assert run.granted == (["tier_upgrade"] if journey is tier_up else [])
