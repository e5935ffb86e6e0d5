"""Journeys as their designers declared them, with counts of their runs."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from activities.figures.journey_reading import CountQuery, day_counts, place_counts
from api.dependencies import ApiEngine, EngineOf
from api.permissions import Key, needs
from api.problems import COMMON, documented, undeclared
from workflows.declaration import USUAL_PRIORITY, Goal, Journey
from workflows.figures.journey_figures import ArmNumbers, arms_of
from workflows.rules.calendar_rules import AnniversaryRule, BirthdayRule, ScheduleRule
from workflows.rules.triggers import DayStreakRule, InactiveRule, MilestoneRule, On, Streak, ThresholdRule, Trigger

router = APIRouter(prefix="/v1/journeys", tags=["journeys"])

Reading = Annotated[Key, needs("journeys:manage", "players:read")]


class TriggerRule(BaseModel):
    """What lets players in."""

    rule: str = Field(examples=["on"])
    event: str = Field(examples=["player.registered"])
    filtered: bool = Field(default=False, description="Whether the designer's own condition must hold too.")
    count: int | None = None
    within_seconds: int | None = None
    words: str | None = Field(default=None, description="The rule in a few words, where the fields do not tell all.")


class EntryRule(BaseModel):
    """How often one player may enter."""

    rule: str = Field(examples=["once"])
    period_seconds: int | None = None
    field: str | None = None


class GoalRule(BaseModel):
    """What success is."""

    event: str
    filtered: bool = False
    within_seconds: int


class ArmCounts(BaseModel):
    """What became of the players of one arm."""

    entered: int = Field(default=0, description="Without those who were refused.")
    active: int = 0
    reached_goal: int = 0
    outcomes: dict[str, int] = Field(default_factory=dict, description="How runs ended; refused ones among them.")


class JourneyView(BaseModel):
    """A journey's declaration and its numbers in the key's brand."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "welcome",
                    "description": "From registration to a first deposit, without selling on day one.",
                    "triggers": [{"rule": "on", "event": "player.registered", "filtered": False}],
                    "entry": {"rule": "once"},
                    "goal": {"event": "payment.deposit_approved", "within_seconds": 604800, "filtered": False},
                    "exit_on": [],
                    "listens_to": ["game.round_completed", "payment.deposit_approved"],
                    "ends_after_seconds": 1209600,
                    "late_after_seconds": 86400,
                    "control_percent": 10,
                    "forms": [],
                    "templates": ["guide", "welcome"],
                    "arms": {
                        "treated": {"entered": 90, "active": 12, "reached_goal": 31, "outcomes": {"completed": 78}},
                        "control": {"entered": 10, "active": 1, "reached_goal": 3, "outcomes": {"ended": 9}},
                    },
                }
            ]
        }
    )

    name: str
    description: str
    triggers: list[TriggerRule]
    entry: EntryRule
    goal: GoalRule | None = None
    exit_on: list[TriggerRule]
    listens_to: list[str]
    ends_after_seconds: int
    late_after_seconds: int = Field(description="A trigger older than this enters nobody.")
    control_percent: int = Field(description="Who plays it without its marketing and bonuses, to compare with.")
    one_of: str | None = Field(None, description="The group of journeys of which a player plays one at a time.")
    priority: int = Field(USUAL_PRIORITY, description="Who goes first, the highest; 0 to 100.")
    budget: dict[str, int] = Field(
        default_factory=dict, description="By currency: what it may give all players in a day, in minor units."
    )
    approval: str | None = Field(None, description="The team that is asked when a reward would exceed a budget.")
    forms: list[str]
    templates: list[str]
    arms: dict[str, ArmCounts]


class JourneyList(BaseModel):
    """Every journey that is deployed; there are few enough for one page."""

    items: list[JourneyView]


@router.get("", responses=COMMON)
async def list_journeys(engine: EngineOf, key: Reading) -> JourneyList:
    """Every journey deployed for the brand: what starts it, who may enter, what counts as success, and how it goes."""
    counted = await _counts(engine, key.brand, None)
    return JourneyList(
        items=[
            _view(engine, journey, _arms(counted.get(name, {})))
            for name, journey in engine.registry.journeys.items()
            if journey.is_for(key.brand) or name in counted
        ]
    )


@router.get("/{name}", responses={**COMMON, **documented(404)})
async def get_journey(name: str, engine: EngineOf, key: Reading) -> JourneyView:
    """One deployed journey."""
    counted = await _counts(engine, key.brand, name) if name in engine.registry.journeys else {}
    return journey_with(name, engine, key, _arms(counted.get(name, {})))


def journey_with(name: str, engine: ApiEngine, key: Key, arms: Mapping[str, ArmCounts]) -> JourneyView:
    """What `get_journey` answers, of numbers read before; raises `Problem` 404 where it is not the brand's."""
    journey = engine.registry.journeys.get(name)
    if journey is None or not (journey.is_for(key.brand) or arms):
        known = {n: one for n, one in engine.registry.journeys.items() if one.is_for(key.brand)}
        raise undeclared("journey", name, known)
    return _view(engine, journey, arms)


async def _counts(engine: ApiEngine, brand: str, name: str | None) -> dict[str, dict[str, ArmNumbers]]:
    """By journey, the numbers of its arms."""
    async with engine.database.reading() as connection:
        days = await day_counts(connection, brand, CountQuery(name))
        places = await place_counts(connection, brand, name)
    named = {row.journey for row in days} | {row.journey for row in places}
    return {
        journey: arms_of(
            (row for row in days if row.journey == journey), (row for row in places if row.journey == journey)
        )
        for journey in named
    }


def _arms(counted: Mapping[str, ArmNumbers]) -> dict[str, ArmCounts]:
    return {
        arm: ArmCounts(
            entered=numbers.entered, active=numbers.active, reached_goal=numbers.goals, outcomes=dict(numbers.exits)
        )
        for arm, numbers in counted.items()
    }


def _view(engine: ApiEngine, journey: Journey, counted: Mapping[str, ArmCounts]) -> JourneyView:
    arms = {"treated": ArmCounts(), "control": ArmCounts()} | dict(counted)
    entry, goal = journey.entry, journey.goal
    return JourneyView(
        name=journey.name,
        description=journey.description,
        triggers=[_trigger(trigger) for trigger in journey.triggers],
        entry=EntryRule(rule=entry.kind, period_seconds=_seconds(entry.period), field=entry.field),
        goal=None if goal is None else _goal(goal),
        exit_on=[_trigger(rule) for rule in journey.exit_on],
        listens_to=sorted(journey.listens_to),
        ends_after_seconds=int(journey.ends_after.total_seconds()),
        late_after_seconds=int(journey.late_after.total_seconds()),
        control_percent=journey.control,
        one_of=journey.one_of,
        priority=journey.priority,
        budget=dict(journey.budget),
        approval=journey.approval,
        forms=sorted(engine.registry.forms.get(journey.name, {})),
        templates=sorted({use.template for use in engine.registry.templates if use.journey == journey.name}),
        arms=arms,
    )


def _trigger(trigger: Trigger) -> TriggerRule:  # noqa: PLR0911 - one line a kind of trigger
    match trigger:
        case On(kind, where):
            return TriggerRule(rule="on", event=kind.type, filtered=where is not None)
        case MilestoneRule(kind, count):
            return TriggerRule(rule="milestone", event=kind.type, count=count)
        case Streak():
            filtered = trigger.where is not None
            within = _seconds(trigger.within)
            return TriggerRule(
                rule="streak", event=trigger.kind.type, filtered=filtered, count=trigger.length, within_seconds=within
            )
        case InactiveRule(kind, duration):
            return TriggerRule(rule="inactive", event=kind.type, within_seconds=_seconds(duration))
        case ThresholdRule(measure, at_least):
            return TriggerRule(rule="threshold", event=measure.kind.type, count=at_least, words=trigger.words)
        case DayStreakRule(measure, length):
            return TriggerRule(rule="streak_of_days", event=measure.kind.type, count=length, words=trigger.words)
        case BirthdayRule():
            return TriggerRule(rule="birthday", event=trigger.enters.type, words=trigger.words)
        case AnniversaryRule():
            return TriggerRule(rule="anniversary", event=trigger.enters.type, words=trigger.words)
        case ScheduleRule():
            return TriggerRule(rule="schedule", event=trigger.enters.type, words=trigger.words)


def _goal(goal: Goal) -> GoalRule:
    within = int(goal.within.total_seconds())
    return GoalRule(event=goal.kind.type, filtered=goal.where is not None, within_seconds=within)


def _seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())
