"""Runs a second of start-send-wait-event-send, beside the same as a hand-written Temporal workflow.

    python bench/runs_vs_bare.py [--runs N] [--rounds N]

Both sides use the same server, the same activities, the same worker settings, and wait for the same rows in Postgres.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import typer
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.service import RPCError

from bench.harness import BRAND, House, batches, house
from bench.intake import AT_ONCE
from bench.measuring import Figures, alternate, leave, main, say
from bench.peers.bare_worker import QUEUE, READY
from bench.peers.bare_workflows import Came, Run
from bench.traffic import cloud_event, players, registration
from workflows.player_state.identities import run_id_of
from workflows.run_protocol import Position

#: As many calls at a time as the engine's dispatcher makes.
CALLS = 64

#: What Temporal bills as an action, by the event it leaves in a history.
ACTIONS = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: "start",
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: "effects",
    EventType.EVENT_TYPE_TIMER_STARTED: "waits",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: "deliveries",
    EventType.EVENT_TYPE_MARKER_RECORDED: "markers",
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: "search attributes",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: "updates",
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: "children",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: "chapters",
}
#: Runs whose actions are counted.
COUNTED = 20
EXPECTED = {"start": 1, "effects": 3, "waits": 1, "deliveries": 1}


async def each(work: Callable[[Any], Awaitable[object]], given: Sequence[Any], at_once: int = CALLS) -> None:
    """Do something for each, `at_once` of them under way at any moment."""
    left = iter(given)

    async def one_by_one() -> None:
        for item in left:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one_by_one())


async def enrol(built: House, journey: str, ids: Sequence[str]) -> list[Run]:
    """The rows of runs that a hand-written workflow's activities need; the engine's intake writes its own."""
    found = [Run(run_id=f"{journey}:{BRAND}:{p}:1", brand=BRAND, player_id=p, journey=journey) for p in ids]
    await built.sql.execute(
        """
        INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at)
        SELECT t.id, %s, t.player, %s, 'treated', 'active', now(), now() + interval '60 days'
        FROM unnest(%s::text[], %s::text[]) AS t (id, player)
        """,
        (BRAND, journey, [run.run_id for run in found], list(ids)),
    )
    return found


def begun(player: str) -> str:
    """The engine's run of `two_sends` that the player's `bench.begun` began."""
    cause = {"type": "bench.begun", "source": "/bench", "id": f"b-{player}"}
    return run_id_of("two_sends", BRAND, player, cause, timedelta(0), 0)


async def actions(client: Client, run_id: str) -> dict[str, int]:
    """Everything in a run's history that is billed, by what it is."""
    history = await client.get_workflow_handle(run_id).fetch_history()
    found: Counter[str] = Counter()
    for event in history.events:
        if event.event_type in ACTIONS:
            found[ACTIONS[event.event_type]] += 1
    return dict(found)


def beyond(found: dict[str, int]) -> int:
    """How many actions there are too many or too few, of whatever kind."""
    return sum(abs(found.get(kind, 0) - EXPECTED.get(kind, 0)) for kind in {*found, *EXPECTED})


async def in_peace(built: House, ids: Sequence[str]) -> Sequence[str]:
    """Runs that wait before they are woken; under load an event may come first, and nobody waits or pays for a wait."""
    await built.post_all(batches([cloud_event("bench.begun", p, f"b-{p}") for p in ids], 500), at_once=1)

    async def waiting() -> bool:
        handles = [built.temporal.get_workflow_handle(begun(player)) for player in ids]
        try:
            found = [await handle.query("position", result_type=Position) for handle in handles]
        except RPCError:
            return False  # one has not begun
        return all(position.waiting_until for position in found)

    await built.until(waiting, within=60, what="The wait of every run", every=0.2)
    await built.post_all(batches([cloud_event("bench.woken", p, f"w-{p}") for p in ids], 500), at_once=1)
    for player in ids:
        await built.temporal.get_workflow_handle(begun(player)).result()
    return ids


async def measure(runs: int, rounds: int) -> Figures:
    async with (
        house(journeys="bench.journeys") as built,
        built.beside("bare-worker", sys.executable, "-m", "bench.peers.bare_worker", said=READY),
    ):

        async def known(prefix: str, runs: int) -> list[str]:
            ids = players(runs, f"{prefix}p")
            events = [registration(player, datetime.now(UTC)) for player in ids]
            await built.post_all(batches(events, 500), at_once=AT_ONCE, mode="history")
            await built.settle()
            return ids

        async def sent(prefix: str, runs: int) -> None:
            query = "SELECT count(*) FROM steps WHERE player_id LIKE %s AND step = 'send:deposit-thanks#1'"

            async def all_sent() -> bool:
                return await built.count(query, f"{prefix}%") == runs

            await built.until(all_sent, within=120, what="The first message of every run")

        async def ended(prefix: str, runs: int) -> None:
            query = "SELECT count(*) FROM runs WHERE player_id LIKE %s AND outcome = 'completed'"

            async def all_ended() -> bool:
                return await built.count(query, f"{prefix}%") == runs

            await built.until(all_ended, within=120, what="The end of every run")
            query = "SELECT count(*) FROM messages WHERE player_id LIKE %s AND status = 'sent'"
            assert await built.count(query, f"{prefix}%") == 2 * runs, "Every message should have gone out."

        async def engine(number: int, runs: int = runs) -> float:
            prefix = f"engine{number}-"
            ids = await known(prefix, runs)
            began = time.perf_counter()
            await built.post_all(batches([cloud_event("bench.begun", p, f"b-{p}") for p in ids], 500), at_once=AT_ONCE)
            await sent(prefix, runs)
            await built.post_all(batches([cloud_event("bench.woken", p, f"w-{p}") for p in ids], 500), at_once=AT_ONCE)
            await ended(prefix, runs)
            return runs / (time.perf_counter() - began)

        async def bare(number: int, runs: int = runs) -> float:
            prefix = f"bare{number}-"
            enrolled = await enrol(built, "bare_two_sends", await known(prefix, runs))
            began = time.perf_counter()
            await each(
                lambda run: built.temporal.start_workflow("bare_two_sends", run, id=run.run_id, task_queue=QUEUE),
                enrolled,
            )
            await sent(prefix, runs)
            await each(
                lambda run: built.temporal.get_workflow_handle(run.run_id).signal(
                    "event", Came(event_id=f"w-{run.player_id}", kind="bench.woken")
                ),
                enrolled,
            )
            await ended(prefix, runs)
            return runs / (time.perf_counter() - began)

        await engine(0, 10)
        await bare(0, 10)
        compared = await alternate(rounds, engine, bare, what="Journey", unit="runs/s")
        counted = [
            await actions(built.temporal, begun(player))
            for player in await in_peace(built, await known("calm-", COUNTED))
        ]
        hand_written = await actions(built.temporal, f"bare_two_sends:{BRAND}:bare1-p0:1")
    most = max(counted, key=beyond)
    say(f"Actions of a run: {most}; of the hand-written one: {hand_written}")
    return compared.figures("journey_vs_bare", "journey_runs_per_s", "bare_runs_per_s") | {
        "actions_per_run": sum(most.values()),
        "actions_per_run_by_kind": most,
        "actions_beyond_expected": beyond(most),
        "bare_actions_per_run": sum(hand_written.values()),
    }


def command(
    *,
    runs: int = 200,
    rounds: int = 5,
) -> None:
    """Take the figures of whole runs."""
    leave(main(lambda: measure(runs, rounds)))


if __name__ == "__main__":
    typer.run(command)
