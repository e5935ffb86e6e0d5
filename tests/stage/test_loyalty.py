"""Loyalty on the stage: points come with events and by journeys, and the journal proves the row."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.world.world import World
from workflows import (
    ContactVerified,
    DepositApproved,
    ExclusionSet,
    KycChanged,
    PlayerRegistered,
    RoundCompleted,
    days,
    hours,
)
from workflows.loyalty.postings import recomputed
from workflows.source.journey_loading import load

MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)
REGISTRY = load(("tests.support.loyal_journeys",))
WHEELS = REGISTRY.loyalty.wheels
ROUND: dict[str, Any] = {"round_id": "r", "game_id": "g", "category": "slot", "win_minor": 0}


class Casino(World):
    """A world with one player in London."""

    def __init__(self, **options: Any) -> None:
        super().__init__(REGISTRY, read_template_facts([SHIPPED_TEMPLATES]), MORNING, **options)
        self.told = 0
        self.happens(PlayerRegistered, timezone="Europe/London", opted_in=["email"])

    def happens(self, event_type: type[Any], player_id: str = "p", /, **data: Any) -> None:
        self.told += 1
        envelope = {"event_id": f"e{self.told}", "event_source": "/test", "occurred_at": self.now}
        self.happen(player_id, event_type(**envelope, **data))

    def passes(self, duration: timedelta) -> None:
        self.advance_to(self.now + duration)

    def available(self, player: str = "p") -> int:
        loyalty = self.player(player).loyalty
        return 0 if loyalty is None else sum(one.available for one in loyalty.points.values())


@pytest.fixture
def casino() -> Iterator[Casino]:
    with Casino() as opened:
        yield opened


def test_rounds_earn_and_a_journey_awards_with_one_journal_for_both(casino: Casino) -> None:
    casino.happens(RoundCompleted, "p", **ROUND, stake_minor=12_500)
    casino.happens(DepositApproved, "p", payment_id="pay-1", amount_minor=5_000)
    casino.passes(hours(2))
    assert casino.available() == 62
    told = [(one.cause, one.amount) for _, one in casino.transfers]
    assert told == [("journey", 50), ("wager", 12)]
    assert [one.outcome for one in casino.story if one.step == "award:points#1"] == ["awarded"]
    assert recomputed(one for _, one in casino.transfers).account("points").available == 62
    casino.passes(days(92))
    assert casino.available() == 0
    assert [(one.cause, one.amount) for _, one in casino.transfers][2:] == [("expiry", 62)]


def test_i29_a_protected_player_is_awarded_nothing(casino: Casino) -> None:
    casino.player("p").facts["is_test"] = True
    casino.happens(DepositApproved, "p", payment_id="pay-1", amount_minor=5_000)
    casino.passes(hours(1))
    assert casino.available() == 0
    (line,) = [one for one in casino.story if one.step == "award:points#1"]
    assert (line.outcome, line.detail["reason"]) == ("withheld", "test_account")
    casino.happens(ExclusionSet, "p", kind="self_exclusion", until=None)
    assert casino.transfers == []


def test_a_mission_is_begun_filled_and_claimed_in_a_rehearsal(casino: Casino) -> None:
    casino.happens(RoundCompleted, **{**ROUND, "game_id": "a"}, stake_minor=100)
    assert casino.press("p", "claim", "three_games") == "not_completed"
    assert casino.press("p", "opt_in", "three_games") is None
    for game in ("a", "b", "c"):
        casino.happens(RoundCompleted, **{**ROUND, "game_id": game}, stake_minor=100)
    assert casino.press("p", "claim", "three_games") is None
    assert casino.press("p", "claim", "three_games") == "claimed"
    assert casino.available() == 200
    assert [(one.cause, one.ref) for _, one in casino.transfers] == [("mission", "mission three_games")]


def test_i23_the_budget_of_a_week_ends_for_everybody(casino: Casino) -> None:
    for player in ("a", "b", "c"):
        casino.happens(PlayerRegistered, player, timezone="Europe/London", opted_in=["email"])
        casino.happens(RoundCompleted, player, **ROUND, stake_minor=100)
        casino.press(player, "opt_in", "three_games")
        for game in ("a", "b", "c"):
            casino.happens(RoundCompleted, player, **{**ROUND, "game_id": game}, stake_minor=100)
    answers = [casino.press(player, "claim", "three_games") for player in ("a", "b", "c")]
    assert answers == [None, None, "budget_spent"]


def test_i29_after_an_exclusion_nothing_is_begun_or_claimed(casino: Casino) -> None:
    casino.happens(RoundCompleted, **ROUND, stake_minor=100)
    casino.press("p", "opt_in", "three_games")
    for game in ("a", "b", "c"):
        casino.happens(RoundCompleted, **{**ROUND, "game_id": game}, stake_minor=100)
    casino.happens(ExclusionSet, kind="self_exclusion", until=None)
    assert casino.press("p", "claim", "three_games") == "self_excluded"
    assert casino.press("p", "opt_in", "three_games") == "self_excluded"


def told(casino: Casino, step: str) -> list[tuple[str, Any]]:
    """The lines of a step: what it came to, and of what the gate said."""
    return [(one.outcome, one.detail.get("reason")) for one in casino.story if one.step == step]


def verified(casino: Casino) -> None:
    casino.happens(ContactVerified, channel="email")
    casino.passes(hours(1))


def test_a_journey_gives_a_spin_and_hears_what_came_of_it(casino: Casino) -> None:
    verified(casino)
    assert casino.player("p").spins_left(WHEELS["daily"], casino.now) == 3, "two of the day and the one given"
    assert [casino.press("p", "spin", "daily") for _ in range(3)] == [None] * 3
    casino.passes(hours(1))
    spun = casino.spins[-1]
    assert [one.given_by is None for one in casino.spins] == [True, True, False], "those of the day end first"
    assert spun.prize is not None
    assert told(casino, "spin:daily#1") == [("offered", None), ("spun", None)]
    (mark,) = [one for one in casino.story if one.step == "mark:spun#1"]
    assert mark.detail == {"points": spun.prize.awarded_points, "proof": spun.spin_id}
    assert casino.available() == sum(one.prize.awarded_points for one in casino.spins if one.prize)
    assert casino.player("p").spins_left(WHEELS["daily"], casino.now) == 0


def test_a_spin_that_nobody_makes_is_taken_back(casino: Casino) -> None:
    verified(casino)
    casino.passes(days(2))
    assert told(casino, "spin:daily#1")[-1][0] == "unplayed"
    assert casino.player("p").given_spins("daily", casino.now) == []
    assert [one.outcome for one in casino.story if one.step == "mark:unplayed#1"] == ["marked"]


def test_i29_a_spin_is_withheld_from_a_protected_player(casino: Casino) -> None:
    casino.player("p").facts["is_test"] = True
    verified(casino)
    assert told(casino, "spin:daily#1") == [("withheld", "test_account")]
    assert casino.press("p", "spin", "daily") == "test_account"
    assert casino.spins == []


def test_the_same_world_spins_the_same_and_another_seed_another() -> None:
    def spun(seed: int) -> list[int]:
        with Casino(seed=seed) as other:
            for _ in range(60):
                other.press("p", "spin", "lucky_bag", client_seed="x")
            return [one.drawn for one in other.spins]

    assert spun(1) == spun(1) != spun(2)


def test_every_kind_of_prize_is_settled_and_blanks_end_with_the_guarantee(casino: Casino) -> None:
    for _ in range(WHEELS["lucky_bag"].plays):
        assert casino.press("p", "spin", "lucky_bag") is None
    assert casino.press("p", "spin", "lucky_bag") == "no_attempts"
    kinds = {None if one.prize is None else one.prize.name for one in casino.spins}
    assert kinds == {None, "multiplier", "mission", "raffle_ticket", "free_spins", "points"}
    state = casino.player("p")
    assert state.loyalty is not None
    assert state.loyalty.points["points"].windows[0].factor == 200
    assert state.loyalty.missions["three_games"].current is not None
    assert {(given.raffle, given.count) for _, given in casino.tickets} == {("spring", 3)}
    assert {(grant.kind, grant.journey) for grant in casino.grants} == {("free_spins", "")}
    blanks = 0
    for one in casino.spins:
        blanks = blanks + 1 if one.prize is None else 0
        assert blanks <= 3, "the fourth blank in a row gives what was promised"
    assert any(one.instead == "guarantee" for one in casino.spins)


def test_a_journey_awards_tickets_and_double_points(casino: Casino) -> None:
    casino.happens(KycChanged, status="approved")
    casino.passes(hours(1))
    casino.happens(RoundCompleted, "p", **ROUND, stake_minor=10_000)
    assert casino.available() == 20
    assert [(player, given.count) for player, given in casino.tickets] == [("p", 2)]
