"""Effects that die at any of their statements, beside real providers: repeated, each has happened once."""

import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.exceptions import ApplicationError

from activities.messages import MAIL_SETTLING
from activities.providers.adapter import ChannelUnavailable
from activities.tables import deliveries, tasks
from local.stand_ins.base import read_journal
from tests.support.api_client import serving
from tests.support.engine import BRAND, NOON, Effects, done, effects, rows, run_of
from tests.support.exactness import Crash, Faults, killing, survives, world
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from workflows import DepositFailed, points
from workflows.effects import End, Give, Mark, MoveTask, OpenTask, Refresh, Send, StartJourney, task_id_of
from workflows.player_facts import PlayerFacts
from workflows.player_state.control_arms import arm_of
from workflows.player_state.identities import run_id_of
from workflows.run_protocol import StoryLine

OTHER = "failed_deposit"  # a shipped journey without a control arm
ASK = "ask:LiveHelp#1"
TEMPLATES = str(Path(__file__).parent.parent / "crash" / "templates")
# The clock moves while an attempt waits for the one before it to be certain.
MOMENTS = ("handed_over_at", "delivered_at", "created_at", "reserved_at", "asked_at", "resolved_at", "at", "decision")
Act = Callable[["Scene"], Awaitable[object]]


@dataclass
class Scene:
    """One player in a run that asks people, with a story; everything has new names each time."""

    parts: Effects
    faults: Faults
    bonus: LocalBonusEngine
    post: Path
    player: str = ""
    run: str = ""
    names: dict[str, str] = field(default_factory=dict)

    async def prepare(self) -> None:
        self.faults.clear()
        casino = self.parts.casino
        casino.clock.now, casino.events = NOON, 0
        while True:
            casino.mark = secrets.token_hex(6)
            self.player = casino.player()
            if arm_of(BRAND, self.player, "welcome", 10) == "treated":
                break
        await casino.registers(self.player)
        await casino.happens(self.player, *[DepositFailed] * 3, failure="technical")
        self.run = await run_of(self.parts.database, self.player, OTHER)
        await self.ask()
        cause = {"type": "run", "id": f"{self.run}/start:welcome#1", "source": self.run}
        started = run_id_of("welcome", BRAND, self.player, cause, timedelta(0), 0).rpartition(":")[2]
        self.names = {casino.mark: "mark", task_id_of(f"{self.run}/{ASK}"): "task", started: "started"}

    async def ask(self) -> None:
        given = self.parts.given(
            OpenTask,
            self.run,
            ASK,
            form="LiveHelp",
            question="?",
            form_schema={},
            team="support",
            due_at=NOON + timedelta(hours=1),
            escalate_to="support-head",
            facts=PlayerFacts(player_id=self.player),
            story=self.story(),
        )
        await self.parts.tasks.open(given)

    def story(self) -> list[StoryLine]:
        return [StoryLine(line=line, step="event:SessionLogin#1", at=NOON, outcome="timed_out") for line in (1, 2)]

    def step(self, kind: type[Any], step: str, **more: Any) -> Any:
        return self.parts.given(kind, self.run, step, story=self.story(), **more)

    async def seen(self) -> str:
        """What is kept, and what the providers' own files hold, under plain names."""
        told = repr(await self._kept())
        for name, plain in self.names.items():
            told = told.replace(name, plain)
        return re.sub(r"'bonus-[^']*'", "'bonus'", told)

    async def _kept(self) -> object:
        found = await world(self.parts.database)
        for table in ("messages", "grants", "steps", "task_history"):
            found[table] = [{k: v for k, v in row.items() if k not in MOMENTS} for row in found[table]]
        # Who is in doubt about a hand-over asks the gate again, and both answers are kept.
        asked = found["gate_decisions"]
        found["gate_decisions"] = [row for number, row in enumerate(asked) if row not in asked[:number]]
        if not found["messages"] and not found["grants"]:
            return found
        paid = Counter(record["key"] for record in self.bonus.granted() if self.player in record["key"])
        mails, sms, push = (read_journal(self.post / f"{name}.jsonl") for name in ("mails", "sms", "push"))
        hooks = {hook["webhook_id"] for hook in (*sms, *push) if self.player in hook["webhook_id"]}
        return found, paid, Counter(mail["key"] for mail in mails if self.player in (mail["key"] or "")), sorted(hooks)


@pytest.fixture(scope="module")
async def scene(
    module_postgres_url: str,
    bonus_engine_server: LocalBonusEngine,
    catch_all: LocalCatchAll,
    session_folder: Path,
) -> AsyncIterator[Scene]:
    settings = {name.lower(): value for name, value in catch_all.environment.items()}
    settings |= {"bonus_engine_url": bonus_engine_server.url, "templates": TEMPLATES}
    async with effects(module_postgres_url, **settings) as parts:
        with killing(parts.database) as faults:
            yield Scene(parts, faults, bonus_engine_server, session_folder / "messages")


async def send(scene: Scene) -> None:
    """As Temporal would: again, and later, as long as it is in doubt."""
    given = scene.step(
        Send,
        "send:crash-note#1",
        template="crash-note",
        via=["email", "sms", "push", "in_app"],
        variables={"amount": {"minor": 1900, "currency": "EUR"}},
    )
    for _ in range(6):
        try:
            result = done(await scene.parts.messages.send(given))
        except (ChannelUnavailable, ApplicationError):
            scene.parts.casino.clock.later(MAIL_SETTLING)
        else:
            assert sorted(result.sent) == ["email", "in_app", "push", "sms"]
            return
    raise AssertionError("The message stays in doubt.")


def moves(move: str) -> Act:
    async def act(scene: Scene) -> object:
        given = scene.step(
            MoveTask, ASK, task_id=task_id_of(f"{scene.run}/{ASK}"), move=move, due_at=NOON + timedelta(hours=2)
        )
        return await scene.parts.tasks.move(given)

    return act


EFFECTS: dict[str, Act] = {
    "end": lambda s: s.parts.runs.end(s.step(End, "end", outcome="completed")),
    "mark": lambda s: s.parts.runs.mark(s.step(Mark, "mark:here#1", name="here")),
    "refresh": lambda s: s.parts.runs.refresh(s.step(Refresh, "refresh#1")),
    "start": lambda s: s.parts.runs.start(s.step(StartJourney, "start:welcome#1", start="welcome")),
    "open": lambda s: s.ask(),
    "remind": moves("remind"),
    "escalate": moves("escalate"),
    "expire": moves("expire"),
    "grant": lambda s: s.parts.grants.give(s.step(Give, "grant:points#1", reward=points(5))),
    "send": send,
}


@pytest.mark.parametrize("effect", EFFECTS)
async def test_an_effect_survives_a_crash_at_every_statement(scene: Scene, effect: str) -> None:
    async def act() -> None:
        await EFFECTS[effect](scene)

    places = await survives(scene.faults, scene.prepare, act, scene.seen)
    assert places.count("after COMMIT") == {"grant": 3, "send": 2}.get(effect, 1)


async def test_an_answer_to_a_task_survives_a_crash_at_every_statement(scene: Scene, module_postgres_url: str) -> None:
    async with serving(module_postgres_url) as api:
        manager = await api.client("tasks:work", brand=BRAND)
        with killing(api.engine.database) as faults:

            async def prepare() -> None:
                await scene.prepare()
                (task,) = await rows(scene.parts.database, tasks)
                scene.names[task["id"]] = "task"
                # The key of the caller is read anew every second, and its use noted every minute: here, not in `act`.
                (await manager.get(f"/v1/tasks/{task['id']}")).raise_for_status()

            async def act() -> None:
                (task,) = await rows(scene.parts.database, tasks)
                answer: httpx.Response = await manager.post(
                    f"/v1/tasks/{task['id']}/complete", json={"answer": {"outcome": "solved"}}
                )
                if answer.status_code == 503:  # which asks the caller to do it again
                    raise Crash(answer.text)
                assert answer.status_code == 200, answer.text

            async def seen() -> tuple[list[Any], list[Any]]:
                told = await rows(scene.parts.database, deliveries)
                (task,) = await rows(scene.parts.database, tasks)
                return [(row["kind"], row["seq"], row["payload"].get("answer")) for row in told], [
                    task["state"],
                    task["answer"],
                    task["version"],
                ]

            await prepare()
            await act()  # the key of the caller is known from here on
            places = await survives(faults, prepare, act, seen)
            assert any("INTO deliveries" in place for place in places)
            assert (await seen())[0][-1] == ("answer", 1, {"outcome": "solved"})
