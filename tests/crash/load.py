"""What the casino does while everything is being killed: players, a manager, and a journal of what was promised.

Every request is sent again, with the same ids, until it is answered. The journal holds what was answered, on disk
before anything else happens, and is all that the checker believes of this side.
"""

import asyncio
import contextlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from local.slowness import slowness

Wire = dict[str, Any]

SINGLE, BATCH, STREAM = (
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/x-ndjson",
)
PAUSE = 0.3
# Shares of requests whose first answer the client does not wait for, and that it sends again although answered.
FORGOTTEN, REPEATED = 0.15, 0.1
LANGUAGES = ("en", "ru", "uk")
# Part of every name and address; it may be found in Postgres and in the messages, and nowhere else.
CANARY = "Canarina"


class Journal:
    """One JSON line for everything that was acknowledged, on disk when `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self.lines: list[Wire] = []

    def write(self, what: str, **more: Any) -> None:
        line = {"what": what, "at": datetime.now(UTC).isoformat(), **more}
        self.lines.append(line)
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class Caller:
    """An HTTP client that never gives up, and counts how often it would have had to."""

    def __init__(self, url: str, key: str, chance: random.Random) -> None:
        self.chance = chance
        authorization = {"Authorization": f"Bearer {key}"}
        self.client = httpx.AsyncClient(base_url=url, headers=authorization, timeout=8 * slowness())
        self.outcomes: Counter[str] = Counter()
        self.operations = self.at_once = 0
        #: Whether it asks at all; else it waits.
        self.open = asyncio.Event()
        self.open.set()

    async def once(self, method: str, path: str, **how: Any) -> httpx.Response | None:
        """The answer, or None where there was none worth the name."""
        try:
            response = await self.client.request(method, path, **how)
        except httpx.HTTPError as error:
            self.outcomes[type(error).__name__] += 1
            return None
        self.outcomes[str(response.status_code)] += 1
        return None if response.status_code >= 500 else response

    async def until_answered(self, method: str, path: str, **how: Any) -> httpx.Response:
        """The answer, however often it has to be asked for; some answers are not even waited for."""
        await self.open.wait()
        if self.chance.random() < FORGOTTEN:
            with contextlib.suppress(httpx.HTTPError):
                await self.client.request(method, path, **how, timeout=self.chance.uniform(0.001, 0.05))
        self.operations += 1
        response = await self.once(method, path, **how)
        self.at_once += response is not None
        while response is None:
            await asyncio.sleep(PAUSE)
            await self.open.wait()
            response = await self.once(method, path, **how)
        return response


class Players:
    """Households of one to three who register, deposit, lose, rise and leave. One comes every `pace` seconds."""

    def __init__(self, caller: Caller, journal: Journal, seed: int, pace: float) -> None:
        self.pace = pace
        self.caller = caller
        self.journal = journal
        self.random = random.Random(seed)
        self.events = 0
        self.households = 0
        #: Whether households go on arriving, however long that is.
        self.stay = False

    async def live(self, seconds: float) -> None:
        """Let a household arrive every now and then for so long; return when all have been heard."""
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            while self.stay or time.monotonic() < end:
                self.households += 1
                names = [f"p{self.households}-{n}" for n in range(self.random.choice((1, 1, 2, 3)))]
                stories = (self._newcomers, self._regulars, self._leavers)
                story = self.random.choices(stories, weights=(6, 2, 2))[0]
                group.create_task(story(names, random.Random(self.random.random())))
                await asyncio.sleep(self.pace * self.random.uniform(0.5, 1.5))

    async def come(self, names: Sequence[str]) -> None:
        """These players register and deposit."""
        await self._post([self._registered(name, self.random) for name in names])
        await self._post([self._deposit(name) for name in names])

    async def play(self, names: Sequence[str]) -> None:
        """These players come, and do what newcomers do."""
        await self._newcomers(names, random.Random(self.random.random()))

    async def say_again(self, since: datetime, caller: Caller) -> None:
        """Send once more, in its order, all that was acknowledged since then: it may have been lost."""
        for line in [line for line in self.journal.lines if datetime.fromisoformat(line["at"]) >= since]:
            if line["what"] == "events":
                await self._post(line["events"], mode=line["mode"], caller=caller)
            elif line["what"] == "excluded":
                await self._exclude(line["player"], caller)

    async def _exclude(self, name: str, caller: Caller | None = None) -> None:
        response = await (caller or self.caller).until_answered(
            "POST", f"/v1/players/{name}/exclusion", json={"kind": "self_exclusion"}
        )
        response.raise_for_status()
        self.journal.write("excluded", player=name)

    async def _newcomers(self, names: Sequence[str], chance: random.Random) -> None:
        await self._post([self._registered(name, chance) for name in names])
        for number in range(chance.randint(1, 3)):
            await self._post([self._deposit(name) for name in names])
            if number == 0:
                await self._post([self._lost(name) for name in names for _ in range(3)])
            await asyncio.sleep(chance.uniform(0, 1))
        await self._post([self._event(name, "session.login", {}) for name in names])
        if chance.random() < 0.5:
            await self._post([self._event(name, "loyalty.tier_changed", SILVER) for name in names])

    async def _regulars(self, names: Sequence[str], chance: random.Random) -> None:
        """Forty-nine deposits of the past, then the fiftieth."""
        past = [event for name in names for event in (self._registered(name, chance), *self._deposits(name, 49))]
        await self._post(past, mode="history")
        await self._post([self._deposit(name) for name in names])

    async def _leavers(self, names: Sequence[str], chance: random.Random) -> None:
        """Excluded while their journeys are under way, once by hand and else by an event."""
        await self._post([self._registered(name, chance) for name in names])
        await self._post([self._event(name, "loyalty.tier_changed", SILVER) for name in names])
        await self._post([self._deposit(name) for name in names])
        await asyncio.sleep(chance.uniform(0, 2))
        for name in names:
            if chance.random() < 0.5:
                await self._exclude(name)
            else:
                await self._post([self._event(name, "compliance.exclusion_set", {"kind": "register"})])
                self.journal.write("excluded", player=name)
        await self._post([self._deposit(name) for name in names])

    async def _post(self, events: Sequence[Wire], *, mode: str = "live", caller: Caller | None = None) -> None:
        if len(events) == 1:
            kind, content = SINGLE, json.dumps(events[0])
        elif len(events) % 2:
            kind, content = BATCH, json.dumps(events)
        else:
            kind, content = STREAM, "".join(json.dumps(event) + "\n" for event in events)
        for _ in range(2 if self.random.random() < REPEATED else 1):
            response = await (caller or self.caller).until_answered(
                "POST", "/v1/events", params={"mode": mode}, content=content, headers={"Content-Type": kind}
            )
            answer = response.raise_for_status().json()
            assert answer["accepted"] + answer["duplicate"] == len(events), answer
        self.journal.write("events", mode=mode, events=list(events))

    def _registered(self, name: str, chance: random.Random) -> Wire:
        about = {
            "email": f"{name}@{CANARY}.example",
            "phone": f"+38050{self.events:07d}",
            "first_name": CANARY,
            "language": chance.choice(LANGUAGES),
            "timezone": "Europe/Kyiv",
            "currency": "EUR",
            "opted_in": ["email", "sms", "push", "in_app"],
        }
        return self._event(name, "player.registered", about)

    def _deposit(self, name: str) -> Wire:
        return self._event(name, "payment.deposit_approved", {"amount_minor": 1900, "currency": "EUR"}, "payment_id")

    def _deposits(self, name: str, count: int) -> list[Wire]:
        return [self._deposit(name) for _ in range(count)]

    def _lost(self, name: str) -> Wire:
        lost = {"game_id": "g-1", "category": "slot", "stake_minor": 100, "win_minor": 0}
        return self._event(name, "game.round_completed", lost, "round_id")

    def _event(self, name: str, kind: str, data: Wire, own_id: str | None = None) -> Wire:
        self.events += 1
        return {
            "specversion": "1.0",
            "id": f"e-{self.events}",
            "source": "/crash",
            "type": f"igaming.{kind}.v1",
            "subject": name,
            "time": datetime.now(UTC).isoformat(),
            "data": data | ({own_id: f"x-{self.events}"} if own_id else {}),
        }


SILVER = {"from": "bronze", "to": "silver", "direction": "up"}


class Manager:
    """Answers every task, always the same answer to the same task."""

    def __init__(self, caller: Caller, journal: Journal) -> None:
        self.caller = caller
        self.journal = journal

    async def work(self) -> None:
        """Look for tasks and answer them until cancelled."""
        while True:
            found = await self.caller.once("GET", "/v1/tasks", params={"page_size": 200})
            for task in found.json()["items"] if found is not None else ():
                await self._answer(task)
            await asyncio.sleep(PAUSE)

    async def _answer(self, task: Wire) -> None:
        if task["form"] == "CrashQuestion":
            answer = {"word": f"w{task['id']}"}
            await self.caller.once("POST", f"/v1/tasks/{task['id']}/claim")
        else:
            answer = {"outcome": "written", "note": ""}
        response = await self.caller.once("POST", f"/v1/tasks/{task['id']}/complete", json={"answer": answer})
        if response is not None and response.status_code == 200:
            self.journal.write("answered", task=task["id"], run=task["run_id"], form=task["form"], answer=answer)
