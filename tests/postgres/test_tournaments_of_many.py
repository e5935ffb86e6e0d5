"""The work on tournaments beside many players: it holds up nobody, asks for nothing twice, and gives what is earned."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
from sqlalchemy import event, text

from activities.engine import WorkerEngine
from activities.leaderboards import EntryCounts
from activities.loops.tournament_opening import ASK_AGAIN_S, TournamentOpening
from activities.recent_counts import LASTS_S
from activities.standings import first_places
from activities.tables import grants, standings, tournaments
from activities.tournaments import close_to_scores
from tests.support.engine import BRAND, HeldTimer, execute, rows
from tests.support.machine import eventually
from tests.support.servers import LocalBonusEngine
from tests.support.tournament_house import House, next_week, tournament_engine
from workflows import ExclusionSet, policy
from workflows.gate.policy_book import PolicyBook


@pytest.fixture(scope="module")
async def engine(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[WorkerEngine]:
    async with tournament_engine(module_postgres_url, bonus_engine_server) as built:
        yield built


@pytest.fixture
async def house(engine: WorkerEngine) -> House:
    return next_week(engine)


async def test_an_exclusion_waits_for_no_other_page_of_places_and_whoever_follows_a_finalizer_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.loops.tournament_closing.NUMBERED_AT_ONCE", 2)
    players = await house.joins(*"abcdef")
    board, work, database = await house.opens(), house.engine.tournament_closing, house.engine.database
    for number, one in enumerate(players):
        await house.plays(one, 4_000 - 500 * number)
    house.casino.clock.now = house.instance().cut
    async with database.transaction() as connection:
        await close_to_scores(connection, board, house.now)

    async def two_pages_are_written() -> bool:
        return sum(one["place"] is not None for one in await rows(database, standings, board=board)) == 4

    async with database.transaction() as batch:
        await batch.execute(text("SELECT FROM players WHERE id = :id FOR UPDATE"), {"id": players[4]})
        writing = asyncio.create_task(work.write_places(board))
        await eventually(two_pages_are_written)
        await house.casino.happens(players[0], ExclusionSet, kind="self_exclusion", until=None)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    assert (await work.write_places(board)).more
    found = {one["player_id"]: one for one in await rows(database, standings, board=board)}
    assert [(found[one]["place"], found[one]["outcome"]) for one in players] == [
        *((place, "due") for place in range(1, 5)),
        (5, None),
        (6, None),
    ]
    while await work.pay_page(board):
        pass
    assert [await house.points_of(one) for one in players] == [0, 100, 100, 0, 0, 0]
    assert [one["entries"] for one in await rows(database, tournaments, board=board)] == [6]


async def test_a_prize_of_money_is_earned_so_no_holdout_goes_without_and_the_board_says_how_far_it_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = PolicyBook(own=(policy("ours", since=date(2020, 1, 1), brand=BRAND, holdout=100),))
    monkeypatch.setattr(house.engine.tournament_closing, "policies", held_out)
    monkeypatch.setattr(house.engine.grants, "policies", held_out)
    players = await house.joins("a", "b", "c", "d")
    board, instance = await house.opens(), house.instance().id
    for number, one in enumerate(players):
        await house.plays(one, 4_000 - 500 * number)

    async def prizes() -> list[object]:
        async with house.engine.database.reading() as connection:
            places = await first_places(connection, BRAND, instance, board, final=True)
        return [one["prize"] for one in places]

    await house.closes(board)
    assert await prizes() == ["paid", "paid", "paid", "reserved"]
    while await house.engine.grants.pay_prizes_once():
        pass
    assert await prizes() == ["paid", "paid", "paid", "confirmed"]
    (spins,) = await rows(house.engine.database, grants, player_id=players[3])
    assert (spins["decision"]["seen"]["earned"], spins["value_minor"]) == (True, 0)


async def test_what_was_opened_lately_is_not_opened_again_at_every_look(house: House) -> None:
    timer = HeldTimer()
    engine = house.engine
    work = TournamentOpening(engine.database, engine.intake.rules, house.casino.clock, timer)
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    async def opened() -> int:
        seen.clear()
        await work.open_due()
        return sum("INSERT INTO tournaments" in one for one in seen)

    await execute(
        engine.database,
        "INSERT INTO api_keys (id, brand, name, hash, scopes, created_at) "
        "VALUES (:id, 'acme', 'k', :id, ARRAY['admin'], now()) ON CONFLICT DO NOTHING",
        id=secrets.token_hex(4),
    )
    event.listen(engine.database.engine.sync_engine, "before_cursor_execute", note)
    try:
        assert await opened() > 0
        assert await opened() == 0
        house.casino.clock.now += timedelta(days=1)
        assert await opened() > 0, "what is new is opened at once"
        timer.now += ASK_AGAIN_S + 1
        assert await opened() > 0
    finally:
        event.remove(engine.database.engine.sync_engine, "before_cursor_execute", note)


async def test_entries_are_counted_once_in_some_seconds_however_many_ask(house: House) -> None:
    board, timer = await house.opens(), HeldTimer()
    counts = EntryCounts(timer)

    async def count(least: int = 0) -> int:
        async with house.engine.database.reading() as connection:
            return await counts.of(connection, board, least=least)

    (first,) = await house.joins("a")
    await house.plays(first)
    assert await count() == 1
    (second,) = await house.joins("b")
    await house.plays(second)
    assert await count() == 1, "it is a few seconds old"
    timer.now += LASTS_S + 1
    assert await count() == 2
    assert await count(least=1_001) == 0, "who scored less than a place asks for has none"


async def test_the_operator_sees_nobody_below_the_score_that_a_board_asks_for(house: House) -> None:
    (player,) = await house.joins("a")
    board = await house.opens()
    await house.plays(player, 90)
    async with house.engine.database.reading() as connection:
        for least, seen in ((90, [player]), (91, [])):
            places = await first_places(connection, BRAND, house.instance().id, board, final=False, least=least)
            assert [one["player_id"] for one in places] == seen
