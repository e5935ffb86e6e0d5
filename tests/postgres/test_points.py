"""Points on Postgres: the row and its journal in one transaction, and a journal that nobody can rewrite."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from activities.ledger_proof import LedgerFault, prove_ledger
from activities.loyalty_tables import point_transfers
from activities.point_transfers import journal
from activities.tables import gate_decisions, steps
from tests.support.api_client import Api, serving
from tests.support.engine import BRAND, Effects, effects, execute, rows
from workflows import Event, ExclusionSet, PlayerMerged, RoundCompleted, RoundVoided, points
from workflows.effects import Award, AwardResult
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.postings import recomputed
from workflows.player_state.state import PlayerState

JOURNEYS = "tests.support.loyal_journeys"
STEP = "award:points#1"
ROUND: dict[str, Any] = {"game_id": "g", "category": "slot", "win_minor": 0}


@pytest.fixture(scope="module")
async def parts(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, journeys=JOURNEYS) as built:
        yield built


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys=JOURNEYS) as application:
        yield application


@pytest.fixture
async def player(parts: Effects) -> AsyncIterator[str]:
    with parts.for_one_test():
        name = parts.casino.player()
        await parts.casino.registers(name)
        yield name


async def state_of(parts: Effects, player: str) -> PlayerState:
    async with parts.database.reading() as connection:
        chosen = text("SELECT state::text FROM players WHERE brand = :brand AND id = :id")
        stored = await connection.scalar(chosen, {"brand": BRAND, "id": player})
    return PlayerState.from_text(BRAND, player, str(stored))


async def available(parts: Effects, player: str) -> int:
    loyalty = (await state_of(parts, player)).loyalty
    return 0 if loyalty is None else loyalty.account("points").available


async def journal_of(parts: Effects, player: str) -> list[PointTransfer]:
    async with parts.database.reading() as connection:
        return await journal(connection, BRAND, player)


async def later(parts: Effects, player: str, duration: timedelta) -> None:
    """So much time passes, and the sweep looks at the player."""
    parts.casino.clock.later(duration)
    intake, now = parts.casino.intake, parts.casino.clock.now
    async with parts.database.transaction() as connection, intake.locked(connection, BRAND, [player], now) as players:
        players.record(player, players.states[player].tick(players.rules, now, players.failures))


async def test_rounds_earn_at_once_and_are_posted_when_the_hour_is_over(parts: Effects, player: str) -> None:
    for number in range(3):
        await parts.casino.happens(player, RoundCompleted, round_id=f"r-{number}", stake_minor=4_500, **ROUND)
    assert await available(parts, player) == 13
    assert await journal_of(parts, player) == []
    await later(parts, player, timedelta(hours=1))
    (line,) = await journal_of(parts, player)
    assert (line.amount, line.debit, line.credit, line.ref) == (13, "issued:wager", "available", "wagered")
    loyalty = (await state_of(parts, player)).loyalty
    assert loyalty is not None
    assert recomputed(await journal_of(parts, player)).account("points").lots == loyalty.account("points").lots


async def test_i9_a_round_told_twice_earns_once(parts: Effects, player: str) -> None:
    event = parts.casino.event(RoundCompleted, round_id="r", stake_minor=4_500, **ROUND)
    for _ in range(2):
        await parts.casino.intake.ingest(BRAND, [(player, event)], parts.casino.clock.now)
    assert await available(parts, player) == 4


async def give(parts: Effects, run: str) -> AwardResult:
    request = parts.given(Award, run, STEP, reward=points(50), currency="points", expires=timedelta(days=90))
    answer = await parts.awards.award(request)
    assert isinstance(answer, AwardResult)
    return answer


async def test_an_award_is_given_once_however_often_it_is_tried(parts: Effects, player: str) -> None:
    run = await parts.enters(player)
    answers = await asyncio.gather(*(give(parts, run) for _ in range(3)))
    assert {one.status for one in answers} == {"awarded"}
    assert await available(parts, player) == 50
    (line,) = await journal_of(parts, player)
    assert (line.ref, line.cause) == (f"{run}/{STEP}", "journey")
    assert [one["outcome"] for one in await rows(parts.database, gate_decisions, effect_id=f"{run}/{STEP}")] == [
        "allowed"
    ]
    assert [one["outcome"] for one in await rows(parts.database, steps, run_id=run)] == ["awarded"]


async def test_i29_once_an_exclusion_is_committed_nothing_is_awarded(parts: Effects, player: str) -> None:
    run = await parts.enters(player)
    await parts.casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
    assert await give(parts, run) == AwardResult(status="withheld", reason="self_excluded")
    assert await give(parts, run) == AwardResult(status="withheld", reason="self_excluded")
    assert await journal_of(parts, player) == []


@pytest.mark.owner
@pytest.mark.parametrize("statement", ["UPDATE point_transfers SET amount = 1", "DELETE FROM point_transfers"])
async def test_the_database_itself_refuses_to_rewrite_the_journal(statement: str, parts: Effects, player: str) -> None:
    await give(parts, await parts.enters(player))
    with pytest.raises(DatabaseError, match="is never changed or taken away"):
        async with parts.database.transaction() as connection:
            await connection.execute(text(f"{statement} WHERE player_id = :id"), {"id": player})
    assert len(await rows(parts.database, point_transfers, player_id=player)) == 1


async def test_a_void_after_weeks_takes_back_what_the_journal_says_of_that_day(parts: Effects, player: str) -> None:
    played = parts.casino.clock.now
    await parts.casino.happens(player, RoundCompleted, round_id="r-1", stake_minor=4_500, **ROUND)
    await later(parts, player, timedelta(days=30))
    await parts.casino.happens(player, RoundCompleted, round_id="r-2", stake_minor=1_000, **ROUND)
    assert await available(parts, player) == 5
    for source in ("one", "two"):
        told = {"round_id": "r-1", "stake_minor": 4_500, "played_at": played, "event_source": source, **ROUND}
        await parts.casino.happens(player, RoundVoided, **told)
    assert await available(parts, player) == 1
    assert [one.cause for one in await journal_of(parts, player)] == ["wager", "wager", "reversal"]
    assert await faults(parts) == []


@pytest.mark.parametrize("first", [RoundCompleted, RoundVoided])
async def test_i8_a_void_after_weeks_is_taken_back_whatever_comes_with_it_in_its_batch(
    first: type[Event], parts: Effects, player: str
) -> None:
    played, casino = parts.casino.clock.now, parts.casino
    await casino.happens(player, RoundCompleted, round_id="r-1", stake_minor=4_500, **ROUND)
    await casino.happens(player, RoundCompleted, round_id="r-2", stake_minor=2_000, **ROUND)
    await later(parts, player, timedelta(days=30))
    batch = [
        (player, casino.event(RoundCompleted, round_id="r-3", stake_minor=1_000, **ROUND)),
        (player, casino.event(RoundVoided, round_id="r-1", stake_minor=4_500, played_at=played, **ROUND)),
        (player, casino.event(RoundVoided, round_id="r-2", stake_minor=2_000, played_at=played, **ROUND)),
    ]
    batch.sort(key=lambda told: not isinstance(told[1], first))
    await casino.intake.ingest(BRAND, batch, casino.clock.now)
    assert await available(parts, player) == 1, "a new day lets the old one go, and what comes after it is about that"
    assert await faults(parts) == []


async def test_case_17_a_merge_moves_all_points_and_both_journals_say_so(parts: Effects, player: str) -> None:
    other = parts.casino.player("q")
    await parts.casino.registers(other)
    for one in (player, other):
        await give(parts, await parts.enters(one))
    await parts.casino.happens(player, PlayerMerged, survivor_id=player, absorbed_id=other)
    assert (await available(parts, player), await available(parts, other)) == (100, 0)
    assert [one.credit for one in await journal_of(parts, other)] == ["available", "merged"]
    # The other way round it is the same merge: the account that stayed stays.
    await parts.casino.happens(player, PlayerMerged, survivor_id=other, absorbed_id=player)
    assert (await available(parts, player), await available(parts, other)) == (100, 0)
    assert await faults(parts) == []


async def faults(parts: Effects) -> list[LedgerFault]:
    return [fault async for proved in prove_ledger(parts.database) for fault in proved.faults]


@pytest.mark.owner
async def test_a_row_that_somebody_changed_behind_the_journal_is_told(parts: Effects, player: str) -> None:
    await give(parts, await parts.enters(player))
    assert await faults(parts) == []
    richer = "jsonb_set(state, '{loyalty,points,points,debt}', '5')"
    await execute(parts.database, f"UPDATE players SET state = {richer} WHERE id = :id", id=player)
    (fault,) = await faults(parts)
    assert (fault.player_id, fault.detail) == (player, "of points the row does not have what the journal comes to")
    await execute(parts.database, "DELETE FROM players WHERE id = :id", id=player)


class TestOverHttp:
    @pytest.fixture
    async def desk(self, api: Api) -> httpx.AsyncClient:
        return await api.client("players:read", name="desk")

    async def test_the_points_of_a_player_with_the_cause_of_every_line(self, api: Api, desk: httpx.AsyncClient) -> None:
        now = api.engine.clock()
        example: dict[str, Any] = {**RoundCompleted.example_data, "stake_minor": 25_000}
        event = RoundCompleted(event_id="e", event_source="/t", occurred_at=now, **example)
        await api.engine.intake.ingest(api.brand, [("p-7", event)], now)
        (balance,) = (await desk.get("/v1/players/p-7/points")).json()
        assert (balance["currency"], balance["available"], balance["unposted"], balance["debt"]) == (
            "points",
            25,
            25,
            0,
        )
        assert balance["lots"][0]["product"] == "casino"
        after = now + timedelta(hours=1)
        async with (
            api.engine.database.transaction() as connection,
            api.engine.intake.locked(connection, api.brand, ["p-7"], after) as players,
        ):
            players.record("p-7", players.states["p-7"].tick(players.rules, after, players.failures))
        page = (await desk.get("/v1/players/p-7/points/points")).json()
        assert [(one["change"], one["cause"], one["words"]) for one in page["items"]] == [
            (25, "wager", "25 points earned by wagered")
        ]
        assert (await desk.get("/v1/players/nobody/points")).status_code == 404
