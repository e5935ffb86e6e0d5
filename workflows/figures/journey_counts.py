"""What happened to runs, as counts: of a day, for everybody, for each segment and for each part of a split.

A pure function of what is yet to be counted and of where the runs stand as far as it is counted. Whatever is cut into
whatever batches, the counts come out the same.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final, Literal, NamedTuple

ChangeKind = Literal["entered", "refused", "moved_from", "moved_to", "goal", "ended"]
#: What a run notes for itself: it tells nobody where the run stands.
INTERNAL: Final = re.compile(r"(kept:|move#|migrate#)")
_AFTER_STEPS: Final = ("goal", "ended")
SPLIT: Final = "split:"
#: The arm that runs of the brand's holdout are counted in, whatever was drawn: among the treated, who are sent offers,
#: they would hide what a journey does.
HOLDOUT: Final = "holdout"
#: What those of a split are split by, and those of a segment.
BY_SEGMENT: Final = "segment"


class CountedRun(NamedTuple):
    """What is counted of a run besides what happens to it.

    `splits` are parts it came to before this batch, `ahead` all that are known of it, counted or not.
    """

    brand: str
    journey: str
    arm: str
    version: int
    segments: tuple[str, ...]
    splits: tuple[tuple[str, str], ...]
    outcome: str | None
    ahead: tuple[tuple[str, str], ...] = ()


class RunChange(NamedTuple):
    """Something that happened to a run as a whole."""

    run_id: str
    kind: ChangeKind
    version: int
    at: datetime


class RunStep(NamedTuple):
    """A line of a run's story."""

    run_id: str
    step: str
    outcome: str
    at: datetime
    reason: str
    #: Whether it is the first line of this step.
    is_first: bool


class RunPlace(NamedTuple):
    """Where a run under way stands; '' is before its first step."""

    version: int
    step: str


class CountKey(NamedTuple):
    """What a count is of. `split_by` is '' for everybody, `segment`, or the name of a split."""

    brand: str
    journey: str
    day: date
    version: int
    arm: str
    split_by: str
    part: str
    step: str
    what: str
    reason: str
    currency: str = ""


class PlaceKey(NamedTuple):
    """Where how many runs under way stand."""

    brand: str
    journey: str
    version: int
    arm: str
    step: str


@dataclass
class JourneyCounts:
    """What a batch adds to the counts, and where its runs stand after it; None: the run is over."""

    added: Counter[CountKey] = field(default_factory=Counter)
    moved: Counter[PlaceKey] = field(default_factory=Counter)
    places: dict[str, RunPlace | None] = field(default_factory=dict)


def count_batch(
    runs: Mapping[str, CountedRun],
    places: Mapping[str, RunPlace],
    changes: Iterable[RunChange],
    steps: Iterable[RunStep],
) -> JourneyCounts:
    """Count what happened; `changes` and `steps` each in their order, `places` of the runs that are under way.

    Of a step its run's entry has been counted, or is among `changes`; a run that is not among `runs` is forgotten.
    """
    batch = _Batch(runs, places)
    known = [change for change in changes if change.run_id in runs]
    for change in known:
        if change.kind not in _AFTER_STEPS:
            batch.count_change(change)
    for step in steps:
        if step.run_id in runs and not INTERNAL.match(step.step):
            batch.count_step(step)
    # Where a run stood, and to which parts it came, is known when all its steps are.
    for change in known:
        if change.kind == "ended":
            batch.count_end(change)
        elif change.kind == "goal":
            batch.count_change(change)
    return batch.counts


class _Batch:
    def __init__(self, runs: Mapping[str, CountedRun], places: Mapping[str, RunPlace]) -> None:
        self.runs = runs
        self.before = places
        self.splits = {run_id: dict(run.splits) for run_id, run in runs.items()}
        self.counts = JourneyCounts()

    def place(self, run_id: str) -> RunPlace | None:
        return self.counts.places[run_id] if run_id in self.counts.places else self.before.get(run_id)

    def count_change(self, change: RunChange) -> None:
        match change.kind:
            case "moved_from":
                return
            case "moved_to":
                place = self.place(change.run_id)
                if place is not None:
                    self._move(change.run_id, place._replace(version=change.version))
                return
            case "entered":
                if self.place(change.run_id) is not None:
                    return
                self._move(change.run_id, RunPlace(change.version, ""))
        reason = (self.runs[change.run_id].outcome or "") if change.kind == "refused" else ""
        self._add(change.run_id, change.version, change.at, what=change.kind, reason=reason)

    def count_step(self, step: RunStep) -> None:
        place = self.place(step.run_id)
        version = self.runs[step.run_id].version if place is None else place.version
        self._add(step.run_id, version, step.at, step=step.step, what=step.outcome, reason=step.reason)
        if step.is_first:
            self._add(step.run_id, version, step.at, step=step.step, what="passed")
        if step.step.startswith(SPLIT):
            name = step.step.partition("#")[0]
            if self.splits[step.run_id].get(name) is None:
                self.splits[step.run_id][name] = step.outcome
                key = self._key(step.run_id, version, step.at, what="entered")
                self.counts.added[key._replace(split_by=name, part=step.outcome)] += 1
        if place is not None and place.step != step.step:
            self._move(step.run_id, place._replace(step=step.step))

    def count_end(self, end: RunChange) -> None:
        place = self.place(end.run_id)
        if place is None:
            return
        self._move(end.run_id, None)
        self._add(end.run_id, place.version, end.at, what="ended", reason=self.runs[end.run_id].outcome or "ended")

    def _key(self, run_id: str, version: int, at: datetime, *, what: str, step: str = "", reason: str = "") -> CountKey:
        run = self.runs[run_id]
        day = at.astimezone(UTC).date()
        return CountKey(run.brand, run.journey, day, version, run.arm, "", "", step, what, reason)

    def _add(self, run_id: str, version: int, at: datetime, *, what: str, step: str = "", reason: str = "") -> None:
        key = self._key(run_id, version, at, what=what, step=step, reason=reason)
        # What becomes of a run belongs to its parts even where their steps are counted later.
        ahead = dict(self.runs[run_id].ahead) if what in _AFTER_STEPS and not step else {}
        for split_by, part in parts_of(self.runs[run_id].segments, self.splits[run_id] | ahead):
            self.counts.added[key._replace(split_by=split_by, part=part)] += 1

    def _move(self, run_id: str, to: RunPlace | None) -> None:
        run, place = self.runs[run_id], self.place(run_id)
        if place is not None:
            self.counts.moved[PlaceKey(run.brand, run.journey, place.version, run.arm, place.step)] -= 1
        if to is not None:
            self.counts.moved[PlaceKey(run.brand, run.journey, to.version, run.arm, to.step)] += 1
        self.counts.places[run_id] = to


def parts_of(segments: Iterable[str], splits: Mapping[str, str]) -> list[tuple[str, str]]:
    """For whom something counts: everybody, the segments of a run, and the parts of splits it came to."""
    return [("", ""), *((BY_SEGMENT, segment) for segment in segments), *splits.items()]
