# ruff: noqa: ARG001 - a journey takes the event that starts it, whether or not it looks at it
"""Journeys that between them are started, woken, stopped and ended in every way there is, for proofs of delivery.

They play without a world: what they hear is marked, so that a run's story says what reached it and in which order.
"""

from workflows import (
    DepositApproved,
    DepositFailed,
    Event,
    LossStreak,
    Player,
    RoundCompleted,
    SegmentEntered,
    SegmentLeft,
    SessionLogin,
    Statistics,
    TierChanged,
    WithdrawalRequested,
    always,
    anniversary,
    day,
    days,
    entered,
    every,
    goal,
    hours,
    inactive,
    journey,
    left,
    milestone,
    on,
    once,
    per,
    schedule,
    segment,
    streak,
    streak_of_days,
    threshold,
    total,
    week,
)

HEARD = (SessionLogin, DepositApproved, RoundCompleted)
LAST = TierChanged


async def listen(player: Player) -> None:
    """Mark everything that is heard until the last word, or until nothing is heard for long."""
    while happened := await player.first(*HEARD, LAST, within=days(20)):
        if isinstance(happened, LAST):
            return
        await player.mark("heard", event=happened.event_id)


@journey(
    on(DepositApproved),
    entry=once,
    ends_after=days(30),
    goal=goal(WithdrawalRequested, within=days(5)),
    listens=[*HEARD, LAST],
)
async def exact_first(player: Player, deposit: DepositApproved) -> None:
    """One a player, hears of almost everything, ends by itself only."""
    await player.mark("began", deposits=player.deposits)
    await listen(player)


@journey(on(DepositApproved), entry=per("payment_id"), ends_after=days(3), listens=[TierChanged])
async def exact_each(player: Player, deposit: DepositApproved) -> None:
    """Many a player at the same time."""
    await player.event(TierChanged, within=days(2))


@journey(
    milestone(DepositApproved, 3),
    entry=once,
    ends_after=days(30),
    exit_on=[WithdrawalRequested],
    listens=[SessionLogin, RoundCompleted, LAST],
)
async def exact_third(player: Player, deposit: DepositApproved) -> None:
    """Told to end by an event."""
    await listen(player)


@journey(
    streak(DepositFailed, 2, broken_by=DepositApproved, within=hours(6)),
    entry=every(days(1)),
    ends_after=days(2),
    control=50,
    goal=goal(DepositApproved, within=days(1)),
    exit_on=[DepositApproved],
    listens=[DepositFailed],
)
async def exact_failed(player: Player, failed: DepositFailed) -> None:
    """Half of its runs have no workflow, and end in the books."""
    await player.event(DepositFailed, within=days(1))


@journey(inactive(SessionLogin, days(2)), entry=always, ends_after=days(9), control=30, exit_on=[SessionLogin])
async def exact_away(player: Player, silence: Event) -> None:
    """Begins when nothing happens."""
    await player.sleep(days(8))


@journey(on(LossStreak), entry=always, ends_after=days(1), listens=[RoundCompleted])
async def exact_loss(player: Player, losses: LossStreak) -> None:
    """Begins with an event that nobody sent."""
    await player.event(RoundCompleted, within=hours(20))


STAKED = total(RoundCompleted, "stake_minor", last=days(2))
STAKED_WEEK = total(RoundCompleted, "stake_minor", per=week)
NET = total(RoundCompleted, lambda played: played.win_minor - played.stake_minor, per=day, name="exact_net")


@segment
def exact_player(player: Statistics) -> bool:
    """Staked something lately: left by time alone."""
    return player[STAKED] >= 200


@segment
def exact_payer(player: Statistics) -> bool:
    """Deposits and has not gone quiet."""
    return player.deposits > 0 and not player.quiet(DepositApproved, days(3))


@journey(
    on(entered(exact_player)), entry=always, ends_after=days(9), exit_on=[left(exact_player)], listens=[RoundCompleted]
)
async def exact_play(player: Player, came: SegmentEntered) -> None:
    """Begins and ends with a segment."""
    await player.sleep(days(8))


@journey(threshold(STAKED_WEEK, 300), entry=always, ends_after=hours(9), control=40, listens=[SegmentLeft])
async def exact_week(player: Player, last: RoundCompleted) -> None:
    """Begins with what a week adds up to."""
    await player.event(SegmentLeft, within=hours(8))


@journey(
    streak_of_days(NET, 2, where=lambda net: net < 0),
    schedule("09:00", segment=exact_payer),
    anniversary(months=1),
    entry=every(days(1)),
    ends_after=days(1),
    late_after=days(3),
)
async def exact_calendar(player: Player, moment: Event) -> None:
    """Begins with days."""
    await player.sleep(hours(20))


SEGMENTS = (exact_player, exact_payer)
ALL = (
    exact_play,
    exact_week,
    exact_calendar,
    exact_first,
    exact_each,
    exact_third,
    exact_failed,
    exact_away,
    exact_loss,
)
