"""Whatever an edit does to a journey and wherever its runs stand: what a move keeps, and what it never does."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.designs.facts import Ping, Pong
from tests.support.examples import examples
from tests.support.moving_releases import released
from tests.support.one_run import NOON, OneRun
from workflows import Form, Player, days, free_spins
from workflows.channels import Channel
from workflows.effects import Done, Mark
from workflows.run_protocol import DELIVER, Delivery, DeliveryBatch


@dataclass(frozen=True)
class Step:
    """One statement of a drawn journey."""

    verb: str
    name: str = ""
    length: int = 1
    channel: Channel = "email"


class Note(Form):
    """What did the player say?"""

    said: str


class Asked(Form):
    """What did the player say, and how?"""

    said: Literal["no"]
    how: str


Asked.__name__ = "Note"
#: Two forms of one name, as an edit leaves them.
FORMS: dict[str, type[Form]] = {"as it was": Note, "edited": Asked}


async def play(player: Player, steps: Sequence[Step]) -> None:
    for step in steps:
        match step.verb:
            case "send":
                await player.send(step.name, via=[step.channel])
            case "grant":
                await player.grant(free_spins(step.length, max_win=500))
            case "mark":
                await player.mark(step.name)
            case "event":
                await player.event(Pong if step.name == "pong" else Ping, within=days(step.length))
            case "sleep":
                await player.sleep(days(step.length))
            case "ask":
                answer: Any = await player.ask(FORMS[step.name], team="desk", due=days(step.length))
                if answer:
                    await player.mark("answered")
            case "either":
                if await player.event(Pong, within=days(step.length)):
                    await player.send(step.name, via=[step.channel])
                else:
                    await player.grant(free_spins(step.length, max_win=500))
            case "round":
                for _ in range(step.length):
                    if await player.event(Ping, within=days(1)):
                        break
                    await player.send(step.name, via=[step.channel])
            case "split" if player.split(step.name, a=step.length, b=3) == "a":
                await player.mark(f"{step.name}-a")


STEPS = st.one_of(
    st.builds(Step, st.sampled_from(["send", "mark"]), st.sampled_from(["one", "two", "three"])),
    st.builds(Step, st.just("grant"), length=st.integers(1, 3)),
    st.builds(Step, st.just("event"), st.sampled_from(["ping", "pong"]), st.integers(1, 5)),
    st.builds(Step, st.just("sleep"), length=st.integers(1, 4)),
    st.builds(Step, st.just("ask"), st.sampled_from(sorted(FORMS)), st.integers(1, 4)),
    st.builds(Step, st.sampled_from(["either", "round"]), st.sampled_from(["four", "five"]), st.integers(1, 3)),
    st.builds(Step, st.just("split"), st.sampled_from(["left", "right"]), st.integers(0, 5)),
)
PLAYS = st.lists(STEPS, min_size=2, max_size=8)


@st.composite
def edited(draw: st.DrawFn) -> tuple[list[Step], list[Step]]:
    """A journey and what became of it: steps inserted, removed, moved, of other lengths, shares, forms and channels."""
    before = draw(PLAYS)
    after = list(before)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(after)))
        match draw(st.sampled_from(["insert", "remove", "move", "change"])):
            case "insert":
                after.insert(at, draw(STEPS))
            case "remove" if at < len(after):
                del after[at]
            case "move" if at < len(after):
                after.insert(draw(st.integers(0, len(after) - 1)), after.pop(at))
            case "change" if at < len(after):
                name = draw(st.sampled_from(sorted(FORMS))) if after[at].verb == "ask" else after[at].name
                channel: Channel = draw(st.sampled_from(["email", "push", "sms"]))
                after[at] = replace(after[at], name=name, length=draw(st.integers(1, 5)), channel=channel)
    return before, after


HAPPENINGS = st.lists(
    st.one_of(st.sampled_from(["ping", "pong", "answer"]), st.integers(1, 3), st.just("move")), max_size=10
)


def keys_done(run: OneRun) -> list[str]:
    """The key of every effect that does something once."""
    return [one.key for _, one in run.effects if one.step.partition(":")[0] in {"send", "grant", "mark", "end"}]


def unused(run: OneRun) -> tuple[set[str], set[str]]:
    """The events and the answers that it keeps for later."""
    return {event.event_id for _, event in run.state.inbox.entries}, {*run.state.answers}


def used(run: OneRun) -> tuple[set[str], set[str]]:
    """The events that a step of its journal came to, and the tasks that were answered."""
    known = run.state.journal.entries
    came = {str(one.outcome.get("id")) for one in known.values() if isinstance(one.outcome, dict)}
    return came, {step for step, one in known.items() if step.startswith("ask") and one.over is not None}


def moves(run: OneRun, version: int, do: list[str]) -> None:
    """Move it, and see that it stands there with everything that it had."""
    ends_at, (events, answers) = run.state.ends_at, unused(run)
    run.moves_to(version, *do)
    if run.outcome is not None:
        return
    assert (run.position.version, run.state.ends_at) == (version, ends_at)
    assert events <= unused(run)[0] | used(run)[0]
    assert answers <= unused(run)[1] | used(run)[1]


@settings(max_examples=examples(60, quick=25), deadline=None)
@given(
    plays=edited(),
    life=HAPPENINGS,
    do=st.lists(st.sampled_from(["send:one", "mark:two", "grant:free_spins"])),
    everywhere=st.booleans(),
    chapters=st.integers(1, 3),
)
@example(plays=([Step("event", "pong")], [Step("sleep")]), life=["move"], do=[], everywhere=False, chapters=1)
@example(
    plays=([Step("grant"), Step("sleep")], [Step("sleep"), Step("either", "four")]),
    life=["move", "pong", 2],
    do=[],
    everywhere=False,
    chapters=2,
)
def test_no_edit_does_anything_twice_or_what_was_passed_over(
    plays: tuple[list[Step], list[Step]], life: list[str | int], do: list[str], *, everywhere: bool, chapters: int
) -> None:
    """`everywhere` it moves at every wait that it reaches, else when its life says so."""
    before, after = plays
    both = released(lambda player: play(player, before), lambda player: play(player, after), chapters=chapters)
    run = OneRun(both, version=1)
    to = itertools.cycle([2, 1])
    happenings = [one for happening in life for one in ([happening, "move"] if everywhere else [happening])]
    for number, happening in enumerate(happenings):
        if run.outcome is not None:
            break
        done = keys_done(run)
        match happening:
            case int():
                run.passes(days(happening))
            case "move":
                moves(run, next(to), do)
            case "answer":
                run.told(Delivery(seq=0, kind="answer", step="ask:Note#1", answer={"said": "yes"}))
            case kind:
                heard = Ping if kind == "ping" else Pong
                run.hears(heard(event_id=f"{kind}{number}", event_source="/test", occurred_at=NOON))
        assert keys_done(run)[: len(done)] == done
    run.passes(days(70))
    assert run.outcome in {"completed", "ended"}
    assert run.days[-1][1] <= 60.001
    keys = keys_done(run)
    assert len(keys) == len(set(keys))
    passed_over = {line.partition(": ")[0] for line in run.story if line.endswith(": moved_past")}
    assert not passed_over & {key.rpartition("/")[2] for key in keys}
    lines = [line.line for _, effect in run.effects for line in effect.story]
    assert len(lines) == len(set(lines))


@settings(max_examples=examples(60, quick=25), deadline=None)
@given(
    plays=edited(),
    at=st.integers(0, 9),
    later=st.integers(0, 3),
    when=st.sampled_from(["before", "with", "during", "after"]),
)
def test_no_edit_keeps_a_stop_from_being_heard(
    plays: tuple[list[Step], list[Step]], at: int, later: int, when: str
) -> None:
    """Before the order to move, in one signal with it, while the run arrives, and after it has."""
    before, after = plays
    both = released(lambda player: play(player, before), lambda player: play(player, after))
    stop = Delivery(seq=0, kind="stop", reason="self_excluded")
    move = Delivery(seq=0, kind="migrate", version=2)
    run: OneRun

    def arriving(mark: Mark) -> Done:
        if when == "during" and mark.arrived is not None:
            run.temporal.signal(
                "run", DELIVER, DeliveryBatch(items=[stop.model_copy(update={"seq": 99, "id": "stop"})])
            )
        return Done()

    run = OneRun(both, version=1, begins=False, answers={"mark": arriving})
    run.begin()
    run.passes(days(at))
    if run.outcome is not None:
        return
    done = len(keys_done(run))
    match when:
        case "before":
            run.told(stop)
        case "with":
            run.told(move, stop)
        case "during":
            run.told(move)
        case _:
            run.told(move)
            run.passes(days(later))
            if run.outcome is not None:
                return
            done = len(keys_done(run))
            run.told(stop)
    assert run.outcome == "self_excluded"
    assert [key.rpartition("/")[2] for key in keys_done(run)[done:]] == ["end"]
