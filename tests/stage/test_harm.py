"""Signs of harm on the stage: pauses, reviews that are due, offers that are taken back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.world.world import World
from workflows import DepositApproved, HarmReviewed, HarmSignal, PlayerRegistered, RoundCompleted, days, hours
from workflows.source.journey_loading import load

MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)
REGISTRY = load(("tests.support.harm_journeys",))
ROUND: dict[str, Any] = {"round_id": "r", "game_id": "g", "category": "slot", "stake_minor": 100_000, "win_minor": 0}
PAYMENT: dict[str, Any] = {"payment_id": "pay-1", "amount_minor": 5_000}


class Casino(World):
    """A world with one player."""

    def __init__(self) -> None:
        super().__init__(REGISTRY, read_template_facts([SHIPPED_TEMPLATES]), MORNING)
        self.told = 0
        self.happens(PlayerRegistered, timezone="Europe/London", opted_in=["email"])

    def happens(self, kind: type[Any], /, **data: Any) -> None:
        self.told += 1
        self.happen("p", kind(event_id=f"e{self.told}", event_source="/test", occurred_at=self.now, **data))
        self.passes(timedelta(minutes=1))

    def passes(self, duration: timedelta) -> None:
        self.advance_to(self.now + duration)

    @property
    def given(self) -> list[tuple[str, str, str | None]]:
        return [(grant.kind, grant.status, grant.reason) for grant in self.grants]


@pytest.fixture
def casino() -> Iterator[Casino]:
    with Casino() as opened:
        yield opened


def test_a_journey_pauses_promotions_and_they_go_on_when_the_time_is_over(casino: Casino) -> None:
    casino.happens(RoundCompleted, **ROUND)
    assert casino.given == [("points", "refused", "promotions_paused")]
    assert casino.player("p").watch.paused_until == MORNING + timedelta(minutes=1) + hours(72)
    casino.passes(hours(73))
    assert casino.given == [("points", "refused", "promotions_paused"), ("points", "confirmed", None)]
    (line,) = [one for one in casino.story if one.step == "pause_promotions#1"]
    assert (line.outcome, line.detail["why"]) == ("paused", "a large loss")


@pytest.mark.parametrize(("after", "status"), [(days(6), "revoked"), (days(7), "confirmed")])
def test_a_strong_sign_takes_offers_back_and_is_due_for_a_review(casino: Casino, after: timedelta, status: str) -> None:
    casino.happens(DepositApproved, **PAYMENT)
    casino.passes(after)
    casino.happens(HarmSignal, indicator="chasing", strength="strong")
    assert [grant.status for grant in casino.grants] == [status]
    ((player, review),) = casino.reviews
    assert (player, [name for name, _ in review.signs]) == ("p", ["chasing/strong"])
    casino.happens(DepositApproved, **PAYMENT)
    assert casino.given[-1] == ("free_spins", "refused", "harm_signal")
    casino.happens(HarmReviewed, to="none", reason="A windfall.", task_id=review.task_id)
    casino.passes(days(9))
    casino.happens(DepositApproved, **PAYMENT)
    assert [reason for _, _, reason in casino.given][-1] is None
