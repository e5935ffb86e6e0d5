"""While a release rolls: what one process does not know and a living one does is put off; what nobody knows is gone."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.database import Database
from activities.loops.maintenance import Maintenance
from activities.loops.sweeper import KNOWN_ELSEWHERE, Sweeper
from activities.processes import BEAT, SILENCE, Knowledge, Processes
from activities.retention import retain
from activities.rolling_release import RELEASE
from activities.run_delivery.dispatcher import Dispatcher
from activities.run_effects import RunEffects
from activities.settings import Settings
from activities.tables import dead_letters, deliveries, memberships, players, processes, runs
from tests.support.api_client import BACKEND, serving
from tests.support.engine import BRAND, Casino, Row, begin_run, connected, declared, execute, rows
from workflows import (
    DepositApproved,
    Inactive,
    Player,
    RoundCompleted,
    SessionLogin,
    Statistics,
    always,
    badge,
    count,
    days,
    inactive,
    journey,
    player_mission,
    segment,
    step,
    total,
)
from workflows.effects import Match, StartJourney
from workflows.loyalty.mission_states import UNDER_WAY
from workflows.loyalty.program import LoyaltyProgram
from workflows.rules.index import RuleIndex
from workflows.rules.segments import Segment
from workflows.source.journey_loading import Registry

AWAY = days(14)


@journey(inactive(SessionLogin, AWAY), entry=always, ends_after=days(30))
async def missed(player: Player, gone: Inactive) -> None:
    """Begins when a player has stayed away for a fortnight; only the new release has it."""


deposited = total(DepositApproved, "amount_minor", last=days(30))


@segment
def big_spender(player: Statistics) -> bool:
    """Only the new release has it."""
    return player[deposited] > 1_000


@player_mission(step("rounds", count(RoundCompleted), 9), gives=badge("busy"), product="casino")
def nine_rounds(_player: Statistics) -> bool:
    """Nine rounds."""
    return True


NEW = RuleIndex(declared(missed), {"big_spender": big_spender})
OLD = RuleIndex({})


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
async def new(database: Database) -> Processes:
    """A process of the new release that lives."""
    living = Processes(database, NEW, role="dispatcher", build="new")
    await living.beat()
    return living


async def goes_silent(database: Database) -> None:
    await execute(database, "UPDATE processes SET seen_at = seen_at - CAST(:silence AS interval)", silence=SILENCE)


def casino_of(database: Database, rules: RuleIndex) -> Casino:
    casino = Casino.of(database, {})
    casino.intake.rules = rules
    return casino


async def away(database: Database) -> Casino:
    """A player whom the new release awaits, once the fortnight has passed."""
    casino = casino_of(database, NEW)
    await casino.happens(casino.player(), SessionLogin)
    casino.clock.later(AWAY)
    return casino


class TestRowForms:
    @pytest.fixture
    def casino(self, database: Database, new: Processes) -> Casino:
        """One whose intake asks the new process how rows may be written."""
        casino = casino_of(database, RuleIndex({}, loyalty=LoyaltyProgram(missions={nine_rounds.name: nine_rounds})))
        casino.intake.processes = new
        return casino

    async def missions_after_a_round(self, casino: Casino, database: Database) -> dict[str, Any]:
        """What stands in the row of a player who has played once more."""
        await casino.happens("p", RoundCompleted)
        (row,) = await rows(database, players)
        missions: dict[str, Any] = row["state"]["loyalty"]["missions"]
        return missions

    async def test_missions_are_written_as_everybody_reads_them_who_lives(
        self, casino: Casino, database: Database, new: Processes
    ) -> None:
        before = Processes(database, OLD, build="before")
        before.knows = before.knows.model_copy(update={"row_forms": frozenset()})
        await before.beat()
        await new.beat()
        one_by_one = await self.missions_after_a_round(casino, database)
        assert [occurrence["counts"] for occurrence in one_by_one["nine_rounds"]["occurrences"]] == [{"rounds": 1}]
        await before.leave()
        await new.beat()
        assert await self.missions_after_a_round(casino, database) == {
            UNDER_WAY: {"numbers": {"1970-01-01T00:00:00Z//rounds": {"nine_rounds": 2}}}
        }

    async def test_and_a_process_that_has_not_looked_yet_writes_them_so_too(
        self, casino: Casino, database: Database
    ) -> None:
        casino.intake.processes = Processes(database, NEW)
        assert (await self.missions_after_a_round(casino, database)).keys() == {"nine_rounds"}


class TestMoments:
    async def test_a_moment_that_only_a_living_process_knows_is_left_to_it(
        self, database: Database, new: Processes
    ) -> None:
        casino = await away(database)
        old = Sweeper(database, casino_of(database, OLD).intake, casino.clock)
        await old.run_once()
        assert await rows(database, runs) == []
        assert await old.run_once() == 0, "The old one would find the player again and again."
        casino.clock.later(KNOWN_ELSEWHERE)
        await Sweeper(database, casino.intake, casino.clock, processes=new).run_once()
        assert [row["player_id"] for row in await rows(database, runs)] == [casino.player()]

    @pytest.mark.usefixtures("new")
    async def test_a_moment_that_no_living_process_knows_is_dropped(self, database: Database) -> None:
        casino = await away(database)
        await goes_silent(database)
        await Sweeper(database, casino_of(database, OLD).intake, casino.clock).run_once()
        (player,) = await rows(database, players)
        assert player["next_moment"] is None
        assert "moments" not in player["state"]

    @pytest.mark.usefixtures("new")
    async def test_the_nightly_look_of_an_old_process_forgets_nothing_that_a_living_one_knows(
        self, database: Database
    ) -> None:
        casino = casino_of(database, NEW)
        await casino.happens(casino.player(), SessionLogin)
        await casino.happens(casino.player(), DepositApproved, amount_minor=5_000)
        (before,) = await rows(database, players)
        assert await self.looked_at(database, casino) == before["state"]
        (stay,) = await rows(database, memberships)
        assert stay["left_at"] is None
        await goes_silent(database)
        assert "segments" not in await self.looked_at(database, casino)
        (stay,) = await rows(database, memberships)
        assert stay["left_at"] is not None

    async def looked_at(self, database: Database, casino: Casino) -> Row:
        intake = casino_of(database, OLD).intake
        maintenance = Maintenance(database, intake, None, casino.clock, rate=1_000)  # type: ignore[arg-type]
        await ActivityEnvironment().run(maintenance.rearm)
        (player,) = await rows(database, players)
        state: Row = player["state"]
        return state


def late() -> ActivityEnvironment:
    """An attempt so late that no process can still be starting."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, started_time=environment.info.scheduled_time + 2 * RELEASE)
    return environment


class TestEffects:
    @pytest.mark.usefixtures("new")
    async def test_what_a_run_asks_for_is_asked_again_as_long_as_a_living_process_knows_it(
        self, database: Database
    ) -> None:
        casino = casino_of(database, OLD)
        effects = RunEffects(database, casino.intake, casino.clock)
        common: Row = {"brand": BRAND, "player_id": "p", "journey": "a", "run_id": f"a:{BRAND}:p:1"}
        await begin_run(database, common["run_id"])
        with pytest.raises(ApplicationError, match="No segment is called big_spender"):
            await late().run(effects.match, Match(**common, step="matches:s#1", segment="big_spender"))
        with pytest.raises(ApplicationError, match="No journey is called missed"):
            await late().run(effects.start, StartJourney(**common, step="start:missed#1", start="missed"))

    async def test_a_start_is_not_buried_while_a_living_process_knows_its_journey(
        self, database: Database, new: Processes
    ) -> None:
        casino = await away(database)
        await Sweeper(database, casino.intake, casino.clock, processes=new).run_once()
        await execute(database, "UPDATE deliveries SET created_at = created_at - interval '1 day'")
        nowhere = await Client.connect("127.0.0.1:1", lazy=True)
        old = Dispatcher(database, nowhere, Registry({}, (), {}))
        assert await old.run_once() == 0
        (waiting,) = await rows(database, deliveries)
        assert waiting["last_error"] == "No journey missed is deployed here; deploy it again and retry."
        await goes_silent(database)
        await execute(database, "UPDATE deliveries SET due_at = now()")
        assert await old.run_once() == 1
        assert len(await rows(database, dead_letters)) == 1


class TestLife:
    async def test_a_process_is_known_while_it_beats_and_gone_when_it_leaves(
        self, database: Database, new: Processes
    ) -> None:
        old = Processes(database, OLD, build="old")
        await old.beat()
        assert "missed" in old.others.journeys
        assert {"big_spender"} == old.others.segments
        await new.leave()
        await old.beat()
        assert old.others == Knowledge()

    @pytest.mark.usefixtures("new")
    async def test_a_process_that_dies_is_believed_until_it_has_missed_several_beats(self, database: Database) -> None:
        old = Processes(database, OLD, build="old")
        assert SILENCE >= 3 * BEAT
        await execute(database, "UPDATE processes SET seen_at = seen_at - CAST(:most AS interval)", most=SILENCE - BEAT)
        await old.beat()
        assert old.others != Knowledge()
        await goes_silent(database)
        await old.beat()
        assert old.others == Knowledge()

    @pytest.mark.usefixtures("new")
    async def test_what_a_later_release_says_of_itself_in_other_words_does_no_harm(self, database: Database) -> None:
        await execute(database, """UPDATE processes SET knows = '{"journeys": "all", "versions": {}}'""")
        old = Processes(database, OLD, build="old")
        await old.beat()
        assert old.others == Knowledge()

    @pytest.mark.owner
    @pytest.mark.usefixtures("new")
    async def test_rows_of_the_dead_are_kept_for_a_while_and_then_forgotten(self, database: Database) -> None:
        await execute(database, "UPDATE processes SET seen_at = now() - interval '8 days'")
        await Processes(database, OLD, build="old").beat()
        async for _ in retain(database, Settings(database_url="postgresql://unused"), datetime.now(UTC)):
            pass
        assert [row["build"] for row in await rows(database, processes)] == ["old"]


class TestEventTypes:
    async def test_an_event_of_a_type_that_only_another_build_knows_is_to_be_sent_again(
        self, postgres_url: str
    ) -> None:
        async with serving(postgres_url) as api:
            backend = await api.client(*BACKEND)
            other = Processes(api.engine.database, OLD, build="new")
            other.knows = Knowledge(event_types=frozenset({"igaming.bingo.called.v1"}))
            await other.beat()
            await api.engine.processes.beat()
            event = {
                "specversion": "1.0",
                "id": "1",
                "source": "/bingo",
                "subject": "p",
                "time": datetime.now(UTC).isoformat(),
            }
            known = await backend.post("/v1/events", json=event | {"type": "igaming.bingo.called.v1"})
            assert known.status_code == 429
            assert int(known.headers["Retry-After"]) >= 1
            unknown = await backend.post("/v1/events", json=event | {"type": "igaming.bingo.shouted.v1"})
            assert unknown.json()["results"][0]["status"] == "rejected"
            async with api.engine.database.reading() as connection:
                assert await connection.scalar(sa.text("SELECT count(*) FROM events")) == 0


def test_the_wait_for_one_who_knows_is_shorter_than_a_process_is_believed() -> None:
    assert timedelta(0) < KNOWN_ELSEWHERE < SILENCE
    assert isinstance(big_spender, Segment)
