"""The house's own program: points for play, six tiers, ten missions, a wheel a day, a raffle a week.

`JOURNEYS=workflows.programs.casino`. It gives points, badges and tickets and no money, so it is safe under every
policy that is shipped. The weekly race is paid in the same points: name both. A shop belongs beside it.
"""

from workflows import (
    ContactVerified,
    DepositApproved,
    FeedbackAnswered,
    LimitChanged,
    RoundCompleted,
    Statistics,
    at_least,
    badge,
    collection,
    count,
    currency,
    days,
    distinct,
    earn,
    ladder,
    month,
    piece,
    player_mission,
    points,
    raffle,
    raffle_ticket,
    sector,
    step,
    tier,
    total,
    week,
    wheel,
)

house_points = currency("house_points", expires=days(365))

# ---- points and tiers -------------------------------------------------------------------------

wagered = earn(
    house_points,
    RoundCompleted,
    "stake_minor",
    rate=(1, 1_000),
    weights={"slot": 100, "crash": 50, "bingo": 50, "virtual": 50, "live": 20, "poker": 20, "table": 15},
    most=5_000,
    product="casino",
    name="wagered",
)

staked_90d = total(RoundCompleted, "stake_minor", last=days(90))
house = ladder(
    "house",
    by=count(DepositApproved),
    tiers=[
        tier("bronze", 1),
        tier("silver", 10),
        tier("gold", 50),
        tier("platinum", 100),
        tier("diamond", 250),
        tier("black", 600),
    ],
    keeps={
        "gold": at_least(staked_90d, 500_000),
        "platinum": at_least(staked_90d, 1_500_000),
        "diamond": at_least(staked_90d, 5_000_000),
        "black": at_least(staked_90d, 10_000_000),
    },
    warn=days(14),
    safe_after_up=days(90),
)

# ---- a wheel a day, a raffle a week -----------------------------------------------------------

weekly_draw = raffle(
    "weekly_draw",
    (1, points(5_000)),
    (10, points(500)),
    (100, points(50)),
    into=house_points,
    product="casino",
    each=week,
)
daily_wheel = wheel(
    "daily_wheel",
    sector(500, points(10)),
    sector(250, points(20)),
    sector(150, raffle_ticket("weekly_draw")),
    sector(99, points(100)),
    sector(1, points(2_500), stock=5),
    otherwise=points(10),
    into=house_points,
    product="casino",
    budget=1_000_000,
    words={"en": "The wheel of the day", "ru": "Колесо дня", "uk": "Колесо дня"},
)

# ---- ten missions -----------------------------------------------------------------------------

A_WEEK, A_PRIZE = 1_000_000, 200
garden = collection("garden", pieces=["bud", "leaf", "flower"], gives=badge("gardener"))


def on_slots(played: RoundCompleted) -> bool:
    """Whether a round was played on a slot."""
    return played.category == "slot"


def at_live_tables(played: RoundCompleted) -> bool:
    """Whether a round was played at a live table."""
    return played.category == "live"


def at_tables(played: RoundCompleted) -> bool:
    """Whether a round was played at a table without a dealer."""
    return played.category == "table"


def tighter(limit: LimitChanged) -> bool:
    """Whether a limit was made tighter."""
    return limit.direction == "tighter"


@player_mission(
    step("games", distinct(RoundCompleted, "game_id", name="mission_games"), 3),
    gives=points(A_PRIZE),
    into=house_points,
    product="casino",
    budget=A_WEEK,
    opt_in=True,
    again=week,
    words={"ru": "Сыграйте на этой неделе в три разные игры.", "uk": "Зіграйте цього тижня в три різні гри."},
)
def three_games(_player: Statistics) -> bool:
    """Play three different games this week."""
    return True


@player_mission(
    step("slots", distinct(RoundCompleted, "game_id", where=on_slots, name="mission_slots"), 5),
    gives=points(A_PRIZE),
    into=house_points,
    product="casino",
    budget=A_WEEK,
    opt_in=True,
    again=month,
    words={"ru": "Попробуйте в этом месяце пять разных слотов.", "uk": "Спробуйте цього місяця п’ять різних слотів."},
)
def five_slots(_player: Statistics) -> bool:
    """Try five different slots this month."""
    return True


@player_mission(
    step("tables", distinct(RoundCompleted, "game_id", where=at_live_tables, name="mission_live"), 3),
    gives=points(A_PRIZE),
    into=house_points,
    product="casino",
    budget=A_WEEK,
    opt_in=True,
    again=month,
    words={"ru": "Загляните в этом месяце за три живых стола.", "uk": "Завітайте цього місяця за три живі столи."},
)
def three_live_tables(_player: Statistics) -> bool:
    """Look in at three live tables this month."""
    return True


@player_mission(
    step("kinds", distinct(RoundCompleted, "category", name="mission_kinds"), 4),
    gives=badge("explorer"),
    product="casino",
    words={"ru": "Сыграйте в игры четырёх видов.", "uk": "Зіграйте в ігри чотирьох видів."},
)
def four_kinds(_player: Statistics) -> bool:
    """Play games of four kinds."""
    return True


@player_mission(
    step("address", count(ContactVerified), 1),
    gives=badge("reachable"),
    product="casino",
    words={"ru": "Подтвердите адрес или телефон.", "uk": "Підтвердьте адресу або телефон."},
)
def confirmed_address(_player: Statistics) -> bool:
    """Confirm an address or a telephone."""
    return True


@player_mission(
    step("limit", count(LimitChanged, where=tighter, name="mission_limits"), 1),
    gives=badge("in_control"),
    product="casino",
    words={"ru": "Установите себе лимит.", "uk": "Встановіть собі ліміт."},
)
def own_limit(_player: Statistics) -> bool:
    """Set a limit of your own: worth a badge and never points."""
    return True


@player_mission(
    step("answer", count(FeedbackAnswered), 1),
    gives=badge("heard"),
    product="casino",
    words={
        "ru": "Ответьте на вопрос, что бы вы ни думали.",
        "uk": "Дайте відповідь на запитання, хоч би що ви думали.",
    },
)
def your_voice(_player: Statistics) -> bool:
    """Answer a question, whatever you think: the journey that asks gives the points, and nobody gets them twice."""
    return True


@player_mission(
    step("slot", count(RoundCompleted, where=on_slots, name="mission_slot"), 1),
    gives=piece(garden, "bud"),
    product="casino",
    words={"ru": "Бутон: один раунд на слоте.", "uk": "Брунька: один раунд на слоті."},
)
def first_bud(_player: Statistics) -> bool:
    """The bud: one round on a slot."""
    return True


@player_mission(
    step("table", count(RoundCompleted, where=at_tables, name="mission_table"), 1),
    gives=piece(garden, "leaf"),
    product="casino",
    after=[first_bud],
    words={"ru": "Лист: один раунд за столом.", "uk": "Листок: один раунд за столом."},
)
def then_leaf(_player: Statistics) -> bool:
    """The leaf: one round at a table."""
    return True


@player_mission(
    step("live", count(RoundCompleted, where=at_live_tables, name="mission_live_round"), 1),
    gives=piece(garden, "flower"),
    product="casino",
    after=[then_leaf],
    words={"ru": "Цветок: один раунд за живым столом.", "uk": "Квітка: один раунд за живим столом."},
)
def then_flower(_player: Statistics) -> bool:
    """The flower: one round at a live table."""
    return True
