"""Ten earn rules, forty missions and three boards, all about rounds: every event of a busy casino counts in each."""

from workflows import (
    RoundCompleted,
    Statistics,
    badge,
    count,
    currency,
    day,
    days,
    earn,
    month,
    player_mission,
    points,
    step,
    tournament,
    week,
)
from workflows.loyalty.missions import PlayerMission
from workflows.loyalty.point_currencies import EarnRule

house_points = currency("bench_points", expires=days(365))


def _rule(number: int) -> EarnRule:
    return earn(
        house_points,
        RoundCompleted,
        "stake_minor",
        rate=(1, 1_000 + number),
        weights={"slot": 100, "live": 20, "table": 15},
        most=5_000,
        product="casino",
        name=f"rule_{number}",
    )


def _mission(number: int) -> PlayerMission:
    def visible(player: Statistics) -> bool:
        """Play many rounds this week."""
        return player.count(RoundCompleted) >= 0

    visible.__name__ = f"mission_{number}"
    weekly = number % 2 == 0
    gives = points(10) if weekly else badge(f"badge_{number}")
    declare = player_mission(
        step("rounds", count(RoundCompleted), 100 + 10 * number),
        gives=gives,
        into=house_points if weekly else None,
        product="casino",
        budget=10_000_000 if weekly else 0,
        again=week if weekly else None,
    )
    return declare(visible)


earn_rules = [_rule(number) for number in range(10)]
missions = [_mission(number) for number in range(40)]
boards = [
    tournament(f"rounds_{each.name}", count(RoundCompleted), every=each, timezone="UTC") for each in (day, week, month)
]
