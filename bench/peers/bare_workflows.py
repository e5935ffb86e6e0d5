"""The journeys of the benchmarks as hand-written Temporal workflows, with the engine's own activities.

Written as Temporal's documentation advises: one pydantic model in, a signal that only notes what came, activities with
a time limit and a retry policy, a wait with a timeout, imports of models passed through the sandbox.
"""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel

    from workflows.effects import Done, End, Send, SendResult

LIMIT = timedelta(seconds=30)
RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30))


class Run(BaseModel):
    """Whose run it is."""

    run_id: str
    brand: str
    player_id: str
    journey: str

    def common(self, step: str) -> dict[str, Any]:
        """What every activity is told."""
        return {**self.model_dump(), "step": step}


class Came(BaseModel):
    """An event, as it is signalled."""

    event_id: str
    kind: str


async def send(run: Run, template: str, number: int) -> SendResult:
    """The engine's own activity `send`."""
    given = Send(**run.common(f"send:{template}#{number}"), template=template, via=["in_app"])
    result: SendResult = await workflow.execute_activity(
        "send", given, result_type=SendResult, start_to_close_timeout=LIMIT, retry_policy=RETRIES
    )
    return result


@workflow.defn(name="bare_two_sends")
class TwoSends:
    """Start, send, wait for an event, send; its end is recorded as the engine records it."""

    def __init__(self) -> None:
        self.came: list[Came] = []

    @workflow.signal
    def event(self, came: Came) -> None:
        self.came.append(came)

    @workflow.run
    async def run(self, run: Run) -> str:
        await send(run, "deposit-thanks", 1)
        try:
            await workflow.wait_condition(lambda: bool(self.came), timeout=timedelta(hours=1))
            await send(run, "tier-gold", 1)
        except TimeoutError:
            pass
        given = End(**run.common("end"), outcome="completed")
        await workflow.execute_activity(
            "end", given, result_type=Done, start_to_close_timeout=LIMIT, retry_policy=RETRIES
        )
        return "completed"


@workflow.defn(name="bare_parked")
class Parked:
    """Wait, and answer every call with a message."""

    def __init__(self) -> None:
        self.came: list[Came] = []

    @workflow.signal
    def event(self, came: Came) -> None:
        self.came.append(came)

    @workflow.run
    async def run(self, run: Run) -> str:
        number = 0
        try:
            while True:
                await workflow.wait_condition(lambda: bool(self.came), timeout=timedelta(days=30))
                self.came.pop(0)
                number += 1
                await send(run, "deposit-thanks", number)
        except TimeoutError:
            return "ended"
