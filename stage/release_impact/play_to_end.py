"""One run carried to its end on the stage, from where it stands in production, under one turn of events."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from content.template_files import TemplateFacts
from stage.world.records import RunRecord
from stage.world.world import World
from workflows.channels import CHANNELS
from workflows.events import DepositApproved, Event, SessionLogin
from workflows.gate.policy_book import PolicyBook
from workflows.player_facts import PlayerFacts
from workflows.player_state.active_run import ActiveRun
from workflows.player_state.decisions import Arm
from workflows.player_state.likings import LIKED
from workflows.player_state.profiling import PROFILING
from workflows.player_state.state import PlayerState
from workflows.rewards import RewardBase
from workflows.run_protocol import RunInput
from workflows.source.journey_loading import Registry
from workflows.verb_table import VERBS

SOURCE = "/impact"


@dataclass(frozen=True)
class Course:
    """What a run does from now on: each with how long from now."""

    messages: tuple[tuple[timedelta, str], ...] = ()
    rewards: tuple[tuple[timedelta, str], ...] = ()
    tasks: tuple[tuple[timedelta, str], ...] = ()
    #: The waits it ends, by step.
    waits: Mapping[str, timedelta] = field(default_factory=dict)
    end: str = ""
    ends: timedelta = timedelta(0)
    #: Why it cannot be played; all else says nothing then.
    broken: str = ""


def play_on(
    given: RunInput,
    registry: Registry,
    templates: Mapping[str, TemplateFacts],
    now: datetime,
    happens: type[Event] | None = None,
    arm: Arm = "treated",
) -> Course:
    """The course of a run that goes on with this input; `happens` is what comes at once, and then nothing more.

    Its player is whom the run knows, reachable everywhere and protected by nothing: what the gate would refuse in
    production is refused under either version. One of the control arm is offered nothing, as in production.
    """
    journey = registry.journeys[given.journey]
    # Nobody enters anything: what happens here is asked about this run alone.
    closed = replace(registry, journeys={name: replace(one, triggers=()) for name, one in registry.journeys.items()})
    with World(closed, templates, now, brand=given.brand) as world:
        # No law is asked either: what it needs to know of a player is not in the facts of a run.
        world.policies = PolicyBook(shipped=())
        state = world.players[given.player_id] = player_of(given.facts, given.brand, now)
        state.runs[given.run_id] = ActiveRun(
            given.journey,
            arm,
            given.ends_at,
            seq=given.last_seen,
            version=given.version,
            earlier=[] if given.moved_from is None else [given.moved_from],
            about=sorted(journey.about),
            played=arm == "control",
        )
        world.runs[given.run_id] = RunRecord(given.run_id, given.player_id, given.journey, arm, given.entered_at)
        world.temporal.start(given.journey, given.run_id, given)
        world.advance_to(now)
        if happens is not None:
            world.happen(given.player_id, _example(happens, now))
        world.finish()
        return _course(world, given.run_id, now)


def player_of(facts: PlayerFacts, brand: str, now: datetime) -> PlayerState:
    """A player of whom these facts are known."""
    derived = {"player_id", "favourite_category", "deposits", "deposited_minor", "last_login"}
    derived |= {"harm", "usual_hours", "consents", "objects_to_profiling", "kyc", "wallet", "liked"}
    known = {name: value for name, value in facts.model_dump(mode="json").items() if name not in derived}
    known |= {f"{LIKED}{about}": liked for about, liked in facts.liked.items()}
    if facts.wallet is None and facts.currency == PlayerFacts.model_fields["currency"].default:
        # Nobody sent one: an amount is not chosen by a currency that is only assumed.
        del known["currency"]
    state = PlayerState(brand, facts.player_id, facts=known, status="active", status_since=now)
    state.consents = dict.fromkeys(CHANNELS, (True, facts.registered_at or now))
    if facts.objects_to_profiling:
        state.consents[PROFILING] = (False, facts.registered_at or now)
    state.harm = facts.harm
    state.deposited_minor = facts.deposited_minor
    state.counts[DepositApproved.type] = facts.deposits
    if facts.last_login is not None:
        state.last[SessionLogin.type] = facts.last_login
    if facts.favourite_category is not None:
        state.stakes[facts.favourite_category] = 1
    return state


def _example(kind: type[Event], now: datetime) -> Event:
    """The documented example of an event, of this moment."""
    data = kind.example().model_dump(by_alias=False)
    return kind(**data | {"event_id": f"{kind.type}:impact", "event_source": SOURCE, "occurred_at": now})


def _course(world: World, run_id: str, now: datetime) -> Course:
    record = world.runs[run_id]
    sent = {
        m.step: (m.at - now, m.template) for m in reversed(world.messages) if m.run_id == run_id and not m.suppressed
    }
    return Course(
        messages=tuple(sorted(sent.values())),
        rewards=tuple(
            (grant.at - now, _terms(grant.reward))
            for grant in world.grants
            if grant.run_id == run_id and grant.status == "confirmed"
        ),
        tasks=tuple((task.opened_at - now, task.form) for task in world.tasks.values() if task.run_id == run_id),
        waits={line.step: line.at - now for line in world.story if line.run_id == run_id and _waits(line.step)},
        end=record.outcome or "goes on",
        ends=(record.ended_at or world.now) - now,
    )


def _waits(step: str) -> bool:
    verb = VERBS.get(step.partition("#")[0].partition(":")[0])
    return verb is not None and verb.waits


def _terms(reward: RewardBase) -> str:
    """A reward with what was not left as usual: `free_spins spins=20 max_win_minor=10000`."""
    terms = reward.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})
    return " ".join([reward.name, *(f"{name}={value}" for name, value in terms.items() if not isinstance(value, dict))])
