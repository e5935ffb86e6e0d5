"""Journeys and a segment that look at a score."""

from workflows import (
    DepositApproved,
    Player,
    SegmentEntered,
    SessionLogin,
    Statistics,
    always,
    days,
    entered,
    journey,
    on,
    score_percent,
    segment,
)

churn_percent = score_percent("churn")
value_percent = score_percent("value")
vip_percent = score_percent("vip")


@segment
def likely_to_leave(player: Statistics) -> bool:
    """Whose churn score is 60 percent or more."""
    return player[churn_percent] >= 60


@segment
def brings_most(player: Statistics) -> bool:
    """Of a hundred players ninety are expected to bring less."""
    return player[value_percent] >= 90


@segment
def rising(player: Statistics) -> bool:
    """Likely to be among the tenth that deposits most."""
    return player[vip_percent] >= 50


@journey(on(SessionLogin), entry=always, ends_after=days(1))
async def asks_score(player: Player, login: SessionLogin) -> None:  # noqa: ARG001 - it begins the run
    """Looks at the score of who is here."""
    risk = await player.score("churn")
    await player.mark("asked", percent=risk.percent, why=[*risk.why], estimated=risk.estimated)


@journey(entered(likely_to_leave), entry=always, ends_after=days(1))
async def leaving(player: Player, came: SegmentEntered) -> None:  # noqa: ARG001 - it begins the run
    """Somebody is likely to leave."""
    await player.mark("leaving")


@journey(on(DepositApproved), entry=always, ends_after=days(1))
async def asks_worth(player: Player, deposit: DepositApproved) -> None:  # noqa: ARG001 - it begins the run
    """Looks at what who deposits is expected to bring."""
    value, vip = await player.score("value"), await player.score("vip")
    await player.mark("worth", value=value.percent, vip=vip.percent, why="; ".join(value.why))
