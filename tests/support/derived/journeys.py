"""Journeys that begin with what follows from many events, for the rehearsals."""

from typing import Any

from workflows import (
    DepositApproved,
    Player,
    RoundCompleted,
    SessionLogin,
    Statistics,
    always,
    birthday,
    day,
    days,
    entered,
    experiment,
    goal,
    inactive,
    journey,
    left,
    month,
    schedule,
    segment,
    streak_of_days,
    threshold,
    total,
    typical,
)

deposited = total(DepositApproved, "amount_minor", last=days(30))
wagered = total(RoundCompleted, "stake_minor", per=month)
net = total(RoundCompleted, lambda r: r.win_minor - r.stake_minor, per=day, name="net")

greeted = experiment("derived-greeting", arms={"push": 50, "control": 50}, goal=goal(DepositApproved, within=days(7)))
stakes = typical(RoundCompleted, "stake_minor")


@segment
def well_off(player: Statistics) -> bool:
    """Deposited 1,000.00 in 30 days."""
    return player[deposited] >= 100_000


@segment
def gone(player: Statistics) -> bool:
    """Not seen for a week."""
    return player.quiet(SessionLogin, days(7))


@journey(entered(well_off), entry=always, ends_after=days(90), control=0, exit_on=[left(well_off)])
async def well_off_welcome(player: Player, _: Any) -> None:
    """Greets who comes into a segment and stays until they leave it."""
    await player.mark("came", arm=await player.arm(greeted), leaves=(await player.score("churn")).percent)
    await player.sleep(days(80))
    await player.mark("stayed")


@journey(threshold(wagered, 1_000), entry=always, ends_after=days(2), control=0)
async def wager_goal(player: Player, _: RoundCompleted) -> None:
    """Marks who staked 10.00 in a month."""
    await player.mark("reached", rich=await player.matches(well_off))
    before = await player.value(net)
    usual = await player.usual(stakes)
    await player.sleep(days(1))
    yesterday = await player.value(net, previous=True)
    await player.mark("read", before=before, yesterday=yesterday, usual=usual.median, p95=usual.p95)


@journey(streak_of_days(net, 3, where=lambda day: day < 0), entry=always, ends_after=days(2), control=0)
async def losing_days(player: Player, trigger: Any) -> None:
    """Marks three losing days."""
    await player.mark("three", days=trigger.days)


@journey(birthday(at="10:00"), entry=always, ends_after=days(2), control=0)
async def greeting(player: Player, _: Any) -> None:
    """Marks a birthday."""
    await player.mark("birthday")


@journey(schedule("09:00", weekday="monday", segment=gone), entry=always, ends_after=days(2), control=0)
async def monday(player: Player, _: Any) -> None:
    """Marks Mondays of who is gone."""
    await player.mark("monday")


@journey(inactive(SessionLogin, days(3)), entry=always, ends_after=days(2), control=0)
async def missing(player: Player, _: Any) -> None:
    """Marks who has not come for three days."""
    await player.mark("missing", segment=await player.matches(gone))
