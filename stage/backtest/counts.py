"""What a back-test counted. Counts only add up, so shards may be played anywhere and merged in any order."""

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from stage.world.records import GrantRecord, MessageRecord, RunRecord, StoryRecord, TaskRecord
from stage.world.world import World
from workflows.gate.policy import NECESSARY
from workflows.local_time import DAY, WEEK
from workflows.loyalty.point_economy import PLAYED
from workflows.rewards import Deposits

Key = tuple[str | int, ...]
Counts = Counter[Key]

UNDER_WAY: Final = "under way"
END: Final = "end"
#: Steps that decide nothing; who leaves after one has left after the step before.
SILENT: Final = "refresh"
_REPEAT: Final = re.compile(r"#\d+$")


def _counts() -> Counts:
    return Counter()


@dataclass
class BacktestCounts:
    """Counts by key; the names of the parts of each key stand beside it. Days are ISO dates in UTC."""

    #: type
    events: Counts = field(default_factory=_counts)
    #: journey, arm, day
    entries: Counts = field(default_factory=_counts)
    #: journey, why nothing was played although it counts
    refused: Counts = field(default_factory=_counts)
    #: journey, arm, outcome
    ends: Counts = field(default_factory=_counts)
    #: journey, arm, whole days from entry
    goals: Counts = field(default_factory=_counts)
    #: journey, template, channel, class
    sent: Counts = field(default_factory=_counts)
    #: journey, template, channel, reason
    suppressed: Counts = field(default_factory=_counts)
    #: day, "capped" or "necessary"; messages of one step are one contact
    contacts: Counts = field(default_factory=_counts)
    #: "day" or "week", "capped" or "all", how many contacts at most in any such time: players
    busiest: Counts = field(default_factory=_counts)
    #: journey, kind, status, reason
    grants: Counts = field(default_factory=_counts)
    #: journey, kind, currency, rule, "most" or "expected" in minor units; "granted", "unbounded" or "unknown" grants
    costs: Counts = field(default_factory=_counts)
    #: month, kind, currency: expected cost
    spending: Counts = field(default_factory=_counts)
    #: journey, form, team, state
    tasks: Counts = field(default_factory=_counts)
    #: team, day: tasks that came to it, by opening or escalation
    load: Counts = field(default_factory=_counts)
    #: journey, step, outcome
    steps: Counts = field(default_factory=_counts)
    #: journey, step: sum of its places in the runs that reached it
    places: Counts = field(default_factory=_counts)
    #: journey, step, minutes since entry
    reached: Counts = field(default_factory=_counts)
    #: journey, step, outcome of the run it was the last step of
    left: Counts = field(default_factory=_counts)
    #: currency, month, what points left, what they came to
    points: Counts = field(default_factory=_counts)
    #: currency, month: players who earned by playing
    earners: Counts = field(default_factory=_counts)
    #: "mission" or "tier", its name: how often it was completed, or how many players have it at the end
    standing: Counts = field(default_factory=_counts)

    def add(self, other: "BacktestCounts") -> None:
        """Take another shard's counts in."""
        for part in fields(self):
            getattr(self, part.name).update(getattr(other, part.name))

    def to_json(self) -> bytes:
        """The counts in an order of their own, so that equal counts are equal texts."""
        rows = {
            part.name: sorted([*key, count] for key, count in getattr(self, part.name).items()) for part in fields(self)
        }
        return orjson.dumps(rows)

    @classmethod
    def from_json(cls, text: bytes) -> "BacktestCounts":
        """What `to_json` wrote."""
        read: dict[str, list[list[Any]]] = orjson.loads(text)
        return cls(**{name: Counter({tuple(key): count for *key, count in rows}) for name, rows in read.items()})


def counts_of(world: World, deposits: Mapping[str, Deposits], currencies: Mapping[str, str]) -> BacktestCounts:
    """Count what happened in a world; `deposits` and `currencies` are of its players."""
    counts = BacktestCounts()
    for run in world.runs.values():
        _count_run(counts, run)
    _count_messages(counts, world.messages)
    for grant in world.grants:
        _count_grant(counts, grant, deposits.get(grant.player_id, ((), ())), currencies.get(grant.player_id, "EUR"))
    for task in world.tasks.values():
        counts.tasks[task.journey, task.form, task.team, task.state] += 1
    _count_story(counts, world.story, world.runs, world.tasks)
    _count_loyalty(counts, world)
    return counts


def _count_loyalty(counts: BacktestCounts, world: World) -> None:
    earners: set[tuple[str, str, str]] = set()
    for player_id, moved in world.transfers:
        month = f"{moved.at:%Y-%m}-01"
        counts.points[moved.currency, month, moved.debit, moved.credit] += moved.amount
        if moved.debit == PLAYED:
            earners.add((moved.currency, month, player_id))
    counts.earners.update((currency, month) for currency, month, _ in earners)
    for state in world.players.values():
        if state.loyalty is not None:
            for name, mission in state.loyalty.missions.items():
                counts.standing["mission", name] += mission.completed
            counts.standing.update(("tier", one.tier) for one in state.loyalty.tiers.values())


def _count_run(counts: BacktestCounts, run: RunRecord) -> None:
    if run.outcome is not None and run.outcome.startswith("refused:"):
        counts.refused[run.journey, run.outcome.removeprefix("refused:")] += 1
        return
    counts.entries[run.journey, run.arm, _day(run.entered_at)] += 1
    counts.ends[run.journey, run.arm, run.outcome or UNDER_WAY] += 1
    if run.goal_at is not None:
        counts.goals[run.journey, run.arm, (run.goal_at - run.entered_at) // DAY] += 1


def _count_messages(counts: BacktestCounts, messages: Iterable[MessageRecord]) -> None:
    contacts: dict[str, dict[tuple[str, str], tuple[datetime, bool]]] = defaultdict(dict)
    for message in messages:
        name = message.journey, message.template, message.channel
        if message.suppressed is not None:
            counts.suppressed[*name, message.suppressed] += 1
            continue
        counts.sent[*name, message.message_class] += 1
        capped = message.message_class not in NECESSARY
        contacts[message.player_id].setdefault((message.run_id, message.step), (message.at, capped))
    for steps in contacts.values():
        for at, capped in steps.values():
            counts.contacts[_day(at), "capped" if capped else "necessary"] += 1
        everything = sorted(at for at, _ in steps.values())
        held = sorted(at for at, capped in steps.values() if capped)
        for window, span in (("day", DAY), ("week", WEEK)):
            counts.busiest[window, "all", _most_within(everything, span)] += 1
            counts.busiest[window, "capped", _most_within(held, span)] += 1


def _most_within(moments: list[datetime], span: timedelta) -> int:
    """The most moments that any `span` holds; one exactly that old no longer counts, as in the policy."""
    return max((index - bisect_right(moments, at - span) + 1 for index, at in enumerate(moments)), default=0)


def _count_grant(counts: BacktestCounts, grant: GrantRecord, deposits: Deposits, currency: str) -> None:
    counts.grants[grant.journey, grant.kind, grant.status, grant.reason or ""] += 1
    if grant.status != "confirmed":
        return
    cost = grant.reward.cost(grant.at, deposits)
    name = grant.journey, grant.kind, currency, cost.how
    counts.costs[*name, "granted"] += 1
    if cost.most is None:
        counts.costs[*name, "unbounded"] += 1
    else:
        counts.costs[*name, "most"] += cost.most
    if cost.expected is None:
        counts.costs[*name, "unknown"] += 1
    else:
        counts.costs[*name, "expected"] += cost.expected
        counts.spending[f"{grant.at:%Y-%m}", grant.kind, currency] += cost.expected


def _count_story(
    counts: BacktestCounts, story: Iterable[StoryRecord], runs: Mapping[str, RunRecord], tasks: Mapping[str, TaskRecord]
) -> None:
    lines_of: dict[str, list[StoryRecord]] = defaultdict(list)
    escalated = {(task.run_id, task.step): task.escalate_to or task.team for task in tasks.values()}
    for line in story:
        lines_of[line.run_id].append(line)
        if line.outcome == "opened":
            counts.load[str(line.detail["team"]), _day(line.at)] += 1
        elif line.outcome == "escalate":
            counts.load[escalated[line.run_id, line.step], _day(line.at)] += 1
    for run_id, lines in lines_of.items():
        run = runs[run_id]
        # What a step said last is what became of it: a message may wait for the morning before it goes.
        outcomes: dict[str, StoryRecord] = {}
        for line in lines:
            if line.step != END and not line.step.startswith(SILENT):
                outcomes[line.step] = line
        for place, (step, line) in enumerate(outcomes.items()):
            counts.steps[run.journey, step, line.outcome] += 1
            counts.places[run.journey, step] += place
            counts.reached[run.journey, step, _minutes(line.at - run.entered_at)] += 1
        last = next(reversed(outcomes), "")
        counts.left[run.journey, last, run.outcome or UNDER_WAY] += 1


def _minutes(span: timedelta) -> int:
    """Whole minutes, coarser the longer it is: to the hour from two hours on, to the day from ten days on."""
    minutes = int(span.total_seconds() // 60)
    grain = 1 if minutes < 120 else 60 if minutes < 14_400 else 1_440
    return minutes // grain * grain


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
