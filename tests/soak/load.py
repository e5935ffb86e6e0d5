"""An evening at the casino: bets and logins at a fixed rate, deposits among them, sent whether or not we keep up.

The loop is open: a batch is due at its moment however long the ones before it take, and its time to an answer counts
from there. Whatever is not acknowledged is sent again, after as long as a 429 says.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.crash.load import BATCH as BATCH_TYPE
from tests.crash.load import Caller, Journal, Players

Wire = dict[str, Any]

SOURCE = "/soak"
BATCH = 200
ROUNDS = 0.9  # of the crowd's events; the others are logins
CONNECTIONS = 32
PAUSE = 0.3
AT_ONCE = 500
#: Deposits each player has made before, so that only the journey of every deposit begins, and none of the first.
BEFORE = 2


class Crowd(Players):
    """Players who bet and log in all the time and sometimes deposit. Every deposit begins a run."""

    def __init__(self, url: str, key: str, journal: Journal, *, seed: int, players: int, deposits: float) -> None:
        super().__init__(Caller(url, key, random.Random(seed)), journal, seed, pace=0)
        self.names = [f"s{number}" for number in range(players)]
        self.deposits = deposits
        self.http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}", "Content-Type": BATCH_TYPE},
            timeout=20,
            limits=httpx.Limits(max_connections=CONNECTIONS),
        )
        # A pool looks at everybody who waits for it whenever anything happens; thousands wait better out here.
        self.free = asyncio.Semaphore(CONNECTIONS)
        self.batches = 0
        #: Deposits are due by the clock, whatever the rate of the others.
        self.due_deposits, self.paid_until = 0.0, 0.0
        self.just_deposited: list[str] = []
        #: What was acknowledged: events by batch, and by player and kind.
        self.acknowledged: Counter[int] = Counter()
        self.counted: Counter[tuple[str, str]] = Counter()
        self.answers: Counter[str] = Counter()
        self.requests = self.at_once = 0
        #: Seconds from the moment a batch was due to its answer.
        self.waits: list[float] = []

    async def move_in(self) -> None:
        """Register everybody, with a past; history begins nothing."""
        chance = random.Random(0)
        for start in range(0, len(self.names), AT_ONCE // (BEFORE + 1)):
            some = self.names[start : start + AT_ONCE // (BEFORE + 1)]
            past = [event for name in some for event in (self._registered(name, chance), *self._deposits(name, BEFORE))]
            await self._post(past, mode="history")

    async def measure(self, seconds: float, warm: float) -> float:
        """Events a second when four callers send as fast as they are answered, once `warm` seconds have gone.

        The deposits and what they bring about are part of it, as they are of the evening.
        """
        self.paid_until = time.monotonic()
        await self._press(warm)
        before, began = self.acknowledged.total(), time.monotonic()
        await self._press(seconds)
        return (self.acknowledged.total() - before) / (time.monotonic() - began)

    async def _press(self, seconds: float) -> None:
        end = time.monotonic() + seconds

        async def caller() -> None:
            while time.monotonic() < end:
                await self._deliver(time.monotonic())

        await asyncio.gather(*(caller() for _ in range(4)))

    async def live(self, seconds: float, rate: float = 1_000) -> None:
        """Send `rate` events a second for so long; return when all are acknowledged."""
        period, began, number = BATCH / rate, time.monotonic(), 0
        self.paid_until = began
        async with asyncio.TaskGroup() as group:
            while (due := began + number * period) < began + seconds:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(self._deliver(due))
                number += 1

    async def close(self) -> None:
        await asyncio.gather(self.http.aclose(), self.caller.client.aclose())

    async def _deliver(self, due: float) -> None:
        batch, events, paid = self._batch(due)
        body = orjson.dumps(events)
        await self._until_acknowledged(body, len(events))
        self.waits.append(time.monotonic() - due)
        self.acknowledged[batch] += len(events) - len(paid)
        self.counted.update((event["subject"], str(event["type"])) for event in events if event["source"] == SOURCE)
        if paid:
            await asyncio.to_thread(self.journal.write, "events", mode="live", events=paid)

    async def _until_acknowledged(self, body: bytes, count: int) -> None:
        self.requests += 1
        for attempt in range(1_000_000):
            try:
                async with self.free:
                    answer = await self.http.post("/v1/events", content=body)
            except httpx.HTTPError as error:
                self.answers[type(error).__name__] += 1
                await asyncio.sleep(PAUSE)
                continue
            self.answers[str(answer.status_code)] += 1
            if answer.status_code == 202:
                told = orjson.loads(answer.content)
                assert told["accepted"] + told["duplicate"] == count, told
                self.at_once += attempt == 0
                return
            if answer.status_code != 429 and answer.status_code < 500:
                answer.raise_for_status()
            await asyncio.sleep(float(answer.headers.get("Retry-After", PAUSE)))

    def _batch(self, due: float) -> tuple[int, list[Wire], list[Wire]]:
        """The batch due at this moment: its number, its events, and the deposits among them."""
        self.batches += 1
        now, chance = datetime.now(UTC).isoformat(), self.random
        # Whoever has just deposited logs in again, which the run of the deposit hears.
        logins, self.just_deposited = self.just_deposited, []
        self.due_deposits += self.deposits * max(0.0, due - self.paid_until)
        self.paid_until = max(self.paid_until, due)
        paid: list[Wire] = []
        while self.due_deposits >= 1:
            self.due_deposits -= 1
            name = chance.choice(self.names)
            paid.append(self._deposit(name))
            self.just_deposited.append(name)
        crowd = [("session.login", name) for name in logins] + [
            ("game.round_completed" if chance.random() < ROUNDS else "session.login", chance.choice(self.names))
            for _ in range(BATCH - len(paid) - len(logins))
        ]
        events = [
            {
                "specversion": "1.0",
                "id": f"{self.batches}-{place}",
                "source": SOURCE,
                "type": f"igaming.{kind}.v1",
                "subject": name,
                "time": now,
                "data": self._round(f"{self.batches}-{place}", chance) if kind == "game.round_completed" else {},
            }
            for place, (kind, name) in enumerate(crowd)
        ]
        return self.batches, [*events, *paid], paid

    @staticmethod
    def _round(name: str, chance: random.Random) -> Wire:
        won = 250 if chance.random() < 0.4 else 0
        return {"round_id": name, "game_id": "g-1", "category": "slot", "stake_minor": 100, "win_minor": won}


@contextmanager
def journal_in(folder: Path) -> Iterator[Journal]:
    """The journal of what was promised, closed at the end."""
    journal = Journal(folder / "journal.jsonl")
    try:
        yield journal
    finally:
        journal.close()
