"""J10: three months without a visit."""

from workflows import DepositApproved, Inactive, Player, SessionLogin, days, every, goal, inactive, journey


@journey(
    inactive(SessionLogin, days(90)),
    entry=every(days(180)),
    goal=goal(DepositApproved, within=days(90)),
    exit_on=[SessionLogin],
    ends_after=days(280),
    control=10,
)
async def dormant(player: Player, _: Inactive) -> None:
    """Three touches and no more: news, the question whether to go on writing, news once more; then silence.

    After a year without a visit the player is told that the account is at rest; the mark `minimise` says whose data
    may be minimised.
    """
    await player.send("content-news", via=["email"], fallback=["push"])
    if await player.event(SessionLogin, within=days(14)):
        return
    await player.send("still-interested", via=["email"], fallback=["push"])
    if await player.event(SessionLogin, within=days(31)):
        return
    await player.send("content-news", via=["push"], fallback=["email"])
    if await player.event(SessionLogin, within=days(230)):
        return
    await player.send("account-at-rest", via=["email"])
    await player.mark("minimise", silent_days=365)
