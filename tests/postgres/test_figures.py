"""Figures as they are taken: what a second reckoning finds, as of a day, or why there is no number."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.database import Database
from activities.figures.figure_store import course_of, figures_of, newest_day, store
from activities.figures.figure_taking import FigureTaking, House, missing_part
from activities.figures.followers import EventFollower, RewardFollower, catch_up, close_day
from activities.figures.journey_effects import journey_effects
from activities.loops.figure_reports import FigureReports
from activities.people import add_person
from activities.player_hosts import set_host
from activities.providers.email import EmailAdapter
from activities.settings import Settings
from activities.tables import figures
from content.templates import Catalogue
from local.postgres import Postgres
from tests.support import figure_casino as second
from tests.support.engine import BRAND, connected, execute, rows
from tests.support.figure_casino import DAY, FigureCasino
from tests.support.servers import fresh_database
from workflows.figures.definitions import FIGURES, Taken, month_of, period_before, week_of
from workflows.gate.facts import holdout_place
from workflows.gate.policy import policy
from workflows.gate.policy_book import PolicyBook
from workflows.source.journey_loading import Registry

HOUSE = House(("offer",), ("HostCall",))
YESTERDAY = datetime.now(UTC).date() - DAY


@pytest.fixture(scope="module")
async def casino() -> FigureCasino:
    return FigureCasino(YESTERDAY)


@pytest.fixture(scope="module")
async def database(postgres: Postgres, casino: FigureCasino) -> AsyncIterator[Database]:
    async with fresh_database(postgres) as url, connected(url) as made:
        await casino.store(made)
        await catch_up(EventFollower(made, at_once=5_000), RewardFollower(made))
        yield made


async def taken_on(database: Database, day: date) -> list[Taken]:
    async with database.transaction() as connection:
        return await FigureTaking(connection, BRAND, day, HOUSE).newest_period()


def only(taken: Iterable[Taken], name: str, currency: str | None = None) -> Taken:
    (found,) = [one for one in taken if one.name == name and not one.split_by and currency in {None, one.currency}]
    return found


def bounds(one: Taken) -> tuple[float, float]:
    assert one.low is not None
    assert one.high is not None
    return one.low, one.high


class TestASecondReckoningFindsTheSame:
    async def test_churn(self, database: Database, casino: FigureCasino) -> None:
        one = only(await taken_on(database, YESTERDAY), "churn_30")
        at_risk, gone = second.churn(casino.known(YESTERDAY), one.starts)
        assert one.n == at_risk
        assert one.value == pytest.approx(gone / at_risk)
        low, high = bounds(one)
        assert low < gone / at_risk < high

    @pytest.mark.parametrize("later", [1, 7, 30])
    async def test_retention(
        self, database: Database, casino: FigureCasino, later: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _small_cohorts(monkeypatch)
        one = only(await taken_on(database, YESTERDAY), f"retention_d{later}")
        players, came = second.retention(casino.known(YESTERDAY), one.starts, later)
        assert one.n == players
        assert one.value == pytest.approx(came / players)

    @pytest.mark.parametrize("later", [7, 30])
    async def test_second_deposits(
        self, database: Database, casino: FigureCasino, later: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _small_cohorts(monkeypatch)
        one = only(await taken_on(database, YESTERDAY), f"repeat_deposit_{later}")
        players, again = second.repeat_deposits(casino.known(YESTERDAY), one.starts, later)
        assert one.n == players
        assert one.value == pytest.approx(again / players)

    async def test_value_of_players(
        self, database: Database, casino: FigureCasino, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _small_cohorts(monkeypatch)
        taken = await taken_on(database, YESTERDAY)
        value, deposits = only(taken, "clv_90", "EUR"), only(taken, "deposits_90", "EUR")
        players, deposited, ngr = second.value_of_cohort(casino.known(YESTERDAY), value.starts, 90)
        assert value.n == players
        assert value.value == pytest.approx(ngr)
        assert deposits.value == pytest.approx(deposited)

    async def test_recommendation(self, database: Database, casino: FigureCasino) -> None:
        one = only(await taken_on(database, YESTERDAY), "nps")
        answers, score = second.recommendation(casino.known(YESTERDAY), one.starts)
        assert one.n == answers
        assert one.value == pytest.approx(score)

    async def test_sums_and_visits(self, database: Database, casino: FigureCasino) -> None:
        taken = await taken_on(database, YESTERDAY)
        week = only(taken, "registered").starts
        of_week = [one for one in casino.known(YESTERDAY) if week <= one.day < week + 7 * DAY]
        assert only(taken, "registered").value == sum(one.type == "player.registered" for one in of_week)
        deposited = sum(one.data["amount_minor"] for one in of_week if one.type == "payment.deposit_approved")
        assert only(taken, "deposited", "EUR").value == deposited
        assert only(taken, "ngr", "EUR").value == sum(map(second.revenue, of_week))
        came = {(one.player, one.day) for one in of_week if one.type in second.CAME}
        players = {player for player, _ in came}
        assert only(taken, "active_players").value == len(players)
        assert only(taken, "active_days_7").value == pytest.approx(len(came) / len(players))

    async def test_a_month_is_reckoned_by_itself(self, database: Database, casino: FigureCasino) -> None:
        day = month_of(YESTERDAY) + DAY
        async with database.transaction() as connection:
            taken = await FigureTaking(connection, BRAND, day, HOUSE, "month").newest_period()
        assert {one.period for one in taken} == {"month"}
        starts = period_before("month", month_of(day))
        of_month = [one for one in casino.known(day) if starts <= one.day < month_of(day)]
        registered, churned = only(taken, "registered"), only(taken, "churn_30")
        assert registered.starts == starts
        assert registered.value == sum(one.type == "player.registered" for one in of_month)
        assert churned.starts + 32 * DAY <= day + DAY
        at_risk, gone = second.churn(casino.known(day), churned.starts)
        assert churned.n == at_risk
        assert churned.value == pytest.approx(gone / at_risk)


class TestAsOf:
    async def test_what_was_known_then_comes_out_the_same_after_more_is_known(
        self, database: Database, casino: FigureCasino
    ) -> None:
        early = YESTERDAY - 3 * DAY
        before = only(await taken_on(database, early), "churn_30")
        at_risk, gone = second.churn(casino.known(early), before.starts)
        assert before.n == at_risk
        assert before.value == pytest.approx(gone / at_risk)

    async def test_a_late_word_changes_what_is_known_later_and_never_what_was(self, database: Database) -> None:
        day = YESTERDAY - 10 * DAY
        async with database.transaction() as connection:
            assert await close_day(connection, YESTERDAY)
        before = [await taken_on(database, as_of) for as_of in (day, YESTERDAY)]
        await execute(
            database,
            "INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, data) VALUES (:brand, '/late', "
            "'late', nextval('event_ids_seq_seq'), 'payment.deposit_approved', 'c-0001', :at, "
            """'{"amount_minor": 77700, "currency": "EUR"}')""",
            brand=BRAND,
            at=datetime.combine(day - 2 * DAY, datetime.min.time(), UTC),
        )
        await catch_up(EventFollower(database), RewardFollower(database))
        assert [await taken_on(database, as_of) for as_of in (day, YESTERDAY)] == before

    async def test_what_was_taken_once_stays(self, database: Database) -> None:
        one = Taken("nps", "week", week_of(YESTERDAY), 60, 12.0, 3.0, 21.0)
        async with database.transaction() as connection:
            assert await store(connection, "kept", YESTERDAY, [one]) == 1
            assert await store(connection, "kept", YESTERDAY, [replace(one, value=99.0)]) == 0
            assert await figures_of(connection, "kept", YESTERDAY) == [one]
            assert await newest_day(connection, "kept") == YESTERDAY
            assert await newest_day(connection, "kept", YESTERDAY - DAY) is None
            later = replace(one, value=13.0)
            await store(connection, "kept", YESTERDAY + DAY, [later])
            assert await course_of(connection, "kept", YESTERDAY, date.min) == [one]
            assert await course_of(connection, "kept", YESTERDAY + DAY, date.min) == [later]
        assert len(await rows(database, figures, brand="kept")) == 2


class TestNoNumber:
    async def test_every_figure_is_a_number_or_says_why_it_is_none(self, database: Database) -> None:
        for one in await taken_on(database, YESTERDAY):
            assert (one.value is None) != (one.reason is None), one

    async def test_of_nobody_there_is_no_number(self, database: Database) -> None:
        async with database.transaction() as connection:
            taken = await FigureTaking(connection, "nobody", YESTERDAY, HOUSE).newest_period()
        shares = [one for one in taken if FIGURES[one.name].unit in {"share", "score", "days", "seconds"}]
        assert {one.name for one in shares} >= {"churn_30", "retention_d30", "nps", "redemption", "stickiness"}
        assert all(one.value is None and one.reason for one in shares)

    async def test_a_window_that_is_not_over_is_in_neither_part(self, database: Database) -> None:
        one = only(await taken_on(database, YESTERDAY), "churn_30")
        assert one.starts + 30 * DAY + 2 * DAY <= YESTERDAY + DAY

    @pytest.mark.parametrize(
        ("games", "granted", "ended", "why"),
        [(0, 0, 0, "no rounds"), (5, 3, 0, "bonuses would cost nothing"), (5, 3, 1, None), (5, 0, 0, None)],
    )
    def test_value_needs_every_part(self, games: int, granted: int, ended: int, why: str | None) -> None:
        told = missing_part(games=games, granted=granted, ended=ended)
        assert told is None if why is None else why in (told or "")

    async def test_an_operator_who_tells_no_end_of_a_reward_gets_no_value(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _small_cohorts(monkeypatch)
        async with database.transaction() as connection:
            week = FigureTaking(connection, "mute", YESTERDAY + 2 * DAY, HOUSE).newest(FIGURES["clv_90"])
        born = datetime.combine(week, datetime.min.time(), UTC)
        played = '{"stake_minor": 100, "win_minor": 0, "currency": "EUR"}'
        for number in range(10):
            for kind, data in (("player.registered", "{}"), ("game.round_completed", played)):
                what = {"id": f"{kind}{number}", "kind": kind, "player": f"m-{number}", "at": born, "data": data}
                await execute(database, MUTE, **what)
        await execute(database, UNTOLD, at=born + DAY)
        await catch_up(EventFollower(database), RewardFollower(database))
        async with database.transaction() as connection:
            taken = await FigureTaking(connection, "mute", YESTERDAY + 2 * DAY, HOUSE).values()
        told = {one.name: one.reason for one in taken if one.currency == "EUR"}
        assert told["deposits_90"] is None
        assert "bonuses would cost nothing" in (told["clv_90"] or "")


MUTE = """
    INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, received_at, data)
    VALUES ('mute', '/t', :id, nextval('event_ids_seq_seq'), :kind, :player, :at, :at, CAST(:data AS jsonb))
"""
UNTOLD = """
    INSERT INTO grants (id, brand, player_id, run_id, step, journey, kind, reward, status, decision, created_at)
    VALUES ('mute/1', 'mute', 'm-0', 'r', 's', 'j', 'cash', '{}', 'confirmed', '{}', :at)
"""


class TestJourneys:
    async def test_the_true_effect_lies_in_the_interval_and_money_is_what_players_brought(
        self, database: Database
    ) -> None:
        """Treated players reach the goal in 40 of 100 cases, the others in 20; nobody brings more money for it."""
        random, week = Random(3), week_of(YESTERDAY) - 7 * 7 * DAY
        await _enter(database, "truth", 1_200, lambda arm: random.random() < (0.4 if arm == "treated" else 0.2), week)
        async with database.transaction() as connection:
            taken = await journey_effects(FigureTaking(connection, BRAND, YESTERDAY, HOUSE), ["truth"])
        gain = next(one for one in taken if one.name == "goal_difference")
        low, high = bounds(gain)
        assert 0 < low < 0.2 < high
        assert gain.n == 1_200

    async def test_where_there_is_no_effect_none_is_found(self, database: Database) -> None:
        random, week = Random(8), week_of(YESTERDAY) - 7 * 7 * DAY
        await _enter(database, "nothing", 1_200, lambda _: random.random() < 0.3, week)
        async with database.transaction() as connection:
            taken = await journey_effects(FigureTaking(connection, BRAND, YESTERDAY, HOUSE), ["nothing"])
        gain = next(one for one in taken if one.name == "goal_difference")
        price = next(one for one in taken if one.name == "cost_per_incremental")
        low, high = bounds(gain)
        assert low < 0 < high
        assert price.value is None

    async def test_only_the_first_entry_of_a_player_counts(self, database: Database) -> None:
        week = week_of(YESTERDAY) - 7 * 7 * DAY
        await _enter(database, "again", 100, lambda _: False, week)
        await _enter(database, "again", 100, lambda _: True, week + DAY, entry=2)
        async with database.transaction() as connection:
            taken = await journey_effects(FigureTaking(connection, BRAND, YESTERDAY, HOUSE), ["again"])
        gain = next(one for one in taken if one.name == "goal_difference")
        assert (gain.n, gain.value) == (100, None)

    async def test_who_was_sent_on_by_another_journey_is_not_compared(self, database: Database) -> None:
        await _enter(database, "led", 100, lambda _: False, week_of(YESTERDAY) - 7 * 7 * DAY)
        sent_on = "UPDATE runs SET trigger = '{\"type\": \"run\"}' WHERE journey = 'led' AND arm = 'control'"
        await execute(database, sent_on)
        async with database.transaction() as connection:
            taken = await journey_effects(FigureTaking(connection, BRAND, YESTERDAY, HOUSE), ["led"])
        assert {one.reason for one in taken} == {"nobody is in the control group"}

    async def test_the_holdout_is_neither_treated_nor_control(self, database: Database) -> None:
        """It reached nothing, for nobody sent it anything; among the treated it would hide half of what was reached."""
        week = week_of(YESTERDAY) - 7 * 7 * DAY
        left = [number for number in range(400) if holdout_place(BRAND, f"c-{number:04}") >= 50]
        reached = iter(number in left and number % 2 == 0 for number in range(400))
        await _enter(database, "held_out", 400, lambda _: next(reached), week)
        own = policy("ours", since=week - 30 * DAY, brand=BRAND, holdout=50)
        for policies, players in ((PolicyBook(), 400), (PolicyBook(own=(own,)), len(left))):
            async with database.transaction() as connection:
                house = replace(HOUSE, policies=policies)
                taken = await journey_effects(FigureTaking(connection, BRAND, YESTERDAY, house), ["held_out"])
            gain = next(one for one in taken if one.name == "goal_difference")
            assert gain.n == players

    async def test_money_without_every_part_of_it_is_no_number(self, database: Database) -> None:
        week = week_of(YESTERDAY) - 7 * 7 * DAY
        await _enter(database, "untold", 600, lambda _: False, week)
        given = (
            "INSERT INTO grants "
            "(id, brand, player_id, run_id, step, journey, kind, reward, status, decision, created_at) "
            "SELECT 'untold/' || player_id, brand, player_id, id, 's', journey, 'cash', '{}', 'confirmed', '{}', "
            "entered_at FROM runs WHERE journey = 'untold'"
        )
        await execute(database, given)
        await execute(database, "UPDATE player_days SET reward_ends = 0 WHERE brand = :brand", brand=BRAND)
        async with database.transaction() as connection:
            taken = await journey_effects(FigureTaking(connection, BRAND, YESTERDAY, HOUSE), ["untold"])
        await execute(database, "DELETE FROM grants WHERE journey = 'untold'")
        (money,) = [one for one in taken if one.name == "incremental_ngr"]
        assert money.value is None
        assert "bonuses would cost nothing" in (money.reason or "")

    @pytest.mark.parametrize(("currencies", "why"), [(("EUR",), None), (("EUR", "UAH"), "in several currencies")])
    async def test_costs_in_several_currencies_are_not_added_up(
        self, database: Database, currencies: tuple[str, ...], why: str | None
    ) -> None:
        week, name = week_of(YESTERDAY) - 7 * 7 * DAY, f"paid_in_{len(currencies)}"
        reached = iter(bool(number % 4 and number % 3) or number % 40 == 0 for number in range(400))
        await _enter(database, name, 400, lambda _: next(reached), week)
        given = (
            "INSERT INTO grants (id, brand, player_id, run_id, step, journey, kind, reward, status, decision, "
            "created_at, cost_minor, cost_currency) "
            "SELECT journey || '/' || player_id, brand, player_id, id, 's', journey, 'cash', '{}', 'confirmed', '{}', "
            "entered_at, 100, :currency FROM runs WHERE journey = :name AND arm = 'treated' AND player_id LIKE :some"
        )
        for number, currency in enumerate(currencies):
            await execute(database, given, name=name, currency=currency, some=f"%{number + 1}")
        async with database.transaction() as connection:
            taken = await journey_effects(FigureTaking(connection, BRAND, YESTERDAY, HOUSE), [name])
        await execute(database, "DELETE FROM grants WHERE journey = :name", name=name)
        (price,) = [one for one in taken if one.name == "cost_per_incremental"]
        assert (price.value is None) == (why is not None)
        assert (why or "") in (price.reason or "")

    async def test_who_gained_more_is_told_by_the_segments_at_entry_and_the_kind_by_what_was_given(
        self, database: Database
    ) -> None:
        """Every third player is new on entry and gains 40 points; the others gain nothing."""
        random, week, places = Random(5), week_of(YESTERDAY) - 7 * 7 * DAY, iter(range(1_200))

        def reaches(arm: str) -> bool:
            return random.random() < (0.6 if next(places) % 3 == 0 and arm == "treated" else 0.2)

        await _enter(database, "parted", 1_200, reaches, week)
        newcomers = (
            "UPDATE runs SET segments = CASE WHEN CAST(substr(player_id, 3) AS integer) % 3 = 0 THEN "
            "ARRAY['new', 'all'] ELSE ARRAY['all'] END WHERE journey = 'parted'"
        )
        await execute(database, newcomers)
        given = (
            "INSERT INTO grants (id, brand, player_id, run_id, step, journey, kind, reward, status, decision, "
            "created_at) SELECT 'parted/' || player_id, brand, player_id, id, 's', journey, 'cash', '{}', 'confirmed', "
            "'{}', entered_at FROM runs WHERE journey = 'parted' AND arm = 'treated'"
        )
        await execute(database, given)
        async with database.transaction() as connection:
            taken = await journey_effects(FigureTaking(connection, BRAND, YESTERDAY, HOUSE), ["parted"])
        await execute(database, "DELETE FROM grants WHERE journey = 'parted'")
        (segment,) = [one for one in taken if one.name == "goal_by_segment"]
        (kind,) = [one for one in taken if one.name == "goal_by_kind"]
        assert (segment.part, segment.n, kind.part, kind.n) == ("parted / new", 400, "cash", 1_200)
        low, high = bounds(segment)
        assert 0.2 < low < 0.4 < high
        low, high = bounds(kind)
        assert 0 < low < 0.4 / 3 < high

    async def test_a_journey_without_a_control_group_says_so(self, database: Database) -> None:
        async with database.transaction() as connection:
            taken = await journey_effects(FigureTaking(connection, BRAND, YESTERDAY, HOUSE), ["unheard_of"])
        assert {one.value for one in taken} == {None}
        assert {one.part for one in taken} == {"unheard_of"}


class TestPortfolios:
    async def test_two_managers_of_one_name_are_two(self, database: Database) -> None:
        week = week_of(YESTERDAY) - 7 * DAY
        since = datetime.combine(week, datetime.min.time(), UTC)
        async with database.transaction() as connection:
            for number in (1, 2):
                anna = await add_person(connection, "hosts", f"anna.{number}@example.com", "Anna", since)
                for player in range(number):
                    await set_host(connection, "hosts", f"p-{number}-{player}", anna.id, "test", since)
            taken = await FigureTaking(connection, "hosts", YESTERDAY, HOUSE).portfolios(week)
            await store(connection, "hosts", YESTERDAY, taken)
        async with database.reading() as connection:
            kept = await figures_of(connection, "hosts", YESTERDAY)
        counted = {one.part: one.value for one in kept if one.name == "hosted_players"}
        assert counted == {"anna.1@example.com": 1, "anna.2@example.com": 2}


async def test_reports_leave_out_whom_the_group_of_a_brand_holds_out(database: Database) -> None:
    settings = Settings(database_url=database.url, brand_groups={"all": ("first", BRAND)})
    mail = EmailAdapter("smtp://127.0.0.1:9", sender="casino@example.com")
    reports = FigureReports(database, Registry({}, (), {}), Catalogue({}, {}, {}), mail, settings)
    assert reports.house.policies.drawn_as(BRAND) == "first"


class TestNights:
    @pytest.fixture
    async def reports(self, database: Database) -> AsyncIterator[FigureReports]:
        """Two brands, of which the first cannot keep its figures."""
        for statement in _BREAK:
            await execute(database, statement)
        for brand in ("a-broken", "z-well"):
            await execute(
                database,
                "INSERT INTO player_days (brand, player_id, day, currency, known_on) VALUES (:b, 'p', :d, '', :d) "
                "ON CONFLICT DO NOTHING",
                b=brand,
                d=YESTERDAY - 9 * DAY,
            )
        registry, settings = Registry({}, (), {}), Settings(database_url=database.url)
        mail = EmailAdapter("smtp://127.0.0.1:9", sender="casino@example.com")
        yield FigureReports(database, registry, Catalogue({}, {}, {}), mail, settings)
        await execute(database, "DROP TRIGGER broken ON figures")

    async def test_one_brand_that_fails_keeps_nothing_from_those_behind_it(
        self, database: Database, reports: FigureReports
    ) -> None:
        with pytest.raises(ApplicationError, match=f"a-broken on {YESTERDAY}"):
            await ActivityEnvironment().run(reports.take)
        assert await self.days_of(database, "z-well") == [YESTERDAY]
        assert await self.days_of(database, "a-broken") == []

    async def test_the_holdout_is_drawn_under_the_name_of_the_brands_group(self, database: Database) -> None:
        settings = Settings(database_url=database.url, brand_groups={"house": ("first", "second")})
        mail = EmailAdapter("smtp://127.0.0.1:9", sender="casino@example.com")
        reports = FigureReports(database, Registry({}, (), {}), Catalogue({}, {}, {}), mail, settings)
        assert reports.house.policies.drawn_as("second") == "first"

    async def test_what_was_missed_of_the_week_is_taken_the_next_night(
        self, database: Database, reports: FigureReports
    ) -> None:
        await execute(database, "DELETE FROM figures WHERE brand = 'z-well'")
        await reports.take_of("z-well", YESTERDAY - 3 * DAY)
        with pytest.raises(ApplicationError, match="a-broken"):
            await ActivityEnvironment().run(reports.take)
        assert await self.days_of(database, "z-well") == [YESTERDAY - back * DAY for back in (3, 2, 1, 0)]

    async def test_a_month_is_taken_once_on_the_second_and_told(self, reports: FigureReports) -> None:
        second_day = month_of(YESTERDAY) + DAY
        for day in (second_day - DAY, second_day, second_day + DAY):
            if day <= YESTERDAY:
                await reports.take_of("z-well", day)
        told = await reports.report_of("z-well", period="month")
        if second_day > YESTERDAY:
            assert told is None
            return
        assert told is not None
        assert (told.as_of, told.period) == (second_day, "month")
        assert {one.starts for one in told.course} >= {period_before("month", month_of(second_day))}

    async def days_of(self, database: Database, brand: str) -> list[date]:
        return sorted({row["as_of"] for row in await rows(database, figures, brand=brand)})


_BREAK = (
    "CREATE OR REPLACE FUNCTION broken() RETURNS trigger AS $$ BEGIN RAISE 'broken'; END $$ LANGUAGE plpgsql",
    (
        "CREATE TRIGGER broken BEFORE INSERT ON figures FOR EACH ROW WHEN (NEW.brand = 'a-broken') "
        "EXECUTE FUNCTION broken()"
    ),
)


async def _enter(database: Database, journey: str, players: int, reaches: object, week: date, entry: int = 1) -> None:
    at = datetime.combine(week, datetime.min.time(), UTC) + timedelta(hours=9)
    for number in range(players):
        arm = "control" if number % 4 == 0 else "treated"
        reached = reaches(arm)  # type: ignore[operator]  # a function of the arm
        await execute(
            database,
            "INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at, goal_at) VALUES "
            "(:id, :brand, :player, :journey, :arm, 'active', :at, :at, :goal)",
            id=f"{journey}:{BRAND}:c-{number:04}:{entry}",
            brand=BRAND,
            player=f"c-{number:04}",
            journey=journey,
            arm=arm,
            at=at,
            goal=at + DAY if reached else None,
        )


def _small_cohorts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cohorts of a casino that a test can afford."""
    small = {name: replace(figure, least=min(figure.least, 5)) for name, figure in FIGURES.items()}
    monkeypatch.setattr("activities.figures.figure_taking.FIGURES", small)
