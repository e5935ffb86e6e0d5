"""A journey held and resumed on a real Temporal: the run waits without a try, and goes on when it is told."""

from datetime import timedelta

from temporalio.testing import WorkflowEnvironment

from activities.bulk_jobs import Job
from activities.journey_controls import ControlChange, apply_control, controls_of
from activities.loops.journey_jobs import RESUME, HeldRuns, begin_resume
from activities.tables import grants, held_runs
from tests.support.engine import rows
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from tests.support.temporal_engine import BRAND, Theatre, theatre
from workflows import DepositApproved
from workflows.run import HOLD_ASKED_AFTER

JOURNEY = "gift"


async def decide(stage: Theatre, action: str) -> Job:
    """Hold or resume the journey, as the API does; the job that tells the held runs."""
    now = stage.now
    job = Job(
        id=f"{action}-{now.timestamp()}",
        brand=BRAND,
        kind=RESUME,
        subject=JOURNEY,
        detail={"per_second": 100},
        created_at=now,
        updated_at=now,
    )
    async with stage.engine.database.transaction() as connection:
        await controls_of(connection, BRAND, JOURNEY, lock=True)
        change = ControlChange("hold" if action == "hold" else "resume", "crm", "It was wrong.", now)
        await apply_control(connection, BRAND, JOURNEY, change)
        return await begin_resume(connection, job) if action == "resume" else job


async def attempts(stage: Theatre) -> int:
    """How often Temporal was asked for the effect, over all tries."""
    history = await stage.handle(JOURNEY).fetch_history()
    scheduled = [event for event in history.events if event.HasField("activity_task_scheduled_event_attributes")]
    return sum(one.activity_task_scheduled_event_attributes.activity_type.name == "grant" for one in scheduled)


async def test_a_held_run_waits_and_goes_on_when_it_is_told(
    time_skipping: WorkflowEnvironment, postgres_url: str, bonus_engine: LocalBonusEngine, catch_all: LocalCatchAll
) -> None:
    variables = {
        "DATABASE_URL": postgres_url,
        "BONUS_ENGINE_URL": bonus_engine.url,
        "JOURNEYS": "tests.support.gift_journeys",
        "SHIPPED_JOURNEYS": "none",
        **catch_all.environment,
    }
    async with theatre(time_skipping, f"p-{postgres_url[-6:]}", variables) as stage:
        await stage.registers(mode="history")
        await decide(stage, "hold")
        await stage.happens(DepositApproved, amount_minor=1_900, currency="EUR")
        await stage.advance(HOLD_ASKED_AFTER - timedelta(minutes=5))
        (waiting,) = await rows(stage.engine.database, held_runs, brand=BRAND)
        assert waiting["step"] == "grant:points#1"
        assert await rows(stage.engine.database, grants) == []
        assert await attempts(stage) == 1, "it asked once and waits"
        position = await stage.position(JOURNEY)
        assert position.step == "grant:points#1"
        assert position.waiting_until is not None
        job = await decide(stage, "resume")
        at_work = HeldRuns(stage.engine.database, stage.engine.intake, stage.engine.pressure, stage.clock)
        while await at_work.batch(job.id) is not None:
            pass
        await stage.deliver()
        assert await stage.ends(JOURNEY) == "completed"
        assert [row["status"] for row in await rows(stage.engine.database, grants)] == ["confirmed"]
        assert await attempts(stage) == 2
