"""The shipped weekly race: in three languages, and played under every policy that is shipped."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.world.world import World
from workflows import ExclusionSet, HarmSignal, PlayerRegistered, RoundCompleted, days
from workflows.gate.policies import SHIPPED
from workflows.source.journey_loading import load

#: A Monday.
MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)
REGISTRY = load(("workflows.programs.weekly_race",))
PLACES = sorted({one.jurisdiction for one in SHIPPED if one.jurisdiction is not None})
RACE = "weekly_race:2026-03-09"


def play(world: World, player: str, place: str, *, born: str = "1980-01-01", win: int = 900) -> None:
    """A player registers, takes a seat where the gate lets them, and plays one round."""
    told: dict[str, Any] = {"event_source": "/t", "occurred_at": world.now}
    about: dict[str, Any] = {"timezone": "UTC", "country": place[:2], "jurisdiction": place, "birth_date": born}
    world.happen(player, PlayerRegistered(event_id=f"{player}-r", **told, **about))
    world.press(player, "register", "weekly_race")
    data: dict[str, Any] = {
        "round_id": f"{player}-1",
        "game_id": "g",
        "category": "slot",
        "stake_minor": 100,
        "win_minor": win,
    }
    world.happen(player, RoundCompleted(event_id=f"{player}-1", **told, **data))


def points_of(world: World, player: str) -> int:
    return sum(one.amount for who, one in world.transfers if who == player and one.credit == "available")


@pytest.mark.parametrize("place", PLACES)
def test_under_every_shipped_policy_points_alone_are_won_and_by_nobody_who_may_not(place: str) -> None:
    with World(REGISTRY, read_template_facts([SHIPPED_TEMPLATES]), MORNING) as world:
        for number in range(12):
            world.rival("weekly_race", f"rival-{number}", 110 + number)
        told: dict[str, Any] = {"event_source": "/t", "occurred_at": world.now}
        play(world, "adult", place)
        play(world, "minor", place, born="2012-01-01", win=5_000)
        play(world, "gone", place, win=9_000)
        world.happen("gone", ExclusionSet(event_id="x", **told, kind="self_exclusion", until=None))
        play(world, "harmed", place, win=8_000)
        world.happen("harmed", HarmSignal(event_id="h", **told, indicator="chasing", strength="strong"))
        world.advance_to(MORNING + days(8))
        board = world.boards.boards[RACE]
        assert board.places is not None
        assert "gone" not in {player for player, _ in board.places.values()}
        assert [points_of(world, one) for one in ("minor", "gone", "harmed")] == [0, 0, 0]
        assert points_of(world, "adult") in {0, 300, 1_000, 2_000}
        assert world.grants == []
        assert {one.debit for _, one in world.transfers} <= {"issued:tournament"}


def test_an_adult_of_a_country_with_no_law_of_its_own_here_is_paid() -> None:
    with World(REGISTRY, read_template_facts([SHIPPED_TEMPLATES]), MORNING) as world:
        for number in range(12):
            world.rival("weekly_race", f"rival-{number}", 110 + number)
        play(world, "adult", "DK")
        world.advance_to(MORNING + days(8))
        assert points_of(world, "adult") == 2_000


def test_it_is_said_in_three_languages_and_nobody_who_lost_is_ranked() -> None:
    for one in REGISTRY.loyalty.tournaments.values():
        assert {*one.words} == {"en", "ru", "uk"}
        assert one.least_score > 100, "who won less than the stake is on no board"
        assert one.how == "best"
    race = REGISTRY.loyalty.tournaments["weekly_race"]
    assert race.prize_points == 10_100
    instance = race.newest(MORNING)
    assert instance.closes - instance.opens == timedelta(days=7)
