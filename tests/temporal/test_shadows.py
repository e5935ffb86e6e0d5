"""A shadow on a real Temporal: it plays beside the live run, nothing reaches a provider, and an exclusion ends both."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from temporalio.testing import WorkflowEnvironment

from activities.shadows import RunningShadows, start_shadow
from activities.tables import grants, messages, players, runs, shadow_runs, shadow_steps, steps
from tests.support.history_recording import record_run
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from tests.support.temporal_engine import BRAND, Theatre, theatre
from workflows import ExclusionSet, RoundCompleted, days, hours, minutes
from workflows.player_state.control_arms import arm_of

LOST_ROUND: dict[str, Any] = {
    "round_id": "r",
    "game_session_id": "s",
    "game_id": "g",
    "category": "table",
    "stake_minor": 100,
    "win_minor": 0,
}


@pytest.fixture
async def stage(
    request: pytest.FixtureRequest,
    time_skipping: WorkflowEnvironment,
    postgres_url: str,
    bonus_engine: LocalBonusEngine,
    catch_all: LocalCatchAll,
) -> AsyncIterator[Theatre]:
    """A treated player at ten in the morning, in a brand where the live release of `welcome` is shadowed for all."""
    variables = {"DATABASE_URL": postgres_url, "BONUS_ENGINE_URL": bonus_engine.url, **catch_all.environment}
    here = await time_skipping.get_current_time()
    morning = datetime.combine(here.date() + timedelta(days=1), time(8), UTC)
    names = (f"shadowed-{n}-{postgres_url[-6:]}" for n in range(100))
    player = next(name for name in names if arm_of(BRAND, name, "welcome", 10) == "treated")
    async with theatre(time_skipping, player, variables, morning) as opened:
        async with opened.engine.database.transaction() as connection:
            live = opened.engine.registry.journeys["welcome"].version
            asked = {"journey": "welcome", "version": live, "percent": 100}
            await start_shadow(connection, BRAND, asked, "olena", opened.now)
        opened.engine.intake.shadows = RunningShadows()
        yield opened
        for run in await opened.rows(shadow_runs, order="ends_at"):
            await record_run(request, time_skipping.client, run["id"])


async def would(stage: Theatre) -> list[str]:
    """`step: outcome` of what the shadow would have done, in order."""
    (run,) = await stage.rows(shadow_runs, order="ends_at")
    async with stage.engine.database.reading() as connection:
        chosen = shadow_steps.select().where(shadow_steps.c.run_id == run["id"], shadow_steps.c.line == 0)
        found = await connection.execute(chosen.order_by(shadow_steps.c.at, shadow_steps.c.step))
        return [f"{row.step}: {row.outcome}" for row in found]


@pytest.mark.recorded
async def test_a_shadow_would_do_what_its_release_does_and_nothing_reaches_a_provider(
    stage: Theatre, bonus_engine: LocalBonusEngine, catch_all: LocalCatchAll
) -> None:
    await stage.registers()
    await stage.advance(days(1) + hours(2))
    await stage.happens(RoundCompleted, times=3, **LOST_ROUND)
    await stage.advance(minutes(1))
    did = [row for row in await stage.rows(steps, order="at") if row["line"] == 0]
    assert sorted(await would(stage)) == sorted(f"{row['step']}: {row['outcome']}" for row in did)
    assert "grant:free_spins#1: confirmed" in await would(stage)
    live = {row["run_id"] for table in (messages, grants) for row in await stage.rows(table)}
    assert live == {row["id"] for row in await stage.rows(runs)}
    assert len(await catch_all.mails(f"{stage.player_id}@synthetic.example")) == len(
        [row for row in await stage.rows(messages) if row["channel"] == "email"]
    )
    paid = [record for record in bonus_engine.granted() if stage.player_id in str(record)]
    assert len(paid) == 1


@pytest.mark.recorded
async def test_an_exclusion_ends_a_shadow_and_leaves_no_trace_of_it_in_the_players_row(stage: Theatre) -> None:
    await stage.registers()
    await stage.advance(minutes(5))
    await stage.happens(ExclusionSet, kind="self_exclusion", scope="brand")
    assert await stage.ends("welcome") == "self_excluded"
    (run,) = await stage.rows(shadow_runs, order="ends_at")
    outcome = await stage.environment.client.get_workflow_handle(run["id"], result_type=str).result()
    (run,) = await stage.rows(shadow_runs, order="ends_at")
    assert (outcome, run["outcome"]) == ("self_excluded", "self_excluded")
    async with stage.engine.database.reading() as connection:
        known = await connection.execute(sa.select(players.c.state).where(players.c.id == stage.player_id))
    assert "shadows" not in known.scalar_one()
