"""Segments of the house: a place to begin. Write your own beside your journeys."""

from workflows import (
    DepositApproved,
    RoundCompleted,
    SessionLogin,
    Statistics,
    day,
    days,
    distinct,
    segment,
    total,
    week,
)

deposited_30d = total(DepositApproved, "amount_minor", last=days(30))
games_this_week = distinct(RoundCompleted, "game_id", per=week)


def net_loss(played: RoundCompleted) -> int:
    """What a round cost the player in real money; below 0 where it won."""
    return played.stake_minor - played.win_minor


lost_today = total(RoundCompleted, net_loss, per=day, name="net_loss")
lost_this_week = total(RoundCompleted, net_loss, per=week, name="net_loss")


def on_which_day(login: SessionLogin) -> int:
    """The day of a login, counted in UTC."""
    return login.occurred_at.toordinal()


days_here = distinct(SessionLogin, on_which_day, last=days(30), name="days")


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


@segment
def regular(player: Statistics) -> bool:
    """Registered for three months or more and here on four days or more in the last thirty."""
    return player.registered_for(days(90)) and player[days_here] >= 4


@segment
def here_lately(player: Statistics) -> bool:
    """Logged in within the last eight days. It is asked at logins and not at every round."""
    return player.count(SessionLogin) > 0 and not player.quiet(SessionLogin, days(8))
