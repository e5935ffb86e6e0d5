"""A journey in numbers: what its counts come to, by arm, by step and by part."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

#: The verb a step begins with, and which of its outcomes counts as what.
SENT, GRANTED, ASKED = ("send", "sent"), ("grant", "confirmed"), ("ask", "opened")


class CountRow(Protocol):
    """A count, as it is stored."""

    @property
    def day(self) -> date | None:
        """The day, None for all that were asked for."""

    @property
    def arm(self) -> str:
        """The arm."""

    @property
    def part(self) -> str:
        """The part of what the counts are split by."""

    @property
    def step(self) -> str:
        """The step; '' for the run as a whole."""

    @property
    def what(self) -> str:
        """What happened."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def currency(self) -> str:
        """The currency of the amount."""

    @property
    def runs(self) -> int:
        """To how many runs."""

    @property
    def amount(self) -> int:
        """Minor units."""


class PlaceRow(Protocol):
    """How many runs stand at a step."""

    @property
    def arm(self) -> str:
        """The arm."""

    @property
    def step(self) -> str:
        """The step; '' before the first one."""

    @property
    def runs(self) -> int:
        """How many."""


@dataclass
class ArmNumbers:
    """What became of the runs of one arm."""

    entered: int = 0
    refused: int = 0
    active: int = 0
    goals: int = 0
    sent: int = 0
    granted: int = 0
    claimed: int = 0
    tasks: int = 0
    #: Messages that were held back on every channel, by why.
    suppressed: Counter[str] = field(default_factory=Counter)
    #: How runs ended.
    exits: Counter[str] = field(default_factory=Counter)
    #: What rewards cost, as far as they have ended, in minor units by currency.
    cost: Counter[str] = field(default_factory=Counter)


@dataclass
class StepNumbers:
    """What runs of an arm did at a step."""

    step: str
    arm: str
    passed: int = 0
    here: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    cost: Counter[str] = field(default_factory=Counter)


def arms_of(counts: Iterable[CountRow], places: Iterable[PlaceRow] = ()) -> dict[str, ArmNumbers]:
    """The numbers of each arm; `places` only where the counts are of all days and parts."""
    arms: dict[str, ArmNumbers] = {}
    for row in counts:
        _add_to_arm(arms.setdefault(row.arm, ArmNumbers()), row)
    for place in places:
        arms.setdefault(place.arm, ArmNumbers()).active += place.runs
    return arms


def steps_of(counts: Iterable[CountRow], places: Iterable[PlaceRow] = ()) -> list[StepNumbers]:
    """The numbers of each step and arm, in the order of steps."""
    steps: dict[tuple[str, str], StepNumbers] = {}
    for row in counts:
        if not row.step:
            continue
        numbers = steps.setdefault((row.step, row.arm), StepNumbers(row.step, row.arm))
        if row.what == "passed":
            numbers.passed += row.runs
        elif row.what == "cost":
            numbers.cost[row.currency] += row.amount
        else:
            numbers.outcomes[row.what] += row.runs
        if row.what == "suppressed":
            numbers.suppressed[row.reason] += row.runs
    for place in places:
        if place.step:
            key = (place.step, place.arm)
            steps.setdefault(key, StepNumbers(place.step, place.arm)).here += place.runs
    return [steps[key] for key in sorted(steps)]


def _add_to_arm(arm: ArmNumbers, row: CountRow) -> None:
    verb = row.step.partition(":")[0]
    match row.what:
        case "entered" if not row.step:
            arm.entered += row.runs
        case "refused" if not row.step:
            arm.refused += row.runs
            arm.exits[row.reason] += row.runs
        case "goal" if not row.step:
            arm.goals += row.runs
        case "ended" if not row.step:
            arm.exits[row.reason] += row.runs
        case "suppressed":
            arm.suppressed[row.reason] += row.runs
        case "claimed":
            arm.claimed += row.runs
        case "cost":
            arm.cost[row.currency] += row.amount
        case _ if (verb, row.what) == SENT:
            arm.sent += row.runs
        case _ if (verb, row.what) == GRANTED:
            arm.granted += row.runs
        case _ if (verb, row.what) == ASKED:
            arm.tasks += row.runs
