"""What the console's pages cost: time, queries and bytes, at a house with many tasks and a player with a long story.

python bench/console.py [--tasks N] [--rows N] [--reads N] [--people N] [--seconds N] [--rounds N] [--answers N]
"""

import argparse
import asyncio
import gzip
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from sqlalchemy import event, text

from activities.actors import Actor
from activities.console_sessions import begin_session
from activities.database import Database
from activities.people import add_person, give
from activities.settings import Settings
from activities.standalone_tasks import StandaloneTask
from activities.tasks import open_alone
from api.app import create_app
from api.console.visitor import POLLING, SESSION_COOKIE
from bench.browser import answering, cold
from bench.harness import BRAND, JOURNEYS, House, batches, house
from bench.intake import AT_ONCE
from bench.measuring import FLOORS, Figures, alternate, leave, main, percentile, say, slowness
from bench.player_load import steadily
from bench.traffic import day, players, registration
from workflows.player_facts import PlayerFacts

#: Whose timeline is long, and how many players the tasks are about.
BUSY, ABOUT = "busy", 500
#: Seconds after which a list in a browser asks again.
POLLED_EVERY: Final = 10.0
_ROWS: Final = text(
    """
    INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, data)
    SELECT :brand, '/bench', 't-' || n, nextval('event_ids_seq_seq'), 'payment.deposit_approved', :player,
           now() - n * interval '1 second', '{"amount_minor": 2000, "currency": "EUR"}'::jsonb
    FROM generate_series(1, :rows) n
    """
)

#: The first manager looks after all of them.
_HOSTED: Final = text(
    """
    INSERT INTO player_hosts (brand, player_id, person_id, since, given_by)
    SELECT p.brand, p.id, (SELECT id FROM people WHERE email = 'm0@bench.example'), now(), 'bench'
    FROM players p WHERE p.brand = :brand
    """
)


def pages(task: str, journey: str) -> dict[str, str]:
    """The pages that are measured, by the name of their figure."""
    return {
        "inbox": "inbox?tab=team",
        "task": f"tasks/{task}?tab=team",
        "player": "players/p0?tab=notes",
        "timeline": f"players/{BUSY}",
        "portfolio": "players?mine=true",
        "journey": f"journeys/{journey}",
        "figures": "figures",
        "managers": "managers",
    }


@dataclass
class Queries:
    """What one application asked of Postgres since it was last emptied: how often, and for how many milliseconds."""

    count: int = 0
    milliseconds: float = 0.0
    _began: list[float] = field(default_factory=list)

    def begins(self, *_: object) -> None:
        """A statement is on its way."""
        self._began.append(time.perf_counter())

    def ended(self, *_: object) -> None:
        """Its answer is there."""
        self.count += 1
        self.milliseconds += (time.perf_counter() - self._began.pop()) * 1_000


async def measure(given: argparse.Namespace) -> Figures:
    async with house(journeys=JOURNEYS) as built:
        database = Database(Settings(database_url=built.environment()["DATABASE_URL"]))
        try:
            cookies = await people(database, given.people)
            task = await filled(built, database, given)
            shown = pages(task, "two_sends")
            await built.settle()
            figures = await timed(built, cookies[0], shown, given.reads)
            figures |= await asked(built, cookies[0], shown)
            figures |= await polled(built, cookies, given)
        finally:
            await database.close()
        figures |= await cold(built.api_url, BRAND, cookies[0], given.answers)
        return figures | await answering(built.api_url, BRAND, cookies[0], given.answers)


async def people(database: Database, count: int) -> list[dict[str, str]]:
    """So many managers, signed in; the cookie of each."""
    now, giver, cookies = datetime.now(UTC), Actor(BRAND, "bench", id="bench"), []
    async with database.transaction() as connection:
        for number in range(count):
            person = await add_person(connection, BRAND, f"m{number}@bench.example", f"Manager {number}", now)
            for kind, name in (("role", "manager"), ("team", "vip")):
                await give(connection, person, kind, name, giver, now)  # type: ignore[arg-type]  # of the two kinds
            secret = await begin_session(
                connection,
                person_id=person.id,
                issuer="bench",
                subject=person.id,
                sid=None,
                authenticated_at=now,
                now=now,
            )
            cookies.append({"Cookie": f"{SESSION_COOKIE}={secret}"})
    return cookies


async def filled(built: House, database: Database, given: argparse.Namespace) -> str:
    """Players, a long story and many open tasks; the id of one of the tasks."""
    now, ids = datetime.now(UTC), players(ABOUT)
    for body in batches([registration(one, now - timedelta(days=30)) for one in [*ids, BUSY]], 500):
        await built.post(body)
    giver = Actor(BRAND, "bench", id="bench")
    tasks = []
    async with database.transaction() as connection:
        await connection.execute(_HOSTED, {"brand": BRAND})
        await connection.execute(_ROWS, {"brand": BRAND, "player": BUSY, "rows": given.rows})
        for number in range(given.tasks):
            facts = PlayerFacts(player_id=ids[number % ABOUT])
            due = now + timedelta(hours=12, seconds=number)
            task = StandaloneTask.by_hand("birthday_call", secrets.token_hex(12), "A birthday.", facts, giver, now, due)
            assert await open_alone(connection, BRAND, task)
            tasks.append(task.id)
    # As autovacuum does within a minute of so many tasks.
    await built.sql.execute("VACUUM ANALYZE")
    say(f"{given.tasks:,} open tasks, {given.rows:,} rows of one player")
    return tasks[len(tasks) // 2]


async def timed(built: House, cookie: dict[str, str], shown: dict[str, str], reads: int) -> Figures:
    """Milliseconds until a page has come whole, p95 of `reads` of each, one after the other; and its bytes."""
    figures: Figures = {}
    async with httpx.AsyncClient(base_url=f"{built.api_url}/console/{BRAND}/", headers=cookie, timeout=30) as client:
        sizes = {}
        for name, path in shown.items():
            answer, times = await client.get(path), []
            assert answer.status_code == 200, f"{name}: {answer.status_code} {answer.text[:300]}"
            sizes[name] = round(len(gzip.compress(answer.content)) / 1_024, 1)
            for _ in range(reads):
                began = time.perf_counter()
                await client.get(path)
                times.append((time.perf_counter() - began) * 1_000)
            figures[f"console_{name}_p95"] = round(percentile(times, 0.95), 1)
            say(f"{name}: p95 {figures[f'console_{name}_p95']} ms, {sizes[name]} KB")
        files = [await client.get(f"{built.api_url}/console-assets/{name}") for name in ASSETS]
        own = sum(len(gzip.compress(one.content)) for one in files) / 1_024
    figures["console_bytes_kb"] = sizes
    return figures | {"console_next_kb": max(sizes.values()), "console_first_kb": round(own + max(sizes.values()), 1)}


#: Files that a first page brings along.
ASSETS: Final = ("console.css", "console.js", "drafts.js", "keys.js", "live.js", "status.js", "mark.svg")


async def asked(built: House, cookie: dict[str, str], shown: dict[str, str]) -> Figures:
    """Queries of each page, and milliseconds that Postgres and the way to it take of an inbox."""
    async with counted(built) as (client, queries):
        counts, of_sql = {}, {}
        for name, path in shown.items():
            # The second time, when what is remembered of the brand is there.
            for _ in range(2):
                queries.count, queries.milliseconds = 0, 0.0
                await client.get(f"/console/{BRAND}/{path}", headers=cookie)
            counts[name], of_sql[name] = queries.count, round(queries.milliseconds, 1)
    return {"console_queries": counts, "console_sql_ms": of_sql, "console_inbox_sql_ms": of_sql["inbox"]}


@asynccontextmanager
async def counted(built: House) -> AsyncIterator[tuple[httpx.AsyncClient, Queries]]:
    """The application in this process, with its queries counted."""
    settings: dict[str, Any] = {"journeys": (JOURNEYS,), "link_secrets": ("a secret of twenty-four bytes",)}
    app = create_app(Settings(database_url=built.environment()["DATABASE_URL"], **settings))
    queries = Queries()
    async with app.router.lifespan_context(app):
        pools = {id(one.engine): one.engine for one in (app.state.engine.database, app.state.engine.pools.ordinary)}
        for engine in pools.values():
            event.listen(engine.sync_engine, "before_cursor_execute", queries.begins)
            event.listen(engine.sync_engine, "after_cursor_execute", queries.ended)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console") as client:
            yield client, queries


async def polled(built: House, cookies: Sequence[dict[str, str]], given: argparse.Namespace) -> Figures:
    """Events a second that intake takes when it is sent what its floor asks, while lists refresh, beside while none."""
    ids, etags, unchanged = players(ABOUT), dict[int, str](), list[float]()
    floor = FLOORS["intake_events_per_s"][1] / max(1.0, slowness())

    async def poll(client: httpx.AsyncClient, number: int) -> httpx.Response:
        who = number % len(cookies)
        headers = cookies[who] | {POLLING: "1", "If-None-Match": etags.get(who, "")}
        began = time.perf_counter()
        answer = await client.get(f"/console/{BRAND}/inbox?tab=team&part=list", headers=headers)
        etags[who] = answer.headers["etag"]
        if answer.status_code == 304:
            unchanged.append((time.perf_counter() - began) * 1_000)
        return answer

    async def sent(name: str, number: int) -> float:
        events = day(ids, round(floor * given.seconds), f"{name}{number}", datetime.now(UTC) - timedelta(minutes=1))
        bodies = batches(events, 500)
        turn, began = asyncio.Semaphore(AT_ONCE), time.perf_counter()

        async def one(place: int) -> None:
            await asyncio.sleep(max(0.0, began + place * 500 / floor - time.perf_counter()))
            async with turn:
                await built.post(bodies[place])

        await asyncio.gather(*(one(place) for place in range(len(bodies))))
        return len(events) / (time.perf_counter() - began)

    async def while_polled(number: int) -> float:
        rate = len(cookies) / POLLED_EVERY
        polling = asyncio.create_task(steadily(rate, given.seconds, poll, built.api_url))
        try:
            return await sent("polled", number)
        finally:
            await polling

    await sent("warm", 0)
    compared = await alternate(
        given.rounds, while_polled, lambda n: sent("bare", n), what="Intake at its floor while polled", unit="events/s"
    )
    figures = compared.figures("polled_intake", "polled_intake_per_s", "unpolled_intake_per_s", 0)
    if unchanged:
        figures["console_unchanged_p50_ms"] = round(percentile(unchanged, 0.5), 1)
    return figures


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", type=int, default=10_000)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--reads", type=int, default=100)
    options.add_argument("--people", type=int, default=200)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--answers", type=int, default=20)
    given = options.parse_args()
    leave(main(lambda: measure(given)))
