"""A weekly race and two boards for a casino, in three languages: `JOURNEYS=workflows.programs.weekly_race`.

The race ranks by the best single win against its stake, so that neither losing nor playing long makes anybody first. It
gives points alone: no law that is shipped forbids them, and the gate is asked of each player before each prize.
"""

from workflows import RoundCompleted, best, currency, day, days, month, place, places, points, tournament, week

house_points = currency("house_points", expires=days(365))

#: Real stakes below it are play for fun, and their multiples are a matter of rounding.
LEAST_STAKE_MINOR = 20


def own_money(played: RoundCompleted) -> bool:
    """Played with the player's own money, for a stake worth the name."""
    return played.grant_id is None and played.bonus_stake_minor == 0 and played.stake_minor >= LEAST_STAKE_MINOR


def multiple(played: RoundCompleted) -> int:
    """The win against the stake, in percent."""
    return played.win_minor * 100 // played.stake_minor


weekly_race = tournament(
    "weekly_race",
    best(RoundCompleted, multiple, where=own_money, name="best_multiple"),
    every=week,
    timezone="UTC",
    opt_in=True,
    players=(10, 50_000),
    least_score=101,
    prizes=[
        place(1, points(2_000)),
        places(2, 3, points(1_000)),
        places(4, 10, points(300)),
        places(11, 50, points(100)),
    ],
    into=house_points,
    product="casino",
    budget=10_100,
    words={
        "en": "The best single win against its stake this week. One round is enough; more do not count more.",
        "ru": "Лучший выигрыш недели относительно ставки. Достаточно одного раунда: больше не значит лучше.",
        "uk": "Найкращий виграш тижня відносно ставки. Досить одного раунду: більше не означає краще.",
    },
)

best_today = tournament(
    "best_today",
    best(RoundCompleted, multiple, where=own_money, name="best_multiple"),
    every=day,
    timezone="UTC",
    opt_in=True,
    least_score=101,
    words={
        "en": "The best single win against its stake today.",
        "ru": "Лучший выигрыш дня относительно ставки.",
        "uk": "Найкращий виграш дня відносно ставки.",
    },
)
best_of_month = tournament(
    "best_of_month",
    best(RoundCompleted, multiple, where=own_money, name="best_multiple"),
    every=month,
    timezone="UTC",
    opt_in=True,
    least_score=101,
    words={
        "en": "The best single win against its stake this month.",
        "ru": "Лучший выигрыш месяца относительно ставки.",
        "uk": "Найкращий виграш місяця відносно ставки.",
    },
)
