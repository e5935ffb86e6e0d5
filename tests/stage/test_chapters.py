# ruff: noqa: ARG001 - a journey takes the event that starts it
"""Chapters that begin by themselves: a run of many chapters leaves the trace of a run that has one."""

import gc
import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.conformance import History, Trace, beginning, on_the_stage
from tests.support.designs.facts import Pong
from tests.support.examples import examples
from tests.support.one_run import NOON, OneRun, ponged
from tests.support.random_journeys import histories, journeys, write
from workflows import Again, Player, Sent, again, days, hours, journey
from workflows.effects import SendResult
from workflows.run import JourneyRun
from workflows.run_journal import MOST_JOURNAL
from workflows.run_protocol import Delivery
from workflows.source.journey_loading import load

BEGAN = beginning(datetime(2026, 1, 12, tzinfo=UTC))
#: A server that suggests a new chapter as soon as there is anything in the old one.
AT_EVERY_WAIT = 1
#: What a server takes of one chapter's input, in bytes.
MOST_PAYLOAD = 2 * 2**20


@journey(ends_after=days(300))
async def listening(player: Player, nothing: None) -> None:
    """Hear what nobody waits for, and what somebody does."""
    sent = await player.send("welcome", via=["email"])
    part = player.split("half", a=50, b=50)
    first = await player.event(Pong, within=days(100), where=lambda pong: pong.name == "right")
    began = player.now
    await player.sleep(hours(1))
    await player.mark("seen", sent=isinstance(sent, Sent), part=part, first=first.name if first else None)
    await player.mark("when", began=began.isoformat(), now=player.now.isoformat())


@journey(ends_after=days(300))
async def looking_forward(player: Player, nothing: None) -> None:
    """Use only what comes after the wait began."""
    await player.sleep(hours(1))
    fresh = await player.event(Pong, within=days(10), where=lambda pong: pong.name != "wrong", fresh=True)
    older = await player.event(Pong, within=days(1))
    await player.mark("seen", fresh=fresh.name if fresh else None, older=older.name if older else None)


@journey(ends_after=days(3000))
async def in_turns(player: Player, nothing: None, turn: int = 1) -> Again | None:
    """Chapters of the designer's, each with waits of its own."""
    for _ in range(3):
        await player.event(Pong, within=days(1))
    await player.mark("turn", number=turn)
    return again(turn=turn + 1) if turn < 3 else None


@journey(ends_after=days(300))
async def hoarding(player: Player, nothing: None) -> None:
    """Use one event after the other, each of them large."""
    while await player.event(Pong, within=days(1)):
        pass
    await player.mark("enough")


def played(source: str, folder: Path, lives: Sequence[History], **options: Any) -> Trace:
    registry = load((write(folder, source),))
    registry = replace(registry, journeys={name: replace(one, control=0) for name, one in registry.journeys.items()})
    players = {f"p{number}": life for number, life in enumerate(lives)}
    return on_the_stage(registry, players, BEGAN, days(12), **options)


@settings(
    max_examples=examples(25, quick=10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(source=journeys(), lives=st.lists(histories(), min_size=1, max_size=3))
def test_a_run_in_chapters_leaves_the_trace_of_one_that_has_none(
    source: str, lives: list[History], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "drawn"
    folder.mkdir(exist_ok=True)
    whole = played(source, folder, lives)
    assert played(source, folder, lives, suggest_after=AT_EVERY_WAIT) == whole


def test_what_is_fresh_is_heard_in_the_next_chapter_after_everything_was_used() -> None:
    @journey(ends_after=days(300))
    async def using(player: Player, nothing: None) -> None:
        """Use two events, then only what comes from now on."""
        for _ in range(2):
            await player.event(Pong, within=days(1))
        fresh = await player.event(Pong, within=days(10), fresh=True)
        await player.mark("heard", which=fresh.name if fresh else None)

    run = OneRun(using, suggest_after=AT_EVERY_WAIT)
    run.hears(ponged("one", number=1), ponged("two", number=2))
    run.passes(days(1))
    run.hears(ponged("three", number=3))
    assert run.marked("heard") == [{"which": "three"}]
    assert run.chapter > 1


def test_a_chapter_that_begins_by_itself_does_nothing_twice_and_forgets_nothing() -> None:
    run = OneRun(listening, suggest_after=AT_EVERY_WAIT)
    for number in range(20):
        run.hears(ponged("wrong", number=number))
    assert run.chapter > 10
    assert run.position.waiting_until == NOON + days(100)
    run.passes(days(3))
    run.hears(ponged("right"))
    run.passes(hours(1))
    assert run.outcome == "completed"
    assert run.steps == ["send:welcome#1", "mark:seen#1", "mark:when#1", "end"]
    [seen] = run.marked("seen")
    assert (seen["sent"], seen["first"]) == (True, "right")
    assert run.story.count(f"split:half#1: {seen['part']}") == 1


def test_the_clock_of_a_journey_shows_in_a_later_chapter_what_it_showed_before() -> None:
    """A whole wait lies between the moment and the step that tells it."""
    run = OneRun(listening, suggest_after=AT_EVERY_WAIT)
    run.passes(days(3))
    run.hears(ponged("right"))
    run.passes(hours(1))
    heard = NOON + days(3)
    assert run.marked("when") == [{"began": heard.isoformat(), "now": (heard + hours(1)).isoformat()}]


def test_a_wait_that_looks_only_forward_looks_past_the_same_events_in_the_next_chapter() -> None:
    run = OneRun(looking_forward, suggest_after=AT_EVERY_WAIT)
    run.hears(ponged("older"))
    run.passes(hours(2))
    for number in range(5):
        run.hears(ponged("wrong", number=number))
    assert run.chapter > 3
    run.hears(ponged("fresh"))
    assert run.marked("seen") == [{"fresh": "fresh", "older": "older"}]


def test_chapters_of_the_designers_and_chapters_by_themselves_go_together() -> None:
    run = OneRun(in_turns, suggest_after=AT_EVERY_WAIT)
    run.passes(days(10))
    assert run.outcome == "completed"
    assert [mark["number"] for mark in run.marked("turn")] == [1, 2, 3]
    assert len(run.steps) == len(set(run.steps))
    assert run.chapter == 9


def test_a_message_that_waits_for_the_morning_waits_on_in_the_next_chapter() -> None:
    asked = 0

    def gate(sending: Any) -> SendResult:
        nonlocal asked
        asked += 1
        return SendResult(wait_until=NOON + hours(8)) if asked == 1 else SendResult(sent=sending.via)

    run = OneRun(listening, suggest_after=AT_EVERY_WAIT, answers={"send": gate})
    run.hears(ponged("wrong"))
    assert run.position.waiting_until == NOON + hours(8)
    run.passes(hours(9))
    assert (asked, run.steps) == (2, ["send:welcome#1", "send:welcome#1"])


def test_a_stop_reaches_a_run_in_whichever_chapter_it_is() -> None:
    run = OneRun(listening, suggest_after=AT_EVERY_WAIT)
    run.hears(ponged("wrong"))
    run.told(Delivery(seq=0, kind="event", event=ponged("wrong").to_wire()), Delivery(seq=0, kind="stop", reason="now"))
    assert run.outcome == "now"


def test_a_run_that_began_before_there_was_a_number_stays_in_its_chapter() -> None:
    """Its history may hold waits at which a server suggested a chapter and none began."""
    run = OneRun(listening, suggest_after=AT_EVERY_WAIT, engine=0)
    for number in range(5):
        run.hears(ponged("wrong", number=number))
    assert run.chapter == 1


def stays_well(run: OneRun) -> None:
    """Whether it still hears what it waits for, once, and tells each line under a number of its own."""
    run.hears(ponged("right"))
    run.passes(hours(1))
    assert run.outcome == "completed"
    assert run.steps == ["send:welcome#1", "mark:seen#1", "mark:when#1", "end"]
    assert run.story.count("inbox#1: full") == 1
    lines = [line.line for _, effect in run.effects for line in effect.story]
    assert lines == [*range(1, len(lines) + 1)]


def test_a_run_that_hears_more_than_a_history_holds_stays_well() -> None:
    """On a server that suggests a chapter at 400 events of history."""
    run = OneRun(listening, suggest_after=400)
    for number in range(1_200):
        run.hears(ponged("wrong", number=number))
        assert run.temporal.runs["run"].length < 450
    assert run.chapter > 8
    stays_well(run)


@pytest.mark.slow
def test_a_run_that_hears_a_hundred_thousand_events_stays_well() -> None:
    """As a server does it: a chapter is suggested at 4,096 events of history.

    Nothing that it carries grows with what it has heard, and the last tenth takes no longer than twice the first.
    """
    run = OneRun(listening, recorded=False)
    longest, times, resident = 0, list[float](), list[int]()
    for tenth in range(10):
        began = time.perf_counter()
        for first in range(10_000 * tenth, 10_000 * (tenth + 1), 10):
            run.hears(*(ponged("wrong", number=number) for number in range(first, first + 10)))
            longest = max(longest, run.temporal.runs["run"].length)
        times.append(time.perf_counter() - began)
        resident.append(resident_bytes())
        standing = run.state.standing() if isinstance(run.state, JourneyRun) else None
        assert standing is not None
        assert len(standing.model_dump_json()) < MOST_PAYLOAD
    assert run.chapter > 8
    assert longest < 4_200
    assert sorted(times[-3:])[1] < 2 * sorted(times[:3])[1]
    assert resident[-1] - resident[1] < 32 * 2**20
    stays_well(run)


def resident_bytes() -> int:
    """How much memory this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_what_an_inbox_lets_go_of_is_told_by_type() -> None:
    run = OneRun(listening)
    for first in range(0, 1_400, 100):
        run.hears(*(ponged("wrong", number=first + number) for number in range(100)))
    run.hears(ponged("right"))
    run.passes(hours(1))
    [told] = [line for _, effect in run.effects for line in effect.story if line.outcome == "dropped"]
    # What was waited for was heard after the oldest had been let go, and was used before the inbox was full again.
    assert told.detail == {"tests.pong": 401}


def test_a_journal_that_grows_too_large_is_let_go_and_the_run_plays_on_in_its_chapter() -> None:
    run = OneRun(hoarding, suggest_after=AT_EVERY_WAIT)
    large = "x" * (MOST_JOURNAL // 8)
    for number in range(10):
        run.hears(Pong(event_id=str(number), event_source="/test", occurred_at=NOON, name=large))
    assert not run.position.movable
    chapter = run.chapter
    for number in range(10, 20):
        run.hears(ponged(number=number))
    assert run.chapter == chapter
    run.passes(days(2))
    assert run.outcome == "completed"
    assert run.story.count("journal#1: full_journal") == 1
