"""A delivery is known by its id: a number that comes again is a repetition only if it is the same delivery's."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from stage.errors import StageError
from stage.virtual_temporal.runs import Call
from stage.virtual_temporal.server import VirtualTemporal
from tests.support.designs.facts import Ping, Pong
from tests.support.designs.lives import chaptered, resting
from workflows.effects import Done, EffectInput, Mark
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import DELIVER, ENGINE, POSITION, Delivery, DeliveryBatch, Position, RunInput
from workflows.run_state import MOST_HEARD

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Scene:
    """One run, told deliveries by hand."""

    def __init__(self) -> None:
        self.effects: list[EffectInput] = []
        self.heard: list[str] = []
        self.temporal = VirtualTemporal([chaptered, resting], self._perform, NOON)

    def _perform(self, call: Call) -> BaseModel:
        self.effects.append(call.decode(EffectInput))
        if call.name == "mark":
            self.heard.append(str(call.decode(Mark).detail.get("heard")))
        return Done()

    def begins(self, journey: str, **carried: object) -> None:
        begun = Ping(event_id="p", event_source="/test", occurred_at=NOON, name="go")
        run = RunInput(
            run_id="run",
            brand="acme",
            player_id="p1",
            journey=journey,
            entered_at=NOON,
            ends_at=NOON + timedelta(days=3000),
            trigger=begun.to_wire(),
            facts=PlayerFacts(player_id="p1"),
        )
        self.temporal.start(journey, "run", run.model_copy(update=carried))

    def hears(self, *items: Delivery) -> None:
        self.temporal.signal("run", DELIVER, DeliveryBatch(items=[*items]))
        self.temporal.advance_to(self.temporal.now)

    @property
    def story(self) -> list[str]:
        position: Position = self.temporal.query("run", POSITION, Position)
        told = [line for effect in self.effects for line in effect.story]
        return [f"{line.step}: {line.outcome}" for line in (*told, *position.story)]


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    with scene.temporal:
        yield scene


def pong(number: int, name: str, *, known: bool = True) -> Delivery:
    event = Pong(event_id=name, event_source="/test", occurred_at=NOON, name=name)
    return Delivery(seq=number, id=str(uuid4()) if known else None, kind="event", event=event.to_wire())


def test_a_chapter_that_a_later_release_began_waits_for_a_worker_of_that_release(scene: Scene) -> None:
    with pytest.raises(StageError, match=rf"engine {ENGINE + 1}, here {ENGINE}\); deploy that release"):
        scene.begins("chaptered", engine=ENGINE + 1)


def test_what_comes_again_is_heard_once_also_in_the_next_chapter(scene: Scene) -> None:
    scene.begins("chaptered")
    one = pong(1, "one")
    for _ in range(3):
        scene.hears(one)
        scene.temporal.advance_to(scene.temporal.now + DAY)
    scene.hears(one, pong(2, "two"))
    assert scene.heard == ["one", "two"]
    assert not any("renumbered" in line for line in scene.story)


def test_a_number_that_is_given_out_again_is_another_delivery_and_the_story_says_so(scene: Scene) -> None:
    scene.begins("chaptered")
    scene.hears(pong(1, "one"), pong(2, "two"))
    scene.hears(pong(1, "after the loss"))
    assert scene.heard == ["one", "two", "after the loss"]
    assert [line for effect in scene.effects for line in effect.story if line.outcome == "renumbered"]


def test_a_stop_under_a_number_the_run_has_heard_stops_it(scene: Scene) -> None:
    scene.begins("resting")
    scene.hears(pong(1, "one"), pong(2, "two"), pong(3, "three"))
    scene.hears(Delivery(seq=1, id=str(uuid4()), kind="stop", reason="self_excluded"))
    assert scene.temporal.result("run") == "self_excluded"


def test_what_an_older_dispatcher_told_without_an_id_is_known_by_its_number(scene: Scene) -> None:
    scene.begins("chaptered")
    scene.hears(pong(1, "one", known=False))
    scene.hears(pong(1, "one"))  # the same, by a dispatcher that says whose number it is
    assert scene.heard == ["one"]
    scene.hears(pong(2, "two"), pong(2, "again"))
    assert scene.heard == ["one", "two", "again"]


def test_a_run_from_before_ids_goes_by_numbers_up_to_the_one_it_had_heard(scene: Scene) -> None:
    scene.begins("chaptered", last_seen=7, chapter=2)
    scene.hears(pong(7, "repeated"))
    assert scene.heard == []
    scene.hears(pong(8, "eight"))
    assert scene.heard == ["eight"]


def test_what_a_run_remembers_is_bounded(scene: Scene) -> None:
    scene.begins("resting")
    batch = [pong(number, str(number)) for number in range(1, MOST_HEARD + 200)]
    for _ in range(2):
        scene.hears(*batch[-500:])
    scene.hears(Delivery(seq=1, id=str(uuid4()), kind="stop", reason="by_hand"))
    assert scene.temporal.result("run") == "by_hand"


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.data())
def test_however_often_and_under_whatever_numbers_each_delivery_is_heard_once(
    numbers: list[int], data: st.DataObject
) -> None:
    scene = Scene()
    with scene.temporal:
        scene.begins("resting")
        told = [pong(number, str(index)) for index, number in enumerate(numbers)]
        order = [*told, *data.draw(st.lists(st.sampled_from(told), max_size=12))]
        for item in order:
            scene.hears(item)
        run = scene.temporal.runs["run"]
        assert run.open
        position: Position = scene.temporal.query("run", POSITION, Position)
        assert position.last_seen == max(numbers)
        renumbered = sum(1 for at, number in enumerate(numbers) if number <= max(numbers[:at], default=0))
        assert sum(line.outcome == "renumbered" for line in position.story) == renumbered
