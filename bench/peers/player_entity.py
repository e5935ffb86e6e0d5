"""One entity workflow a player, signalled every event: the way Temporal's documentation models a long-lived thing.

It is created lazily by signal-with-start, its handler only notes what came, one loop works it off in order, state is
one model that continue-as-new carries over, an event's own id is what makes it count once. The three journeys run
inside as tasks and use the engine's own activities with the engine's own arguments, so both leave the same rows.
They are written as far as deposits alone can bring them.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel, Field

    from workflows.effects import Done, End, Give, GiveResult, OpenTask, Send, SendResult, TaskOpened
    from workflows.journeys.tier_up import PersonalNote
    from workflows.player_facts import PlayerFacts
    from workflows.rewards import Reward, free_spins, reload, tier_upgrade

LIMIT = timedelta(seconds=30)
RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30))
REMEMBERED = 200
REGISTERED, DEPOSITED = "player.registered", "payment.deposit_approved"


class Fact(BaseModel):
    """An event, as it is signalled."""

    event_id: str
    kind: str
    amount_minor: int = 0


class Life(BaseModel):
    """All that is known of a player; carried from one execution to the next."""

    brand: str
    player_id: str
    deposits: int = 0
    treated: list[str] = Field(default_factory=list)
    seen: list[str] = Field(default_factory=list)


@workflow.defn(name="player_entity")
class PlayerEntity:
    """A player."""

    @workflow.init
    def __init__(self, life: Life) -> None:
        self.life = life
        self.pending: deque[Fact] = deque()
        self.tasks: set[asyncio.Task[None]] = set()

    @workflow.signal
    def event(self, fact: Fact) -> None:
        self.pending.append(fact)

    @workflow.query
    def deposits(self) -> int:
        return self.life.deposits

    @workflow.run
    async def run(self, life: Life) -> None:  # noqa: ARG002 - taken by __init__
        while True:
            await workflow.wait_condition(lambda: bool(self.pending) or self._may_begin_anew())
            while self.pending:
                self._take(self.pending.popleft())
            if self._may_begin_anew():
                workflow.continue_as_new(self.life)

    def _may_begin_anew(self) -> bool:
        return workflow.info().is_continue_as_new_suggested() and not self.tasks

    def _take(self, fact: Fact) -> None:
        if fact.event_id in self.life.seen:
            return
        self.life.seen = [*self.life.seen, fact.event_id][-REMEMBERED:]
        if fact.kind == REGISTERED:
            self._begin("welcome", self._welcome())
        elif fact.kind == DEPOSITED:
            self.life.deposits += 1
            if self.life.deposits == 1:
                self._begin("second_deposit", self._second_deposit(fact.amount_minor))
            elif self.life.deposits == 50:
                self._begin("tier_up", self._tier_up())

    def _begin(self, journey: str, play: Coroutine[Any, Any, None]) -> None:
        if journey in self.life.treated:
            task = asyncio.create_task(play)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        else:
            play.close()

    # ---- the journeys ----------------------------------------------------------------------------

    async def _welcome(self) -> None:
        await self._send("welcome", "welcome", ["email", "in_app"])
        try:
            await workflow.wait_condition(lambda: self.life.deposits > 0, timeout=timedelta(hours=1))
        except TimeoutError:
            await self._send("welcome", "verify-email", ["email"])
            return
        await self._end("welcome", "completed")

    async def _second_deposit(self, amount: int) -> None:
        if self.life.deposits == 1:
            await self._send("second_deposit", "deposit-thanks", ["email", "in_app"], amount=amount)
        try:
            await workflow.wait_condition(lambda: self.life.deposits > 1, timeout=timedelta(hours=3))
        except TimeoutError:
            await self._grant("second_deposit", "grant:reload#1", reload(50, 5_000, valid=timedelta(hours=72)))
            return
        await self._end("second_deposit", f"exit_on:{DEPOSITED}")

    async def _tier_up(self) -> None:
        if not await self._grant("tier_up", "grant:tier_upgrade#1", tier_upgrade("gold")):
            return
        await self._grant("tier_up", "grant:free_spins#1", free_spins(20, max_win=10_000))
        await self._send("tier_up", "tier-gold", ["in_app", "push", "email"])
        now = workflow.now()
        await self._do(
            "open_task",
            OpenTask(
                **self._common("tier_up", "ask:PersonalNote#1"),
                form="PersonalNote",
                question=(PersonalNote.__doc__ or "").strip(),
                form_schema=PersonalNote.model_json_schema(),
                team="vip",
                due_at=now + timedelta(days=5),
                escalate_to="vip-head",
                reason=f"Reached Gold with deposit number {self.life.deposits}.",
                forbidden=["no new offer"],
                facts=PlayerFacts(player_id=self.life.player_id, deposits=self.life.deposits),
            ),
            TaskOpened,
        )
        await asyncio.sleep(timedelta(days=2.5).total_seconds())

    # ---- the engine's activities -----------------------------------------------------------------

    def _common(self, journey: str, step: str) -> dict[str, Any]:
        life = self.life
        run_id = f"{journey}:{life.brand}:{life.player_id}:1"
        return {"brand": life.brand, "player_id": life.player_id, "journey": journey, "run_id": run_id, "step": step}

    async def _send(self, journey: str, template: str, via: list[Any], **variables: Any) -> None:
        common = self._common(journey, f"send:{template}#1")
        await self._do("send", Send(**common, template=template, via=via, variables=variables), SendResult)

    async def _grant(self, journey: str, step: str, reward: Reward) -> bool:
        given = Give(**self._common(journey, step), reward=reward)
        return bool((await self._do("grant", given, GiveResult)).status == "confirmed")

    async def _end(self, journey: str, outcome: str) -> None:
        await self._do("end", End(**self._common(journey, "end"), outcome=outcome), Done)

    async def _do(self, name: str, given: BaseModel, result: type[Any]) -> Any:
        return await workflow.execute_activity(
            name, given, result_type=result, start_to_close_timeout=LIMIT, retry_policy=RETRIES
        )
