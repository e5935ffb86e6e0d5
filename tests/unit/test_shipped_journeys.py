"""What a deployment plays when it wants nothing of what the engine ships with."""

from content.settings import ContentSettings
from workflows.source.registry import SHIPPED, load


def test_the_shipped_journeys_and_segments_are_there_unless_they_are_left_out() -> None:
    assert ContentSettings(journeys=("tests.support.gift_journeys",)).packages[0] == SHIPPED
    alone = ContentSettings(journeys=("tests.support.gift_journeys",), shipped_journeys="none")
    registry = load(alone.packages)
    assert [*registry.journeys] == ["gift"]
    assert registry.segments == {}


def test_a_deployment_may_have_no_journey_at_all() -> None:
    assert load(ContentSettings(shipped_journeys="none").packages).journeys == {}
