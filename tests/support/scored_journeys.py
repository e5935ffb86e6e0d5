"""Journeys and a segment that look at a score."""

from workflows import (
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


@segment
def likely_to_leave(player: Statistics) -> bool:
    """Whose churn score is 60 percent or more."""
    return player[churn_percent] >= 60


@journey(on(SessionLogin), entry=always, ends_after=days(1))
async def asks_score(player: Player, login: SessionLogin) -> None:  # noqa: ARG001 - it begins the run
    """Looks at the score of who is here."""
    risk = await player.score("churn")
    await player.mark("asked", percent=risk.percent, why=[*risk.why], estimated=risk.estimated)


@journey(entered(likely_to_leave), entry=always, ends_after=days(1))
async def leaving(player: Player, came: SegmentEntered) -> None:  # noqa: ARG001 - it begins the run
    """Somebody is likely to leave."""
    await player.mark("leaving")
