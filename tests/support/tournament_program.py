"""A small program of tournaments and boards, for the tests of both theatres."""

from workflows import (
    Player,
    RoundCompleted,
    TournamentResult,
    always,
    best,
    count,
    currency,
    day,
    days,
    free_spins,
    journey,
    on,
    place,
    places,
    points,
    total,
    tournament,
    week,
)

house_points = currency("points", expires=days(90))


def multiple(played: RoundCompleted) -> int:
    """The win against the stake, in percent."""
    return played.win_minor * 100 // played.stake_minor if played.stake_minor else 0


race = tournament(
    "race",
    total(RoundCompleted, "stake_minor"),
    every=week,
    timezone="Europe/London",
    in_currency="EUR",
    most=5_000,
    prizes=[place(1, points(500)), places(2, 3, points(100)), place(4, free_spins(10, bet_value=10))],
    into=house_points,
    product="casino",
    budget=700,
    budget_minor=100,
    words="The most played for, up to 50.00 a day.",
)
cup = tournament(
    "cup",
    best(RoundCompleted, multiple, name="multiple"),
    every=week,
    timezone="Europe/London",
    opt_in=True,
    players=(2, 3),
    ties="split",
    prizes=[place(1, points(100)), place(2, points(51))],
    into=house_points,
    product="casino",
    budget=151,
    words={"en": "The best single win against its stake.", "uk": "Найкращий виграш відносно ставки."},
)
today = tournament("today", count(RoundCompleted), every=day, timezone="UTC", words="Rounds played today.")


@journey(on(TournamentResult, where=lambda result: result.rank == 1), entry=always, ends_after=days(1))
async def champion(player: Player, _result: TournamentResult) -> None:
    """A word for the winner."""
    await player.mark("champion")
