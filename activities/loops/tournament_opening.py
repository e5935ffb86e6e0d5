"""Opens tournaments when their time comes, and sees to it that each instance under way has a workflow.

What is open stands in Postgres: any worker may look, and one that looks again changes nothing.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.clock import Clock
from activities.database import Database
from activities.repeating import repeat
from activities.settings import MAINTENANCE_QUEUE
from activities.tables import api_keys
from activities.tournaments import open_instance, under_way
from workflows.background.tournament_run import CANCEL, TournamentWorkflow
from workflows.loyalty.tournaments import Instance, Tournament, board_of, run_of
from workflows.rules.index import RuleIndex

logger = logging.getLogger(__name__)

#: How long before it opens an instance is known, and how often it is looked for what should be under way.
AHEAD: Final = timedelta(hours=1)
LOOK_EVERY_S: Final = 10.0
#: After how long an instance that has a row, or a workflow, is asked for once more: somebody may have ended it by hand.
ASK_AGAIN_S: Final = 300.0
#: Instances that a worker looks back for when it starts: all of them may have been away for longer than one lasted.
LOOK_BACK: Final = 31
RPC_LIMIT: Final = timedelta(seconds=5)


class AskedLately:
    """What was asked for, and when: nothing is asked for again within some minutes."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self.timer = timer
        self._at: dict[int, float] = {}

    def is_due(self, board: int) -> bool:
        """Whether it was not asked for lately."""
        return board not in self._at or self.timer() - self._at[board] > ASK_AGAIN_S

    def note(self, boards: Iterable[int]) -> None:
        """It is asked for; what was asked for long ago is forgotten."""
        self._at = {board: at for board, at in self._at.items() if not self.is_due(board)}
        self._at.update(dict.fromkeys(boards, self.timer()))


class TournamentOpening:
    """Has a row and a workflow for every instance that is on. `timer` counts seconds; tests have their own."""

    def __init__(
        self, database: Database, rules: RuleIndex, clock: Clock, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.database = database
        self.rules = rules
        self.clock = clock
        #: Whether this process has looked for what ran out while nobody was here.
        self._looked_back = False
        #: When each instance was last opened, by its board, and started.
        self._opened = AskedLately(timer)
        self._started = AskedLately(timer)

    async def open_due(self) -> None:
        """Have a row for each instance that is on or about to be, of every brand that has a key."""
        declared = self.rules.loyalty.tournaments.values()
        if not declared:
            return
        now = self.clock()
        wanted = [(one, known, played) for one in declared for known, played in self._known(one, now)]
        async with self.database.transaction() as connection:
            brands = (await connection.execute(select(api_keys.c.brand).distinct())).scalars().all()
            asked = {
                board: (brand, *of_one)
                for brand in sorted(brands)
                for of_one in wanted
                if self._opened.is_due(board := board_of(brand, of_one[1].id))
            }
            for brand, one, known, played in asked.values():
                await open_instance(connection, brand, one, known, played=played)
        self._opened.note(asked)
        self._looked_back = True

    def _known(self, one: Tournament, now: datetime) -> Iterator[tuple[Instance, bool]]:
        """The instances to be opened, and whether only where somebody has a standing in it."""
        known = one.newest(now + AHEAD)
        yield known, False
        for _ in range(1 if self._looked_back else LOOK_BACK):
            known = one.before(known)
            yield known, True

    async def start_due(self, client: Client) -> None:
        """Have a workflow for each instance that is not over; one that somebody ended by hand begins again."""
        async with self.database.reading() as connection:
            rows = [row for row in await under_way(connection) if self._started.is_due(row.board)]
        for row in rows:
            try:
                await client.start_workflow(
                    TournamentWorkflow.run,
                    row.run_input,
                    id=run_of(row.brand, row.instance),
                    task_queue=MAINTENANCE_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    rpc_timeout=RPC_LIMIT,
                )
            except WorkflowAlreadyStartedError:
                logger.debug("%s of %s has its workflow.", row.instance, row.brand)
            self._started.note([row.board])

    async def watch(self, client: Client, stop: asyncio.Event) -> None:
        """Look again and again until told to stop."""

        async def look() -> None:
            await self.open_due()
            await self.start_due(client)

        await repeat(look, stop, every_s=LOOK_EVERY_S, what="looking after tournaments")


async def wake_cancelled(client: Client, brand: str, instance: str) -> None:
    """Have the workflow of a cancelled instance look at once. Raises what the client raises when Temporal is away."""
    await client.get_workflow_handle(run_of(brand, instance)).signal(CANCEL, rpc_timeout=RPC_LIMIT)
