"""A run that moves to another release: what it keeps, what it passes over, how long it still waits."""

from typing import Any

import pytest

from tests.support.designs.facts import Ping, Pong
from tests.support.moving_releases import Play, released
from tests.support.one_run import NOON, OneRun, ponged
from workflows import Form, Player, again, days, free_spins, hours
from workflows.effects import Mark, SendResult
from workflows.run_journal import MOST_JOURNAL, MovedRun
from workflows.run_protocol import Delivery


async def first(player: Player) -> None:
    await player.send("hello", via=["email"])
    if await player.event(Pong, within=days(10)):
        await player.grant(free_spins(10, max_win=500))
    else:
        await player.send("late-reminder", via=["email"])


async def second(player: Player) -> None:
    """A message more, a shorter wait, other things after it."""
    await player.send("hello", via=["email"])
    await player.send("push-nudge", via=["push"])
    if await player.event(Pong, within=days(3)):
        await player.grant(free_spins(25, max_win=500))
    else:
        await player.send("new-ending", via=["email"])


def begun(*plays: Play, version: int = 1, **options: Any) -> OneRun:
    return OneRun(released(*plays), version=version, **options)


def sent(run: OneRun) -> list[tuple[str, float]]:
    """Every effect with its day, without the `#1` of its step."""
    return [(step.partition("#")[0].removeprefix("send:"), round(day, 3)) for step, day in run.days]


class TestTheTableOfDocsReleases:
    """What a release does to a run by the choice that is made for it."""

    def test_a_run_that_is_pinned_plays_on_as_it_began(self) -> None:
        run = begun(first, second)
        run.passes(days(11))
        assert sent(run) == [("hello", 0), ("late-reminder", 10), ("end", 10)]

    def test_what_was_inserted_before_its_place_is_passed_over(self) -> None:
        run = begun(first, second)
        run.passes(days(2))
        run.moves_to(2)
        assert run.position.version == 2
        assert run.position.waiting_until == NOON + days(3)
        run.passes(days(2))
        assert sent(run) == [("hello", 0), ("new-ending", 3), ("end", 3)]
        assert "send:push-nudge#1: moved_past" in run.story

    @pytest.mark.parametrize("do", ["send:push-nudge", "send:push-nudge#1"])
    def test_what_was_inserted_and_is_named_is_done(self, do: str) -> None:
        run = begun(first, second)
        run.passes(days(2))
        run.moves_to(2, do)
        run.passes(days(2))
        assert sent(run) == [("hello", 0), ("push-nudge", 2), ("new-ending", 3), ("end", 3)]

    def test_a_shorter_wait_counts_from_when_it_began(self) -> None:
        run = begun(first, second)
        run.passes(days(5))
        run.moves_to(2)
        run.passes(hours(1))
        assert sent(run) == [("hello", 0), ("new-ending", 5), ("end", 5)]

    def test_a_longer_wait_counts_from_when_it_began(self) -> None:
        run = begun(second, first)
        run.passes(days(2))
        run.moves_to(2)
        run.passes(days(9))
        assert sent(run) == [("hello", 0), ("push-nudge", 0), ("late-reminder", 10), ("end", 10)]

    def test_what_comes_after_its_place_is_as_the_new_release_says(self) -> None:
        run = begun(first, second)
        run.passes(days(2))
        run.moves_to(2)
        run.hears(ponged())
        assert run.steps == ["send:hello#1", "grant:free_spins#1", "end"]
        [(_, granted)] = [one for one in run.effects if one[1].step.startswith("grant")]
        assert granted.model_dump()["reward"]["count"] == 25

    def test_a_wait_that_is_gone_ends_as_if_nothing_had_come_in_time(self) -> None:
        async def without(player: Player) -> None:
            await player.send("hello", via=["email"])
            await player.send("goodbye", via=["email"])

        run = begun(first, without)
        run.passes(days(2))
        run.moves_to(2)
        assert sent(run) == [("hello", 0), ("goodbye", 2), ("end", 2)]
        assert "event:Pong#1: removed" in run.story

    def test_a_task_whose_step_is_gone_is_closed(self) -> None:
        run = begun(asking, first)
        run.passes(days(1))
        run.moves_to(2)
        [*_, (_, closed)] = [one for one in run.effects if one[1].step == "ask:Note#1"]
        assert closed.model_dump()["move"] == "expire"
        assert run.position.step == "event:Pong#1"

    def test_steps_in_another_order_are_found_by_their_ids(self) -> None:
        async def turned(player: Player) -> None:
            await player.event(Pong, within=days(10))
            await player.send("hello", via=["email"])
            await player.send("after", via=["email"])

        run = begun(first, turned)
        run.passes(days(1))
        run.moves_to(2)
        run.hears(ponged())
        assert sent(run) == [("hello", 0), ("after", 1), ("end", 1)]

    def test_a_split_of_other_shares_keeps_the_part_it_had(self) -> None:
        run = begun(splitting(a=50, b=50), splitting(a=0, b=0, c=1))
        [part] = [line.partition(": ")[2] for line in run.story if line.startswith("split")]
        run.moves_to(2)
        run.hears(ponged())
        assert run.marked("part") == [{"part": part}]

    def test_a_task_keeps_its_times_and_its_answer(self) -> None:
        run = begun(asking, asking_shorter)
        run.passes(days(1))
        run.moves_to(2)
        assert run.steps.count("ask:Note#1") == 1
        run.passes(days(2))
        run.told(Delivery(seq=0, kind="answer", step="ask:Note#1", answer={"said": "yes"}))
        assert run.marked("answered") == [{"said": "yes"}]


def told_arrivals(run: OneRun) -> list[int | None]:
    """The releases that the run said it has come to."""
    return [one.arrived for _, one in run.effects if isinstance(one, Mark) and one.step.startswith("kept:")]


class Note(Form):
    """What did the player say?"""

    said: str


async def asking(player: Player) -> None:
    answer = await player.ask(Note, team="desk", due=days(5))
    await player.mark("answered", said=answer.said if answer else None)


async def asking_shorter(player: Player) -> None:
    answer = await player.ask(Note, team="desk", due=hours(1))
    await player.mark("answered", said=answer.said if answer else None)


def splitting(**shares: float) -> Play:
    async def split(player: Player) -> None:
        part = player.split("half", **shares) if sum(shares.values()) else "c"
        await player.event(Pong, within=days(3))
        await player.mark("part", part=part)

    return split


class TestAMove:
    def test_is_obeyed_at_a_wait_and_never_inside_an_effect(self) -> None:
        run: OneRun

        def moved_meanwhile(sending: Any) -> SendResult:
            run.moves_to(2)
            return SendResult(sent=sending.via)

        run = OneRun(released(first, second), version=1, begins=False, answers={"send": moved_meanwhile})
        run.begin()
        assert run.position.version == 2
        assert run.steps == ["send:hello#1"]

    def test_keeps_events_that_were_not_used(self) -> None:
        async def later(player: Player) -> None:
            await player.send("hello", via=["email"])
            pinged = await player.event(Ping, within=days(1))
            await player.mark("heard", it=pinged is not None)

        run = begun(first, later)
        run.hears(Ping(event_id="p", event_source="/test", occurred_at=NOON))
        run.moves_to(2)
        assert run.marked("heard") == [{"it": True}]

    def test_waits_for_the_morning_where_the_message_did(self) -> None:
        answers = iter([SendResult(wait_until=NOON + hours(20)), SendResult(sent=["email"])])
        run = begun(first, second, answers={"send": lambda _: next(answers, SendResult(sent=["push"]))})
        run.moves_to(2)
        assert run.position.waiting_until == NOON + hours(20)
        run.passes(days(1))
        assert run.steps[:3] == ["send:hello#1", "send:hello#1", "send:push-nudge#1"]

    def test_and_back_again_does_nothing_twice(self) -> None:
        run = begun(first, second)
        run.passes(days(1))
        run.moves_to(2)
        run.moves_to(1)
        run.moves_to(2)
        assert (run.position.version, run.chapter) == (2, 4)
        run.passes(days(3))
        assert sent(run) == [("hello", 0), ("new-ending", 3), ("end", 3)]

    def test_to_the_release_it_plays_changes_nothing(self) -> None:
        run = begun(first, second)
        run.moves_to(1)
        assert run.chapter == 1

    def test_of_a_run_from_before_there_were_releases_pins_it(self) -> None:
        run = OneRun(released(first, second), version=0, engine=0)
        run.moves_to(1)
        assert run.position.version == 1
        run.passes(days(11))
        assert run.outcome == "completed"

    def test_is_refused_by_a_run_that_has_done_too_much(self) -> None:
        async def hoarding(player: Player) -> None:
            while await player.event(Pong, within=days(1)):
                pass

        run = begun(hoarding, first)
        for number in range(10):
            large = "x" * (MOST_JOURNAL // 8)
            run.hears(Pong(event_id=str(number), event_source="/test", occurred_at=NOON, name=large))
        run.moves_to(2)
        assert (run.position.version, run.position.movable) == (1, False)
        assert "move#1: waits_for_again" in run.story

    def test_of_a_run_that_has_done_too_much_waits_for_its_next_chapter(self) -> None:
        async def hoarding(player: Player) -> object:
            for _ in range(10):
                await player.event(Pong, within=days(1))
            return again()

        run = begun(hoarding, first)
        for number in range(9):
            large = "x" * (MOST_JOURNAL // 8)
            run.hears(Pong(event_id=str(number), event_source="/test", occurred_at=NOON, name=large))
        run.moves_to(2)
        assert run.position.version == 1
        run.hears(ponged())
        assert (run.position.version, run.position.step) == (2, "event:Pong#11")
        assert told_arrivals(run) == [2]

    def test_is_told_to_the_books_as_soon_as_the_run_has_arrived(self) -> None:
        run = begun(first, second)
        run.moves_to(2)
        run.moves_to(1)
        assert told_arrivals(run) == [2, 1]
        assert [one.key for _, one in run.effects if isinstance(one, Mark)] == [
            "run/kept:move#1",
            "run/kept:move#2",
        ]

    def test_from_before_arrivals_were_told_is_replayed_as_it_was(self) -> None:
        run = begun(first, second, engine=2, moved_from=2, stands_at="event:Pong#1", chapter=2)
        assert told_arrivals(run) == []

    @pytest.mark.parametrize("when", ["before", "with", "after"])
    def test_is_no_way_round_a_stop(self, when: str) -> None:
        run = begun(first, second)
        stop = Delivery(seq=0, kind="stop", reason="self_excluded")
        move = Delivery(seq=0, kind="migrate", version=2, do=["send:push-nudge"])
        match when:
            case "before":
                run.told(stop, move)
            case "with":
                run.told(move, stop)
            case _:
                run.told(move)
                run.told(stop)
        assert run.outcome == "self_excluded"
        assert run.steps.count("send:push-nudge#1") == (when == "after")

    def test_does_not_put_off_the_end_of_the_run(self) -> None:
        async def longer(player: Player) -> None:
            await player.send("hello", via=["email"])
            await player.event(Pong, within=days(400))
            await player.send("never", via=["email"])

        run = begun(first, longer)
        run.moves_to(2)
        run.passes(days(61))
        assert run.outcome == "ended"
        assert sent(run) == [("hello", 0), ("end", 60)]


class TestWhatADesignerDecides:
    def test_a_step_that_was_renamed_counts_as_done(self) -> None:
        async def renamed(player: Player) -> None:
            await player.send("welcome", via=["email"])
            await player.event(Ping, within=days(10))
            await player.mark("over")

        both = released(first, renamed)
        seen: list[MovedRun] = []

        @both.migrate(from_version=1)
        def to_pings(run: MovedRun) -> None:
            seen.append(run)
            run.rename("send:hello", "send:welcome")
            run.rename("event:Pong#1", "event:Ping#1")

        run = OneRun(both, version=1)
        run.passes(days(2))
        run.moves_to(2)
        assert run.position.step == "event:Ping#1"
        assert run.position.waiting_until == NOON + days(10)
        assert (seen[0].from_version, seen[0].steps) == (1, ["send:welcome#1", "event:Ping#1"])
        run.passes(days(9))
        assert sent(run) == [("hello", 0), ("mark:over", 10), ("end", 10)]

    def test_runs_of_another_release_are_none_of_its_business(self) -> None:
        both = released(first, second, second)

        @both.migrate(from_version=2)
        def never(run: MovedRun) -> None:
            raise AssertionError(run)

        run = OneRun(both, version=1)
        run.moves_to(3)
        assert run.position.version == 3
