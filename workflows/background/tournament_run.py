"""The workflow of an instance of a tournament: it waits for its end, has it closed, and has the prizes paid.

Timers and retries are all it adds: scores, places and what was paid stand in Postgres, so a worker may die anywhere.
"""

from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel
from temporalio import workflow

from workflows.effect_retries import UNTIL_THE_WORLD_ANSWERS
from workflows.run import retry_policy

#: The workflow's name, which no journey can have, and those of its signal and its query.
NAME: Final = "tournament instance"
CANCEL: Final = "cancel"
PHASE: Final = "phase"
CLOSE_TOURNAMENT: Final = "close_tournament"
PAY_PRIZES: Final = "pay_prizes"
#: After this time without a heartbeat a worker is taken for dead, and another goes on.
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=15)
#: How long one worker pays before the work is handed out anew, and how long closing may take.
ATTEMPT_LIMIT: Final = timedelta(minutes=5)

Phase = Literal["open", "running", "grace", "closing", "paying", "done"]


class TournamentInput(BaseModel):
    """Which instance, and its times."""

    board: int
    brand: str
    instance: str
    opens_at: AwareDatetime
    closes_at: AwareDatetime
    cut_at: AwareDatetime


class Payment(BaseModel):
    """Whether there are more prizes to pay."""

    more: bool


@workflow.defn(name=NAME, sandboxed=False)
class TournamentWorkflow:
    """Waits until an instance is cut, closes it, and pays page after page until nothing is due."""

    def __init__(self) -> None:
        self._phase: Phase = "open"
        self._cancelled = False

    @workflow.query(name=PHASE, description="Where the instance is: open, running, grace, closing, paying or done.")
    def phase(self) -> str:
        """Where it is."""
        return self._phase

    @workflow.signal(name=CANCEL, description="Stop waiting: the books say that it is cancelled.")
    def cancel(self) -> None:
        """Look at once what the books say."""
        self._cancelled = True

    @workflow.run
    async def run(self, one: TournamentInput) -> None:
        """Be there until the last prize is paid. What is over in the books is only looked at."""
        await self._wait("open", one.opens_at)
        await self._wait("running", one.closes_at)
        await self._wait("grace", one.cut_at)
        self._phase = "closing"
        more = (await self._ask(CLOSE_TOURNAMENT, one)).more
        self._phase = "paying"
        while more:
            more = (await self._ask(PAY_PRIZES, one)).more
            if more and workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(one)
        self._phase = "done"

    async def _wait(self, phase: Phase, until: datetime) -> None:
        self._phase = phase
        left = until - workflow.now()
        if left > timedelta(0) and not self._cancelled:
            try:
                await workflow.wait_condition(lambda: self._cancelled, timeout=left)
            except TimeoutError:
                return

    async def _ask(self, activity: str, one: TournamentInput) -> Payment:
        answer: Payment = await workflow.execute_activity(
            activity,
            one,
            result_type=Payment,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            start_to_close_timeout=2 * ATTEMPT_LIMIT,
            retry_policy=retry_policy(UNTIL_THE_WORLD_ANSWERS),
        )
        return answer
