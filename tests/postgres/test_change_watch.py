"""What has changed, found on Postgres and told to people: a task about a player, a mail about the rest, once."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from temporalio.exceptions import ApplicationError

from activities.database import Database
from activities.found_changes import list_changes
from activities.loops.change_watch import (
    ChangeWatch,
    deliveries_that_fell,
    groups_that_moved,
    scores_that_are_off,
    top_paces,
)
from activities.providers.adapter import ChannelUnavailable, Delivered, OutgoingMessage
from activities.score_trainings import Training, note_training
from activities.settings import Settings
from activities.tables import changes, score_models, tasks
from learning.closed_windows import ClosedWindow
from tests.support.engine import BRAND, NOON, Casino, connected, declared, execute, rows
from workflows import DepositFailed, ExclusionSet, Player, always, days, journey, on
from workflows.source.journey_loading import Registry

TODAY = NOON.date()
DAY = timedelta(days=1)
STOPPED = {"daily": "Nobody has entered daily for 2 days; about 20 a day are usual."}


@journey(on(DepositFailed), entry=always, ends_after=days(30))
async def daily(player: Player, failed: DepositFailed) -> None:
    """Begins with each deposit that fails."""


class Post:
    """Takes mails over, as a provider would, unless it is away."""

    keeps_keys = True

    def __init__(self) -> None:
        self.taken: list[OutgoingMessage] = []
        self.away = False

    async def deliver(self, message: OutgoingMessage, now: datetime) -> Delivered:  # noqa: ARG002 - an adapter's
        if self.away:
            raise ChannelUnavailable("away")
        self.taken.append(message)
        return Delivered(message.key)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        for name in ("events", "journeys"):
            counted = "INSERT INTO followers (name, as_of) VALUES (:name, :at)"
            await execute(database, counted, name=name, at=NOON)
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, declared(daily))


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def watch(database: Database, casino: Casino, post: Post) -> ChangeWatch:
    settings = Settings(database_url=database.url, report_recipients={BRAND: ("olena@example.com",)})
    return ChangeWatch(database, Registry(declared(daily), (), {}), post, settings, casino.clock)


async def entered(database: Database, *, silent: int, brand: str = BRAND) -> None:
    """Twenty players entered a journey on each of sixty days, and nobody in the newest."""
    await execute(
        database,
        "INSERT INTO journey_days "
        "(brand, journey, day, version, arm, split_by, part, step, what, reason, currency, runs) "
        "SELECT :brand, 'daily', CAST(:today AS date) - n, 0, 'treated', '', '', '', 'entered', '', '', 20 "
        "FROM generate_series(CAST(:silent AS int) + 1, 60) n",
        brand=brand,
        today=TODAY,
        silent=silent,
    )


async def test_a_journey_that_nobody_enters_any_more_is_mailed_once(
    database: Database, casino: Casino, watch: ChangeWatch, post: Post
) -> None:
    await casino.registers(casino.player())
    await entered(database, silent=2)
    assert (await watch.look())["entries"] == 1
    (mail,) = post.taken
    assert mail.to == "olena@example.com"
    assert STOPPED["daily"] in mail.body
    casino.clock.later(DAY)
    await execute(database, "UPDATE followers SET as_of = as_of + interval '1 day'")
    assert (await watch.look()).get("entries", 0) == 0
    assert len(post.taken) == 1
    assert len(await rows(database, changes)) == 1


async def test_what_could_not_be_mailed_is_mailed_the_next_time(
    database: Database, casino: Casino, watch: ChangeWatch, post: Post
) -> None:
    await casino.registers(casino.player())
    await entered(database, silent=2)
    behind = 'INSERT INTO players SELECT (jsonb_populate_record(p, \'{"brand": "zz-behind"}\')).* FROM players p'
    await execute(database, behind)
    await entered(database, silent=2, brand="zz-behind")
    post.away = True
    with pytest.raises(ApplicationError, match=f"{BRAND}: away"):
        await watch.look()
    assert {row["brand"] for row in await rows(database, changes)} == {BRAND, "zz-behind"}, "each brand by itself"
    post.away = False
    await watch.look()
    assert [STOPPED["daily"] in one.body for one in post.taken] == [True]
    async with database.reading() as connection:
        assert await list_changes(connection, BRAND, TODAY - DAY, untold=True) == []
        assert [one.subject for _, one in await list_changes(connection, BRAND, TODAY - DAY)] == ["daily"]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO journey_controls (brand, journey, closed) VALUES (:brand, 'daily', true)",
        "UPDATE followers SET as_of = as_of - interval '1 day' WHERE name = 'journeys' AND :brand <> ''",
    ],
    ids=["it is closed", "not all is counted"],
)
async def test_a_journey_is_not_missed_where(
    database: Database, casino: Casino, watch: ChangeWatch, statement: str
) -> None:
    await casino.registers(casino.player())
    await entered(database, silent=2)
    await execute(database, statement, brand=BRAND)
    assert (await watch.look()).get("entries", 0) == 0


async def test_a_top_player_who_stays_away_is_a_task_and_one_who_deposits_more_is_one_of_protection(
    database: Database, casino: Casino, watch: ChangeWatch
) -> None:
    paces = {"away": (13, 0), "eager": (13, 70), "steady": (13, 13), "objects": (13, 0)}
    players = {name: casino.player(name) for name in paces}
    for name, (usual, lately) in paces.items():
        await casino.registers(players[name])
        await execute(database, _PACE, brand=BRAND, player=players[name], today=TODAY, usual=usual, lately=lately)
    objected = "UPDATE players SET state = jsonb_set(state, '{consents}', CAST(:said AS jsonb)) WHERE id = :player"
    await execute(database, objected, said='{"profiling": [false, 0]}', player=players["objects"])
    assert (await watch.look())["player"] == 2
    opened = {row["player_id"]: row for row in await rows(database, tasks)}
    assert {player: row["form"] for player, row in opened.items()} == {
        players["away"]: "PortfolioReview",
        players["eager"]: "SpendReview",
    }
    assert opened[players["away"]]["reason"] == "0 deposits in 15 days; 13 are usual for this player."
    assert (await watch.look())["player"] == 0, "The same is asked once."


async def test_nobody_is_sent_after_a_player_who_is_protected(
    database: Database, casino: Casino, watch: ChangeWatch
) -> None:
    paces = {"excluded": (13, 0), "eager": (13, 70), "steady": (13, 13)}
    players = {name: casino.player(name) for name in paces}
    for name, (usual, lately) in paces.items():
        await casino.registers(players[name])
        await execute(database, _PACE, brand=BRAND, player=players[name], today=TODAY, usual=usual, lately=lately)
    for name in ("excluded", "eager"):
        await casino.happens(players[name], ExclusionSet, kind="self_exclusion", until=None)
    assert (await watch.look())["player"] == 1
    (opened,) = await rows(database, tasks)
    assert (opened["player_id"], opened["form"]) == (players["eager"], "SpendReview")


async def test_a_player_is_asked_about_once_in_four_weeks_whichever_day_they_begin(
    database: Database, casino: Casino, watch: ChangeWatch
) -> None:
    casino.clock.now = NOON - ((TODAY.toordinal() + 1) % 28) * DAY
    await execute(database, "UPDATE followers SET as_of = as_of + interval '28 days'")
    player = casino.player()
    await casino.registers(player)
    day = casino.clock.now.date()
    await execute(database, _PACE, brand=BRAND, player=player, today=day, usual=13, lately=0)
    assert (await watch.look())["player"] == 1
    casino.clock.later(DAY)
    assert (await watch.look())["player"] == 0
    await execute(database, "UPDATE tasks SET created_at = created_at - interval '28 days'")
    assert (await watch.look())["player"] == 1


async def test_words_that_are_still_to_come_of_yesterday_are_missed_on_no_day(database: Database) -> None:
    for ago in range(1, 16):
        given = {"brand": BRAND, "channel": "email", "at": NOON - ago * DAY, "arrived": 95, "ago": ago}
        await execute(database, _SENT, **given)
    late = "UPDATE messages SET arrived_at = CASE WHEN handed_over_at < :day THEN arrived_at + interval '8 hours' END"
    await execute(database, f"{late} WHERE CAST(right(player_id, 1) AS int) < 2", day=NOON - DAY)
    async with database.reading() as connection:
        assert await deliveries_that_fell(connection, BRAND, TODAY) == []


async def test_a_channel_whose_messages_arrive_less_often_is_found(database: Database) -> None:
    for ago in range(1, 16):
        for channel, arrived in (("email", 60 if ago == 1 else 95), ("push", 95)):
            given = {"brand": BRAND, "channel": channel, "at": NOON - ago * DAY, "arrived": arrived, "ago": ago}
            await execute(database, _SENT, **given)
    async with database.reading() as connection:
        (found,) = await deliveries_that_fell(connection, BRAND, TODAY)
    assert (found.kind, found.subject) == ("delivery", "email")
    assert found.says == "Of 100 messages by email yesterday 60 % arrived; 95 % are usual. Ask its provider."


async def test_a_group_that_grows_is_found(database: Database) -> None:
    monday = TODAY - timedelta(days=TODAY.weekday())
    for week in range(1, 13):
        middle = 70 if week == 1 else 40
        await execute(database, _WEEK, brand=BRAND, monday=monday - week * 7 * DAY, middle=middle)
    async with database.reading() as connection:
        found = await groups_that_moved(connection, BRAND, TODAY)
    assert "middle" in {one.subject for one in found}
    assert "weekend" not in {one.subject for one in found}


async def test_what_is_much_is_told_by_currency(database: Database) -> None:
    """Five times as many come who deposit in a currency of small units: that is no change of what is much."""
    monday = TODAY - timedelta(days=TODAY.weekday())
    yen = (
        _WEEK.replace("'EUR'", "'JPY'").replace("'w-'", "'y-'").replace("90000", "13500000").replace("20000", "3000000")
    )
    for week in range(1, 13):
        given = {"brand": BRAND, "monday": monday - week * 7 * DAY, "middle": 40}
        await execute(database, _WEEK, **given)
        await execute(database, yen + ("" if week == 1 else " WHERE n % 5 = 0"), **given)
    async with database.reading() as connection:
        assert await groups_that_moved(connection, BRAND, TODAY) == []


async def test_a_currency_that_is_new_is_no_change_of_what_is_much(database: Database) -> None:
    monday = TODAY - timedelta(days=TODAY.weekday())
    for week in range(1, 13):
        await execute(database, _WEEK, brand=BRAND, monday=monday - week * 7 * DAY, middle=40)
    new = _WEEK.replace("'EUR'", "'JPY'").replace("'w-'", "'y-'").replace(" THEN ", " THEN 1000 * ")
    await execute(database, new, brand=BRAND, monday=monday - 7 * DAY, middle=40)
    async with database.reading() as connection:
        assert await groups_that_moved(connection, BRAND, TODAY) == []


async def test_top_players_stand_among_those_of_their_currency(database: Database) -> None:
    """Of 2,000 players of euros and 1,000 of yen the hundredth is 20 of the former and 10 of the latter."""
    await execute(
        database,
        "INSERT INTO players (brand, id) SELECT :brand, prefix || n FROM unnest(ARRAY['e-', 'y-']) prefix, "
        "generate_series(1, 2000) n WHERE prefix = 'e-' OR n <= 1000",
        brand=BRAND,
    )
    for currency, prefix, players, times in (("EUR", "e-", 2_000, 1), ("JPY", "y-", 1_000, 150)):
        given = {"brand": BRAND, "today": TODAY, "currency": currency, "prefix": prefix}
        await execute(database, _SUMS, **given, players=players, times=times)
    async with database.reading() as connection:
        found = await top_paces(connection, BRAND, TODAY)
    assert {*found} == {*(f"e-{n}" for n in range(1, 21)), *(f"y-{n}" for n in range(1, 11))}


async def test_a_score_whose_players_have_become_others_is_told_and_nothing_done(
    database: Database, casino: Casino, watch: ChangeWatch, post: Post
) -> None:
    await casino.registers(casino.player())
    for name, version, drift in (("churn", 1, 0.9), ("churn", 2, 0.04), ("value", 1, 0.14), ("vip", 1, 0.31)):
        given = {"brand": BRAND, "name": name, "version": version, "drift": f'{{"score": {drift}}}', "at": NOON}
        await execute(database, _MODEL, **given)
    assert (await watch.look())["score"] == 2
    (mail,) = post.taken
    assert "that value scored differ from those its model was judged on: 0.14" in mail.body
    assert "too much; it is used." in mail.body
    assert "that vip scored" in mail.body
    assert "it is not used any more until the next is learned." in mail.body
    assert {row["state"] for row in await rows(database, score_models)} == {"champion"}


async def test_a_model_that_was_wrong_in_two_windows_and_stayed_is_told(
    database: Database, casino: Casino, watch: ChangeWatch, post: Post
) -> None:
    await casino.registers(casino.player())
    newest = ClosedWindow(until=NOON, players=400, said=0.42, happened=0.55, off=0.12)
    both = [newest, newest.model_copy(update={"until": NOON - 30 * DAY})]
    once = [both[0], both[1].model_copy(update={"off": 0.02})]
    ranked = [one.model_copy(update={"said": 0.93, "happened": 0.81}) for one in both]
    given = [
        Training(BRAND, "churn", NOON, "shadow", "worse than v3", 4, 3, both),
        Training(BRAND, "vip", NOON, "shadow", "worse than v1", 2, 1, once),
        Training(BRAND, "value", NOON, "none", "too few", None, 7, ranked),
        Training("long-ago", "churn", NOON - 7 * DAY, "shadow", "worse than v1", 2, 1, both),
    ]
    async with database.transaction() as connection:
        for one in given:
            await note_training(connection, one)
            used = {"brand": one.brand, "name": one.name, "version": one.looked_at, "drift": "{}", "at": NOON}
            await connection.execute(text(_MODEL), used)
        assert await scores_that_are_off(connection, "long-ago", NOON.date()) == []
    assert (await watch.look())["score"] == 2
    (mail,) = post.taken
    assert "What churn v3 says of players was off 2 times in succession" in mail.body
    assert "it said 42 % and 55 % came true" in mail.body
    assert "it ranked players at a Gini of 0.81, and was judged at 0.93" in mail.body
    assert "vip" not in mail.body
    assert (await watch.look()).get("score", 0) == 0, "It is told once a week."


async def test_of_a_model_that_is_not_used_any_more_it_is_not_told_that_it_was_wrong(database: Database) -> None:
    """Its players became others the same night, or a worker of another release has learned a better one since."""
    newest = ClosedWindow(until=NOON, players=400, said=0.42, happened=0.55, off=0.12)
    async with database.transaction() as connection:
        for name, used in (("churn", None), ("vip", 2)):
            await note_training(connection, Training(BRAND, name, NOON, "none", "too few", None, 1, [newest, newest]))
            if used is not None:
                given = {"brand": BRAND, "name": name, "version": used, "drift": "{}", "at": NOON}
                await connection.execute(text(_MODEL), given)
        assert await scores_that_are_off(connection, BRAND, NOON.date()) == []


async def test_the_features_that_moved_are_named_and_one_that_moved_alone_stops_nothing(
    database: Database, casino: Casino, watch: ChangeWatch, post: Post
) -> None:
    await casino.registers(casino.player())
    for name, drift in (
        ("churn", '{"score": 0.14, "idle.days": 0.31, "gaps.mean": 0.12, "tenure.days": 0.05}'),
        ("value", '{"score": 0.02, "tenure.days": 0.4, "idle.days": 0.2}'),
        ("vip", '{"score": 0.02, "tenure.days": 0.24}'),
    ):
        await execute(database, _MODEL, brand=BRAND, name=name, version=1, drift=drift, at=NOON)
    assert (await watch.look())["score"] == 2
    (mail,) = post.taken
    assert "it is used. Moved most: idle.days 0.31, gaps.mean 0.12." in mail.body
    assert "that value scored differ from those its model was judged on in tenure.days 0.40, where" in mail.body
    assert "the scores themselves lie as before (0.02), so it is used." in mail.body
    assert "vip" not in mail.body


# What each player deposited in blocks of 15 days: the first ones most.
_SUMS = """
    INSERT INTO player_days (brand, player_id, day, currency, known_on, deposits, deposited)
    SELECT :brand, CAST(:prefix AS text) || p, CAST(:today AS date) - 1 - 15 * n, :currency,
           CAST(:today AS date) - 1 - 15 * n, 5, CAST(:times AS int) * (1000000 / p)
    FROM generate_series(0, 6) n, generate_series(1, CAST(:players AS int)) p
"""
_MODEL = """
    INSERT INTO score_models (brand, name, version, state, artifact, why, learned_at, drift, scored_at)
    VALUES (:brand, :name, :version, 'champion', '{}', 'made', :at, CAST(:drift AS jsonb), :at)
"""
# Deposits in each of six blocks of 15 days, and in the newest.
_PACE = """
    INSERT INTO player_days (brand, player_id, day, currency, known_on, deposits, deposited)
    SELECT :brand, :player, CAST(:today AS date) - 1 - 15 * n, 'EUR', CAST(:today AS date) - 1 - 15 * n,
           CASE WHEN n = 0 THEN CAST(:lately AS int) ELSE CAST(:usual AS int) + n % 3 - 1 END, 100000
    FROM generate_series(0, 6) n
"""
_SENT = """
    INSERT INTO messages (id, brand, player_id, run_id, step, journey, channel, template, message_class, status,
                          created_at, handed_over_at, arrived_at, decision)
    SELECT :channel || ':' || CAST(:ago AS int) || ':' || n, :brand, 'p-' || n, 'r', 's' || n, 'j', :channel, 't',
           'service', 'sent', :at, :at, CASE WHEN n <= :arrived THEN CAST(:at AS timestamptz) END, '{}'
    FROM generate_series(1, 100) n
"""
# A hundred depositors: `middle` of them between small and large ones.
_WEEK = """
    INSERT INTO player_days (brand, player_id, day, currency, known_on, deposits, deposited)
    SELECT :brand, 'w-' || n, CAST(:monday AS date), 'EUR', CAST(:monday AS date), 1,
           CASE WHEN n <= 5 THEN 90000 WHEN n <= 5 + CAST(:middle AS int) THEN 20000 ELSE 1000 END
    FROM generate_series(1, 100) n
"""
