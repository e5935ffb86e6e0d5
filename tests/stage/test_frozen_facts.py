# ruff: noqa: ARG001 - a journey takes the event that starts it
"""What was fixed when a step began stays as it is, whatever the code says later: rows of the table in docs/releases.md.

A history of the code before the edit is replayed on the code after it, as a worker does that never saw the run.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

import pytest
from pydantic import Field

from tests.support.designs.facts import Pong
from tests.support.one_run import NOON, OneRun, ponged
from workflows import Form, Player, days, hours, journey
from workflows.effects import OpenTask, TaskMoved, TaskOpened
from workflows.run import JourneyRun
from workflows.run_journal import read_as_kept
from workflows.run_protocol import Delivery

Design = type[JourneyRun]


class Note(Form):
    """What did the player say?"""

    said: Literal["yes", "no"] = "yes"


def waits(within: timedelta) -> Design:
    @journey(ends_after=days(14))
    async def edited(player: Player, nothing: None) -> None:
        """Wait, then tell what came of it, then wait once more."""
        came = await player.event(Pong, within=within)
        await player.mark("came", it=came is not None)
        await player.event(Pong, within=days(1))
        await player.mark("over")

    return edited


def asks(due: timedelta, form: type[Form] = Note, escalate_to: str | None = "head") -> Design:
    @journey(ends_after=days(60))
    async def edited(player: Player, nothing: None) -> None:
        """Ask, then tell what came of it."""
        answer: Any = await player.ask(form, team="desk", due=due, escalate_to=escalate_to)
        await player.mark("answered", said=answer.said if answer else None)
        await player.sleep(days(1))
        await player.mark("over")

    return edited


def splits(**shares: float) -> Design:
    @journey(ends_after=days(60))
    async def edited(player: Player, nothing: None) -> None:
        """Send the one or the other."""
        if player.split("half", **shares) == "a":
            await player.send("welcome", via=["email"])
        else:
            await player.send("guide", via=["email"])
        await player.event(Pong, within=days(10), where=lambda pong: pong.name == "right")
        await player.mark("part", part=player.split("half again", **shares))

    return edited


def until(at: str, weekday: str | None = None) -> Design:
    @journey(ends_after=days(60))
    async def edited(player: Player, nothing: None) -> None:
        """Wait for an hour."""
        await player.until(at, weekday=weekday)
        await player.mark("reached")
        await player.sleep(days(1))

    return edited


def promises(amount: int, text: str) -> Design:
    from workflows import free_spins

    @journey(ends_after=days(60))
    async def edited(player: Player, nothing: None) -> None:
        """Give and tell."""
        await player.grant(free_spins(amount, max_win=500))
        await player.send("guide", via=["email"], about=text)
        await player.sleep(days(1))

    return edited


def with_releases(**releases: Design) -> Design:
    """The last of these, with all of them as its releases 1, 2, …"""
    [*_, last] = releases.values()
    last.definition = last.definition.__class__(
        **{
            **{name: getattr(last.definition, name) for name in last.definition.__dataclass_fields__},
            "versions": {number: one.definition for number, one in enumerate(releases.values(), start=1)},
        }
    )
    return last


@pytest.mark.parametrize("engine", [0, 1])
class TestAWaitOfAnotherLength:
    @pytest.mark.parametrize("after", [hours(1), days(1), days(13), days(15), days(400)])
    @pytest.mark.parametrize("before", [hours(1), days(2), days(10)])
    def test_moves_no_run_that_is_past_it(self, before: timedelta, after: timedelta, engine: int) -> None:
        run = OneRun(waits(before), engine=engine)
        run.passes(days(13))
        assert run.marked("came") == [{"it": False}]
        assert run.replayed_on(waits(after)) == run.commanded

    @pytest.mark.parametrize("after", [hours(1), days(20)])
    def test_moves_no_run_that_heard_in_it_what_it_waited_for(self, after: timedelta, engine: int) -> None:
        run = OneRun(waits(days(2)), engine=engine)
        run.passes(days(1.5))
        run.hears(ponged())
        run.passes(days(13))
        assert run.marked("came") == [{"it": True}]
        assert run.replayed_on(waits(after)) == run.commanded

    @pytest.mark.parametrize("after", [hours(1), days(20)])
    def test_leaves_a_run_that_stands_in_it_waiting_as_long_as_it_was_to(self, after: timedelta, engine: int) -> None:
        """The row that was worst: a longer wait threw such a run out of the journey when the old timer fired."""
        run = OneRun(waits(days(2)), engine=engine)
        run.passes(days(1.5))
        assert run.replayed_on(waits(after)) == run.commanded
        run.passes(days(1))
        assert run.marked("came") == [{"it": False}]
        assert run.replayed_on(waits(after)) == run.commanded


class TestATaskOfAnotherLength:
    @pytest.mark.parametrize("after", [days(1), days(20)])
    @pytest.mark.parametrize("stands", [days(1), days(3), days(6), days(11), days(15)])
    def test_moves_no_run_that_has_asked(self, after: timedelta, stands: timedelta) -> None:
        run = OneRun(asks(days(5)))
        run.passes(stands)
        assert run.replayed_on(asks(after)) == run.commanded

    def test_reminds_escalates_and_expires_when_people_were_told(self) -> None:
        run = OneRun(asks(days(5)))
        run.passes(days(15))
        moved = [(step, day) for step, day in run.days if step == "ask:Note#1"]
        assert moved == [("ask:Note#1", 0), ("ask:Note#1", 2.5), ("ask:Note#1", 5), ("ask:Note#1", 10)]

    @pytest.mark.parametrize("escalate_to", [None, "others"])
    def test_is_escalated_to_whom_it_was_to_be(self, escalate_to: str | None) -> None:
        run = OneRun(asks(days(5)))
        run.passes(days(15))
        assert run.replayed_on(asks(days(5), escalate_to=escalate_to)) == run.commanded

    def test_of_an_older_release_has_the_times_of_the_code(self) -> None:
        opened = {"open_task": lambda opening: TaskOpened(task_id=opening.task_id)}
        run = OneRun(asks(days(5)), answers=opened, engine=0)
        run.passes(days(15))
        assert run.replayed_on(asks(days(5))) == run.commanded


class WithMore(Form):
    """What did the player say, and how?"""

    said: Literal["yes", "no"] = "yes"
    how: str


class WithOtherWords(Form):
    """What did the player say?"""

    said: Literal["agreed", "declined"]


class WithLess(Form):
    """Nothing is asked any more."""


def named_note(form: type[Form]) -> type[Form]:
    """Another form of the same name, as an edit leaves it: the step that asks is named after it."""
    form.__name__ = "Note"
    return form


class TestAnAnswerToAnotherForm:
    @pytest.mark.parametrize("form", [WithMore, WithOtherWords])
    @pytest.mark.parametrize("late", [False, True])
    def test_is_read_as_it_was_given(self, form: type[Form], *, late: bool) -> None:
        """Also one that came while the task was being moved on."""
        answered = {"move_task": lambda _: TaskMoved(state="completed", answer={"said": "no"})}
        run = OneRun(asks(days(5)), answers=answered if late else {})
        if not late:
            run.told(Delivery(seq=0, kind="answer", step="ask:Note#1", answer={"said": "no"}))
        run.passes(days(10))
        assert run.marked("answered") == [{"said": "no"}]
        assert run.replayed_on(asks(days(5), named_note(form))) == run.commanded

    def test_keeps_every_field_that_can_still_be_read(self) -> None:
        class Wider(Form):
            said: Literal["agreed"]
            when: timedelta = Field(alias="at")
            more: str
            usual: int = 3

        read = read_as_kept(Wider, {"said": "no", "at": "PT1H", "gone": 1})
        assert read.model_dump() == {"said": "no", "when": hours(1), "more": None, "usual": 3}

    def test_that_is_as_it_was_is_read_as_ever(self) -> None:
        assert read_as_kept(Note, {"said": "no"}) == Note(said="no")


class TestASplitOfOtherShares:
    @pytest.mark.parametrize("shares", [{"a": 100, "b": 0}, {"a": 0, "b": 100}, {"c": 1}])
    def test_moves_no_run_of_the_release_before(self, shares: dict[str, float]) -> None:
        both = with_releases(first=splits(a=50, b=50), second=splits(**shares))
        run = OneRun(both, version=1)
        chosen = run.steps[0]
        assert run.replayed_on(both) == run.commanded
        run.passes(days(11))
        assert run.replayed_on(both) == run.commanded
        assert chosen == OneRun(splits(a=50, b=50)).steps[0]

    @pytest.mark.parametrize("shares", [{"a": 100, "b": 0}, {"a": 0, "b": 100}, {"c": 1, "d": 1}])
    def test_moves_no_run_whose_chapter_began_behind_it(self, shares: dict[str, float]) -> None:
        """The history of that chapter does not hold the split; its journal does."""
        run = OneRun(splits(a=50, b=50), suggest_after=1)
        run.hears(ponged("wrong"))
        assert run.chapter > 1
        assert run.commanded == ["start_timer event:Pong#1"]
        assert run.replayed_on(splits(**shares)) == run.commanded

    def test_of_code_that_is_no_release_is_drawn_again_until_a_chapter_begins(self) -> None:
        """The one row that does not hold without a release: no history says which part it was."""
        run = OneRun(splits(a=50, b=50))
        [chosen] = {"send:welcome#1", "send:guide#1"} & set(run.steps)
        other = {"a": 0, "b": 1} if chosen == "send:welcome#1" else {"a": 1, "b": 0}
        assert run.replayed_on(splits(**other)) != run.commanded
        kept = OneRun(splits(a=50, b=50), suggest_after=1)
        kept.hears(ponged("wrong"))
        assert kept.replayed_on(splits(**other)) == kept.commanded


class TestAnotherMoment:
    @pytest.mark.parametrize(("at", "weekday"), [("09:00", None), ("15:00", "monday"), ("18:30", "friday")])
    def test_moves_no_run_that_is_past_it(self, at: str, weekday: str | None) -> None:
        run = OneRun(until("15:00"))
        run.passes(hours(4))
        assert run.marked("reached") == [{}]
        assert run.replayed_on(until(at, weekday)) == run.commanded


def test_another_amount_or_text_breaks_nothing_and_reaches_only_who_comes_to_it() -> None:
    run = OneRun(promises(5, "slots"))
    run.passes(hours(1))
    assert run.replayed_on(promises(50, "tables")) == run.commanded


def test_what_is_replayed_can_differ() -> None:
    """The check can fail: one step more is one command more."""
    run = OneRun(waits(days(2)))
    run.passes(days(3))
    assert run.replayed_on(asks(days(2))) != run.commanded


def test_a_task_says_its_times_when_it_was_opened() -> None:
    run = OneRun(asks(days(5)))
    [(_, opened)] = [one for one in run.results if one[0] == "ask:Note#1"]
    assert isinstance(opened, TaskOpened)
    assert (opened.opened_at, opened.due_at, opened.escalate_to) == (NOON, NOON + days(5), "head")
    asked: Callable[[Any], TaskOpened] = TaskOpened.of
    [(_, request)] = run.effects
    assert isinstance(request, OpenTask)
    assert asked(request) == opened
