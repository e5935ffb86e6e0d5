"""The effects contract of `workflows/effects.py`, performed in memory.

What `activities/` does in transactions and over the network happens here at once, and asks the same pure
functions. An attempt either happens whole or, after a fault, is made again: a message's channels and a reward's
reservation are what is kept between two attempts.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, JsonValue
from temporalio.exceptions import ApplicationError

from content.template_files import TemplateFacts
from stage.errors import StageError
from stage.virtual_temporal.runs import Call
from stage.world.bonus_budgets import bonus_value, within_budgets
from stage.world.faults import Away, Declines, TimedOut
from stage.world.learned_effects import LearnedEffects
from stage.world.loyalty_effects import LoyaltyEffects
from stage.world.records import GrantRecord, MessageRecord, StoryRecord, TaskRecord
from stage.world.shop import settle
from stage.world.state import WorldState
from stage.world.withholding import WithheldEffects
from workflows.channels import CHANNELS, Channel
from workflows.effect_queues import Provider
from workflows.effect_retries import SLOW_AFTER, SLOW_INTERVAL
from workflows.effects import (
    AWARD,
    EFFECTS,
    GRANT,
    GRANT_UNKNOWN_AFTER,
    HAND_ON_AFTER,
    MATCH,
    NEVER_ANSWERED,
    OFFER_SPIN,
    PAUSE_PROMOTIONS,
    REFRESH,
    SEND,
    START,
    Done,
    EffectInput,
    End,
    Give,
    GiveResult,
    Held,
    Mark,
    Match,
    Matched,
    MoveTask,
    OpenTask,
    PausedUntil,
    PausePromotions,
    ReadValue,
    Refresh,
    Send,
    SendResult,
    Started,
    StartJourney,
    TaskMoved,
    TaskOpened,
    ValueRead,
    Webhook,
    Withhold,
    match_performers,
)
from workflows.forms import travelling
from workflows.gate.channel_plan import ChannelPlan
from workflows.gate.decide import may_grant, may_send
from workflows.gate.decision import Allowed, Refusal, Wait
from workflows.gate.facts import Contact, GateFacts, MessageFacts, facts_of, give_facts, had_bonus
from workflows.gate.policy import NECESSARY, PROTECTIVE, Policy
from workflows.gate.reasons import Reason
from workflows.gate.register_check import as_if_unlisted
from workflows.local_time import WEEK
from workflows.player_facts import PlayerFacts
from workflows.player_state.active_run import come_to
from workflows.player_state.control_arms import RunArm
from workflows.player_state.decisions import started_by
from workflows.player_state.harm_response import paused_by
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.measured_values import read_value
from workflows.revocation import Revoke, RevokeResult

EVERYWHERE: frozenset[Channel] = frozenset(CHANNELS)
INPUTS = {effect.name: effect.input for effect in EFFECTS}
#: Those that lock the player's row, where what the run has come to is noted.
LOCKING = frozenset(effect.name for effect in (SEND, GRANT, AWARD, OFFER_SPIN, PAUSE_PROMOTIONS, REFRESH, MATCH, START))
BY_INPUT = {effect.input: effect for effect in EFFECTS}


class Effects:
    """Everything a run can do to the world."""

    def __init__(self, world: WorldState) -> None:
        self._world = world
        self._tried: dict[str, dict[Channel, MessageRecord]] = {}
        self._contacts: dict[str, list[Contact]] = {}
        #: Messages that wait for the morning, by player and key.
        self._waiting: dict[str, dict[str, Send]] = {}
        self._reserved: dict[str, datetime] = {}
        #: Who had a reward here, whatever became of it afterwards.
        self._rewarded: set[str] = set()
        self._tasks_of: dict[str, list[TaskRecord]] = {}
        self._trouble: Away | Declines | None = None
        self._learned = LearnedEffects(world, self._record, self._facts)
        self._waited = timedelta(0)
        loyalty = LoyaltyEffects(world, self._facts)
        self._performers: Mapping[str, Callable[[Any], BaseModel]] = {
            "choose": self._learned.choose,
            "send": self._send,
            "grant": self._grant,
            "revoke": self._revoke,
            "award": loyalty.award,
            "offer_spin": loyalty.offer_spin,
            "close_spin": loyalty.close_spin,
            "pause_promotions": self._pause_promotions,
            "open_task": self._open_task,
            "move_task": self._move_task,
            "refresh": self._refresh,
            "start": self._start,
            "mark": self._mark,
            "webhook": self._webhook,
            "match": self._match,
            "assign": self._learned.assign,
            "score": self._learned.score,
            "value": self._value,
            "end": self._end,
            "withhold": WithheldEffects(world, self._recent).withhold,
        }
        match_performers(self._performers, "stage/world/effects.py")

    def perform(self, call: Call) -> BaseModel:
        """One attempt of an effect; raises what its faults say, which after an hour is tried less often."""
        try:
            return self._perform(call)
        except (StageError, TimedOut):
            raise
        except Exception as error:
            if call.waited < SLOW_AFTER:
                raise
            raise ApplicationError(str(error), type=type(error).__name__, next_retry_delay=SLOW_INTERVAL) from error

    def _perform(self, call: Call) -> BaseModel:
        world = self._world
        request: EffectInput = call.decode(INPUTS[call.name])
        self._trouble, self._waited = None, call.waited
        if world.faults is not None:
            try:
                world.faults(call, request)
            except (Away, Declines) as trouble:
                self._trouble = trouble
        if isinstance(request, Withhold):
            return self._performers[call.name](request)
        world.runs[request.run_id].step = request.step
        lines = len(world.story)
        for line in request.story:
            world.story.append(StoryRecord(line.at, request.run_id, line.step, line.outcome, line.detail))
        try:
            result = self._attempt(call.name, request)
        except (Away, Declines):
            # The next attempt records it again.
            del world.story[lines:]
            raise
        if world.on_effect is not None:
            world.on_effect(world.now, call.name, request, result)
        return result

    def _attempt(self, name: str, request: EffectInput) -> BaseModel:
        state = self._world.players.get(request.player_id)
        if name in LOCKING and state is not None:
            come_to(state.runs, request.run_id, request.step, self._world.rules.journeys)
        return self._hold(request) if self._holds(request) else self._performers[name](request)

    def _holds(self, request: EffectInput) -> bool:
        """Whether somebody holds the journey and this effect with it. What protects goes out all the same."""
        if request.journey not in self._world.held or not BY_INPUT[type(request)].holdable:
            return False
        template = self._world.templates.get(request.template) if isinstance(request, Send) else None
        return template is None or template.message_class not in PROTECTIVE

    def _hold(self, request: EffectInput) -> Held:
        self._world.waiting[request.run_id] = request.player_id
        self._record(request, "held")
        return Held()

    def _record(self, request: EffectInput, outcome: str, **detail: JsonValue) -> None:
        self._world.story.append(StoryRecord(self._world.now, request.run_id, request.step, outcome, detail))

    def _trouble_of(self, provider: Provider | None) -> Away | Declines | None:
        return self._trouble if self._trouble is not None and provider in self._trouble.providers else None

    def _facts(self, request: EffectInput) -> GateFacts | None:
        world, player_id = self._world, request.player_id
        state = world.players.get(player_id)
        if state is None:
            return None
        addresses = world.addresses.get(player_id, EVERYWHERE)
        facts = facts_of(
            state,
            addresses=addresses,
            contacts=self._recent(player_id),
            now=world.now,
            birth_date=world.birth_dates.get(player_id),
            had_bonus=had_bonus(state, granted_here=player_id in self._rewarded),
        )
        worth = bonus_value(world, player_id) if isinstance(request, Give) else None
        return replace(facts, arm=world.runs[request.run_id].arm, bonus_value=worth, ahead=self._ahead(request))

    def _note_wait(self, request: Send, decision: Allowed | Refusal | Wait) -> None:
        waiting = self._waiting.setdefault(request.player_id, {})
        waiting.pop(request.key, None)
        if isinstance(decision, Wait) and decision.rule == "quiet-hours":
            waiting[request.key] = request

    def _ahead(self, request: EffectInput) -> int:
        """How many messages of runs under way of journeys that go first wait for the player's morning."""
        world = self._world
        journeys, waiting = world.rules.journeys, self._waiting.get(request.player_id, {}).values()
        others = [one for one in waiting if one.run_id != request.run_id and world.runs[one.run_id].ended_at is None]
        mine = journeys[request.journey].priority
        return sum(journeys[one.journey].priority > mine for one in others)

    def _recent(self, player_id: str) -> list[Contact]:
        """What counts against the caps of a player now."""
        since = self._world.now - WEEK
        contacts = self._contacts.get(player_id, [])
        while contacts and contacts[0].at <= since:
            del contacts[0]
        return contacts

    def _policy(self, facts: GateFacts | None) -> Policy:
        return self._world.policies.of(self._world.brand, facts, self._world.now)

    # ---- messages ----------------------------------------------------------------------------

    def _send(self, request: Send) -> SendResult:
        tried = self._tried.setdefault(request.key, {})
        plan = ChannelPlan(request.via, request.fallback, request.turn)
        away = False
        for channel in plan.channels():
            if channel not in tried:
                try:
                    self._try(request, channel, tried, plan)
                except Away:
                    away = True
                    plan.used.add(channel)
            if channel in tried and tried[channel].suppressed is None:
                plan.used.add(channel)
        next_turn = plan.next_turn(request.had_turns, only_fresh=away and self._waited < HAND_ON_AFTER)
        if away and next_turn is None:
            assert self._trouble is not None
            raise self._trouble
        # In the order of their rows: what a journey sees first must be the same in production.
        rows = sorted(tried.values(), key=lambda message: (message.at, message.channel))
        result = SendResult(
            sent=[message.channel for message in rows if message.suppressed is None],
            suppressed={message.channel: message.suppressed for message in rows if message.suppressed is not None},
            wait_until=plan.wait_until,
            next_turn=next_turn,
        )
        if next_turn is not None:
            return result
        if result.wait_until is None:
            del self._tried[request.key]
        channels: dict[str, JsonValue] = {message.channel: message.suppressed or "sent" for message in rows}
        self._record(request, result.outcome, **result.story_detail(request.template, channels))
        return result

    def _template(self, request: Send) -> TemplateFacts:
        known = self._world.templates
        if request.template in known:
            return known[request.template]
        what = f"{request.journey} sends {request.template}, which is no template here; it has"
        raise StageError(f"{what} {', '.join(sorted(known))}.")

    def _try(self, request: Send, channel: Channel, tried: dict[Channel, MessageRecord], plan: ChannelPlan) -> None:
        """Send on one channel, or note why not. Raises `Away` while the channel is."""
        world = self._world
        template = self._template(request)
        asked = MessageFacts(
            channel=channel,
            message_class=template.message_class,
            step=request.key,
            suppress_if_active_today=template.suppress_if_active_today,
            product=request.product or world.product,
            asked_at=request.asked_at,
            by=request.by,
            delay=request.delay,
            asks=request.survey is not None,
        )
        facts = self._facts(request)
        policy = self._policy(facts)
        decision = may_send(as_if_unlisted(facts, policy, world.now), asked, policy, world.now)
        self._note_wait(request, decision)
        if isinstance(decision, Wait):
            plan.waits[channel] = decision.until
            return
        suppressed = str(decision.reason) if isinstance(decision, Refusal) else None
        if suppressed is None and not plan.has_turn(channel):
            plan.leave(channel)
            return
        if suppressed is None:
            trouble = self._trouble_of(CHANNELS[channel].provider)
            if isinstance(trouble, Away):
                raise trouble
            suppressed = None if trouble is None else trouble.reason
        tried[channel] = record = MessageRecord(
            at=world.now,
            run_id=request.run_id,
            player_id=request.player_id,
            journey=request.journey,
            step=request.step,
            template=request.template,
            channel=channel,
            message_class=template.message_class,
            suppressed=suppressed,
            variables=request.variables,
            about=None if request.survey is None else request.survey.about,
            choice=request.choice,
        )
        world.messages.append(record)
        world.learned.channels.note(record)
        if suppressed is None and template.message_class not in NECESSARY:
            self._contacts.setdefault(request.player_id, []).append(Contact(world.now, channel, request.key))

    # ---- rewards -----------------------------------------------------------------------------

    def _grant(self, request: Give) -> GiveResult:
        world = self._world
        reserved_at = self._reserved.setdefault(request.key, world.now)
        asked_before = reserved_at < world.now
        facts = self._facts(request)
        asked = give_facts(request, world.product)
        policy = self._policy(facts)
        decision = may_grant(as_if_unlisted(facts, policy, world.now), asked, policy, world.now)
        if isinstance(decision, Allowed) and facts is not None and not (asked_before or asked.approved or asked.earned):
            decision = within_budgets(world, request, facts, asked, policy, decision)
        trouble = self._trouble_of("bonus_engine")
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
            run_id=request.run_id,
            player_id=request.player_id,
            journey=request.journey,
            step=request.step,
            kind=request.reward.kind,
            reward=request.reward,
            status=status,
            reason=reason,
        )
        del self._reserved[request.key]
        world.grants.append(record)
        if status != "refused":
            self._rewarded.add(request.player_id)
        self._record(request, status, kind=record.kind, reason=reason)
        return GiveResult(status=status, grant_id=request.key, reason=reason)

    def _revoke(self, request: Revoke) -> RevokeResult:
        trouble = self._trouble_of("bonus_engine")
        if isinstance(trouble, Away):
            raise trouble
        kept = None if trouble is None else trouble.reason
        result = self._world.grants.revoke(request.player_id, request.grant_id, kept)
        self._record(request, result.status, reason=result.reason)
        return result

    # ---- protection --------------------------------------------------------------------------

    def _pause_promotions(self, request: PausePromotions) -> PausedUntil:
        world = self._world
        world.happen(request.player_id, paused_by(request, world.now))
        until = world.player(request.player_id).watch.paused_until
        assert until is not None
        self._record(request, "paused", until=until.isoformat(), why=request.why)
        return PausedUntil(until=until)

    # ---- tasks -------------------------------------------------------------------------------

    def _open_task(self, request: OpenTask) -> TaskOpened:
        world = self._world
        task = world.tasks[request.task_id] = TaskRecord(
            task_id=request.task_id,
            run_id=request.run_id,
            player_id=request.player_id,
            journey=request.journey,
            step=request.step,
            form=request.form,
            team=request.team,
            reason=request.reason,
            opened_at=world.now,
            due_at=request.due_at,
            escalate_to=request.escalate_to,
            not_by=request.not_by,
            approvals=request.approvals,
        )
        self._tasks_of.setdefault(request.run_id, []).append(task)
        self._record(request, "opened", task_id=task.task_id, team=request.team)
        answer = world.answers(task, request)
        if answer is not None:
            after, filled_in = answer
            world.temporal.at(world.now + after, lambda: world.answer(task, filled_in))
        return TaskOpened.of(request)

    def _move_task(self, request: MoveTask) -> TaskMoved:
        task = self._world.tasks[request.task_id]
        if task.state != "open":
            form = self._world.registry.forms.get(task.journey, {}).get(task.form)
            answer = None if task.answer is None else travelling(task.answer, form, task.step)
            return TaskMoved(state=task.state, answer=answer)
        if request.move == "escalate":
            task.due_at = request.due_at or task.due_at
            task.team = task.escalate_to or task.team
        elif request.move == "expire":
            task.state, task.closed_at = "expired", self._world.now
        self._record(request, request.move)
        return TaskMoved(state=task.state)

    # ---- the run and its player --------------------------------------------------------------

    def _refresh(self, request: Refresh) -> PlayerFacts:
        self._record(request, "refreshed")
        return journey_facts(self._world.player(request.player_id))

    def _start(self, request: StartJourney) -> Started:
        world = self._world
        journey = world.registry.journeys.get(request.start)
        if journey is None:
            result = request.unknown_journey
            self._record(request, result.outcome, **result.model_dump())
            return result
        if journey.name in world.rules.closed:
            result = request.closed_journey
            self._record(request, result.outcome, **result.model_dump())
            return result
        state = world.player(request.player_id)
        mine = RunArm(world.runs[request.run_id].arm, world.runs[request.run_id].arm_share)
        decisions = world.with_shadows(state, state.enter(journey, None, world.now, request.cause, mine))
        world.carry_out(state, decisions)
        result = started_by(decisions)
        self._record(request, result.outcome, **result.model_dump())
        return result

    def _match(self, request: Match) -> Matched:
        segment = self._world.rules.segments.get(request.segment)
        if segment is None:
            self._record(request, "unknown_segment")
            return Matched(matches=False, unknown=True)
        matches, _ = segment.evaluate(self._world.player(request.player_id), self._world.now)
        self._record(request, "yes" if matches else "no")
        return Matched(matches=matches)

    def _value(self, request: ReadValue) -> ValueRead:
        world = self._world
        read = read_value(request, world.player(request.player_id), world.rules, world.now)
        self._record(request, "read", **read.model_dump())
        return read

    def _mark(self, request: Mark) -> Done:
        if request.arrived is not None:
            self._world.runs[request.run_id].version = request.arrived
        self._record(request, "marked", **request.detail)
        return Done()

    def _webhook(self, request: Webhook) -> Done:
        self._record(request, "said", **request.given)
        return Done()

    def _end(self, request: End) -> Done:
        world = self._world
        state = world.player(request.player_id)
        state.end(request.run_id, world.now)
        record = world.runs[request.run_id]
        record.ended_at, record.outcome = world.now, request.outcome
        for task in self._tasks_of.pop(request.run_id, ()):
            if task.state == "open":
                task.state, task.closed_at = "cancelled", world.now
        self._record(request, request.outcome, **request.detail)
        settle(world, request.run_id)
        world.tick_later(state)
        return Done()
