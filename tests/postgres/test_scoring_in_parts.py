"""Players of a brand are scored part by part, and it comes to the same: whatever the parts, and when begun again."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.score_models import keep_model
from activities.shared_events import SCORED_EVENTS
from activities.tables import score_models
from learning.churn_features import PastDeposit
from learning.value import ValueModel, learn_value
from learning.vip import VipModel, learn_vip
from tests.support.engine import BRAND, Effects, effects, execute, rows
from tests.support.invented_casino import invented
from tests.support.scored_nights import NIGHT, deposited, learning, told, with_model
from workflows import DepositApproved, ScoreChanged
from workflows.background.maintenance import Now, ScoredPlayers
from workflows.scores import SCORES


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    journeys = {"journeys": "tests.support.scored_journeys", "shipped_journeys": "none"}
    async with effects(module_postgres_url, **journeys) as built:
        yield built


@pytest.fixture
async def alone(shared: Effects) -> AsyncIterator[Effects]:
    """With no players of other tests: to read all of them two by two would take its time."""
    with shared.for_one_test():
        shared.casino.clock.now = NIGHT
        for table in ("score_models", "events", "players"):
            await execute(shared.database, f"DELETE FROM {table}")
        yield shared


async def test_in_parts_of_two_players_are_told_the_same_as_in_one(alone: Effects) -> None:
    players = await with_three_models_and_some_players(alone)
    at_once = await learning(alone, reads_scores=SCORES).score_due()
    in_one = {player: by_score(await told(alone, player)) for player in players}
    drift = {row["name"]: row["drift"] for row in await rows(alone.database, score_models)}
    assert sum(map(len, in_one.values())) == at_once.told > len(players)
    await execute(alone.database, f"DELETE FROM events WHERE type = '{ScoreChanged.type}'")
    await execute(alone.database, "DELETE FROM event_ids")
    assert await learning(alone, reads_scores=SCORES, at_once=2).score_due() == at_once
    assert {player: by_score(await told(alone, player)) for player in players} == in_one
    assert {row["name"]: row["drift"] for row in await rows(alone.database, score_models)} == drift


async def test_one_that_was_killed_begins_again_and_scores_nobody_twice_or_as_of_another_moment(
    alone: Effects,
) -> None:
    model = await with_model(alone)
    players = [alone.casino.player(f"p{number}") for number in range(6)]
    for number, player in enumerate(players):
        await deposited(alone, player, *range(2 + number, 80, 3 + number))
    hours = iter([timedelta(0)] * 2)

    def until_killed() -> datetime:
        if (one := next(hours, None)) is None:
            raise asyncio.CancelledError
        return NIGHT + one

    with pytest.raises(asyncio.CancelledError):
        await learning(alone, at_once=1, clock=until_killed).score_due(NIGHT)
    assert sum([len(await told(alone, player)) for player in players]) == 2
    alone.casino.clock.now = NIGHT + timedelta(hours=30)
    for player in players:
        await deposited(alone, player, 1)
    again = await learning(alone, at_once=1).score_due(NIGHT)
    assert (again.seen, again.told) == (6, 4)
    for number, player in enumerate(players):
        past = [PastDeposit(NIGHT - timedelta(days=days), 2_000) for days in range(2 + number, 80, 3 + number)]
        direct = model.score(past, NIGHT)
        assert direct is not None
        assert [one["to_percent"] for one in await told(alone, player)] == [direct.percent]


async def test_with_each_part_temporal_hears_how_far_it_has_come(alone: Effects) -> None:
    await with_model(alone)
    for name in ("a", "b", "c"):
        await deposited(alone, alone.casino.player(name), 3, 9, 20, 30)
    heard: list[tuple[Any, ...]] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: heard.append(details)
    scored = await environment.run(learning(alone, at_once=1).score, Now(at=NIGHT))
    assert scored == ScoredPlayers(seen=3, told=3)
    for what in ("counted", "told"):
        numbers = [one[3] for one in heard if one[:3] == (BRAND, "churn", what)]
        assert {*numbers} >= {1, 2, 3}


async def test_what_is_written_of_a_night_names_each_feature(alone: Effects) -> None:
    await with_model(alone)
    await execute(
        alone.database,
        "INSERT INTO players (brand, id) SELECT :brand, 'f-' || n FROM generate_series(1, 220) n",
        brand=BRAND,
    )
    await execute(
        alone.database,
        "INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, received_at, history, data) "
        "SELECT :brand, '/t', 'f-' || n || '-' || d, 30000000 + 1000 * n + d, :type, 'f-' || n, "
        "CAST(:at AS timestamptz) - d * interval '1 day', now(), true, "
        "jsonb_build_object('amount_minor', 2000) FROM generate_series(1, 220) n, generate_series(1, 40, 3) d",
        brand=BRAND,
        type=DepositApproved.type,
        at=NIGHT,
    )
    assert (await learning(alone, at_once=50).score_due()).seen == 220
    [row] = await rows(alone.database, score_models)
    assert row["drift"]["tenure.days"] > 0.25, "all of them came 40 days ago"
    assert row["drift"]["amount.mean"] == 0, "all of them deposit as much as all did"
    assert {"score", "idle.days", "gaps.mean"} <= row["drift"].keys()


def test_the_index_of_what_scores_read_is_of_these_events() -> None:
    assert f"type IN ('{DepositApproved.type}', '{ScoreChanged.type}')" == SCORED_EVENTS


def by_score(said: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["score"]: one for one in said}


async def with_three_models_and_some_players(alone: Effects) -> list[str]:
    """Models of another house, and players of this one who come as often as pleases them, some of them no more."""
    await with_model(alone)
    casino = invented(9, 1_000, NIGHT)
    value, vip = learn_value(casino, NIGHT), learn_vip(casino, NIGHT)
    assert isinstance(value, ValueModel)
    assert isinstance(vip, VipModel)
    async with alone.database.transaction() as connection:
        for name, model in (("value", value), ("vip", vip)):
            await keep_model(connection, BRAND, name, model.model_dump(mode="json"), "champion", "made", NIGHT)
    drawn, players = random.Random(3), []
    for number in range(9):
        player = alone.casino.player(f"p{number}")
        players.append(player)
        await deposited(alone, player, *sorted(drawn.sample(range(1 + 3 * number, 200), 1 + 2 * number)))
    return players
