"""Experiments in journey code: drawn once, played alike, read by checks and diagrams."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.flow.diagram import picture
from stage.testing.players import make
from stage.world.world import World
from tests.support.outside_packages import Write, mistakes
from tests.support.tried_journeys import greeting
from tests.support.year_on_stage import BEGIN
from workflows import DepositApproved, PlayerRegistered, days, minutes
from workflows.experiment_draw import CONTROL, ExperimentStanding, draw
from workflows.gate.policy import policy
from workflows.source.flow_reader import read_flow
from workflows.source.journey_loading import load

REGISTRY = load(("tests.support.tried_journeys",))
REACHABLE = {"opted_in": ("email", "push"), "timezone": "Europe/Kyiv", "language": "en", "currency": "EUR"}


@pytest.fixture
def world() -> World:
    return World(REGISTRY, read_template_facts([SHIPPED_TEMPLATES]), BEGIN + timedelta(hours=10))


def registers(world: World, player: str) -> None:
    world.happen(player, make(PlayerRegistered, REACHABLE, event_id=f"r-{player}", occurred_at=world.now))
    world.advance_to(world.now + minutes(1))


def steps(world: World, player: str) -> list[tuple[str, str]]:
    return [(one.step, one.outcome) for one in world.story if f":{player}:" in one.run_id]


class TestPlaying:
    def test_each_player_goes_the_way_of_the_arm_they_were_drawn_into(self, world: World) -> None:
        sent: Counter[str] = Counter()
        for n in range(60):
            registers(world, f"p{n}")
            arm = world.learned.assignments["greeting", 1, f"p{n}"].arm
            channels = [one.channel for one in world.messages if one.player_id == f"p{n}"]
            assert channels == ([] if arm == CONTROL else [arm])
            sent[arm] += 1
        assert sent.keys() == greeting.arms.keys()

    def test_asked_again_it_is_the_same_arm(self, world: World) -> None:
        registers(world, "p1")
        world.advance_to(world.now + days(1))
        world.happen("p1", make(DepositApproved, {}, event_id="d-1", occurred_at=world.now))
        world.advance_to(world.now + minutes(1))
        asked = [outcome for step, outcome in steps(world, "p1") if step.startswith("arm:greeting#")]
        assert len(asked) == 2
        assert len({*asked}) == 1

    def test_who_was_drawn_before_an_arm_was_stopped_gets_control_from_then_on(self, world: World) -> None:
        arms = greeting.arms
        player = next(
            name
            for name in (f"p{n}" for n in range(50))
            if draw(world.brand, name, ("greeting", 1), arms, ExperimentStanding(), BEGIN).arm == "push"
        )
        registers(world, player)
        world.learned.experiments["greeting", 1] = ExperimentStanding(stopped=frozenset({"push"}))
        world.happen(player, make(DepositApproved, {}, event_id="d-1", occurred_at=world.now))
        world.advance_to(world.now + minutes(1))
        asked = [outcome for step, outcome in steps(world, player) if step.startswith("arm:greeting#")]
        assert asked == ["push", CONTROL]

    def test_whose_offers_are_withheld_is_drawn_into_no_arm(self) -> None:
        held_out = policy("ours", since=date(2020, 1, 1), brand="acme", holdout=100)
        registry = replace(REGISTRY, policies=(held_out,))
        world = World(registry, read_template_facts([SHIPPED_TEMPLATES]), BEGIN + timedelta(hours=10), brand="acme")
        registers(world, "p1")
        assert world.learned.assignments == {}
        assert [outcome for step, outcome in steps(world, "p1") if step.startswith("arm:")] == [CONTROL]

    def test_while_nobody_watches_everybody_gets_control(self, world: World) -> None:
        world.learned.experiments["greeting", 1] = ExperimentStanding(looked_at=world.now - timedelta(days=2))
        for n in range(20):
            registers(world, f"p{n}")
        assert {one.arm for one in world.learned.assignments.values()} == {CONTROL}
        assert {one.why for one in world.learned.assignments.values()} == {"not_watched"}


class TestReading:
    def test_the_flow_has_a_way_for_each_arm(self) -> None:
        flow = read_flow(REGISTRY.journeys["greeted"])
        step = next(one for one in flow.steps if one.verb == "arm")
        assert step.name == "arm:greeting"
        assert [edge.words for edge in flow.after(step)] == ["push", "email", "control"]
        card = next(one for one in picture(flow).cards if one.verb == "experiment")
        assert card.title == ("greeting",)

    def test_the_experiment_is_found_with_the_journeys(self) -> None:
        assert REGISTRY.experiments == {("greeting", 1): greeting}

    def test_two_experiments_of_one_name_and_version_are_a_mistake(self, package: Write) -> None:
        declared = (
            "from workflows import DepositApproved, days, experiment, goal\n"
            'tried = experiment("twice", arms={"a": 50, "control": 50}, goal=goal(DepositApproved, within=days(1)))\n'
        )
        [said] = mistakes(package(one=declared, two=declared))
        assert "there is another experiment 'twice' of version 1" in said

    def test_a_new_version_is_drawn_anew(self) -> None:
        arms = [
            tuple(
                draw("acme", f"p{n}", ("greeting", v), greeting.arms, ExperimentStanding(), BEGIN).arm
                for n in range(99)
            )
            for v in (1, 2)
        ]
        assert arms[0] != arms[1]
        assert replace(greeting, version=2).settings == greeting.settings
