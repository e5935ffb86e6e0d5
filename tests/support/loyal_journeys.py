"""A small loyalty program with a journey that awards points, for the tests of both theatres."""

from workflows import (
    ContactVerified,
    ContentViewed,
    DepositApproved,
    KycChanged,
    NotAwarded,
    Player,
    RoundCompleted,
    Spun,
    Statistics,
    Unplayed,
    after,
    always,
    currency,
    days,
    distinct,
    earn,
    free_spins,
    hours,
    journey,
    mission,
    multiplier,
    on,
    player_mission,
    points,
    raffle,
    raffle_ticket,
    seconds,
    sector,
    step,
    week,
    wheel,
)

#: The weight of a sector beside one of 1: of a thousand billion spins one lands elsewhere.
NEARLY_ALL = 10**12

house_points = currency("points", expires=days(90))
wagered = earn(
    house_points, RoundCompleted, "stake_minor", rate=(1, 1_000), product="casino", most=5_000, name="wagered"
)


daily = wheel(
    "daily",
    sector(600, points(20)),
    sector(399, points(50)),
    sector(1, points(500), stock=1),
    otherwise=points(10),
    into=house_points,
    product="casino",
    plays=2,
    budget=600,
    pause=seconds(0),
)
jackpot = wheel(
    "jackpot",
    sector(NEARLY_ALL, points(100), stock=1),
    sector(1, points(90)),
    otherwise=points(10),
    into=house_points,
    product="casino",
    budget=150,
)


#: One sector nearly everybody lands on, and three in stock.
hot = wheel(
    "hot",
    sector(NEARLY_ALL, points(500), stock=3),
    sector(1, points(400), stock=1),
    otherwise=points(10),
    into=house_points,
    product="casino",
    budget=100_000,
)
spring = raffle("spring", (1, points(1_000)), (2, points(100)), into=house_points, product="casino")
#: Everything a wheel may give, and a promise to who lands on blanks. Who plays it for a day wins each of them, whatever
#: the day's seed: an eighth of it is missed 250 times once in 10**14.
lucky_bag = wheel(
    "lucky_bag",
    sector(1, multiplier(2, hours(2))),
    sector(1, mission("three_games")),
    sector(1, raffle_ticket("spring", 3)),
    sector(1, free_spins(5, bet_value=10, max_win=500)),
    sector(4, None),
    otherwise=points(10),
    into=house_points,
    product="casino",
    plays=250,
    budget=100_000,
    pause=seconds(0),
    budget_minor=5_000,
    guarantee=after(3, points(40)),
)


@player_mission(
    step("slots", distinct(RoundCompleted, "game_id", name="mission_games"), 3),
    gives=points(200),
    into=house_points,
    product="casino",
    budget=500,
    opt_in=True,
    again=week,
    claim=days(3),
)
def three_games(player: Statistics) -> bool:
    """Play three different games this week."""
    return not player.quiet(RoundCompleted, days(400))


@journey(on(DepositApproved), entry=always, ends_after=days(1))
async def thanks(player: Player, _deposit: DepositApproved) -> None:
    """Fifty points for a deposit."""
    if await player.award(points(50), into=house_points):
        await player.mark("thanked")


@journey(on(ContentViewed), entry=always, ends_after=days(1))
async def invited(player: Player, _viewed: ContentViewed) -> None:
    """A mission, and a word of it to who is not through with it."""
    match await player.award(mission("three_games")):
        case NotAwarded(reason=reason):
            await player.mark("not_invited", reason=reason)
        case _:
            await player.mark("invited")


@journey(on(ContactVerified), entry=always, ends_after=days(5))
async def lucky(player: Player, _verified: ContactVerified) -> None:
    """A spin for a verified address."""
    match await player.spin(daily, within=days(2)):
        case Spun(prize, proof):
            await player.mark("spun", points=prize.awarded_points if prize else 0, proof=proof)
        case Unplayed():
            await player.mark("unplayed")
        case NotAwarded(reason):
            await player.mark("withheld", reason=reason)


@journey(on(KycChanged), entry=always, ends_after=days(1))
async def doubled(player: Player, _checked: KycChanged) -> None:
    """Two hours in which points count double, and tickets."""
    await player.multiply(house_points, by=2, during=hours(2))
    await player.award(raffle_ticket("spring", 2))
