"""What travels to a run and what can be read from it: its input, its deliveries, its position.

Stored histories hold these as JSON. A field may be added with a default; none may be renamed or removed.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic import AwareDatetime, BaseModel, Field, JsonValue

from workflows.player_facts import PlayerFacts

#: How a run that begins now orders its commands; a run keeps the number it began with until its next chapter.
#: 0: what began before there was a number. 1: a wait always has a timer, and its own firing says that it is over.
#: 2: no effect begins after the run's end, and a moment that comes for many comes for each a little later.
#: 3: a run that has moved tells the books; one whose journal is full moves with its next `again(...)`.
#: 4: events are numbered on from chapter to chapter, so that a wait for what is fresh hears it in the next one.
ENGINE: Final = 4

#: The signal and the query of a run; whoever calls them must spell them as the run does.
DELIVER: Final = "deliver"
POSITION: Final = "position"

#: What a run can be found by in Temporal's lists, where the namespace has these search attributes.
BRAND, JOURNEY, JOURNEY_VERSION = "Brand", "Journey", "JourneyVersion"


class StoryLine(BaseModel):
    """One thing that happened in a run between two effects: a wait that ended, a split.

    Lines travel with the next effect and are stored in its transaction, so the story costs Temporal
    nothing; until then they can be read from the run itself.
    """

    #: Numbers the lines of a run from 1, so that a line sent twice is stored once.
    line: int
    step: str
    at: AwareDatetime
    outcome: str
    detail: dict[str, JsonValue] = Field(default_factory=dict)


@dataclass(slots=True)
class KnownStep:
    """What a run's journal knows of one step."""

    began: AwareDatetime
    #: When it was over, on the journey's clock; None while the run stands in it.
    over: AwareDatetime | None = None
    #: What was fixed when it began: until when it waits, the times of its task.
    fixed: dict[str, JsonValue] = field(default_factory=dict)
    #: What its verb returned.
    outcome: JsonValue = None


class Delivery(BaseModel):
    """One item for a run: an `event`, an `answer` to a task, an order to `stop`, `resume` or `migrate`.

    A kind that a later release adds is passed over with a line in the log while older workers play the run. Were the
    kind a closed set, the SDK would drop the whole signal as unreadable, the stop in it too. The later release must
    guard what it does on such an item with `workflow.patched`: in replay it meets those that were passed over.
    """

    seq: int
    kind: str
    #: Whose number this is: after Postgres lost its last moments it gives a number out again, to another delivery.
    id: str | None = None
    event: dict[str, JsonValue] | None = None
    step: str | None = None
    answer: dict[str, JsonValue] | None = None
    reason: str | None = None
    #: The release to move to, and the steps before the place of the run that are done all the same.
    version: int | None = None
    do: list[str] = Field(default_factory=list)


class DeliveryBatch(BaseModel):
    """The deliveries a run has not received yet, in order: the payload of the signal `deliver`."""

    items: list[Delivery]


class RunInput(BaseModel):
    """The input of a run, and of each later chapter of it.

    The rest is empty at first and is the whole state that a chapter hands on to the next. One that `again(...)` began
    has events not yet used, the last delivery received and the step counters. One that began by itself, because the
    history had grown long or the run moves to another release, has the journal as well and plays it from `began`.
    """

    run_id: str
    brand: str
    player_id: str
    journey: str
    entered_at: AwareDatetime
    ends_at: AwareDatetime
    trigger: dict[str, JsonValue] | None
    facts: PlayerFacts
    #: The release of the journey that the run plays; 0 for code that is none, which plays what is there. A run from
    #: before there were releases does not say, and plays the first.
    version: int = 0
    #: `ENGINE` as it was when this chapter began. Whatever changes the order of a run's commands asks it first.
    engine: int = 0
    #: Of a shadow run: the live run that it is compared with. Every effect of such a run is withheld.
    beside: str | None = None

    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    inbox: list[dict[str, JsonValue]] = Field(default_factory=list)
    #: The numbers of the events in the inbox, in order of arrival.
    numbers: list[int] = Field(default_factory=list)
    #: The number of the last event that arrived, in the inbox or used.
    arrived: int = 0
    answers: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    last_seen: int = 0
    #: The ids of the last deliveries received, oldest first, and the highest number of those that came without one.
    heard: list[str] = Field(default_factory=list)
    unnamed: int | None = None
    counters: dict[str, int] = Field(default_factory=dict)
    story: list[StoryLine] = Field(default_factory=list)
    chapter: int = 1

    journal: dict[str, KnownStep] = Field(default_factory=dict)
    #: When the function began that the journal is of.
    began: AwareDatetime | None = None
    #: The step in which the run stood when this chapter began.
    stands_at: str | None = None
    #: The release that the run comes from, where this chapter began with a move.
    moved_from: int | None = None
    do: list[str] = Field(default_factory=list)


class Position(BaseModel):
    """Where a run stands: what it does or waits for, until when, and the story not yet stored.

    `waiting_until` is None while `step` is an effect, which has no end but its success.
    """

    step: str | None
    waiting_until: datetime | None
    story: list[StoryLine]
    last_seen: int
    chapter: int
    version: int = 0
    #: Whether it can change its release and begin chapters by itself; not when its journal has grown too large.
    movable: bool = True
