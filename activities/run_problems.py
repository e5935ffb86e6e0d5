"""What is stuck, of all that may be: found in the books, so that it can be told while a worker or Temporal is away.

What fails in Temporal is written into the run's row by whoever notices: a worker an effect that keeps failing, the
dispatcher's process the code that cannot be played on. Everything else stands in the rows anyway.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, get_args

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.client import Client

from activities.clock import Clock
from activities.database import Database
from activities.deployment_names import DEFAULT, workflow_in
from activities.repeating import repeat
from activities.runs import clear_problem, clear_problems_but, note_problem
from activities.tables import HAS_WORKFLOW
from workflows.shadows import is_shadow_run

logger = logging.getLogger(__name__)

#: What can be wrong with a run: an effect keeps failing; its own code does; it should have ended an hour ago; Temporal
#: has lost it; something for it was refused for good; nobody knows whether it paid a reward.
Trouble = Literal["failing_effect", "failing_code", "past_end", "lost", "dead_letter", "unknown_grant"]
TROUBLES: Final[tuple[Trouble, ...]] = get_args(Trouble)

#: How long after its end a run is past it: every effect and the dispatcher have had their time.
GRACE: Final = timedelta(hours=1)
#: How often one failing effect is written down, in seconds, and how many a process remembers to have written.
NOTED_EVERY, MOST_NOTED = 300.0, 10_000
#: How often Temporal is asked whose code fails, in seconds, how many runs at most are written down, and how many are
#: listed for them, shadows and what is another deployment's among them.
ASK_EVERY, MOST_FAILING, MOST_LISTED = 30.0, 1_000, 10_000
RPC_LIMIT: Final = timedelta(seconds=10)
#: Temporal marks a run so when its workflow tasks have failed a few times in a row.
FAILING_CODE: Final = "TemporalReportedProblems IS NOT NULL AND ExecutionStatus = 'Running'"
CODE_FAILS: Final = "The journey's code fails each time the run is played on; see the worker's log and correct it."


class RunTrouble(NamedTuple):
    """A run and what is wrong with it. `step` and `error` are None where nobody knows them."""

    run_id: str
    problem: Trouble
    since: datetime
    step: str | None
    error: str | None


class RunProblems:
    """Writes down what fails, as it is noticed; while Postgres is away it is noticed again later."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        deployment: str = DEFAULT,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database = database
        self.clock = clock
        self.deployment = deployment
        self.timer = timer
        self._noted: dict[str, float] = {}

    async def effect_fails(self, run_id: str, step: str, since: datetime, error: str) -> None:
        """An effect has failed for a while. Told again and again it is written down once in a few minutes."""
        now = self.timer()
        if now - self._noted.get(run_id, -NOTED_EVERY) < NOTED_EVERY:
            return
        if len(self._noted) >= MOST_NOTED:
            self._noted.clear()
        self._noted[run_id] = now
        try:
            async with self.database.transaction() as connection:
                await note_problem(connection, run_id, "failing_effect", step, since, error)
        except (SQLAlchemyError, OSError) as away:
            logger.warning("That run %s is stuck at %s cannot be written down now: %s", run_id, step, away)

    async def effect_succeeds(self, run_id: str) -> None:
        """An effect that had failed came about."""
        self._noted.pop(run_id, None)
        try:
            async with self.database.transaction() as connection:
                await clear_problem(connection, run_id, "failing_effect")
        except (SQLAlchemyError, OSError) as away:
            logger.warning("That run %s goes on cannot be written down now: %s", run_id, away)

    async def ask_once(self, client: Client) -> int:
        """Ask Temporal whose code fails, and write down who it is and who it is no more; how many there are."""
        ours = workflow_in(self.deployment, "")
        listed = client.list_workflows(FAILING_CODE, limit=MOST_LISTED, rpc_timeout=RPC_LIMIT)
        failing, told = list[str](), 0
        async for one in listed:
            told += 1
            run_id = one.id.removeprefix(ours)
            # A shadow stands in no row of the books, and must not take the place of a live run.
            if one.id.startswith(ours) and not is_shadow_run(run_id):
                failing.append(run_id)
            if len(failing) == MOST_FAILING:
                break
        now = self.clock()
        async with self.database.transaction() as connection:
            for run_id in failing:
                await note_problem(connection, run_id, "failing_code", None, now, CODE_FAILS)
            if told < MOST_LISTED and len(failing) < MOST_FAILING:
                # Of a list that was cut off nobody knows who is missing.
                await clear_problems_but(connection, "failing_code", failing)
        return len(failing)

    async def watch(self, client: Client, stop: asyncio.Event) -> None:
        """Ask again and again until told to stop."""

        async def ask() -> None:
            await self.ask_once(client)

        await repeat(ask, stop, every_s=ASK_EVERY, what="asking whose code fails")


async def troubles(
    connection: AsyncConnection,
    brand: str,
    wanted: Sequence[Trouble],
    now: datetime,
    limit: int,
    *,
    narrowed: Mapping[str, str | None] = MappingProxyType({}),
    after: tuple[datetime, str, str] | None = None,
) -> list[RunTrouble]:
    """What is wrong with a brand's runs, the longest standing first, behind `after`: since when, run and problem.

    A run with two problems is told twice. `narrowed` are values of the columns in `NARROWED_BY`.
    """
    since, run, problem = after or (None, "", "")
    given: dict[str, object] = {"brand": brand, "limit": limit, "now": now, "grace": GRACE}
    given |= {name: narrowed.get(name) for name in NARROWED_BY}
    given |= {"since": since, "run": run, "problem": problem}
    found = " UNION ALL ".join(f"({_FOUND[one]})" for one in wanted)
    query = text(f"SELECT * FROM ({found}) found ORDER BY since, run_id, problem LIMIT :limit")  # noqa: S608 - constants
    return [RunTrouble(*row) for row in await connection.execute(query, given)]


#: What a list of runs may be narrowed by, each where it is given.
NARROWED_BY: Final = ("journey", "player_id", "state", "arm", "version", "outcome")
_NARROWED: Final = " ".join(
    f"AND (CAST(:{one} AS text) IS NULL OR CAST(r.{one} AS text) = :{one})" for one in NARROWED_BY
)


def _found(columns: str, source: str, condition: str, since: str, problem: str) -> str:
    """One kind of problem: its first rows behind the last one told, so that each index is read no further."""
    return (
        f"SELECT {columns} FROM {source} WHERE {condition} "  # noqa: S608 - of the constants below
        f"{_NARROWED} "
        f"AND (CAST(:since AS timestamptz) IS NULL OR {since} >= :since "
        f"AND ({since}, r.id, '{problem}') > (:since, :run, :problem)) "
        f"ORDER BY {since}, r.id LIMIT :limit"
    )


_OF_A_RUN: Final = "r.brand = :brand AND r.state = 'active' AND r.problem = '{problem}'"
_FOUND: Final[dict[Trouble, str]] = {
    **{
        problem: _found(
            f"r.id AS run_id, '{problem}' AS problem, r.problem_since AS since, r.problem_step AS step, "
            "r.problem_detail AS error",
            "runs r",
            _OF_A_RUN.format(problem=problem),
            "r.problem_since",
            problem,
        )
        for problem in ("failing_effect", "failing_code")
    },
    "past_end": _found(
        "r.id AS run_id, 'past_end' AS problem, r.ends_at AS since, r.problem_step AS step, r.problem_detail AS error",
        "runs r",
        f"r.brand = :brand AND r.state = 'active' AND {HAS_WORKFLOW} "
        "AND r.ends_at < CAST(:now AS timestamptz) - CAST(:grace AS interval)",
        "r.ends_at",
        "past_end",
    ),
    "lost": _found(
        "r.id AS run_id, 'lost' AS problem, r.ended_at AS since, CAST(NULL AS text) AS step, "
        "CAST(NULL AS text) AS error",
        "runs r",
        "r.brand = :brand AND r.outcome = 'lost'",
        "r.ended_at",
        "lost",
    ),
    "dead_letter": _found(
        "r.id AS run_id, 'dead_letter' AS problem, d.at AS since, CAST(NULL AS text) AS step, d.reason AS error",
        "(SELECT DISTINCT ON (run_id) run_id, at, reason FROM dead_letters "
        "WHERE brand = :brand AND retried_at IS NULL ORDER BY run_id, at) d JOIN runs r ON r.id = d.run_id",
        "r.brand = :brand",
        "d.at",
        "dead_letter",
    ),
    "unknown_grant": _found(
        "r.id AS run_id, 'unknown_grant' AS problem, g.created_at AS since, g.step, g.reason AS error",
        "grants g JOIN runs r ON r.id = g.run_id",
        "r.brand = :brand AND g.status = 'unknown'",
        "g.created_at",
        "unknown_grant",
    ),
}
