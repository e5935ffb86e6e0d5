"""The players, runs and records of a world, and what intake and dispatch do to them.

It asks the same pure functions as production: `PlayerState` decides who enters, wakes and stops.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial

from pydantic import BaseModel, JsonValue, ValidationError

from content.template_files import TemplateFacts
from stage.errors import StageError, warn_of
from stage.virtual_temporal.server import VirtualTemporal
from stage.world.faults import Faults
from stage.world.given_rewards import GivenRewards
from stage.world.records import (
    Chance,
    LearnedRecords,
    MessageRecord,
    PurchaseRecord,
    RunRecord,
    ShadowRunRecord,
    SpinRecord,
    StoryRecord,
    TaskRecord,
    WithheldRecord,
)
from stage.world.tournament_boards import TournamentBoards
from workflows.channels import Channel
from workflows.effects import EffectInput, OpenTask
from workflows.events import Event, ProfileUpdated, ScoreChanged
from workflows.field_types import Product
from workflows.forms import travelling
from workflows.gate.policy_book import PolicyBook
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.tournament_scores import NameShown, StandingChanged, StandingsLost, StandingTooLate
from workflows.player_state.decisions import (
    Decision,
    Ended,
    GoalReached,
    GrantReached,
    MessageReached,
    Migrate,
    Moved,
    ReviewDue,
    RevokeOffers,
    ShadowStart,
    Start,
    Stop,
    TicketsGiven,
    Wake,
)
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.run_migration import migrate
from workflows.player_state.state import Mode, PlayerState
from workflows.rules.failures import RuleFailure
from workflows.run_protocol import DELIVER, Delivery, DeliveryBatch
from workflows.shadows import SHADOW_STOPPED, STOP_NUMBER, Shadow
from workflows.source.journey_loading import Registry
from workflows.task_rights import Signature, refusal

BRAND = "stage"

#: A person's answer to a task, and how long it takes; None when nobody answers.
Answer = tuple[timedelta, Mapping[str, JsonValue]] | None
Answers = Callable[[TaskRecord, OpenTask], Answer]


def nobody(_task: TaskRecord, _asked: OpenTask) -> Answer:
    """The policy of a team that answers nothing."""
    return None


class WorldState:
    """What stands in Postgres in production: players, runs, messages, grants, tasks, and the story of the runs."""

    #: What chance brings, by the world's seed.
    chance: Chance

    #: What players bought in the shop.
    purchases: list[PurchaseRecord]

    def __init__(
        self,
        registry: Registry,
        templates: Mapping[str, TemplateFacts],
        temporal: VirtualTemporal,
        *,
        policies: PolicyBook,
        product: Product,
        answers: Answers,
        faults: Faults | None,
        brand: str,
        on_effect: Callable[[datetime, str, EffectInput, BaseModel], None] | None,
    ) -> None:
        self.registry = registry
        self.rules = registry.rules.under(policies)
        self.templates = templates
        self.temporal = temporal
        self.policies = policies
        self.product = product
        self.answers = answers
        self.faults = faults
        self.on_effect = on_effect
        self.brand = brand
        self.players: dict[str, PlayerState] = {}
        self.addresses: dict[str, frozenset[Channel]] = {}
        self.birth_dates: dict[str, date] = {}
        self.runs: dict[str, RunRecord] = {}
        self.messages: list[MessageRecord] = []
        self.grants = GivenRewards()
        self.tasks: dict[str, TaskRecord] = {}
        self.story: list[StoryRecord] = []
        #: Who came into which segment or left it, in the order it happened.
        self.moves: list[tuple[str, Moved]] = []
        #: The journal of points, by player and in the order it was written.
        self.transfers: list[tuple[str, PointTransfer]] = []
        #: Reviews of signs of harm that are due, with their players; nobody answers them here.
        self.reviews: list[tuple[str, ReviewDue]] = []
        #: How much of what all players share is used, by budget and its week.
        self.limits: dict[str, int] = {}
        #: Who stands where, by instance of a tournament; arms and scores.
        self.boards, self.learned = TournamentBoards(self), LearnedRecords()
        #: Journeys that somebody holds, and the runs that met such a hold, with their players.
        self.held: set[str] = set()
        self.waiting: dict[str, str] = {}
        #: Runs that a shadow plays beside live ones, and what they would have done.
        self.shadow_runs: dict[str, ShadowRunRecord] = {}
        self.withheld: list[WithheldRecord] = []
        self._ticks: dict[str, datetime] = {}
        #: What happened to players in runs that may move to another release, and when.
        self._past: dict[str, list[tuple[datetime, Event]]] = {}

    @property
    def spins(self) -> list[SpinRecord]:
        """What was spun of wheels, in order."""
        return self.chance.spins

    @property
    def tickets(self) -> list[tuple[str, TicketsGiven]]:
        """Tickets of raffles with their players, in the order they were given."""
        return self.chance.tickets

    @property
    def now(self) -> datetime:
        """The present of everything in this world."""
        return self.temporal.now

    # ---- what happens to players ---------------------------------------------------------------

    def player(self, player_id: str) -> PlayerState:
        """The player's state; an unknown one is made, as intake does."""
        state = self.players.get(player_id)
        if state is None:
            state = self.players[player_id] = PlayerState(self.brand, player_id)
        return state

    def happen(self, player_id: str, *events: Event, mode: Mode = "live") -> None:
        """Events reach intake now, as one batch."""
        state = self.player(player_id)
        decisions: list[Decision] = []
        failures: list[RuleFailure] = []
        for event in events:
            self._note_birth_date(player_id, event)
            self._note_score(player_id, event)
            self._remember_buckets(state, event)
            decisions += self.with_shadows(state, state.advance(event, self.rules, self.now, failures, mode=mode))
        warn_of(failures)
        self.carry_out(state, decisions)
        if mode == "live" and any(self._may_move(run.journey) for run in state.runs.values()):
            self._past.setdefault(player_id, []).extend((self.now, event) for event in events)
        elif mode == "live":
            self._past.pop(player_id, None)

    def _remember_buckets(self, state: PlayerState, event: Event) -> None:
        """Days that left the row are read back from the journal, as intake does."""
        for key, rule in state.forgotten_buckets(event, self.rules.loyalty, self.now).items():
            mine = [one for player, one in self.transfers if player == state.player_id and one.bucket == key]
            if mine and mine[-1].units is not None:
                state.remember_bucket(rule, key, mine[-1].units, self.now)

    def _note_score(self, player_id: str, event: Event) -> None:
        """In production it is read from the events."""
        if isinstance(event, ScoreChanged):
            known = self.learned.scores.get((player_id, event.score))
            if known is None or event.occurred_at >= known.occurred_at:
                self.learned.scores[player_id, event.score] = event

    def _note_birth_date(self, player_id: str, event: Event) -> None:
        """In production it stands in the profile, which holds what is personal."""
        told = (
            event.changed if isinstance(event, ProfileUpdated) else {"birth_date": getattr(event, "birth_date", None)}
        )
        if (day := told.get("birth_date")) is not None:
            self.birth_dates[player_id] = date.fromisoformat(str(day))
        elif "birth_date" in told and isinstance(event, ProfileUpdated):
            self.birth_dates.pop(player_id, None)

    def enter(self, player_id: str, journey: str, trigger: Event | None) -> str | None:
        """Let a player into a journey as if `trigger` had started it; the run, or None if the rules refuse."""
        state = self.player(player_id)
        decisions = self.with_shadows(state, state.enter(self.registry.journeys[journey], trigger, self.now))
        self.carry_out(state, decisions)
        return next((d.run_id for d in decisions if isinstance(d, Start)), None)

    def answer(self, task: TaskRecord, answer: Mapping[str, JsonValue], by: str | None = None) -> bool:
        """A person completes a task now; False if it is closed already, or waits for others to give the same answer.

        Without `by` as many people give it as must. Somebody who may not is a StageError.

        An answer that does not fit its form is a StageError: in production the API refuses it.
        """
        if task.state != "open":
            return False
        form = self.registry.forms.get(task.journey, {}).get(task.form)
        if form is not None:
            try:
                form.model_validate(dict(answer))
            except ValidationError as error:
                faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors())
                raise StageError(f"The answer {dict(answer)} does not fit {task.form}: {faults}.") from None
        if by is not None and not self._sign(task, dict(answer), by):
            return False
        task.state, task.answer, task.closed_at = "completed", dict(answer), self.now
        self.answer_step(self.player(task.player_id), task.run_id, task.step, travelling(answer, form, task.step))
        return True

    def answer_step(self, state: PlayerState, run_id: str, step: str, answer: Mapping[str, JsonValue]) -> None:
        """Deliver an answer to a step of a run and to its shadow, where it goes on."""
        if (seq := state.next_seq(run_id)) is not None:
            for one, number in [(run_id, seq), *state.number_beside(run_id)]:
                self._deliver(one, [Delivery(seq=number, kind="answer", step=step, answer=dict(answer))])

    def _sign(self, task: TaskRecord, answer: dict[str, JsonValue], by: str) -> bool:
        """Whether the task has been given this answer by enough people."""
        earlier = [
            Signature(name, name, one.step)
            for one in self.tasks.values()
            if one.run_id == task.run_id and one.form in task.not_by and one is not task
            for name in one.signed_by
        ]
        refused = refusal(task.team, None, name=by, signer_id=by, teams=None, skills=(), signatures=earlier)
        if refused is not None:
            raise StageError(refused.sentence)
        if answer != task.proposal:
            task.proposal, task.signed_by = answer, []
        if by not in task.signed_by:
            task.signed_by.append(by)
        return len(task.signed_by) >= task.approvals

    # ---- what people decide about journeys -------------------------------------------------------

    def close_journey(self, journey: str) -> None:
        """Nobody enters the journey from now on; runs under way go on."""
        self.rules = self.rules.closing(self.rules.closed | {journey})

    def open_journey(self, journey: str) -> None:
        """Players enter the journey again."""
        self.rules = self.rules.closing(self.rules.closed - {journey})

    def hold(self, journey: str) -> None:
        """The journey's runs wait at their next effect."""
        self.held.add(journey)

    def resume(self, journey: str) -> None:
        """The journey's runs go on; in production they are told so a few at a time."""
        self.held.discard(journey)
        for run_id in [one for one in self.waiting if self.runs[one].journey == journey]:
            seq = self.player(self.waiting.pop(run_id)).next_seq(run_id)
            if seq is not None:
                self._deliver(run_id, [Delivery(seq=seq, kind="resume")])

    def shadow(self, journey: str, version: int, percent: float = 100) -> None:
        """From now on a release of the journey is played beside each run of players who are drawn, and does nothing."""
        shadow = Shadow(len(self.shadow_runs) + 1, journey, version, percent)
        self.rules = self.rules.shadowing({**self.rules.shadows, journey: shadow})

    def stop_shadow(self, journey: str) -> None:
        """No shadow run begins any more, and those under way are over."""
        self.rules = self.rules.shadowing({name: one for name, one in self.rules.shadows.items() if name != journey})
        for run in self.shadow_runs.values():
            if run.journey == journey and run.ended_at is None:
                run.ended_at, run.outcome = self.now, SHADOW_STOPPED
                self._deliver(run.run_id, [Delivery(seq=STOP_NUMBER, kind="stop", reason=SHADOW_STOPPED)])

    def migrate(self, run_id: str, version: int, do: Iterable[str] = ()) -> bool:
        """Tell a run to move to another release, as the bulk job does; False where there is nothing to move."""
        record = self.runs[run_id]
        state, journey = self.player(record.player_id), self.rules.journeys[record.journey]
        run = state.runs.get(run_id)
        if run is None:
            return False
        unheard = run.unheard(journey, version)
        since = [event for at, event in self._past.get(record.player_id, ()) if at >= record.entered_at]
        past = [event for event in since if unheard.names(event) and event != record.trigger]
        failures: list[RuleFailure] = []
        decisions = migrate(state, run_id, version, do, past, self.rules, failures)
        warn_of(failures)
        self.carry_out(state, decisions)
        return bool(decisions)

    def _may_move(self, journey: str) -> bool:
        known = self.rules.journeys.get(journey)
        return known is not None and bool(known.versions)

    # ---- decisions -----------------------------------------------------------------------------

    def with_shadows(self, state: PlayerState, decisions: Iterable[Decision]) -> list[Decision]:
        """Decisions, each start with that of its shadow behind it."""
        return [
            one
            for decision in decisions
            for one in (decision, *(state.begin_shadow(decision, self.rules) if isinstance(decision, Start) else ()))
        ]

    def carry_out(self, state: PlayerState, decisions: Iterable[Decision]) -> None:
        """What intake's transaction and the dispatcher after it do about decisions."""
        deliveries: dict[str, list[Delivery]] = {}
        starts: dict[str, Start | ShadowStart] = {}
        for decision in decisions:
            match decision:
                case Start():
                    self._enter(state, decision)
                    if decision.refused is None:
                        starts[decision.run_id] = decision
                case ShadowStart():
                    live = decision.beside
                    self.shadow_runs[decision.run_id] = ShadowRunRecord(
                        decision.run_id, state.player_id, live.journey, decision.version, live.run_id
                    )
                    starts[decision.run_id] = decision
                case Wake():
                    wire = decision.event.redacted().to_wire()
                    deliveries.setdefault(decision.run_id, []).append(
                        Delivery(seq=decision.seq, kind="event", event=wire)
                    )
                case Stop():
                    deliveries.setdefault(decision.run_id, []).append(
                        Delivery(seq=decision.seq, kind="stop", reason=decision.reason)
                    )
                case Migrate():
                    order = Delivery(seq=decision.seq, kind="migrate", version=decision.version, do=list(decision.do))
                    deliveries.setdefault(decision.run_id, []).append(order)
                case GoalReached():
                    self.runs[decision.run_id].goal_at = decision.at
                case PointTransfer():
                    self.transfers.append((state.player_id, decision))
                case StandingChanged() | StandingTooLate() | StandingsLost() | NameShown():
                    self.boards.take(state.player_id, decision)
                case Moved() | ReviewDue() | RevokeOffers() | TicketsGiven() | GrantReached() | MessageReached():
                    self._note(state.player_id, decision)
                case Ended():
                    record = self.runs[decision.run_id]
                    record.ended_at, record.outcome = decision.at, decision.outcome
        for run_id, start in starts.items():
            # Deliveries of one transaction go out together: a run stopped in it does nothing at all.
            self._begin(state, start, deliveries.pop(run_id, []))
        for run_id, items in deliveries.items():
            self._deliver(run_id, items)
        self.tick_later(state)

    def _note(
        self,
        player_id: str,
        decision: Moved | ReviewDue | RevokeOffers | TicketsGiven | GrantReached | MessageReached,
    ) -> None:
        """Note what happened to a player outside of runs."""
        match decision:
            case MessageReached():
                self.learned.channels.reach(decision)
            case TicketsGiven():
                self.tickets.append((player_id, decision))
            case Moved():
                self.moves.append((player_id, decision))
            case ReviewDue():
                self.reviews.append((player_id, decision))
            case RevokeOffers():
                self.grants.take_back_offers(player_id, decision)
            case GrantReached():
                self.grants.advance(player_id, decision)

    def _enter(self, state: PlayerState, start: Start) -> None:
        record = self.runs[start.run_id] = RunRecord(
            start.run_id,
            state.player_id,
            start.journey,
            start.arm,
            start.entered_at,
            version=start.version,
            trigger=start.trigger,
            arm_share=start.arm_share,
        )
        if start.refused is not None:
            record.ended_at, record.outcome = start.entered_at, f"refused:{start.refused}"

    def _begin(self, state: PlayerState, start: Start | ShadowStart, items: Sequence[Delivery]) -> None:
        run_input = start.run_input(self.brand, journey_facts(state))
        signals = [(DELIVER, DeliveryBatch(items=list(items)))] if items else []
        # Dispatch comes after the transaction: never inside whatever decided the start.
        self.temporal.at(
            self.now, partial(self.temporal.start, run_input.journey, start.run_id, run_input, signals=signals)
        )

    def _deliver(self, run_id: str, items: Sequence[Delivery]) -> None:
        self.temporal.at(self.now, partial(self.temporal.signal, run_id, DELIVER, DeliveryBatch(items=list(items))))

    def tick_later(self, state: PlayerState) -> None:
        """See to it that the player is looked at when their next moment has come, as the sweep does."""
        moment = state.next_moment
        if moment is None or self._ticks.get(state.player_id) == moment:
            return
        self._ticks[state.player_id] = moment
        self.temporal.at(moment, partial(self._tick, state, moment))

    def _tick(self, state: PlayerState, moment: datetime) -> None:
        if self._ticks.get(state.player_id) == moment:
            del self._ticks[state.player_id]
            failures: list[RuleFailure] = []
            decisions = self.with_shadows(state, state.tick(self.rules, self.now, failures))
            warn_of(failures)
            self.carry_out(state, decisions)
