"""What a batch is refused of ends of self-exclusions that come before their minimum."""

from datetime import timedelta

import pytest

from activities.intake.exclusion_minimum import EarlyEnds, EndsTooEarly, SelfExclusionMinimum, TooEarly
from tests.support.gate import NOON
from workflows import ExclusionEnded, ExclusionSet
from workflows.player_state.ordering import Word
from workflows.player_state.state import PlayerState

LEAST = timedelta(hours=24)


def end(name: str, hours: int) -> ExclusionEnded:
    at = NOON + timedelta(hours=hours)
    return ExclusionEnded(event_id=name, event_source="/test", occurred_at=at, kind="self_exclusion")


def test_every_copy_of_an_early_end_is_refused_with_it() -> None:
    """Else the second copy would be new once the first is left out, and each copy would cost an attempt of its own."""
    state = PlayerState("acme", "p")
    begun = ExclusionSet(event_id="set", event_source="/test", occurred_at=NOON, kind="self_exclusion", until=None)
    state.learn(begun, Word(NOON, live=True))
    batch = [("p", end("early", 1)), ("p", end("early", 1)), ("q", end("early", 1)), ("p", end("due", 24))]
    with pytest.raises(EndsTooEarly) as refused:
        EarlyEnds(SelfExclusionMinimum(LEAST)).look("acme", batch, {0, 3}, {"p": state}, NOON + timedelta(hours=25))
    assert refused.value.refusals == dict.fromkeys((0, 1), TooEarly(NOON, LEAST))
