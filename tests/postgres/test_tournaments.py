"""Tournaments on Postgres: scores with the event, a close that misses nobody, prizes paid once, names that leave."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from activities.engine import WorkerEngine
from activities.erasures import ErasureRequest, erase_due, request_erasure
from activities.leaderboards import BoardRulers, place_of, top_of
from activities.tables import events, gate_decisions, grants, standings, tournaments
from activities.tournaments import read_tournament
from stage.world.world import World
from tests.support.engine import BRAND, HeldTimer, connected, execute, rows
from tests.support.machine import eventually
from tests.support.servers import LocalBonusEngine, owners
from tests.support.tournament_house import PROGRAM, ROUND, House, next_week, tournament_engine
from tests.support.tournament_program import cup, race, today
from workflows import ExclusionSet, PlayerMerged, PlayerRegistered, ProfileUpdated, RoundCompleted, RoundVoided
from workflows.events import Event
from workflows.source.journey_loading import load


@pytest.fixture(scope="module")
async def engine(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[WorkerEngine]:
    async with tournament_engine(module_postgres_url, bonus_engine_server) as built:
        yield built


@pytest.fixture
async def house(engine: WorkerEngine) -> House:
    return next_week(engine)


async def test_scores_are_written_with_the_events_once_however_often_they_are_told(house: House) -> None:
    (player,) = await house.joins("p")
    told = house.casino.event(RoundCompleted, stake_minor=900, **ROUND)
    for _ in range(3):
        await house.engine.intake.ingest(BRAND, [(player, told)], house.now)
    found = await house.standing(player)
    assert (-found["neg_score"], found["rounds"], found["reached_at"]) == (900, 1, house.now)
    assert -(await house.standing(player, today))["neg_score"] == 1


async def test_i8_many_batches_at_once_come_to_the_same_score(house: House) -> None:
    players = await house.joins(*(f"p{n}" for n in range(6)))
    told = [(one, house.casino.event(RoundCompleted, stake_minor=7 * n, **ROUND)) for one in players for n in range(40)]
    batches = [told[start::8] for start in range(8)]
    await asyncio.gather(*(house.engine.intake.ingest(BRAND, one, house.now) for one in batches))
    for one in players:
        assert -(await house.standing(one))["neg_score"] == min(5_000, 7 * sum(range(40)))


async def test_a_close_ranks_everybody_and_pays_each_place_once(house: House) -> None:
    players = await house.joins("a", "b", "c", "d")
    board = await house.opens()
    for number, one in enumerate(players, 1):
        await house.plays(one, 1_000 * number)
    await house.closes(board)
    assert await house.state(board) == "done"
    assert [await house.points_of(one) for one in players] == [0, 100, 100, 500]
    (spins,) = await rows(house.engine.database, grants, player_id=players[0])
    assert (spins["kind"], spins["status"], spins["step"]) == ("free_spins", "reserved", "place:4")
    before = await rows(house.engine.database, standings, board=board)
    await house.engine.tournament_closing.write_places(board)
    assert not await house.engine.tournament_closing.pay_page(board)
    assert await rows(house.engine.database, standings, board=board) == before, "after the close nothing changes"
    winner = players[-1]
    told = await rows(house.engine.database, events, player_id=winner, type="loyalty.tournament_result")
    assert [one["data"]["rank"] for one in told] == [1]
    decided = await rows(house.engine.database, gate_decisions, player_id=winner)
    assert [(one["outcome"], one["subject"]) for one in decided] == [("allowed", "points")]


async def test_case_32_a_finalizer_that_dies_half_way_is_followed_by_another_and_nobody_is_paid_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.loops.tournament_closing.PAGE", 1)
    players = await house.joins("a", "b", "c")
    board = await house.opens()
    for number, one in enumerate(players):
        await house.plays(one, 1_000 * (3 - number))
    house.casino.clock.now = house.instance().cut
    async with house.engine.database.reading() as connection:
        row = await read_tournament(connection, board)
    assert row is not None
    work = house.engine.tournament_closing
    closed = await asyncio.gather(*(work.close_now(row.run_input) for _ in range(3)))
    assert {one.more for one in closed} == {True}
    dying = asyncio.create_task(work.pay_page(board))
    await asyncio.sleep(0)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    for _ in range(4):
        await asyncio.gather(*(work.pay_page(board) for _ in range(3)))
    assert await house.state(board) == "done"
    assert [await house.points_of(one) for one in players] == [500, 100, 100]


async def test_case_32_a_score_that_is_under_way_while_it_closes_is_before_the_cut_or_too_late(house: House) -> None:
    rival, player, late = await house.joins("rival", "slow", "late")
    board = await house.opens()
    await house.plays(rival, 100)
    await house.plays(player, 100)
    await house.plays(late, 100)
    instance, database = house.instance(), house.engine.database
    played = house.now
    house.casino.clock.now = instance.cut - timedelta(seconds=1)
    ready, go = asyncio.Event(), asyncio.Event()

    async def slow_writer() -> None:
        event = house.casino.event(RoundCompleted, stake_minor=400, **{**ROUND, "occurred_at": played})
        async with database.transaction() as connection:
            async with house.engine.intake.locked(connection, BRAND, [player], house.now) as players:
                await house.engine.intake.tell(connection, players, player, event, house.now)
            ready.set()
            await go.wait()

    writing = asyncio.create_task(slow_writer())
    await ready.wait()
    house.casino.clock.now = instance.cut
    async with database.reading() as connection:
        row = await read_tournament(connection, board)
    assert row is not None
    closing = asyncio.create_task(house.engine.tournament_closing.close_now(row.run_input))

    async def closed() -> bool:
        return await house.state(board) == "closing"

    await eventually(closed)
    await house.plays(late, 900, occurred_at=played)
    assert not closing.done(), "it waits for whoever may not have seen the close"
    go.set()
    await asyncio.gather(writing, closing)
    found = {
        one["player_id"]: (-one["neg_score"], one["place"]) for one in await rows(database, standings, board=board)
    }
    assert found[player] == (500, 1), "what was under way is seen"
    assert found[late][0] == 100, "what came behind is not"
    house.casino.clock.now = instance.cut - timedelta(seconds=1)
    await house.plays(late, 900, occurred_at=played)
    assert -(await house.standing(late, at=played))["neg_score"] == 100, "nor what a slower clock takes for early"
    assert (await house.standing(late, at=played))["late"] == 2


async def test_case_16_a_void_after_prizes_are_paid_is_noted_and_changes_no_place(house: House) -> None:
    a, b = await house.joins("a", "b")
    board = await house.opens()
    await house.plays(a, 2_000, round_id="won", occurred_at=house.now)
    await house.plays(b, 1_000)
    played = house.now
    await house.closes(board)
    told = {**ROUND, "round_id": "won", "stake_minor": 2_000, "played_at": played}
    await house.casino.happens(a, RoundVoided, **told)
    found = await house.standing(a, at=played)
    assert (found["place"], found["late"], found["outcome"]) == (1, 1, "paid")
    assert await house.points_of(a) == 500


async def test_case_18_and_i30_who_is_excluded_between_the_close_and_the_prize_gets_none_and_is_in_no_list(
    house: House,
) -> None:
    a, b, c = await house.joins("a", "b", "c")
    board = await house.opens()
    for number, one in enumerate((a, b, c)):
        await house.plays(one, 3_000 - 1_000 * number)
    played = house.now
    house.casino.clock.now = house.instance().cut
    async with house.engine.database.reading() as connection:
        row = await read_tournament(connection, board)
    assert row is not None
    await house.engine.tournament_closing.close_now(row.run_input)
    await house.casino.happens(a, ExclusionSet, kind="self_exclusion", until=None)
    while await house.engine.tournament_closing.pay_page(board):
        pass
    assert [await house.points_of(one) for one in (a, b, c)] == [0, 100, 100], "the place stays empty"
    assert (await house.standing(a, at=played))["outcome"] == "withheld:place_lost"
    async with house.engine.database.reading() as connection:
        assert [one.player_id for one in await top_of(connection, board, final=True)] == [b, c]
        rulers = BoardRulers(house.engine.database)
        assert await place_of(connection, rulers, BRAND, a, board, final=True) is None
        mine = await place_of(connection, rulers, BRAND, b, board, final=True)
    assert mine is not None
    assert (mine.me.place, [one.player_id for one in mine.around]) == (2, [b, c])


async def test_the_gate_is_asked_before_each_prize(house: House) -> None:
    a, b = await house.joins("a", "b")
    board = await house.opens()
    await house.plays(a, 2_000)
    await house.plays(b, 1_000)
    played = house.now
    await house.casino.happens(a, ProfileUpdated, changed={"country": "NL", "birth_date": "2006-01-01"})
    await house.closes(board)
    assert str((await house.standing(a, at=played))["outcome"]).startswith("withheld:")
    assert [await house.points_of(one) for one in (a, b)] == [0, 100]


async def test_too_few_players_and_nobody_is_paid(house: House) -> None:
    (alone,) = await house.joins("alone")
    board = await house.opens()
    await house.plays(alone, 2_000)
    await house.closes(board)
    (row,) = await rows(house.engine.database, tournaments, board=board)
    assert (row["state"], row["reason"]) == ("cancelled", "too_few_players")
    assert await house.points_of(alone) == 0


async def test_case_17_of_two_accounts_that_are_merged_the_absorbed_one_loses_its_place(house: House) -> None:
    stays, goes, rival = await house.joins("stays", "goes", "rival")
    board = await house.opens()
    for one, stake in ((stays, 1_000), (goes, 3_000), (rival, 2_000)):
        await house.plays(one, stake)
    await house.casino.happens(goes, PlayerMerged, survivor_id=stays, absorbed_id=goes)
    await house.plays(goes, 500)
    assert -(await house.standing(stays))["neg_score"] == 1_500, "what it does from then on is the survivor's"
    await house.closes(board)
    assert [await house.points_of(one) for one in (stays, goes, rival)] == [100, 0, 500]


async def test_case_17_merges_in_both_directions_at_once_leave_one_place(house: House) -> None:
    a, b = await house.joins("a", "b")
    await house.plays(a, 1_000)
    await house.plays(b, 2_000)
    await asyncio.gather(
        house.casino.happens(a, PlayerMerged, survivor_id=a, absorbed_id=b),
        house.casino.happens(b, PlayerMerged, survivor_id=b, absorbed_id=a),
    )
    states = [(await house.standing(one))["state"] for one in (a, b)]
    assert sorted(states) == [0, 1]


async def test_i30_an_erased_player_is_on_no_board_from_the_request_on(house: House) -> None:
    player, rival = await house.joins("p", "rival")
    board = await house.opens()
    await house.plays(player, 2_000)
    await house.plays(rival, 1_000)
    asked = ErasureRequest(BRAND, player, "consent_withdrawn", "T-1", "olena")
    async with house.engine.database.transaction() as connection:
        await request_erasure(connection, house.engine.intake, asked, house.now)
    async with house.engine.database.reading() as connection:
        assert [one.player_id for one in await top_of(connection, board, final=False)] == [rival]
    async with connected(owners(house.engine.database.url)) as owner:
        assert [one.player_id async for one in erase_due(owner)]
    assert await rows(house.engine.database, standings, player_id=player) == []


async def test_a_row_or_a_rule_that_raises_costs_nobody_else_a_prize(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activities.loops import tournament_closing

    a, b = await house.joins("a", "b")
    board = await house.opens()
    await house.plays(a, 2_000)
    await house.plays(b, 1_000)
    played = house.now
    page = tournament_closing._Page
    decide = page.decide

    def broken(self: Any, players: Any, player_id: str, *rest: Any, **more: Any) -> None:
        if player_id == a:
            raise ZeroDivisionError
        decide(self, players, player_id, *rest, **more)

    monkeypatch.setattr(page, "decide", broken)
    await house.closes(board)
    assert (await house.standing(a, at=played))["outcome"] == "withheld:failed"
    assert await house.points_of(b) == 100


async def test_case_29_five_thousand_tied_are_ranked_by_the_draw_that_anybody_recomputes(house: House) -> None:
    board = await house.opens()
    await execute(
        house.engine.database,
        """
        INSERT INTO standings (brand, player_id, board, neg_score, reached_at, rounds, draw, named)
        SELECT 'acme', 'tied-' || n, :board, -1, CAST(:at AS timestamptz), 1, n * 7919 % 5003, true
        FROM generate_series(1, 5000) n
        """,
        board=board,
        at=house.now,
    )
    async with house.engine.database.reading() as connection:
        top = await top_of(connection, board, final=False)
        assert [one.draw for one in top] == sorted(one.draw for one in top)
        rulers = BoardRulers(house.engine.database)
        middle = await place_of(connection, rulers, BRAND, "tied-2500", board, final=False)
    assert middle is not None
    assert middle.exact
    assert [one.place for one in middle.around] == [*range(middle.me.place - 5, middle.me.place + 6)]  # type: ignore[operator]


async def test_deep_places_are_an_honest_estimate_and_near_ones_exact(house: House) -> None:
    board = await house.opens()
    await execute(
        house.engine.database,
        """
        INSERT INTO standings (brand, player_id, board, neg_score, reached_at, rounds, draw, named)
        SELECT 'acme', 'deep-' || n, :board, n - 100000, CAST(:at AS timestamptz), 1, n, true
        FROM generate_series(1, 20000) n
        """,
        board=board,
        at=house.now,
    )
    rulers = BoardRulers(house.engine.database)
    async with house.engine.database.reading() as connection:
        near = await place_of(connection, rulers, BRAND, "deep-4321", board, final=False)
        deep = await place_of(connection, rulers, BRAND, "deep-17777", board, final=False)
        second = await place_of(connection, rulers, BRAND, "deep-2", board, final=False)
    assert near is not None
    assert (near.me.place, near.exact) == (4_321, True)
    assert deep is not None
    assert deep.me.place is not None
    assert (abs(deep.me.place - 17_777) <= 20, deep.exact) == (True, False)
    assert second is not None
    assert [one.place for one in second.around] == [1, 2, 3, 4, 5, 6, 7], "the first is among those around the second"
    assert {one.place for one in deep.around} - {deep.me.place} == {None}


async def test_who_scored_less_than_a_place_asks_for_sees_the_score_alone(house: House) -> None:
    (player,) = await house.joins("a")
    board = await house.opens()
    await house.plays(player, 90)
    rulers = BoardRulers(house.engine.database)
    async with house.engine.database.reading() as connection:
        for final in (False, True):
            mine = await place_of(connection, rulers, BRAND, player, board, final=final, least=101)
            assert mine is not None
            assert (mine.me.score, mine.me.place, mine.exact) == (90, None, True)
            assert [one.player_id for one in mine.around] == [player]
            assert await top_of(connection, board, final=final, least=101) == []
        assert [one.place for one in await top_of(connection, board, final=False, least=90)] == [1]


async def test_a_ruler_that_is_old_is_taken_anew_while_it_is_read(house: House) -> None:
    board = await house.opens()
    more = """
        INSERT INTO standings (brand, player_id, board, neg_score, reached_at, rounds, draw, named)
        SELECT 'acme', :mark || n, :board, :score, CAST(:at AS timestamptz), 1, n, true FROM generate_series(1, 8000) n
        """
    timer = HeldTimer()
    rulers, asked = BoardRulers(house.engine.database, timer), {"board": board, "at": house.now}
    await execute(house.engine.database, more, mark="below-", score=-10, **asked)

    async def place() -> int | None:
        async with house.engine.database.reading() as connection:
            mine = await place_of(connection, rulers, BRAND, "below-7000", board, final=False)
        return None if mine is None else mine.me.place

    first = await place()
    assert first is not None
    assert abs(first - 7_000) <= 8
    await execute(house.engine.database, more, mark="above-", score=-20, **asked)
    assert await place() == first, "it is a few seconds old"
    timer.now += 6

    async def knows_the_others() -> bool:
        return abs((await place() or 0) - 15_000) <= 16

    await eventually(knows_the_others)


async def test_what_is_not_declared_costs_no_statement(house: House) -> None:
    (player,) = await house.joins("p")
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(house.engine.database.transaction())
        seen: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
            seen.append(statement)

        event.listen(house.engine.database.engine.sync_engine, "before_cursor_execute", note)
        stack.callback(event.remove, house.engine.database.engine.sync_engine, "before_cursor_execute", note)
        players = await stack.enter_async_context(house.engine.intake.locked(connection, BRAND, [player], house.now))
        told = house.casino.event(ProfileUpdated, changed={"language": "uk"})
        await house.engine.intake.tell(connection, players, player, told, house.now)
    assert [one for one in seen if "standings" in one or "tournaments" in one] == []


async def test_instances_open_by_themselves_for_brands_with_a_key(house: House) -> None:
    await execute(
        house.engine.database,
        "INSERT INTO api_keys (id, brand, name, hash, scopes, created_at) "
        "VALUES (:id, 'acme', 'k', :id, ARRAY['admin'], now()) ON CONFLICT DO NOTHING",
        id=secrets.token_hex(4),
    )
    await house.engine.tournament_opening.open_due()
    await house.engine.tournament_opening.open_due()
    async with house.engine.database.reading() as connection:
        found = (
            await connection.execute(
                text("SELECT instance FROM tournaments WHERE brand = 'acme' AND opens_at > :since ORDER BY instance"),
                {"since": house.now - timedelta(days=7)},
            )
        ).scalars()
        assert {house.instance(one).id for one in (race, cup, today)} <= {*found}


@pytest.mark.parametrize("seed", range(4))
async def test_i33_a_week_at_random_ends_in_the_same_places_and_prizes_on_the_stage(house: House, seed: int) -> None:
    chance = random.Random(seed)
    monday = house.instance().opens
    players = [house.casino.player(f"p{n}") for n in range(6)]
    about = {"occurred_at": monday, "timezone": "Europe/Kyiv", "country": "DK", "birth_date": "1980-01-01"}
    told: list[tuple[datetime, str, Event]] = [
        (monday, player, house.casino.event(PlayerRegistered, **about)) for player in players
    ]
    for number in range(40):
        at, player = monday + timedelta(minutes=chance.randint(40, 7 * 24 * 60 - 1)), chance.choice(players)
        data = {**ROUND, "round_id": f"{house.casino.mark}-{number}", "stake_minor": 100 * chance.randint(0, 40)}
        told.append((at, player, house.casino.event(RoundCompleted, occurred_at=at, **data)))
        if chance.random() < 0.3:
            later = min(house.instance().cut - timedelta(minutes=1), at + timedelta(minutes=chance.randint(-30, 600)))
            told.append((later, player, house.casino.event(RoundVoided, occurred_at=later, played_at=at, **data)))
    out = monday + timedelta(days=chance.randint(1, 6))
    told.append((out, players[0], house.casino.event(ExclusionSet, occurred_at=out, kind="time_out", until=None)))
    board = await house.opens()
    with World(load((PROGRAM,)), {}, monday, brand=BRAND) as world:
        for at, player, event in sorted(told, key=lambda one: one[0]):
            house.casino.clock.now = at
            world.advance_to(at)
            await house.engine.intake.ingest(BRAND, [(player, event)], at)
            world.happen(player, event)
        house.casino.clock.now = monday
        await house.closes(board)
        world.advance_to(house.now)
        rehearsed = world.boards.boards[race.newest(monday).id]
    written = await rows(house.engine.database, standings, board=board)
    assert {one["place"]: one["player_id"] for one in written if one["place"]} == {
        place: player for place, (player, _) in (rehearsed.places or {}).items()
    }
    paid = {one["player_id"]: one["outcome"] for one in written if one["outcome"]}
    assert paid == rehearsed.outcomes
