"""Followers count what is committed, once, whoever commits late, dies or starts again."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import text

from activities.database import Database
from activities.figures.followers import EventFollower, JourneyFollower, RewardFollower, catch_up, close_day, cursor_of
from activities.figures.journey_reading import CountQuery, day_counts, place_counts
from activities.figures.player_days import COLUMNS, TYPES
from activities.intake.intake import Intake
from activities.step_log import record_steps
from activities.tables import events, journey_places, player_days, run_places, runs
from tests.support.engine import BRAND, NOON, Casino, Row, begin_run, connected, declared, execute, rows
from workflows import DepositApproved, DepositFailed, Player, SessionLogin, always, days, goal, journey, on
from workflows.effects import Mark
from workflows.events import (
    CATALOGUE,
    BetPlaced,
    BetSettled,
    Event,
    HarmSignal,
    PaymentReversed,
    PlayerRegistered,
    RewardCompleted,
    RewardExpired,
    RoundCompleted,
    RoundVoided,
    WithdrawalCompleted,
)
from workflows.figures.journey_figures import arms_of, steps_of
from workflows.gate.facts import holdout_place
from workflows.gate.policy import policy
from workflows.gate.policy_book import PolicyBook
from workflows.rules.index import RuleIndex

DAY = timedelta(days=1)
#: Drawn from for a day's life of a player.
KINDS: tuple[type[Event], ...] = (
    *(SessionLogin, DepositApproved, RoundCompleted, RoundVoided, BetPlaced, BetSettled),
    *(PaymentReversed, WithdrawalCompleted, RewardCompleted, RewardExpired, HarmSignal, PlayerRegistered),
)


@journey(on(DepositFailed), entry=always, ends_after=days(30), control=40, goal=goal(DepositApproved, within=days(7)))
async def numbered(player: Player, failed: DepositFailed) -> None:
    """Begins with each deposit that fails; some are watched only."""


JOURNEYS = declared(numbered, listens=[DepositFailed, DepositApproved])


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    """Players of the same names in every run, so that each falls into the same arm and is held out or not."""
    return Casino(Intake(database, RuleIndex(JOURNEYS)), mark="named")


def amounts(event: Event, random: Random) -> Row:
    """Amounts of this event that are no example's."""
    fields = ("amount_minor", "stake_minor", "win_minor", "payout_minor", "cost_minor", "fee_minor")
    return {name: random.randint(1, 9_999) for name in fields if name in type(event).model_fields}


def reckoned(stored: list[Row]) -> dict[tuple[str, date, str], dict[str, int]]:
    """The days of players by a second way: event by event, in Python."""
    found: dict[tuple[str, date, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    for row in stored:
        data, kind = row["data"], row["type"]
        if kind not in TYPES:
            continue
        at = datetime.fromisoformat(data["played_at"]) if kind == "game.round_voided" else row["occurred_at"]
        day = found[row["player_id"], at.astimezone(UTC).date(), data.get("currency") or ""]
        match kind:
            case "player.registered":
                day["registered"] += 1
            case "session.login":
                day["logins"] += 1
            case "payment.deposit_approved":
                day["deposits"] += 1
                day["deposited"] += data["amount_minor"]
                day["fees"] += data.get("fee_minor", 0)
            case "payment.reversed":
                of_deposit = data.get("of", "deposit") == "deposit"
                day["reversed" if of_deposit else "withdrawn"] += data["amount_minor"] * (1 if of_deposit else -1)
            case "payment.withdrawal_completed":
                day["withdrawn"] += data["amount_minor"]
            case "game.round_completed" | "game.round_voided":
                sign = 1 if kind == "game.round_completed" else -1
                day["rounds"] += sign
                day["staked"] += sign * data["stake_minor"]
                day["won"] += sign * data.get("win_minor", 0)
            case "sport.bet_placed":
                day["bets"] += 1
                day["bet_staked"] += 0 if data.get("freebet_grant_id") else data["stake_minor"]
            case "sport.bet_settled":
                day["bet_paid"] += data["payout_minor"]
            case "compliance.harm_signal":
                day["harm_signals"] += 1
            case _:
                day["reward_ends"] += 1
                day["bonus_cost"] += data.get("cost_minor", 0)
    return found


async def folded(database: Database) -> dict[tuple[str, date, str], dict[str, int]]:
    found: dict[tuple[str, date, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    for row in await rows(database, player_days, brand=BRAND):
        for column in COLUMNS:
            found[row["player_id"], row["day"], row["currency"]][column] += row[column]
    return found


async def live_through(casino: Casino, players: int, happenings: int, seed: int) -> None:
    """Have much happen to some players over a week."""
    random = Random(seed)
    batch = []
    for _ in range(happenings):
        player, kind = casino.player(f"p{random.randrange(players)}"), random.choice(KINDS)
        event = casino.event(kind, occurred_at=NOON - random.random() * 7 * DAY)
        batch.append((player, event.model_copy(update=amounts(event, random))))
    for begin in range(0, len(batch), 37):
        await casino.intake.ingest(BRAND, batch[begin : begin + 37], NOON)


class TestDaysOfPlayers:
    def test_every_type_that_counts_is_one_of_the_catalogue(self) -> None:
        assert {*TYPES} <= {kind.type for kind in CATALOGUE.values()}

    async def test_they_are_what_a_second_reckoning_finds(self, database: Database, casino: Casino) -> None:
        await live_through(casino, players=7, happenings=400, seed=4)
        await catch_up(EventFollower(database, at_once=61))
        stored = [row for row in await rows_of_events(database) if row["brand"] == BRAND]
        assert await folded(database) == reckoned(stored)

    async def test_counting_again_adds_nothing(self, database: Database, casino: Casino) -> None:
        await casino.happens(casino.player(), DepositApproved)
        await catch_up(EventFollower(database))
        before = await rows(database, player_days)
        await catch_up(EventFollower(database))
        assert await rows(database, player_days) == before

    async def test_two_processes_count_each_event_once(self, database: Database, casino: Casino) -> None:
        await live_through(casino, players=3, happenings=200, seed=5)
        await asyncio.gather(*(catch_up(EventFollower(database, at_once=10)) for _ in range(3)))
        await catch_up(EventFollower(database))
        stored = [row for row in await rows_of_events(database) if row["brand"] == BRAND]
        assert await folded(database) == reckoned(stored)

    async def test_one_that_is_cut_off_has_counted_nothing(
        self, database: Database, casino: Casino, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await casino.happens(casino.player(), DepositApproved)
        monkeypatch.setattr("activities.figures.followers._move", _cut_off)
        with pytest.raises(ConnectionError):
            await catch_up(EventFollower(database))
        assert await rows(database, player_days) == []
        monkeypatch.undo()
        await catch_up(EventFollower(database))
        assert len(await rows(database, player_days)) == 1

    async def test_what_comes_after_a_day_was_closed_is_known_on_the_next(
        self, database: Database, casino: Casino
    ) -> None:
        player = casino.player()
        await casino.happens(player, SessionLogin)
        await catch_up(EventFollower(database), RewardFollower(database))
        (known,) = await rows(database, player_days)
        today = known["known_on"]
        async with database.transaction() as connection:
            assert not await close_day(connection, today), "More may come today."
        later = "UPDATE followers SET as_of = as_of + interval '1 day' WHERE name = :name"
        await execute(database, later, name="events")
        async with database.transaction() as connection:
            assert not await close_day(connection, today), "What was told of rewards may not be noted yet."
        await execute(database, later, name="rewards")
        async with database.transaction() as connection:
            assert await close_day(connection, today)
        await casino.happens(player, SessionLogin)
        await catch_up(EventFollower(database))
        assert [row["known_on"] for row in await rows(database, player_days)] == [today, today + DAY]


class TestLateCommits:
    async def test_an_event_that_is_committed_late_is_not_passed_by(self, database: Database, casino: Casino) -> None:
        late, early = casino.player("late"), casino.player("early")
        follower = EventFollower(database)
        async with connected(database.url.replace("+psycopg", "")) as other, other.transaction() as connection:
            await connection.execute(text(INSERT), {"player": late})
            await casino.happens(early, SessionLogin)
            async with database.reading() as reading:
                seqs = {row.player_id: row.seq for row in await reading.execute(text(SEQS))}
            assert late not in seqs, "It is not committed, and"
            for _ in range(3):
                assert await follower.count_once() is None, "nobody may pass it by."
            async with database.reading() as reading:
                assert (await cursor_of(reading, "events")).seq == 0
        async with database.reading() as reading:
            seqs = {row.player_id: row.seq for row in await reading.execute(text(SEQS))}
        assert seqs[late] < seqs[early], "Its number is the lower one."
        await catch_up(follower)
        assert {row["player_id"] for row in await rows(database, player_days)} == {late, early}

    async def test_a_counter_by_number_alone_would_have_passed_it_by(self, database: Database, casino: Casino) -> None:
        late, early = casino.player("late"), casino.player("early")
        async with connected(database.url.replace("+psycopg", "")) as other, other.transaction() as connection:
            await connection.execute(text(INSERT), {"player": late})
            await casino.happens(early, SessionLogin)
            async with database.reading() as reading:
                naive = (await reading.execute(text("SELECT max(seq) FROM events"))).scalar_one()
        async with database.reading() as reading:
            passed = (
                await reading.execute(text("SELECT player_id FROM events WHERE seq < :n"), {"n": naive})
            ).scalars()
            assert late in [*passed]

    async def test_one_that_is_rolled_back_holds_nobody_up(self, database: Database, casino: Casino) -> None:
        follower = EventFollower(database)
        async with connected(database.url.replace("+psycopg", "")) as other:
            async with other.reading() as connection:
                await connection.execute(text(INSERT), {"player": casino.player("never")})
                await casino.happens(casino.player("early"), SessionLogin)
                assert await follower.count_once() is None
            await catch_up(follower)
        assert len(await rows(database, player_days)) == 1

    async def test_who_only_reads_holds_nobody_up(self, database: Database, casino: Casino) -> None:
        async with database.reading() as connection:
            await connection.execute(text("SELECT count(*) FROM events"))
            await casino.happens(casino.player(), SessionLogin)
            assert await EventFollower(database).count_once() is True

    async def test_what_was_proven_before_is_counted_while_somebody_is_late(
        self, database: Database, casino: Casino
    ) -> None:
        follower = EventFollower(database)
        await casino.happens(casino.player("first"), SessionLogin)
        assert await follower.count_once() is True
        async with connected(database.url.replace("+psycopg", "")) as other, other.transaction() as connection:
            await connection.execute(text(INSERT), {"player": casino.player("late")})
            await casino.happens(casino.player("second"), SessionLogin)
            assert await follower.count_once() is False
        await catch_up(follower)
        assert len(await rows(database, player_days)) == 3

    async def test_rows_that_stand_apart_are_waited_for(self, database: Database, casino: Casino) -> None:
        await casino.happens(casino.player(), SessionLogin)
        await execute(database, "CREATE TABLE events_displaced (LIKE events)")
        assert await EventFollower(database).count_once() is None
        await execute(database, "DROP TABLE events_displaced")
        assert await EventFollower(database).count_once() is True


class TestJourneys:
    async def test_entries_goals_and_ends_are_what_the_books_say(self, database: Database, casino: Casino) -> None:
        players = [casino.player(f"p{n}") for n in range(40)]
        for number, player in enumerate(players):
            await casino.happens(player, DepositFailed)
            if number % 3 == 0:
                await casino.happens(player, DepositApproved)
        casino.clock.later(31 * DAY)
        for player in players[:10]:
            await casino.happens(player, SessionLogin)
        await catch_up(JourneyFollower(database, at_once=7))
        async with database.reading() as connection:
            counts = await day_counts(connection, BRAND, CountQuery("numbered"))
            places = await place_counts(connection, BRAND, "numbered")
        arms, books = arms_of(counts, places), await rows(database, runs, journey="numbered")
        for arm in ("treated", "control"):
            mine = [row for row in books if row["arm"] == arm]
            assert arms[arm].entered == len(mine) > 0
            assert arms[arm].goals == sum(row["goal_at"] is not None for row in mine) > 0
            assert arms[arm].active == sum(row["state"] == "active" for row in mine)
            assert arms[arm].exits == Counter(row["outcome"] for row in mine if row["state"] == "ended")

    async def test_runs_of_the_holdout_are_neither_treated_nor_control(
        self, database: Database, casino: Casino
    ) -> None:
        held_out = PolicyBook(own=(policy("ours", since=date(2020, 1, 1), brand=BRAND, holdout=50),))
        policed = Casino(Intake(database, RuleIndex(JOURNEYS).under(held_out)), casino.clock, casino.mark)
        players = [policed.player(f"p{n}") for n in range(40)]
        for player in players:
            await policed.happens(player, DepositFailed)
        away = {one for one in players if holdout_place(BRAND, one) < 50}
        await catch_up(JourneyFollower(database))
        # What comes later is of the same arm, also when nobody is held out any more.
        policed.intake = casino.intake
        for player in players:
            await policed.happens(player, DepositApproved)
        await catch_up(JourneyFollower(database))
        async with database.reading() as connection:
            counts = await day_counts(connection, BRAND, CountQuery("numbered"))
            places = await place_counts(connection, BRAND, "numbered")
        arms = arms_of(counts, places)
        assert (arms["holdout"].entered, arms["holdout"].active, arms["holdout"].goals) == (len(away),) * 3
        assert arms["treated"].entered + arms["control"].entered == len(players) - len(away) > 0

    async def test_a_run_says_with_which_probability_its_arm_was_drawn(
        self, database: Database, casino: Casino
    ) -> None:
        for number in range(20):
            await casino.happens(casino.player(f"p{number}"), DepositFailed)
        found = {(row["arm"], row["arm_share"]) for row in await rows(database, runs, journey="numbered")}
        assert found == {("treated", 0.6), ("control", 0.4)}

    async def test_steps_are_counted_once_and_who_stands_where_is_exact(self, database: Database) -> None:
        ids = [f"stepped:{BRAND}:p-{n}:1" for n in range(3)]
        for run_id in ids:
            await begin_run(database, run_id)
        await reach(database, ids[0], "send:hello#1", "send:guide#1")
        await reach(database, ids[1], "send:hello#1")
        await catch_up(JourneyFollower(database))
        await catch_up(JourneyFollower(database))
        async with database.reading() as connection:
            counts = await day_counts(connection, BRAND, CountQuery("stepped"))
            places = await place_counts(connection, BRAND, "stepped")
        steps = {one.step: (one.passed, one.here) for one in steps_of(counts, places)}
        assert steps == {"send:hello#1": (2, 1), "send:guide#1": (1, 1)}
        assert arms_of(counts, places)["treated"].active == 3

    async def test_a_run_that_ends_leaves_its_place(self, database: Database) -> None:
        run_id = f"leaving:{BRAND}:p-1:1"
        await begin_run(database, run_id)
        await reach(database, run_id, "send:hello#1")
        await catch_up(JourneyFollower(database))
        await execute(database, "UPDATE runs SET state = 'ended', outcome = 'completed', ended_at = now()")
        await catch_up(JourneyFollower(database))
        assert await rows(database, run_places) == []
        assert {row["runs"] for row in await rows(database, journey_places)} == {0}

    async def test_a_step_that_is_committed_late_is_counted(self, database: Database) -> None:
        first, second = f"late:{BRAND}:p-1:1", f"late:{BRAND}:p-2:1"
        for run_id in (first, second):
            await begin_run(database, run_id)
        follower = JourneyFollower(database)
        await catch_up(follower)
        async with connected(database.url.replace("+psycopg", "")) as other, other.transaction() as connection:
            await record_steps(connection, mark(first, "send:hello#1"), NOON, "marked")
            await reach(database, second, "send:hello#1")
            for _ in range(3):
                await follower.count_once()
        await catch_up(follower)
        async with database.reading() as connection:
            (step,) = steps_of(await day_counts(connection, BRAND, CountQuery("late")))
        assert step.passed == 2

    async def test_segments_at_entry_and_parts_of_a_split_are_counted_apart(self, database: Database) -> None:
        for number, part in enumerate(("warm", "warm", "short")):
            run_id = f"parted:{BRAND}:p-{number}:1"
            await begin_run(database, run_id)
            await execute(
                database, "UPDATE runs SET segments = '{gold}' WHERE id = :id AND :gold", id=run_id, gold=number > 0
            )
            await reach(database, run_id, "split:tone#1", outcome=part)
            await reach(database, run_id, "send:hello#1", outcome="sent")
        await execute(database, "UPDATE runs SET goal_at = now() WHERE player_id IN ('p-0', 'p-2')")
        await catch_up(JourneyFollower(database))
        async with database.reading() as connection:
            tones = await day_counts(connection, BRAND, CountQuery("parted", split_by="split:tone"))
            gold = await day_counts(connection, BRAND, CountQuery("parted", split_by="segment"))
        by_tone = {part: arms_of([r for r in tones if r.part == part])["treated"] for part in ("warm", "short")}
        assert {part: (arm.entered, arm.sent, arm.goals) for part, arm in by_tone.items()} == {
            "warm": (2, 2, 1),
            "short": (1, 1, 1),
        }
        assert (arms_of(gold)["treated"].entered, arms_of(gold)["treated"].goals) == (2, 1)


async def rows_of_events(database: Database) -> list[Row]:
    async with database.reading() as connection:
        return [dict(row._mapping) for row in await connection.execute(events.select())]


async def _cut_off(*_: object) -> None:
    raise ConnectionError


def mark(run_id: str, step: str) -> Mark:
    journey_name, brand, player, _ = run_id.split(":")
    return Mark(brand=brand, player_id=player, journey=journey_name, run_id=run_id, step=step, name="x")


async def reach(database: Database, run_id: str, *steps: str, outcome: str = "marked") -> None:
    async with database.transaction() as connection:
        for step in steps:
            await record_steps(connection, mark(run_id, step), NOON, outcome)


INSERT = """
    INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, data)
    VALUES ('acme', '/late', 'late', nextval('event_ids_seq_seq'), 'session.login', :player, now(), '{}')
"""
SEQS = "SELECT player_id, seq FROM events"
