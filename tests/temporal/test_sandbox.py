"""What a run sees from inside the sandbox of a real worker."""

from temporalio.client import Client
from temporalio.worker import Worker

from tests.support.outside_packages import OWN_EVENTS, Write
from tests.support.player_events import BRAND, NOON
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import Delivery, DeliveryBatch, Position, RunInput
from workflows.source.journey_loading import load
from workflows.temporal_internals import runner


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
