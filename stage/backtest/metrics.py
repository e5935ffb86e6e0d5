"""The figures of a rehearsal: what the last line of the command says and what its report shows, from one place."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from itertools import accumulate
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from learning.power import detectable
from stage.backtest.backtest import BacktestPlan
from stage.backtest.counts import BacktestCounts, Key
from stage.backtest.event_log import RETURN_DAYS, Log, natural_return
from workflows.declaration import Journey
from workflows.events import PlayerRegistered
from workflows.gate.policy import Policy
from workflows.local_time import DAY
from workflows.loyalty.point_economy import PLAYED, MonthOfPoints, PointFlow, months_of
from workflows.rules.triggers import DayStreakRule, InactiveRule, MilestoneRule, On, Streak, ThresholdRule, Trigger
from workflows.source.journey_loading import Registry

ARMS: Final = ("treated", "control")


class Figure(BaseModel):
    """Base of every figure."""

    model_config = ConfigDict(frozen=True)


class TaskWorkload(Figure):
    """What people can do in a day: `minutes_a_day` of each, `minutes_a_task`."""

    minutes_a_day: int = 300
    minutes_a_task: int = 20

    @property
    def tasks_a_day(self) -> int:
        """Tasks one person finishes in a day."""
        return self.minutes_a_day // self.minutes_a_task


class PlayedPeriod(Figure):
    """What was played. Players with events before `live_from` are known from then on and start nothing earlier."""

    log: str
    events: int
    registered: int
    players: int
    unreadable: int
    first: datetime
    last: datetime
    live_from: datetime
    end: datetime
    types: dict[str, int]


class Arm(Figure):
    """One arm of one journey. The first of `by_day` reached the goal within one day of entry, and so on."""

    entered: int
    conversions: int
    by_day: list[int]


class StepMetrics(Figure):
    """One step of a journey: how many runs reached it, what became of it, when, and who went no further."""

    step: str
    runs: int
    outcomes: dict[str, int]
    #: Half of the runs had done with it by then.
    median_minutes: int
    left: dict[str, int]


class RewardLine(Figure):
    """Rewards of one kind in one journey and currency, costs in minor units; None where it cannot be said."""

    journey: str
    kind: str
    currency: str
    granted: int
    most_minor: int | None
    expected_minor: int | None
    rule: str


class Team(Figure):
    """Tasks that came to a team, by opening or escalation, against one person's day."""

    tasks: int
    busiest_day: str
    tasks_on_busiest_day: int
    people_on_busiest_day: int
    days_over_one_person: int


class Caps(Figure):
    """How often players were contacted: players by the most contacts they had in any 24 hours and any 7 days."""

    per_day: int
    per_week: int
    policy: str
    capped_in_a_day: dict[int, int]
    capped_in_a_week: dict[int, int]
    all_in_a_day: dict[int, int]
    all_in_a_week: dict[int, int]


class Returned(Figure):
    """Silences that grew so many days long, and how many ended by themselves within the next 30."""

    silences: int
    returned: int
    percent: float


class Detectable(Figure):
    """Which effect so many players could show, in percent points; None where there is no control arm."""

    points: float | None
    equal_arms: float


class PointMonth(Figure):
    """A month of a currency, in whole points; `liability` is what players have at its end."""

    currency: str
    month: date
    issued: int
    redeemed: int
    expired: int
    taken_back: int
    liability: int
    active_players: int
    breakage_pct: float | None
    inflation_pct: float | None
    cost_per_active_player: float | None

    @classmethod
    def of(cls, one: MonthOfPoints) -> "PointMonth":
        """As the journal comes to it."""
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


class BacktestMetrics(Figure):
    """Everything a rehearsal found. Counts are by journey; messages are counted by channel, goals by run."""

    journeys: list[str]
    period: PlayedPeriod
    entered: dict[str, int]
    control: dict[str, int]
    messages: dict[str, int]
    suppressed: dict[str, int]
    grants: dict[str, int]
    tasks: dict[str, int]
    conversions: dict[str, int]

    arms: dict[str, dict[str, Arm]]
    refused: dict[str, dict[str, int]]
    outcomes: dict[str, dict[str, int]]
    templates: dict[str, dict[str, dict[str, int]]]
    suppressed_why: dict[str, dict[str, int]]
    grants_refused: dict[str, dict[str, int]]
    rewards: list[RewardLine]
    caps: Caps
    task_states: dict[str, dict[str, dict[str, int]]]
    teams: dict[str, Team]
    desk: TaskWorkload
    natural_return: dict[int, Returned]
    return_within_days: int
    #: What points came to, by currency and month; nothing where none are declared.
    points: list[PointMonth]
    #: By mission: how often it was completed. By tier: how many players have it at the end.
    missions_completed: dict[str, int]
    tiers: dict[str, int]
    #: By journey: the event type that counts as success.
    goals: dict[str, str]
    #: By journey: the rise of the goal, in percent points, that its players would show with a chance of 80 %: in the
    #: arms it has, and in two equal ones. Journeys whose goal nobody or everybody reaches are left out.
    detectable: dict[str, Detectable]
    #: By journey: what it starts on or waits for that the log never shows.
    unseen: dict[str, list[str]]
    #: By journey that cannot start on this log: what it starts on.
    never_starts: dict[str, list[str]]
    notices: list[str]
    #: By name of the series, by day or month. Only the report has them.
    daily: dict[str, dict[str, dict[str, int]]]
    steps: dict[str, list[StepMetrics]]
    descriptions: dict[str, str]

    def line(self) -> str:
        """One line of JSON: everything but the series that only a picture can show."""
        return self.model_dump_json(exclude={"daily", "steps", "descriptions"})


def metrics_of(
    counts: BacktestCounts, plan: BacktestPlan, log: Log, registry: Registry, desk: TaskWorkload, policy: Policy
) -> BacktestMetrics:
    """Turn counts into figures. `log` is the part that was played."""
    names = list(plan.journeys)
    unseen = {name: _unseen(registry.journeys[name], log) for name in names}
    never = {name: missing for name in names if (missing := _never_starts(registry.journeys[name], log))}
    return BacktestMetrics(
        journeys=names,
        period=_period(plan, log),
        entered=_by(names, counts.entries),
        control=_by(names, ((key, n) for key, n in counts.entries.items() if key[1] == "control")),
        messages=_by(names, counts.sent),
        suppressed=_by(names, counts.suppressed),
        grants=_by(names, ((key, n) for key, n in counts.grants.items() if key[2] == "confirmed")),
        tasks=_by(names, counts.tasks),
        conversions=_by(names, counts.goals),
        arms={name: {arm: _arm(counts, registry.journeys[name], arm) for arm in ARMS} for name in names},
        refused=_nested(counts.refused, 0, 1),
        outcomes=_nested(counts.ends, 0, 2),
        templates=_templates(counts),
        suppressed_why=_nested(counts.suppressed, 0, 3),
        grants_refused=_nested({key: n for key, n in counts.grants.items() if key[2] != "confirmed"}, 0, 3),
        rewards=_rewards(counts),
        caps=_caps(counts, policy),
        task_states={
            name: _nested({k[1:]: n for k, n in counts.tasks.items() if k[0] == name}, 0, 2) for name in names
        },
        teams=_teams(counts, desk),
        desk=desk,
        natural_return={
            idle: Returned(silences=n, returned=back, percent=round(100 * back / n, 1) if n else 0.0)
            for idle, (n, back) in natural_return(log).items()
        },
        return_within_days=RETURN_DAYS,
        points=points_by_month(counts),
        missions_completed=_standing(counts, "mission"),
        tiers=_standing(counts, "tier"),
        goals={name: goal.kind.type for name in names if (goal := registry.journeys[name].goal) is not None},
        detectable=_detectable(counts, registry, names),
        unseen={name: kinds for name, kinds in unseen.items() if kinds},
        never_starts=never,
        notices=[*log.notices, *_unreadable_rows(log)],
        daily=_daily(counts),
        steps={name: _steps(counts, name) for name in names},
        descriptions={name: registry.journeys[name].description for name in names},
    )


def _daily(counts: BacktestCounts) -> dict[str, dict[str, dict[str, int]]]:
    return {
        "entered": _nested(counts.entries, 0, 2),
        "contacts": _nested(counts.contacts, 1, 0),
        "tasks": _nested(counts.load, 0, 1),
        "spending": _nested({(f"{k[1]} {k[2]}", k[0]): n for k, n in counts.spending.items() if n}, 0, 1),
    }


def _standing(counts: BacktestCounts, kind: str) -> dict[str, int]:
    """By name: for how many players a mission was completed, or a tier stands, at the end."""
    return {str(name): n for (of, name), n in sorted(counts.standing.items()) if of == kind}


def _period(plan: BacktestPlan, log: Log) -> PlayedPeriod:
    return PlayedPeriod(
        log=log.name,
        events=log.events.height - log.registered,
        registered=log.registered,
        players=log.players,
        unreadable=log.unreadable,
        first=log.first,
        last=log.last,
        live_from=plan.live_from,
        end=plan.end,
        types=log.types,
    )


# ---- counts to figures -------------------------------------------------------------------------


def _by(names: Iterable[str], counts: Any) -> dict[str, int]:
    """Counts by journey, zero where there are none."""
    found = dict.fromkeys(names, 0)
    for key, count in counts.items() if hasattr(counts, "items") else counts:
        found[key[0]] = found.get(key[0], 0) + count
    return found


def _nested(counts: "dict[Key, int] | Counter[Key]", outer: int, inner: int) -> dict[str, dict[str, int]]:
    """Counts by two parts of their keys, summed over the others, in order."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for key, count in sorted(counts.items(), key=lambda one: tuple(map(str, one[0]))):
        part = found[str(key[outer])]
        part[str(key[inner])] = part.get(str(key[inner]), 0) + count
    return {name: dict(sorted(part.items())) for name, part in sorted(found.items())}


def _arm(counts: BacktestCounts, journey: Journey, arm: str) -> Arm:
    entered = sum(n for key, n in counts.entries.items() if key[:2] == (journey.name, arm))
    within = {int(key[2]): n for key, n in counts.goals.items() if key[:2] == (journey.name, arm)}
    days = 0 if journey.goal is None or not entered else -(-journey.goal.within // DAY)
    by_day = list(accumulate(within.get(day, 0) for day in range(days)))
    return Arm(entered=entered, conversions=sum(within.values()), by_day=by_day)


def _detectable(counts: BacktestCounts, registry: Registry, names: Iterable[str]) -> dict[str, Detectable]:
    """What a treatment would have to bring to be seen; nobody in the log was treated, so both arms are as usual."""
    found: dict[str, Detectable] = {}
    for name in names:
        treated, control = (_arm(counts, registry.journeys[name], arm) for arm in ARMS)
        entered, reached = treated.entered + control.entered, treated.conversions + control.conversions
        if registry.journeys[name].goal is None or not 0 < reached < entered:
            continue
        base, part = reached / entered, control.entered / entered
        points = round(100 * detectable(base, entered, part), 1) if 0 < part < 1 else None
        found[name] = Detectable(points=points, equal_arms=round(100 * detectable(base, entered, 0.5), 1))
    return found


def _templates(counts: BacktestCounts) -> dict[str, dict[str, dict[str, int]]]:
    """By journey and `template/channel`: sent, and suppressed by reason."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    counted = [(key, "sent", n) for key, n in counts.sent.items()]
    counted += [(key, str(key[3]), n) for key, n in counts.suppressed.items()]
    for (journey, template, channel, _), word, count in sorted(counted, key=lambda one: (*map(str, one[0]), one[1])):
        line = found.setdefault(str(journey), {}).setdefault(f"{template}/{channel}", {})
        line[word] = line.get(word, 0) + count
    return found


def _rewards(counts: BacktestCounts) -> list[RewardLine]:
    costs: dict[tuple[str, str, str, str], dict[str, int]] = defaultdict(dict)
    for (journey, kind, currency, rule, what), amount in counts.costs.items():
        costs[str(journey), str(kind), str(currency), str(rule)][str(what)] = amount
    return [
        RewardLine(
            journey=journey,
            kind=kind,
            currency=currency,
            granted=found["granted"],
            most_minor=None if found.get("unbounded") else found.get("most", 0),
            expected_minor=None if found.get("unknown") else found.get("expected", 0),
            rule=rule,
        )
        for (journey, kind, currency, rule), found in sorted(costs.items())
    ]


def _caps(counts: BacktestCounts, policy: Policy) -> Caps:
    def players(span: str, which: str) -> dict[int, int]:
        return {int(key[2]): n for key, n in sorted(counts.busiest.items(), key=str) if key[:2] == (span, which)}

    return Caps(
        per_day=policy.per_day,
        per_week=policy.per_week,
        policy=policy.version,
        capped_in_a_day=dict(sorted(players("day", "capped").items())),
        capped_in_a_week=dict(sorted(players("week", "capped").items())),
        all_in_a_day=dict(sorted(players("day", "all").items())),
        all_in_a_week=dict(sorted(players("week", "all").items())),
    )


def _teams(counts: BacktestCounts, desk: TaskWorkload) -> dict[str, Team]:
    found: dict[str, Team] = {}
    for team, days in _nested(counts.load, 0, 1).items():
        day = max(days, key=lambda one: (days[one], one))
        found[team] = Team(
            tasks=sum(days.values()),
            busiest_day=day,
            tasks_on_busiest_day=days[day],
            people_on_busiest_day=-(-days[day] * desk.minutes_a_task // desk.minutes_a_day),
            days_over_one_person=sum(n * desk.minutes_a_task > desk.minutes_a_day for n in days.values()),
        )
    return found


def _steps(counts: BacktestCounts, journey: str) -> list[StepMetrics]:
    runs: Counter[str] = Counter()
    for key, n in counts.steps.items():
        if key[0] == journey:
            runs[str(key[1])] += n
    place = {step: counts.places[journey, step] / n for step, n in runs.items()}
    outcomes = _nested({key[1:]: n for key, n in counts.steps.items() if key[0] == journey}, 0, 1)
    left = _nested({key[1:]: n for key, n in counts.left.items() if key[0] == journey}, 0, 1)
    minutes: dict[str, dict[int, int]] = defaultdict(dict)
    for key, n in counts.reached.items():
        if key[0] == journey:
            minutes[str(key[1])][int(key[2])] = n
    return [
        StepMetrics(
            step=step,
            runs=runs[step],
            outcomes=outcomes[step],
            median_minutes=_median(minutes[step]),
            left=left.get(step, {}),
        )
        for step in sorted(runs, key=lambda one: (place[one], one))
    ]


def _median(counted: dict[int, int]) -> int:
    half, sofar = (sum(counted.values()) + 1) // 2, 0
    for value in sorted(counted):
        sofar += counted[value]
        if sofar >= half:
            return value
    return 0


# ---- what the log cannot show ------------------------------------------------------------------


def _unseen(journey: Journey, log: Log) -> list[str]:
    seen = log.types
    wanted = {kind for trigger in journey.triggers for kind in _kinds(trigger)} | set(journey.listens_to)
    if journey.goal is not None:
        wanted.add(journey.goal.kind.type)
    return sorted(kind for kind in wanted if kind not in seen and not _counted(kind, seen))


def _never_starts(journey: Journey, log: Log) -> list[str]:
    kinds = {kind for trigger in journey.triggers for kind in _kinds(trigger)}
    seen = log.types
    return [] if any(kind in seen or _counted(kind, seen) for kind in kinds) else sorted(kinds)


def _kinds(trigger: Trigger) -> set[str]:
    match trigger:
        case InactiveRule() | MilestoneRule() | Streak() | On():
            return {trigger.kind.type}
        case ThresholdRule() | DayStreakRule():
            return {trigger.measure.kind.type}
        case _:
            # By the calendar: it needs the player's registration and nothing else.
            return {PlayerRegistered.type}


def _counted(kind: str, seen: dict[str, int]) -> bool:
    """Streaks of rounds are events of their own, found wherever there are rounds; so are changes of segments."""
    if kind.startswith("derived.segment_"):
        return True
    return kind in {"derived.loss_streak", "derived.win_streak"} and "game.round_completed" in seen


def _unreadable_rows(log: Log) -> list[str]:
    if not log.unreadable:
        return []
    return [f"{log.unreadable:,} rows could not be read and were left out, such as: {' '.join(log.faults)}"]


def points_by_month(counts: BacktestCounts) -> list[PointMonth]:
    """What the journal of a rehearsal comes to, as that of production is read."""
    flows = [
        PointFlow(
            str(currency),
            date.fromisoformat(str(month)),
            str(debit),
            str(credit),
            amount,
            counts.earners[currency, month] if debit == PLAYED else 0,
        )
        for (currency, month, debit, credit), amount in counts.points.items()
    ]
    return [PointMonth.of(one) for one in months_of(flows)]
