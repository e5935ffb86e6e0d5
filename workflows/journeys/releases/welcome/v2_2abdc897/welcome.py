"""J01: from registration into the second week."""

from workflows import (
    ContactVerified,
    DepositApproved,
    HarmSignal,
    LossStreak,
    NotAwarded,
    Player,
    PlayerRegistered,
    SessionLogin,
    amounts,
    days,
    free_spins,
    goal,
    hours,
    journey,
    minutes,
    on,
    once,
)

VIP_TIERS = ("gold", "platinum", "diamond", "black")
#: Of the house's own program (`workflows.programs.casino`), where it is deployed.
WHEEL, POINTS = "daily_wheel", "house_points"
TURN_FOR = days(2)
#: Where it is not: ten small spins.
SPINS = 10
SPIN_VALUE = amounts(EUR=10, GBP=10, USD=10, CAD=10, SEK=100, BRL=50, UAH=400)
MOST_WON = amounts(EUR=500, GBP=400, USD=500, CAD=700, SEK=5_000, BRL=2_500, UAH=20_000)


def worrying(signal: HarmSignal) -> bool:
    """Whether a signal of harm ends every offer."""
    return signal.strength != "weak"


@journey(
    on(PlayerRegistered),
    entry=once,
    goal=goal(DepositApproved, within=days(7)),
    exit_on=[on(HarmSignal, where=worrying)],
    ends_after=days(14),
    control=10,
)
async def welcome(player: Player, registered: PlayerRegistered) -> None:
    """From registration into the second week, without selling on day one; depositors go on.

    Three losing rounds in a row bring a turn of the wheel at once; a streak of the first day is remembered and brings
    it right after the guide. Who has deposited and then stays away for four days finds their points doubled for two
    hours, on an evening. Where the house's program is not deployed there are a few spins for the wheel, and no points.
    """
    await player.send("welcome", via=["email", "in_app"])
    if not await player.first(ContactVerified, DepositApproved, within=hours(1)):
        await player.send("verify-email", via=["email"])
    await player.sleep(days(1))
    await player.refresh()
    await player.send("guide", via=["email"], about=player.favourite_category)
    if await player.event(LossStreak, within=days(2)):
        await give_turn(player)
    if not await player.event(SessionLogin, within=days(4), fresh=True):
        await double_points(player)
    await player.event(DepositApproved, within=days(5))


async def give_turn(player: Player) -> None:
    """A turn of the wheel, or a few small spins where there is no wheel; no machine writes to a VIP about losses."""
    if player.tier in VIP_TIERS:
        return
    turn = await player.give_spin(WHEEL, within=TURN_FOR)
    if turn:
        await player.send("wheel-turn", via=["in_app"], fallback=["push"], valid_days=TURN_FOR.days)
    elif isinstance(turn, NotAwarded) and turn.reason == "not_declared":
        value, most = player.amount(SPIN_VALUE), player.amount(MOST_WON)
        if value and most:
            await player.grant(free_spins(SPINS, bet_value=value, max_win=most))


async def double_points(player: Player) -> None:
    """Two hours on an evening of the player's in which points count double, for who has deposited before."""
    await player.refresh()
    if not player.deposits:
        return
    await player.until("18:00")
    if await player.multiply(POINTS, by=2, during=hours(2)):
        await player.send("double-points", via=["push"], fallback=["in_app"], by=minutes(30), hours=2)
