"""Which of the journeys that the engine ships with a deployment plays."""

import pytest

from content.settings import ContentSettings
from workflows.errors import DesignError
from workflows.source.journey_loading import SHIPPED, Registry, load


def loaded(chosen: str) -> Registry:
    return load(ContentSettings.model_validate({"shipped_journeys": chosen}).packages)


def test_the_shipped_journeys_and_segments_are_there_unless_they_are_left_out() -> None:
    assert ContentSettings(journeys=("tests.support.gift_journeys",)).packages[0] == SHIPPED
    alone = ContentSettings(journeys=("tests.support.gift_journeys",), shipped_journeys=("none",))
    registry = load(alone.packages)
    assert [*registry.journeys] == ["gift"]
    assert registry.segments == {}


def test_a_deployment_may_have_no_journey_at_all() -> None:
    assert loaded("none").journeys == {}


def test_a_deployment_plays_the_shipped_journeys_that_it_names_as_they_are_released() -> None:
    everything, some = loaded("all"), loaded("win_back, welcome")
    assert [*some.journeys] == ["welcome", "win_back"]
    apart = {name for name, one in everything.segments.items() if one.function.__module__.endswith(".pattern_change")}
    assert {*some.segments} == {*everything.segments} - apart, "a segment in a journey's own file comes with it"
    for name, journey in some.journeys.items():
        whole = everything.journeys[name]
        assert (journey.version, {*journey.versions}) == (whole.version, {*whole.versions})
        assert journey.version > 0, "Named alone a journey would play without its release."
        assert some.releases[name] == everything.releases[name]


def test_who_has_a_ladder_gives_tiers_by_it_alone() -> None:
    assert load((SHIPPED,)).rules.closed == frozenset()
    rules = load((SHIPPED, "workflows.programs.casino")).rules
    assert rules.closed == {"tier_up"}
    assert rules.closing(frozenset({"welcome"})).closed == {"tier_up", "welcome"}
    assert rules.closing(frozenset()).closed == {"tier_up"}, "opening it by hand does not open it"
    assert "tier_up" in rules.journeys, "runs under way go on"


def test_every_shipped_journey_can_be_named() -> None:
    everything = loaded("all").journeys
    assert loaded(",".join(everything)).journeys.keys() == everything.keys()


@pytest.mark.parametrize("chosen", ["welcom", "welcome,all", "none,welcome", "segments", "releases"])
def test_a_wrong_name_is_told_with_the_right_ones(chosen: str) -> None:
    with pytest.raises(DesignError, match=r"SHIPPED_JOURNEYS names \w+; write all, none, or some of abandoned_"):
        loaded(chosen)
