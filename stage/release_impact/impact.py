"""What a release of a journey does to the runs in flight, for whoever decides: pin, migrate or stop.

The counts are exact, from the books; what would be sent, granted and waited for is what runs that speak for all of
their shape do when they are played to their end on the stage, once on their own version and once on the new one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import BaseModel

from content.run_shapes import RunShape, Sample, by_brand
from stage.flow.diagram import Picture, picture
from stage.flow.flow_changes import flow_changes
from stage.release_impact.play_to_end import Course
from workflows.declaration import Journey
from workflows.source.flow_reader import read_flow

Kind = Literal["message", "reward", "task", "wait", "end", "broken"]
#: What comes of a run that no event reaches any more.
SILENCE = "nothing happens"
#: Less than this is no other time.
TELLING: Final = timedelta(minutes=1)


class Difference(BaseModel):
    """Something that would be otherwise for some runs if they moved to the new version."""

    turn: str
    kind: Kind
    words: str
    runs: int
    brands: dict[str, int]


class Place(BaseModel):
    """The runs of one version that stand at one step.

    `breaks` says how they would break if they had to follow the new code without moving, by step; `differences` what
    moving them changes.
    """

    version: int
    at: str
    runs: int
    brands: dict[str, int]
    breaks: dict[str, int]
    differences: list[Difference]


class ChangedStep(BaseModel):
    """What becomes of one step."""

    change: Literal["kept", "changed", "inserted", "removed"]
    step: str
    words: str


class Impact(BaseModel):
    """The whole report on the runs of other versions; `already` runs are on this one.

    `unseen` runs have a shape of which no history could be had.
    """

    journey: str
    before: int
    version: int
    made_at: datetime
    changes: list[ChangedStep]
    declared: list[str]
    runs: int
    already: int
    brands: dict[str, int]
    shapes: int
    histories: int
    covered: int
    unseen: int
    replay_failures: list[str]
    places: list[Place]

    @property
    def coverage(self) -> float:
        """The percentage of runs that are spoken for."""
        return 100.0 if not self.runs else int(1000 * (self.covered - self.unseen) / self.runs) / 10


@dataclass(frozen=True)
class Example:
    """One run of a shape, looked at: where it stands, and its courses by turn of events on both versions."""

    run_id: str
    at: str
    #: How it would part from its history on the new code; None where it would carry on.
    follows: str | None = None
    #: By turn: on its own version, on the new one.
    courses: Mapping[str, tuple[Course, Course]] = field(default_factory=dict)


def places_of(sample: Sample, examples: Mapping[str, Example]) -> Iterator[Place]:
    """Where the runs stand, the most crowded place first."""
    grouped: dict[tuple[int, str], list[tuple[RunShape, list[Example]]]] = {}
    for shape in sample.chosen:
        seen = [examples[run_id] for run_id in shape.examples if run_id in examples]
        if seen:
            at = " or ".join(dict.fromkeys(one.at for one in seen))
            grouped.setdefault((shape.version, at), []).append((shape, seen))
    for (version, at), shapes in sorted(grouped.items(), key=lambda one: -sum(s.runs for s, _ in one[1])):
        breaks: Counter[str] = Counter()
        for shape, seen in shapes:
            for how in {one.follows for one in seen if one.follows is not None}:
                breaks[how] += shape.runs
        brands = by_brand(shape for shape, _ in shapes)
        yield Place(
            version=version,
            at=at,
            runs=brands.total(),
            brands=dict(brands.most_common()),
            breaks=dict(breaks),
            differences=list(_differences(shapes)),
        )


def _differences(shapes: Iterable[tuple[RunShape, Sequence[Example]]]) -> Iterator[Difference]:
    """What moving changes, with how many runs it concerns; a shape concerns all its runs where one example shows it."""
    concerned: dict[tuple[str, Kind, str], list[RunShape]] = {}
    for shape, seen in shapes:
        told = {
            (turn, kind, words)
            for one in seen
            for turn, (own, new) in one.courses.items()
            for kind, words in course_differences(own, new)
        }
        for key in told:
            concerned.setdefault(key, []).append(shape)
    for (turn, kind, words), found in sorted(concerned.items(), key=lambda one: (one[0][0] != SILENCE, one[0])):
        brands = by_brand(found)
        yield Difference(turn=turn, kind=kind, words=words, runs=brands.total(), brands=dict(brands.most_common()))


def course_differences(own: Course, new: Course) -> Iterator[tuple[Kind, str]]:
    """What a run does otherwise on the new version, in words that are the same for every run it happens to."""
    if own.broken or new.broken:
        if own.broken != new.broken:
            yield "broken", f"cannot be played on: {new.broken or own.broken}"
        return
    parts: tuple[tuple[Kind, Sequence[tuple[timedelta, str]], Sequence[tuple[timedelta, str]], str], ...] = (
        ("message", own.messages, new.messages, "sent"),
        ("reward", own.rewards, new.rewards, "granted"),
        ("task", own.tasks, new.tasks, "asked"),
    )
    for kind, before, now, done in parts:
        gone, come = (Counter(name for _, name in one) for one in (before, now))
        for name, times in sorted((come - gone).items()):
            at_once = next(at for at, known in now if known == name) < timedelta(hours=1)
            yield kind, f"{name} is {done} {'at once' if at_once else 'later'}{_times(times)}"
        for name, times in sorted((gone - come).items()):
            yield kind, f"{name} is not {done}{_times(times)}"
    yield from _shifts(own, new)


def _shifts(own: Course, new: Course) -> Iterator[tuple[Kind, str]]:
    """Waits that take another time, and another end. What is only carried along by a wait before it is not told."""
    carried = timedelta(0)
    for step in sorted(own.waits.keys() & new.waits.keys(), key=lambda step: (own.waits[step], step)):
        shift = new.waits[step] - own.waits[step]
        if abs(shift - carried) >= TELLING:
            yield "wait", f"{step} is over {span(shift - carried)}"
        carried = shift
    if own.end != new.end:
        yield "end", f"it ends as {new.end} instead of {own.end}"
    elif abs(new.ends - own.ends - carried) >= TELLING:
        yield "end", f"it ends {span(new.ends - own.ends - carried)}"


def span(shift: timedelta) -> str:
    """`4.0 days sooner`, `2.5 hours later`."""
    hours = abs(shift).total_seconds() / 3600
    told = f"{hours / 24:.1f} days" if hours >= 24 else f"{hours:.1f} hours"
    return f"{told} {'sooner' if shift < timedelta(0) else 'later'}"


def impact_of(
    before: Journey,
    after: Journey,
    sample: Sample,
    examples: Mapping[str, Example],
    failures: Iterable[str],
    now: datetime,
    already: int = 0,
) -> Impact:
    """The report on moving runs to `after`; `before` is the release that came before it."""
    old, new = read_flow(before), read_flow(after)
    unseen = [shape for shape in sample.chosen if examples.keys().isdisjoint(shape.examples)]
    brands = by_brand((*sample.chosen, *sample.left_out))
    return Impact(
        journey=after.name,
        before=before.version,
        version=after.version,
        made_at=now,
        changes=[ChangedStep(change=one.change, step=one.step, words=one.how) for one in flow_changes(old, new)],
        declared=declared_changes(picture(old), picture(new)),
        runs=sample.runs,
        already=already,
        brands=dict(brands.most_common()),
        shapes=len(sample.chosen) + len(sample.left_out),
        histories=len(examples),
        covered=sample.covered,
        unseen=sum(shape.runs for shape in unseen),
        replay_failures=[*failures],
        places=[*places_of(sample, examples)],
    )


def declared_changes(old: Picture, new: Picture) -> list[str]:
    """What is declared otherwise: it is decided about players by the present code, whatever version their run is on."""
    before, now = (Counter(one.facts) for one in (old, new))
    gone, come = dict((before - now).keys()), dict((now - before).keys())
    return [
        f"{name}: {gone.get(name, 'nothing')} -> {come.get(name, 'nothing')}" for name in dict.fromkeys([*gone, *come])
    ]


def _times(times: int) -> str:
    return "" if times == 1 else f", {times} times"
