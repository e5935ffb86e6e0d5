"""What the effects of a shadow run would have come to, and are answered instead of being done.

One pure function for every verb, asked in production and on the stage. The gate is asked for real; of what only the
world could say the usual answer is taken: a provider takes the message, the bonus engine pays, nobody answers a task.
"""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, Protocol

from pydantic import BaseModel, JsonValue

from workflows.channels import CHANNELS, Channel
from workflows.effects import (
    AssignArm,
    Award,
    AwardResult,
    CloseSpin,
    Done,
    EffectInput,
    End,
    Give,
    GiveResult,
    Mark,
    Match,
    Matched,
    MoveTask,
    OfferSpin,
    OpenTask,
    PausedUntil,
    PausePromotions,
    ReadScore,
    ReadValue,
    Refresh,
    Send,
    SendResult,
    SpinGiven,
    Started,
    StartJourney,
    TaskMoved,
    TaskOpened,
    Webhook,
)
from workflows.experiment_draw import CONTROL, ArmAssigned, ExperimentStanding, draw
from workflows.field_types import MessageClass, Product
from workflows.gate.channel_plan import ChannelPlan
from workflows.gate.comparison import gets_no_offers
from workflows.gate.decide import may_grant, may_send
from workflows.gate.decision import Allowed, Refusal, Wait
from workflows.gate.facts import GateFacts, GrantFacts, MessageFacts, give_facts, spin_facts
from workflows.gate.policy import NECESSARY, Policy
from workflows.gate.register_check import as_if_unlisted
from workflows.gate.send_choice import SeenByChoice, choose
from workflows.local_time import hours, jitter
from workflows.player_state.active_run import Entries
from workflows.player_state.decisions import started_by
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.measured_values import read_value
from workflows.player_state.prizes import why_not_awarded, why_not_offered
from workflows.player_state.state import PlayerState
from workflows.revocation import Revoke, RevokeResult
from workflows.rules.index import RuleIndex
from workflows.scores import read_score
from workflows.send_choices import Choose

#: What stands for a channel on which a message would have gone out.
SENT = "sent"
#: What a message comes to that has to wait for the morning: it is asked about again then.
WAITING = "waiting"


class TextFacts(Protocol):
    """What the gate asks of a template."""

    @property
    def message_class(self) -> MessageClass:
        """What it is for."""

    @property
    def suppress_if_active_today(self) -> bool:
        """Whether it misses the player."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a withheld effect is judged by. `facts` are None for a player we know nothing about."""

    now: datetime
    policy: Policy
    #: What a journey is about that does not say so.
    product: Product
    rules: RuleIndex
    templates: Callable[[str], TextFacts]
    state: PlayerState
    facts: GateFacts | None
    #: The live run that the shadow run is compared with.
    beside: str
    #: Of a message: the channels that were decided before it had to wait for the morning, and how.
    decided: Mapping[Channel, str] = field(default_factory=dict)
    #: Of an entry into another journey: what the live run's own came to at the same step; None where it made none yet.
    started_beside: Started | None = None
    #: The entries that the shadow run would have made before, by journey, and when.
    started: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class WouldBe:
    """What an effect would have come to: its outcome and detail as in a live run's story, and its answer."""

    outcome: str
    answer: BaseModel
    detail: Mapping[str, JsonValue] = field(default_factory=dict)


def would_be(request: EffectInput, seen: Seen) -> WouldBe:  # noqa: C901, PLR0911 - one line an effect
    """What a withheld effect would have come to. Raises TypeError for an effect that nobody can withhold."""
    match request:
        case Send():
            return _send(request, seen)
        case Give():
            return _give(request, seen)
        case Revoke():
            return WouldBe("revoked", RevokeResult(status="revoked"))
        case Award():
            return _award(request, seen)
        case OfferSpin() | CloseSpin():
            return _spin(request, seen)
        case PausePromotions():
            until = max(seen.now + hours(request.hours), seen.state.watch.paused_until or seen.now)
            return WouldBe("paused", PausedUntil(until=until), {"until": until.isoformat()})
        case OpenTask():
            detail: dict[str, JsonValue] = {"form": request.form, "team": request.team}
            return WouldBe("opened", TaskOpened.of(request), detail)
        case MoveTask():
            return WouldBe(request.move, TaskMoved(state="expired" if request.move == "expire" else "open"))
        case StartJourney():
            return _start(request, seen)
        case Match():
            return _match(request, seen)
        case AssignArm() | ReadValue() | ReadScore() | Choose():
            return _read(request, seen)
        case Refresh():
            return WouldBe("refreshed", journey_facts(seen.state))
        case Mark():
            return WouldBe("marked", Done(), request.detail)
        case Webhook():
            return WouldBe("said", Done(), request.given)
        case End():
            return WouldBe(request.outcome, Done(), request.detail)
        case _:
            raise TypeError(
                f"{type(request).__name__} cannot be withheld; say in workflows/withheld.py what it comes to."
            )


def decided_channels(detail: Mapping[str, JsonValue]) -> dict[Channel, str]:
    """What was decided about the channels of a message, from its detail: `SENT`, or why not."""
    channels = detail.get("channels")
    named = channels if isinstance(channels, dict) else {}
    return {channel: str(named[channel]) for channel in CHANNELS if channel in named}


def entered_journey(step: str, outcome: str) -> str | None:
    """The journey that a step of a shadow run would have let the player into; None for every other step."""
    verb, _, name = step.partition("#")[0].partition(":")
    return name if verb == "start" and outcome == "started" else None


def contact_channels(detail: Mapping[str, JsonValue]) -> list[Channel]:
    """The channels on which a message would have gone out and counts against the caps, from its detail."""
    if detail.get("message_class") in NECESSARY:
        return []
    return [channel for channel, what in decided_channels(detail).items() if what == SENT]


def _send(request: Send, seen: Seen) -> WouldBe:
    """On every channel at once: there is no provider whose turn it could be."""
    template = seen.templates(request.template)
    decided = dict(seen.decided)
    plan = ChannelPlan(request.via, request.fallback)
    for channel in plan.channels():
        if channel not in decided:
            asked = MessageFacts(
                channel=channel,
                message_class=template.message_class,
                step=request.key,
                suppress_if_active_today=template.suppress_if_active_today,
                product=request.product or seen.product,
                asked_at=request.asked_at,
                by=request.by,
                # As long as the live run waits.
                delay=jitter(seen.beside, request.jitter),
                asks=request.survey is not None,
            )
            decision = may_send(as_if_unlisted(seen.facts, seen.policy, seen.now), asked, seen.policy, seen.now)
            if isinstance(decision, Wait):
                plan.waits[channel] = decision.until
                continue
            decided[channel] = str(decision.reason) if isinstance(decision, Refusal) else SENT
        if decided[channel] == SENT:
            plan.used.add(channel)
    result = SendResult(
        sent=[channel for channel, what in decided.items() if what == SENT],
        suppressed={channel: what for channel, what in decided.items() if what != SENT},
        wait_until=plan.wait_until,
    )
    channels: dict[str, JsonValue] = {str(channel): what for channel, what in decided.items()}
    detail = result.story_detail(request.template, channels) | {"message_class": template.message_class}
    return WouldBe(result.outcome, result, detail)


def _choose(request: Choose, seen: Seen) -> WouldBe:
    """By the player's hours; what became of earlier messages is not read for a shadow, so channels are as declared."""
    template = seen.templates(request.template)
    known = SeenByChoice(
        facts=seen.facts,
        policy=seen.policy,
        message_class=template.message_class,
        suppress_if_active_today=template.suppress_if_active_today,
        product=seen.product,
        hours=seen.state.hours,
    )
    # Drawn as the live run's own is.
    chosen = choose(request.model_copy(update={"run_id": seen.beside}), known, seen.now)
    return WouldBe("chosen", chosen, chosen.model_dump(mode="json"))


def _give(request: Give, seen: Seen) -> WouldBe:
    asked = give_facts(request, seen.product)
    decision = may_grant(as_if_unlisted(seen.facts, seen.policy, seen.now), asked, seen.policy, seen.now)
    reason = None if isinstance(decision, Allowed) else str(decision.reason)
    status: Literal["confirmed", "refused"] = "confirmed" if reason is None else "refused"
    answer = GiveResult(status=status, grant_id=request.key, reason=reason)
    reward = request.reward.model_dump(mode="json")
    return WouldBe(status, answer, {"kind": request.reward.kind, "reason": reason, "reward": reward})


def _award(request: Award, seen: Seen) -> WouldBe:
    asked = GrantFacts.of(request.reward, request.product or seen.product, vip=request.vip, earned=request.earned)
    decision = may_grant(as_if_unlisted(seen.facts, seen.policy, seen.now), asked, seen.policy, seen.now)
    reason = None if isinstance(decision, Allowed) else str(decision.reason)
    reason = why_not_awarded(request, seen.state, seen.rules.loyalty, seen.now) or reason
    answer = AwardResult.of(request.reward, reason, seen.now)
    reward = request.reward.model_dump(mode="json")
    return WouldBe(answer.status, answer, {"kind": request.reward.kind, "reason": reason, "reward": reward})


def _spin(request: OfferSpin | CloseSpin, seen: Seen) -> WouldBe:
    """What a player spins is an answer to the live run's step, which its shadow has too."""
    if isinstance(request, CloseSpin):
        return WouldBe("unplayed", SpinGiven())
    asked = spin_facts(request, request.product or seen.product)
    decision = may_grant(as_if_unlisted(seen.facts, seen.policy, seen.now), asked, seen.policy, seen.now)
    reason = None if isinstance(decision, Allowed) else str(decision.reason)
    reason = why_not_offered(request, seen.state, seen.rules.loyalty) or reason
    detail = {"wheel": request.wheel, "reason": reason}
    return WouldBe("offered" if reason is None else "withheld", SpinGiven(reason=reason), detail)


def _start(request: StartJourney, seen: Seen) -> WouldBe:
    """What the live run's entry by the same step came to is the entry rule's answer; without one, the rule is asked."""
    journey = seen.rules.journeys.get(request.start)
    protected = seen.state.protected(seen.now)
    if journey is None:
        result = request.unknown_journey
    elif request.start in seen.rules.closed:
        result = request.closed_journey
    elif not journey.is_for(request.brand):
        result = Started(refused=f"{request.start} is not for players of this brand.")
    elif protected is not None:
        result = Started(refused=protected)
    elif seen.started_beside is not None and seen.started_beside.refused is not None:
        result = seen.started_beside
    elif seen.started_beside is None and _entered(seen).refusal(journey, None, seen.now) is not None:
        result = started_by(())
    else:
        result = Started(new_run_id=request.key)
    return WouldBe(result.outcome, result, result.model_dump())


def _entered(seen: Seen) -> PlayerState:
    """The player as if the entries had been made that the shadow run would have made."""
    state = copy(seen.state)
    state.entries = dict(state.entries)
    for journey, at in seen.started.items():
        before = state.entries.get(journey) or Entries()
        state.entries[journey] = replace(before, count=before.count + 1, last=max(at, before.last or at))
    return state


def _match(request: Match, seen: Seen) -> WouldBe:
    segment = seen.rules.segments.get(request.segment)
    if segment is None:
        return WouldBe("unknown_segment", Matched(matches=False, unknown=True))
    matches, _ = segment.evaluate(seen.state, seen.now)
    return WouldBe("yes" if matches else "no", Matched(matches=matches))


def _read(request: AssignArm | ReadValue | ReadScore | Choose, seen: Seen) -> WouldBe:
    """What is asked about the player and changes nothing. A shadow draws as if nobody had drawn before."""
    match request:
        case AssignArm():
            arm = "treated" if seen.facts is None else seen.facts.arm or "treated"
            place = None if seen.facts is None else seen.facts.holdout_place
            if place is not None and gets_no_offers(arm, place, seen.policy):
                return WouldBe(CONTROL, ArmAssigned.withheld())
            whose = (request.brand, request.player_id, (request.experiment, request.experiment_version))
            drawn = draw(*whose, request.arms, ExperimentStanding(), seen.now)
            return WouldBe(drawn.arm, ArmAssigned(arm=drawn.arm, chance=drawn.chance))
        case ReadValue():
            read = read_value(request, seen.state, seen.rules, seen.now)
            return WouldBe("read", read, read.model_dump())
        case Choose():
            return _choose(request, seen)
        case ReadScore():
            score = read_score(request.score, None, seen.state, seen.now)
            return WouldBe("read", score, score.model_dump(mode="json"))
