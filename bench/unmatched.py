"""Calls to Temporal for events nobody waits for, counted by Temporal's own server.

    python bench/unmatched.py [--events N]

A count that sees nothing proves nothing: events that do start and wake a run are sent afterwards, and must be seen.
"""

import asyncio
import re
import time
from datetime import UTC, datetime
from typing import Annotated

import httpx
import typer

from activities.loops.maintenance_schedules import SCHEDULES
from bench.harness import House, batches, house
from bench.intake import AT_ONCE, import_past
from bench.measuring import Figures, leave, main, say
from bench.traffic import cloud_event, day, players

#: What workers and servers ask by themselves all the time, whether or not there is anything to do.
IDLE = re.compile(r"Poll|Heartbeat|Describe|GetSystemInfo|Health|List|GetClusterInfo|ShutdownWorker|Schedule\b")
_REQUESTS = re.compile(r"^service_requests\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE)
SEEN = 20
#: So many seconds without a call are rest.
STILL = 5.0


async def calls(built: House) -> dict[str, int]:
    """How often each operation of Temporal's frontend was asked, since the server started."""
    async with httpx.AsyncClient() as client:
        page = (await client.get(f"http://127.0.0.1:{built.metrics_port}/metrics")).text
    found: dict[str, int] = {}
    for line in _REQUESTS.finditer(page):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', line["labels"]))
        if labels.get("service_name") == "frontend" and not IDLE.search(labels["operation"]):
            found[labels["operation"]] = found.get(labels["operation"], 0) + int(float(line["count"]))
    return found


async def at_rest(built: House) -> dict[str, int]:
    """The calls so far, once none has been made for a while: deleting the schedules is work for the server too."""
    known, since = await calls(built), time.monotonic()
    until = since + 60
    while time.monotonic() < since + STILL:
        await asyncio.sleep(0.5)
        found = await calls(built)
        if found != known:
            known, since = found, time.monotonic()
        assert since < until, f"Temporal does not come to rest: {known}"
    return known


async def measure(events: int, ids: list[str]) -> Figures:
    async with house(journeys="bench.journeys") as built:
        await import_past(built, ids)
        # A paused schedule still makes the server call itself now and then.
        for schedule in SCHEDULES:
            await built.temporal.get_schedule_handle(schedule).delete()
        before = await at_rest(built)
        await built.post_all(batches(day(ids, events, "u", datetime.now(UTC)), 500), at_once=AT_ONCE)
        kept = await built.count("SELECT count(*) FROM events WHERE id LIKE 'u-%%'")
        # The dispatcher looks at least once a second and the server counts up to a second late.
        await asyncio.sleep(3)
        waiting = await built.count("SELECT count(*) FROM deliveries")
        after = await calls(built)
        say(f"{kept:,} events: {waiting} deliveries, calls before {before}, after {after}")

        started = [cloud_event("bench.parked", player, f"parked-{player}") for player in ids[:SEEN]]
        await built.post(batches(started, SEEN)[0])
        begun = after.get("StartWorkflowExecution", 0)

        async def seen() -> int:
            return (await calls(built)).get("StartWorkflowExecution", 0) - begun

        async def all_seen() -> bool:
            return await seen() >= SEEN

        await built.until(all_seen, within=30, what="The count of the runs' starts", every=0.2)
        starts = await seen()
        say(f"{SEEN} events that start a run: {starts} starts seen")
    assert kept == events, f"{kept} events of {events} were kept."
    assert starts == SEEN, "The count does not see what it should."
    made = sum(after.values()) - sum(before.values())
    return {"unmatched_calls": made + waiting, "unmatched_events": kept, "matched_calls_seen": starts}


def command(
    *,
    events: int = 10_000,
    players_: Annotated[int, typer.Option("--players")] = 1_000,
) -> None:
    """Count what Temporal hears of events nobody waits for."""
    leave(main(lambda: measure(events, players(players_))))


if __name__ == "__main__":
    typer.run(command)
