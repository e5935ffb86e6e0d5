"""The shop in a rehearsal: an order is a run, and its points are the house's or the player's again when it is over."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.testing.rehearsal import Rehearse, player
from stage.world.faults import Faults, away
from stage.world.world import World
from workflows import ExclusionSet, ItemPurchased, PlayerRegistered, RoundCompleted, days, free_spins, gift
from workflows.journeys.shop_order import ParcelToSend, shop_order
from workflows.loyalty.postings import recomputed
from workflows.source.journey_loading import SHIPPED, load

MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)
REGISTRY = load((SHIPPED, "tests.support.shop_journeys"))
ROUND: dict[str, Any] = {"round_id": "r", "game_id": "g", "category": "slot", "win_minor": 0}
PURCHASE: dict[str, Any] = {"purchase_id": "o-1", "item": "it", "price": 200, "currency": "points", "to_deliver": True}


class Casino(World):
    """A world with one player in London who has 1,000 points."""

    def __init__(self, faults: Faults | None = None) -> None:
        super().__init__(REGISTRY, read_template_facts([SHIPPED_TEMPLATES]), MORNING, faults=faults)
        self.told = 0
        self.happens(PlayerRegistered, timezone="Europe/London")
        self.happens(RoundCompleted, **ROUND, stake_minor=100_000)

    def happens(self, event_type: type[Any], **data: Any) -> None:
        self.told += 1
        envelope = {"event_id": f"e{self.told}", "event_source": "/test", "occurred_at": self.now}
        self.happen("p", event_type(**envelope, **data))

    def passes(self, duration: timedelta) -> None:
        self.advance_to(self.now + duration)

    @property
    def points(self) -> tuple[int, int]:
        """What may be spent, and what is held."""
        loyalty = self.player("p").loyalty
        assert loyalty is not None
        account = loyalty.account("points")
        told = recomputed(one for _, one in self.transfers).account("points")
        assert (told.available, told.held) == (account.available - account.unposted, account.held)
        return account.available, account.held


@pytest.fixture
def casino() -> Iterator[Casino]:
    with Casino() as opened:
        yield opened


def test_an_order_of_spins_is_granted_and_paid(casino: Casino) -> None:
    assert casino.buy("p", "spins-20") is None
    casino.passes(timedelta(minutes=1))
    assert casino.points == (500, 0)
    assert [(one.kind, one.status) for one in casino.grants] == [("free_spins", "confirmed")]
    assert [one.state for one in casino.purchases] == ["fulfilled"]
    assert casino.buy("p", "spins-20") == "limit_reached"
    casino.passes(days(7))
    assert casino.buy("p", "spins-20") is None, "one a week"


def test_a_parcel_nobody_sends_gives_points_and_stock_back(casino: Casino) -> None:
    assert casino.buy("p", "last-mug") is None
    assert casino.points == (800, 200)
    assert casino.buy("p", "last-mug") == "out_of_stock"
    casino.passes(days(11))
    assert casino.points == (1_000, 0)
    assert [one.state for one in casino.purchases] == ["refunded"]
    assert casino.buy("p", "last-mug") is None


def test_case_18_an_exclusion_stops_the_order_and_gives_the_points_back(casino: Casino) -> None:
    assert casino.buy("p", "last-mug") is None
    casino.happens(ExclusionSet, kind="self_exclusion")
    casino.passes(timedelta(minutes=1))
    assert casino.points == (1_000, 0)
    assert casino.buy("p", "badge") == "self_excluded"


def test_i15_what_is_given_in_the_purchase_is_paid_in_it(casino: Casino) -> None:
    assert casino.buy("p", "badge") is None
    loyalty = casino.player("p").loyalty
    assert loyalty is not None
    assert [*loyalty.badges] == ["patron"]
    assert casino.points == (990, 0)


def test_the_house_gives_so_many_points_a_day_on_the_stage_too(casino: Casino) -> None:
    assert [casino.buy("p", "gems-5") for _ in range(3)] == [None, None, "house_gives_no_more"]
    casino.passes(days(1))
    assert casino.buy("p", "gems-5") is None


def test_a_grant_in_doubt_keeps_the_points_held() -> None:
    with Casino(away("bonus_engine", until=MORNING + days(60))) as casino:
        assert casino.buy("p", "spins-20") is None
        casino.passes(days(40))
        assert [one.status for one in casino.grants if one.journey == "shop_order"] == ["unknown"]
        assert [one.state for one in casino.purchases] == ["reserved"]
        assert casino.points == (500, 500)


class TestTheOrder:
    async def test_a_reward_goes_through_the_bonus_engine(self, rehearse: Rehearse) -> None:
        run = await rehearse(
            shop_order, player(), trigger=ItemPurchased, **PURCHASE, gives=free_spins(20, max_win=10_000)
        )
        assert (run.granted, run.asked, run.ended) == (["free_spins"], [], "completed")

    async def test_a_parcel_is_a_persons_who_is_reminded(self, rehearse: Rehearse) -> None:
        run = await rehearse(shop_order, player(), trigger=ItemPurchased, **PURCHASE, gives=gift("mug", value=800))
        assert (run.granted, run.asked, run.ended) == ([], ["ParcelToSend"], None)
        await run.answers(ParcelToSend(outcome="sent"))
        assert run.ended == "completed"
