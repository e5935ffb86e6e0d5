"""What a run sees from inside the sandbox of a real worker."""

from temporalio.client import Client
from temporalio.worker import Worker

from tests.support.outside_packages import OWN_EVENTS, Write, journey_of
from tests.support.player_events import BRAND, NOON
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import Delivery, DeliveryBatch, Position, RunInput
from workflows.source.journey_loading import load
from workflows.source.module_state import stays
from workflows.temporal_internals import runner


async def test_a_clock_that_no_check_has_seen_is_refused_inside_the_sandbox_that_runs_share(
    package: Write, temporal: Client
) -> None:
    body = "clock = getattr(datetime, 'now')\nawait player.mark('x', at=str(clock()))"
    name = package(one=journey_of(body, head="from datetime import datetime"))
    registry = load([name])
    assert stays(f"{name}.one"), "Runs of this module share a sandbox."
    async with Worker(temporal, task_queue=name, workflows=registry.workflows, workflow_runner=runner()):
        for number in (1, 2):
            run_id = f"hello:{BRAND}:{name}:{number}"
            given = RunInput(
                run_id=run_id,
                brand=BRAND,
                player_id=name,
                journey="hello",
                entered_at=NOON,
                ends_at=NOON.replace(year=9000),
                trigger=None,
                facts=PlayerFacts(player_id=name),
            )
            handle = await temporal.start_workflow("hello", given, id=run_id, task_queue=name)
            async for event in handle.fetch_history_events(wait_new_event=True):
                if event.HasField("workflow_task_failed_event_attributes"):
                    failure = event.workflow_task_failed_event_attributes.failure
                    assert "Cannot access datetime.datetime.now" in failure.message
                    break
            await handle.terminate()


async def test_an_event_class_of_ones_own_is_recognised_inside_the_sandbox(package: Write, temporal: Client) -> None:
    name = package(own=OWN_EVENTS)
    registry = load([name])

    def wire(fact: str, **data: int) -> dict[str, object]:
        return {
            "type": f"igaming.{name}.{fact}.v1",
            "id": fact,
            "source": "/test",
            "time": NOON.isoformat(),
            "data": data,
        }

    run_id = f"care:{BRAND}:{name}:1"
    given = RunInput.model_validate(
        {
            "run_id": run_id,
            "brand": BRAND,
            "player_id": name,
            "journey": "care",
            "entered_at": NOON,
            "ends_at": NOON.replace(year=9000),
            "trigger": wire("vip_flagged", level=2),
            "facts": PlayerFacts(player_id=name),
        }
    )
    calls = [
        Delivery.model_validate({"seq": seq, "kind": "event", "event": wire("called", minutes=minutes)})
        for seq, minutes in [(1, 2), (2, 3)]
    ]
    async with Worker(temporal, task_queue=name, workflows=registry.workflows, workflow_runner=runner()):
        handle = await temporal.start_workflow("care", given, id=run_id, task_queue=name)
        await handle.signal("deliver", DeliveryBatch(items=calls))
        position = await handle.query("position", result_type=Position)
        await handle.terminate()
    assert position.step == "sleep#1"
    assert [(line.step, line.outcome) for line in position.story] == [("event:Called#1", "Called")]
