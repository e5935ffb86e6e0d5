"""The programs that are shipped: what a player of each lives through."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.testing.players import make
from stage.world.world import World
from workflows import (
    ContactVerified,
    DepositApproved,
    Event,
    FeedbackAnswered,
    LimitChanged,
    PlayerRegistered,
    RoundCompleted,
    days,
    hours,
)
from workflows.programs.service_centre import ContactHandled, PurchaseMade, ReviewWritten
from workflows.rules.segments import Statistics
from workflows.source.journey_loading import load

CASINO, CENTRE = "workflows.programs.casino", "workflows.programs.service_centre"
#: A Monday.
MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)


class Place(World):
    """A world with one program and one player in Kyiv."""

    def __init__(self, program: str) -> None:
        super().__init__(load((program,)), read_template_facts([SHIPPED_TEMPLATES]), MORNING)
        self.told = 0
        self.happens(PlayerRegistered, timezone="Europe/Kyiv", language="uk", opted_in=["in_app"])

    def happens(self, kind: type[Event], times: int = 1, /, **data: Any) -> None:
        for _ in range(times):
            self.told += 1
            own = {kind.unique_field: f"u{self.told}"} if kind.unique_field else {}
            self.happen("p", make(kind, own | data, event_id=f"e{self.told}", occurred_at=self.now))
        self.advance_to(self.now)

    def plays(self, *games: str, category: str = "slot") -> None:
        for game in games:
            self.happens(RoundCompleted, game_id=game, category=category, stake_minor=10_000, win_minor=0)

    @property
    def available(self) -> int:
        loyalty = self.player("p").loyalty
        return 0 if loyalty is None else sum(one.available for one in loyalty.points.values())

    @property
    def badges(self) -> set[str]:
        loyalty = self.player("p").loyalty
        return set() if loyalty is None else {*loyalty.badges}


@pytest.fixture
def casino() -> Iterator[Place]:
    with Place(CASINO) as opened:
        yield opened


@pytest.fixture
def centre() -> Iterator[Place]:
    with Place(CENTRE) as opened:
        yield opened


class TestCasino:
    def test_it_has_six_tiers_ten_missions_a_wheel_and_a_raffle_in_three_languages(self) -> None:
        program = load((CASINO,)).loyalty
        assert program.ladder is not None
        assert (len(program.ladder.tiers), len(program.missions)) == (6, 10)
        assert {*program.wheels} == {"daily_wheel"}
        assert {*program.raffles} == {"weekly_draw"}
        for one in program.missions.values():
            words = {one.description(language) for language in ("en", "ru", "uk")}
            assert len(words) == 3, f"{one.name} says the same in several languages"

    def test_play_earns_points_and_deposits_lift_through_the_tiers(self, casino: Place) -> None:
        casino.plays("a", "b")
        assert casino.available == 20
        casino.happens(DepositApproved, 10)
        assert casino.player("p").facts["tier"] == "silver"

    def test_the_mission_of_the_week_is_begun_filled_and_claimed(self, casino: Place) -> None:
        assert casino.press("p", "opt_in", "three_games") is None
        casino.plays("a", "b", "c")
        before = casino.available
        assert casino.press("p", "claim", "three_games") is None
        assert casino.available == before + 200

    def test_flowers_are_found_one_after_the_other(self, casino: Place) -> None:
        for mission, category in (("first_bud", "slot"), ("then_leaf", "table"), ("then_flower", "live")):
            casino.plays("g", category=category)
            assert casino.press("p", "claim", mission) is None
        assert "gardener" in casino.badges

    def test_a_tighter_limit_and_a_confirmed_address_are_worth_badges_and_never_points(self, casino: Place) -> None:
        casino.happens(ContactVerified, channel="email")
        casino.happens(LimitChanged, direction="looser")
        assert casino.press("p", "claim", "own_limit") == "not_completed"
        casino.happens(LimitChanged, direction="tighter")
        for mission in ("own_limit", "confirmed_address"):
            assert casino.press("p", "claim", mission) is None
        assert (casino.badges, casino.available) == ({"in_control", "reachable"}, 0)

    def test_the_wheel_is_spun_once_a_day(self, casino: Place) -> None:
        assert casino.press("p", "spin", "daily_wheel") is None
        assert casino.press("p", "spin", "daily_wheel") == "no_attempts"
        casino.advance_to(casino.now + days(1))
        assert casino.press("p", "spin", "daily_wheel") is None

    def test_everything_it_gives_is_for_everybody_who_may_be_given_points(self) -> None:
        """Under every policy that is shipped: nothing of it is money, or counts more for who plays at once."""
        program = load((CASINO,)).loyalty
        gives = [prize for one in program.wheels.values() for prize in one.prizes]
        gives += [prize for raffle in program.raffles.values() for prize in raffle.prizes]
        assert {prize.name for prize in gives} == {"points", "raffle_ticket"}
        assert {one.prize_kind for one in program.missions.values()} == {"points", "badge", "piece"}
        assert all(one.function(Statistics(Place(CASINO).player("p"), MORNING)) for one in program.missions.values())


class TestServiceCentre:
    def test_contacts_purchases_reviews_and_surveys_earn(self, centre: Place) -> None:
        centre.happens(ContactHandled)
        centre.happens(PurchaseMade, amount_minor=12_345)
        centre.happens(ReviewWritten, stars=1)
        centre.happens(FeedbackAnswered, kind="nps", score=2)
        assert centre.available == 5 + 123 + 20 + 10

    def test_five_stars_earn_no_more_than_one_and_a_day_is_capped(self, centre: Place) -> None:
        centre.happens(ReviewWritten, 9, stars=5)
        assert centre.available == 40

    def test_who_comes_often_rises_and_the_desk_hears_of_it(self, centre: Place) -> None:
        centre.happens(ContactHandled, 5)
        centre.advance_to(centre.now + hours(1))
        assert centre.player("p").facts["tier"] == "regular"
        told = [one.detail for one in centre.story if one.step == "webhook:served_first#1"]
        assert told == [{"level": "regular"}]
