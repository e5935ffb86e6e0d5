"""The effects contract of `workflows/effects.py`, performed in memory.

What `activities/` does in transactions and over the network happens here at once, and asks the same pure
functions. An attempt either happens whole or, after a fault, is made again: a message's channels and a reward's
reservation are what is kept between two attempts.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, JsonValue

from stage.errors import StageError
from stage.temporal.runs import Call
from stage.world.faults import Away, Declines, Provider
from stage.world.records import GrantRecord, MessageRecord, StoryRecord, TaskRecord
from stage.world.state import WorldState
from workflows.channels import CHANNELS, Channel
from workflows.effects import (
    EFFECTS,
    GRANT_UNKNOWN_AFTER,
    NEVER_ANSWERED,
    Done,
    EffectInput,
    End,
    Give,
    GiveResult,
    Mark,
    Match,
    Matched,
    MoveTask,
    OpenTask,
    Refresh,
    Send,
    SendResult,
    Started,
    StartJourney,
    TaskMoved,
    TaskOpened,
    match_performers,
)
from workflows.gate.decide import Allowed, ChannelPlan, Refusal, Wait, may_grant, may_send
from workflows.gate.facts import Contact, GateFacts, GrantFacts, MessageFacts, facts_of
from workflows.gate.policy import NECESSARY, WEEK, Reason
from workflows.player_facts import PlayerFacts
from workflows.player_state.decisions import Start

EVERYWHERE: frozenset[Channel] = frozenset(CHANNELS)
INPUTS = {effect.name: effect.input for effect in EFFECTS}


class Effects:
    """Everything a run can do to the world."""

    def __init__(self, world: WorldState) -> None:
        self._world = world
        self._tried: dict[str, dict[Channel, MessageRecord]] = {}
        self._contacts: dict[str, list[Contact]] = {}
        self._reserved: dict[str, datetime] = {}
        self._tasks_of: dict[str, list[TaskRecord]] = {}
        self._trouble: Away | Declines | None = None
        self._performers: Mapping[str, Callable[[Any], BaseModel]] = {
            "send": self._send,
            "grant": self._grant,
            "open_task": self._open_task,
            "move_task": self._move_task,
            "refresh": self._refresh,
            "start": self._start,
            "mark": self._mark,
            "match": self._match,
            "end": self._end,
        }
        match_performers(self._performers, "stage/world/effects.py")

    def perform(self, call: Call) -> BaseModel:
        """One attempt of an effect; raises what its faults say."""
        world = self._world
        given: EffectInput = call.decode(INPUTS[call.name])
        world.runs[given.run_id].step = given.step
        self._trouble = None
        if world.faults is not None:
            try:
                world.faults(call, given)
            except (Away, Declines) as trouble:
                self._trouble = trouble
        told = len(world.story)
        for line in given.story:
            world.story.append(StoryRecord(line.at, given.run_id, line.step, line.outcome, line.detail))
        try:
            result = self._performers[call.name](given)
        except (Away, Declines):
            # The next attempt tells it again.
            del world.story[told:]
            raise
        if world.on_effect is not None:
            world.on_effect(world.now, call.name, given, result)
        return result

    def _tell(self, given: EffectInput, outcome: str, **detail: JsonValue) -> None:
        self._world.story.append(StoryRecord(self._world.now, given.run_id, given.step, outcome, detail))

    def _troubled(self, provider: Provider) -> Away | Declines | None:
        return self._trouble if self._trouble is not None and provider in self._trouble.providers else None

    def _facts(self, player_id: str) -> GateFacts | None:
        world = self._world
        state = world.players.get(player_id)
        if state is None:
            return None
        since = world.now - WEEK
        contacts = self._contacts.get(player_id, [])
        while contacts and contacts[0].at <= since:
            del contacts[0]
        addresses = world.addresses.get(player_id, EVERYWHERE)
        return facts_of(state, addresses=addresses, contacts=contacts, now=world.now)

    # ---- messages ----------------------------------------------------------------------------

    def _send(self, given: Send) -> SendResult:
        tried = self._tried.setdefault(given.key, {})
        plan = ChannelPlan(given.via, given.fallback)
        away = False
        for channel in plan.channels():
            if channel not in tried:
                try:
                    self._try(given, channel, tried, plan)
                except Away:
                    away = True
                    plan.used.add(channel)
            if channel in tried and tried[channel].suppressed is None:
                plan.used.add(channel)
        if away:
            assert self._trouble is not None
            raise self._trouble
        # In the order of their rows: what a journey sees first must be the same in production.
        rows = sorted(tried.values(), key=lambda message: (message.at, message.channel))
        result = SendResult(
            sent=[message.channel for message in rows if message.suppressed is None],
            suppressed={message.channel: message.suppressed for message in rows if message.suppressed is not None},
            wait_until=plan.wait_until,
        )
        if result.wait_until is None:
            del self._tried[given.key]
        channels: dict[str, JsonValue] = {message.channel: message.suppressed or "sent" for message in rows}
        self._tell(given, result.outcome, **result.story_detail(given.template, channels))
        return result

    def _try(self, given: Send, channel: Channel, tried: dict[Channel, MessageRecord], plan: ChannelPlan) -> None:
        """Send on one channel, or note why not. Raises `Away` while the channel is."""
        world = self._world
        template = world.templates.get(given.template)
        if template is None:
            raise StageError(
                f"{given.journey} sends {given.template}, which is no template here; it has "
                f"{', '.join(sorted(world.templates))}."
            )
        asked = MessageFacts(
            channel=channel,
            message_class=template.message_class,
            step=given.key,
            suppress_if_active_today=template.suppress_if_active_today,
        )
        decision = may_send(self._facts(given.player_id), asked, world.policy, world.now)
        if isinstance(decision, Wait):
            plan.waits[channel] = decision.until
            return
        suppressed = str(decision.reason) if isinstance(decision, Refusal) else None
        if suppressed is None:
            trouble = self._troubled(channel)
            if isinstance(trouble, Away):
                raise trouble
            suppressed = None if trouble is None else trouble.reason
        tried[channel] = record = MessageRecord(
            at=world.now,
            run_id=given.run_id,
            player_id=given.player_id,
            journey=given.journey,
            step=given.step,
            template=given.template,
            channel=channel,
            message_class=template.message_class,
            suppressed=suppressed,
            variables=given.variables,
        )
        world.messages.append(record)
        if suppressed is None and template.message_class not in NECESSARY:
            self._contacts.setdefault(given.player_id, []).append(Contact(world.now, channel, given.key))

    # ---- rewards -----------------------------------------------------------------------------

    def _grant(self, given: Give) -> GiveResult:
        world = self._world
        reserved_at = self._reserved.setdefault(given.key, world.now)
        asked_before = reserved_at < world.now
        facts = GrantFacts.of(given.reward)
        decision = may_grant(self._facts(given.player_id), facts, world.policy, world.now)
        trouble = self._troubled("bonus_engine")
        status: Literal["confirmed", "refused", "unknown"] = "confirmed"
        reason: str | None = None
        if isinstance(decision, Refusal) and not asked_before:
            status, reason = "refused", str(decision.reason)
        elif isinstance(trouble, Away):
            if world.now - reserved_at < GRANT_UNKNOWN_AFTER:
                raise trouble
            status, reason = "unknown", NEVER_ANSWERED
        elif not isinstance(decision, Allowed):
            status, reason = "refused", str(Reason.PROTECTED_MEANWHILE)
        elif trouble is not None:
            status, reason = "refused", trouble.reason
        record = GrantRecord(
            at=world.now,
            run_id=given.run_id,
            player_id=given.player_id,
            journey=given.journey,
            step=given.step,
            kind=given.reward.kind,
            reward=given.reward,
            status=status,
            reason=reason,
        )
        del self._reserved[given.key]
        world.grants.append(record)
        self._tell(given, status, kind=record.kind, reason=reason)
        return GiveResult(status=status, grant_id=given.key, reason=reason)

    # ---- tasks -------------------------------------------------------------------------------

    def _open_task(self, given: OpenTask) -> TaskOpened:
        world = self._world
        task = world.tasks[given.task_id] = TaskRecord(
            task_id=given.task_id,
            run_id=given.run_id,
            player_id=given.player_id,
            journey=given.journey,
            step=given.step,
            form=given.form,
            team=given.team,
            reason=given.reason,
            opened_at=world.now,
            due_at=given.due_at,
            escalate_to=given.escalate_to,
        )
        self._tasks_of.setdefault(given.run_id, []).append(task)
        self._tell(given, "opened", task_id=task.task_id, team=given.team)
        answer = world.answers(task, given)
        if answer is not None:
            after, filled_in = answer
            world.temporal.at(world.now + after, lambda: world.answer(task, filled_in))
        return TaskOpened(task_id=task.task_id)

    def _move_task(self, given: MoveTask) -> TaskMoved:
        task = self._world.tasks[given.task_id]
        if task.state != "open":
            return TaskMoved(state=task.state, answer=task.answer)
        if given.move == "escalate":
            task.due_at = given.due_at or task.due_at
            task.team = task.escalate_to or task.team
        elif given.move == "expire":
            task.state, task.closed_at = "expired", self._world.now
        self._tell(given, given.move)
        return TaskMoved(state=task.state)

    # ---- the run and its player --------------------------------------------------------------

    def _refresh(self, given: Refresh) -> PlayerFacts:
        self._tell(given, "refreshed")
        return self._world.player(given.player_id).snapshot()

    def _start(self, given: StartJourney) -> Started:
        world = self._world
        journey = world.registry.journeys.get(given.start)
        if journey is None:
            result = given.unknown_journey
            self._tell(given, result.outcome, **result.model_dump())
            return result
        state = world.player(given.player_id)
        decisions = state.enter(journey, None, world.now, given.cause)
        world.carry_out(state, decisions)
        start = next((d for d in decisions if isinstance(d, Start)), None)
        result = Started.of(start)
        self._tell(given, result.outcome, **result.model_dump())
        return result

    def _match(self, given: Match) -> Matched:
        segment = self._world.rules.segments.get(given.segment)
        if segment is None:
            self._tell(given, "unknown_segment")
            return Matched(matches=False, unknown=True)
        matches, _ = segment.evaluate(self._world.player(given.player_id), self._world.now)
        self._tell(given, "yes" if matches else "no")
        return Matched(matches=matches)

    def _mark(self, given: Mark) -> Done:
        self._tell(given, "marked", **given.detail)
        return Done()

    def _end(self, given: End) -> Done:
        world = self._world
        state = world.player(given.player_id)
        state.end(given.run_id, world.now)
        record = world.runs[given.run_id]
        record.ended_at, record.outcome = world.now, given.outcome
        for task in self._tasks_of.pop(given.run_id, ()):
            if task.state == "open":
                task.state, task.closed_at = "cancelled", world.now
        self._tell(given, given.outcome, **given.detail)
        world.tick_later(state)
        return Done()
