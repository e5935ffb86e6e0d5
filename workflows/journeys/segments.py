"""Segments of the house: a place to begin. Write your own beside your journeys."""

from workflows import (
    DepositApproved,
    RoundCompleted,
    SessionLogin,
    Statistics,
    days,
    distinct,
    segment,
    total,
    week,
)

deposited_30d = total(DepositApproved, "amount_minor", last=days(30))
games_this_week = distinct(RoundCompleted, "game_id", per=week)


@segment
def high_roller(player: Statistics) -> bool:
    """Deposited 5,000.00 or more in the last 30 days, in whatever currency the wallet has."""
    return player[deposited_30d] >= 500_000


@segment
def explorer(player: Statistics) -> bool:
    """Played three or more different games this week."""
    return player[games_this_week] >= 3


@segment
def absent(player: Statistics) -> bool:
    """Deposited before and was not seen for 14 days."""
    return player.deposits > 0 and player.quiet(SessionLogin, days(14))
