"""What a run knows and hears: its state, and the deliveries that change it."""

from datetime import datetime
from typing import ClassVar

from pydantic import JsonValue
from temporalio import workflow

from workflows.declaration import Journey
from workflows.errors import JourneysError
from workflows.inbox import MOST_EVENTS, Inbox
from workflows.run_journal import RunJournal
from workflows.run_protocol import DELIVER, ENGINE, POSITION, Delivery, DeliveryBatch, Position, RunInput, StoryLine

# Twice what one signal carries: an attempt that comes late repeats no more than that.
MOST_HEARD = 1_000
# The number of the engine from which on a run without a journal keeps an order to move until its next `again(...)`.
MOVES_WITH_AGAIN = 3


class RunState:
    """The state of a run. Replay rebuilds it, so it follows from the input, the deliveries and the results of effects.

    The verbs of `player.py` read and change it through `JourneyRun`.
    """

    definition: ClassVar[Journey]
    #: The journey as the run's version declared it.
    played: Journey

    def __init__(self, run_input: RunInput) -> None:
        self.input = run_input
        #: As of the start, or of the last `player.refresh()`.
        self.facts = run_input.facts
        #: The run is over at this instant, wherever it stands.
        self.ends_at = run_input.ends_at
        #: The outcome that a stop or a cancellation asked for.
        self.exit: str | None = None
        #: What `again(...)` gave this chapter.
        self.arguments = dict(run_input.arguments)
        #: What every step came to.
        self.journal = RunJournal(run_input.journal, run_input.do)
        #: When the function began that the journal is of.
        self.began = run_input.began or run_input.entered_at
        #: The journey's own clock: when its last step was over.
        self.clock = self.began
        #: The step in which the run stood when this chapter began.
        self.stands_at = run_input.stands_at
        #: What the function plays.
        self.player: object = None
        #: The release that the run was told to move to, and what to do on the way.
        self.move: Delivery | None = None
        #: How many signals this chapter has heard.
        self.signals = 0
        #: Whether this chapter has got anywhere; one that has not does not begin another.
        self.advanced = False
        #: Events not used yet.
        self.inbox = Inbox(run_input.inbox, run_input.numbers, run_input.arrived)
        #: Filled-in forms by the step that asked, until the step reads them.
        self.answers = dict(run_input.answers)
        #: The highest number of a delivery received.
        self.last_seen = run_input.last_seen
        #: The ids of the last deliveries received, by which a repetition is known.
        self.heard = dict.fromkeys(run_input.heard)
        #: Up to this number deliveries came without an id, and the number alone tells a repetition.
        self.unnamed = run_input.last_seen if run_input.unnamed is None else run_input.unnamed
        #: How often each step's name was used.
        self.counters = dict(run_input.counters)
        #: How often this chapter was told that a hold is over.
        self.resumed = 0
        #: Lines that no effect has stored yet.
        self.story = list(run_input.story)
        #: The step that waits, and until when.
        self.waiting: tuple[str, datetime] | None = None
        #: The step whose effect is under way.
        self.doing: str | None = None

    @workflow.signal(name=DELIVER, description="Events, answers and stops, in order.")
    def deliver(self, batch: DeliveryBatch) -> None:
        """Receive deliveries.

        One that was received before is dropped, which makes an at-least-once dispatcher exactly once. One with an
        old number and an id of its own is none of those: Postgres was set back and counts again from where it was.
        """
        self.signals += 1
        self.advanced = True
        for item in batch.items:
            if self._is_repetition(item):
                continue
            if item.seq <= self.last_seen:
                self.record(self.step("delivery"), "renumbered", number=item.seq, last=self.last_seen)
            self.last_seen = max(self.last_seen, item.seq)
            self._receive(item)

    @workflow.query(name=POSITION, description="Where the run stands.")
    def position(self) -> Position:
        """Where the run stands right now."""
        step, until = self.waiting or (self.doing, None)
        return Position(
            step=step,
            waiting_until=until,
            story=self.story,
            last_seen=self.last_seen,
            chapter=self.input.chapter,
            version=self.input.version,
            movable=not self.journal.full,
        )

    @property
    def now(self) -> datetime:
        """The run's own time, the same in replay."""
        return workflow.now()

    def refuse_later_engine(self) -> None:
        """Raise where a later release began this chapter: its commands come in an order that this one does not know.

        That fails the task and not the run: it is tried again until a worker of that release takes it.
        """
        if self.input.engine > ENGINE:
            raise JourneysError(
                f"This chapter was begun by a later release (engine {self.input.engine}, here {ENGINE}); deploy that "
                "release to every worker, and the run goes on."
            )

    def step(self, name: str) -> str:
        """A step's identity: its name and how many of that name came before. Stable in replay."""
        count = self.counters[name] = self.counters.get(name, 0) + 1
        return f"{name}#{count}"

    def record(self, step: str, outcome: str, **detail: JsonValue) -> None:
        """Add a line to the story; the next effect stores it."""
        line = self.counters["story"] = self.counters.get("story", 0) + 1
        self.story.append(StoryLine(line=line, step=step, at=self.now, outcome=outcome, detail=detail))

    # ---- what it is sent -----------------------------------------------------------------------

    def _is_repetition(self, item: Delivery) -> bool:
        """Whether an item was received before; if not, what it is known by is kept."""
        if item.id is None:
            self.unnamed = max(self.unnamed, item.seq)
            return item.seq <= self.last_seen
        if item.id in self.heard or item.seq <= self.unnamed:
            return True
        self.heard[item.id] = None
        if len(self.heard) > MOST_HEARD:
            del self.heard[next(iter(self.heard))]
        return False

    def _receive(self, item: Delivery) -> None:
        match item.kind:
            case "stop":
                self.exit = self.exit or item.reason or "stopped"
            case "answer" if item.step is not None:
                self.answers.setdefault(item.step, item.answer or {})
            case "event" if item.event is not None:
                self._hear(item.event)
            case "resume":
                self.resumed += 1
            case "migrate" if item.version is not None:
                self._move_to(item)
            case kind:
                workflow.logger.warning("A run was sent a delivery of kind %s that this release does not know.", kind)

    def _hear(self, wire: dict[str, JsonValue]) -> None:
        if not self.inbox.add(wire):
            workflow.logger.warning("A run was sent an event of type %s that it cannot read.", wire.get("type"))
        if self.inbox.overflowed and self.counters.get("inbox") is None:
            self.record(self.step("inbox"), "full", kept=MOST_EVENTS)

    def _move_to(self, item: Delivery) -> None:
        if item.version == self.input.version:
            self.move = None
        elif self.journal.full and self.input.engine < MOVES_WITH_AGAIN:
            self.record(self.step("move"), "not_moved", version=item.version)
        else:
            self.move = item
            if self.journal.full:
                self.record(self.step("move"), "waits_for_again", version=item.version)
