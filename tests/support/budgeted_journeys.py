"""Journeys with budgets, a team that is asked when one is spent, and ranks, for the tests of both theatres."""

from workflows import (
    DepositApproved,
    DepositFailed,
    Player,
    SessionLogin,
    WithdrawalRequested,
    always,
    cash,
    days,
    journey,
    on,
)


@journey(on(DepositApproved), entry=always, ends_after=days(9), budget={"EUR": 1_000})
async def from_a_budget(player: Player, _deposit: DepositApproved) -> None:
    """Six euros for a deposit, as long as there are any."""
    await player.grant(cash(600))


@journey(on(SessionLogin), entry=always, ends_after=days(9), budget={"EUR": 1_000}, approval="promotions")
async def by_approval(player: Player, _login: SessionLogin) -> None:
    """Six euros for a login; beyond the budget somebody is asked."""
    given = await player.grant(cash(600))
    if given:
        await player.send("how-to-deposit", via=["in_app"], offer=given)


@journey(on(WithdrawalRequested), entry=always, ends_after=days(2), priority=90)
async def goes_first(player: Player, _withdrawal: WithdrawalRequested) -> None:
    """News, before anybody else's."""
    await player.send("content-news", via=["email"])


@journey(on(DepositFailed), entry=always, ends_after=days(2), priority=10)
async def goes_last(player: Player, _failure: DepositFailed) -> None:
    """News in the inbox, if nobody else has any."""
    await player.send("how-to-deposit", via=["in_app"])
