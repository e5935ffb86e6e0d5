"""What happened to runs, as counts: the same in whatever batches, and what a second reckoning finds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from workflows.figures.journey_counts import (
    ChangeKind,
    CountedRun,
    CountKey,
    JourneyCounts,
    PlaceKey,
    RunChange,
    RunPlace,
    RunStep,
    count_batch,
)

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
RUNS = {
    f"hello:acme:p-{n}:1": CountedRun("acme", "hello", arm, 3, segments, (), "completed")
    for n, (arm, segments) in enumerate([("treated", ("gold",)), ("treated", ()), ("control", ("gold", "new"))])
}
FIRST, SECOND, CONTROL = RUNS
STEPS = ("split:tone#1", "send:hello#1", "ask:Call#1", "kept:x", "end")


@dataclass(frozen=True)
class Lives:
    """What happened to the runs, each story in its order."""

    changes: Sequence[RunChange]
    steps: Sequence[RunStep]


def change(kind: ChangeKind, run_id: str = FIRST, version: int = 3, at: datetime = NOON) -> RunChange:
    return RunChange(run_id, kind, version, at)


def step(name: str, outcome: str = "sent", run_id: str = FIRST, *, first: bool = True, reason: str = "") -> RunStep:
    return RunStep(run_id, name, outcome, NOON, reason, first)


def counted(lives: Lives, *cuts: int) -> tuple[Counter[CountKey], Counter[PlaceKey], dict[str, RunPlace]]:
    """Count in batches that end at the cuts, changes before the steps that follow them."""
    added, moved, places = Counter[CountKey](), Counter[PlaceKey](), dict[str, RunPlace]()
    told: set[tuple[str, str, str]] = set()

    def take(changes: Sequence[RunChange], steps: Sequence[RunStep]) -> None:
        runs = {
            run_id: run._replace(splits=tuple((name, part) for known, name, part in sorted(told) if known == run_id))
            for run_id, run in RUNS.items()
        }
        counts: JourneyCounts = count_batch(runs, places, changes, steps)
        added.update(counts.added)
        moved.update(counts.moved)
        for run_id, place in counts.places.items():
            if place is None:
                del places[run_id]
            else:
                places[run_id] = place
        told.update((one.run_id, one.step.partition("#")[0], one.outcome) for one in steps if "split:" in one.step)

    begun = [one for one in lives.changes if one.kind == "entered"]
    ends = [one for one in lives.changes if one.kind != "entered"]
    take(begun, ())
    edges = sorted({0, len(lives.steps), *(min(cut, len(lives.steps)) for cut in cuts)})
    for since, until in pairwise(edges):
        take((), lives.steps[since:until])
    take(ends, ())
    return added, Counter({key: runs for key, runs in moved.items() if runs}), places


@st.composite
def lives(draw: st.DrawFn) -> Lives:
    changes, steps = list[RunChange](), list[RunStep]()
    for run_id in RUNS:
        if not draw(st.booleans()):
            continue
        changes.append(change("entered", run_id))
        came = draw(st.lists(st.sampled_from(STEPS), max_size=6, unique=True))
        for name in sorted(came, key=STEPS.index):
            day = timedelta(days=draw(st.integers(0, 2)))
            outcome = draw(st.sampled_from(["a", "b"])) if "split:" in name else "sent"
            steps.append(RunStep(run_id, name, outcome, NOON + day, "", is_first=True))
        if draw(st.booleans()):
            changes.append(change("goal", run_id))
        if draw(st.booleans()):
            changes.append(change("ended", run_id))
    return Lives(changes, steps)


@settings(max_examples=examples(100))
@given(lives(), st.lists(st.integers(0, 18), max_size=4))
def test_whatever_is_cut_into_whatever_batches_the_counts_come_out_the_same(story: Lives, cuts: list[int]) -> None:
    assert counted(story, *cuts) == counted(story)


@settings(max_examples=examples(100))
@given(lives())
def test_who_stands_where_is_who_entered_and_has_not_ended(story: Lives) -> None:
    added, moved, places = counted(story)
    entered = {one.run_id for one in story.changes if one.kind == "entered"}
    ended = {one.run_id for one in story.changes if one.kind == "ended"}
    assert places.keys() == entered - ended
    assert all(runs > 0 for runs in moved.values())
    assert sum(moved.values()) == len(entered - ended)
    for arm in ("treated", "control"):
        whole = [(key, runs) for key, runs in added.items() if key.arm == arm and not key.split_by and not key.step]
        of_arm = {run_id for run_id, run in RUNS.items() if run.arm == arm}
        for what, runs in (("entered", entered), ("ended", ended)):
            assert sum(n for key, n in whole if key.what == what) == len(runs & of_arm)


@settings(max_examples=examples(100))
@given(lives())
def test_a_part_counts_what_its_runs_do_and_parts_of_a_split_add_up(story: Lives) -> None:
    added, _, _ = counted(story)
    came = {one.run_id for one in story.steps if one.step.startswith("split:")}
    of_split = {key: runs for key, runs in added.items() if key.split_by == "split:tone"}
    assert sum(runs for key, runs in of_split.items() if key.what == "entered") == len(came)
    goals = {one.run_id for one in story.changes if one.kind == "goal"}
    gold = {run_id for run_id, run in RUNS.items() if "gold" in run.segments}
    reached = sum(n for k, n in added.items() if (k.split_by, k.part, k.what) == ("segment", "gold", "goal"))
    assert reached == len(goals & gold)


def test_a_run_is_counted_where_it_stands_and_leaves_when_it_ends() -> None:
    before = count_batch(RUNS, {}, [change("entered")], [step("send:hello#1")])
    assert before.places == {FIRST: RunPlace(3, "send:hello#1")}
    after = count_batch(RUNS, {FIRST: RunPlace(3, "send:hello#1")}, [change("ended")], [step("end", "completed")])
    assert after.places == {FIRST: None}
    total = Counter(before.moved)
    total.update(after.moved)
    assert not any(total.values())


def test_what_a_run_notes_for_itself_is_no_step() -> None:
    counts = count_batch(RUNS, {}, [change("entered")], [step("kept:x"), step("move#1"), step("migrate#1")])
    assert [key.what for key in counts.added if not key.split_by] == ["entered"]


def test_a_run_that_moves_to_another_release_stands_there() -> None:
    moves = [change("moved_from", version=3), change("moved_to", version=4)]
    counts = count_batch(RUNS, {FIRST: RunPlace(3, "send:hello#1")}, moves, [])
    assert counts.moved == {
        PlaceKey("acme", "hello", 3, "treated", "send:hello#1"): -1,
        PlaceKey("acme", "hello", 4, "treated", "send:hello#1"): 1,
    }


def test_an_end_that_is_noted_twice_counts_once() -> None:
    ends = [change("entered"), change("ended"), change("ended")]
    counts = count_batch(RUNS, {}, ends, [])
    assert sum(n for key, n in counts.added.items() if key.what == "ended" and not key.split_by) == 1


def test_a_step_that_tells_more_than_once_is_passed_once() -> None:
    told = [step("ask:Call#1", "opened"), step("ask:Call#1", "remind", first=False)]
    counts = count_batch(RUNS, {}, [change("entered")], told)
    whole = {key.what: runs for key, runs in counts.added.items() if key.step == "ask:Call#1" and not key.split_by}
    assert whole == {"opened": 1, "remind": 1, "passed": 1}


def test_a_refused_entry_stands_nowhere_and_says_why() -> None:
    runs = {FIRST: RUNS[FIRST]._replace(outcome="refused:self_excluded")}
    counts = count_batch(runs, {}, [change("refused")], [])
    (key,) = [key for key in counts.added if not key.split_by]
    assert (key.what, key.reason, counts.places) == ("refused", "refused:self_excluded", {})


def test_a_goal_belongs_to_the_part_of_a_run_whose_split_is_counted_later() -> None:
    runs = {FIRST: RUNS[FIRST]._replace(ahead=(("split:tone", "a"),))}
    before = count_batch(runs, {FIRST: RunPlace(3, "")}, [change("goal")], [])
    after = count_batch(runs, {FIRST: RunPlace(3, "")}, [], [step("split:tone#1", "a")])
    told = {(key.part, key.what) for key in (*before.added, *after.added) if key.split_by == "split:tone"}
    assert {("a", "goal"), ("a", "entered")} <= told
