"""Tiers: up with the event that reached them, down one step at an announced review and never otherwise."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.outside_packages import Write, mistakes
from tests.unit.test_points import NOON, POINTS, Played, a_deposit, a_round
from workflows import (
    DepositApproved,
    Event,
    ExclusionSet,
    Player,
    PointsChanged,
    RoundCompleted,
    TierAtRisk,
    TierChanged,
    at_least,
    count,
    days,
    distinct,
    journey,
    ladder,
    on,
    per,
    points,
    tier,
    total,
)
from workflows.errors import DesignError
from workflows.loyalty.program import LoyaltyProgram
from workflows.loyalty.tier_standing import standing
from workflows.player_state.decisions import Start
from workflows.rules.index import RuleIndex
from workflows.rules.series import value
from workflows.source.journey_loading import load

STAKES = total(RoundCompleted, "stake_minor", last=days(90))
HOUSE = ladder(
    "house",
    by=count(DepositApproved),
    tiers=[tier("bronze", 1), tier("silver", 3), tier("gold", 5)],
    keeps={"gold": at_least(STAKES, 5_000), "silver": at_least(STAKES, 1_000)},
    safe_after_up=days(40),
)


@journey(on(TierChanged), entry=per("event_id"), ends_after=days(1))
async def moved(player: Player, change: TierChanged) -> None:
    """Somebody moved."""
    await player.mark(change.to)


@journey(on(TierAtRisk), entry=per("event_id"), ends_after=days(1))
async def warned(player: Player, _risk: TierAtRisk) -> None:
    """Somebody will fall."""
    await player.mark("warned")


RULES = RuleIndex(
    {run.definition.name: run.definition for run in (moved, warned)}, {}, LoyaltyProgram.of([POINTS, HOUSE])
)


class Climber(Played):
    """A player, with what journeys began with because of tiers."""

    def __init__(self) -> None:
        super().__init__(rules=RULES)
        self.told: list[Event] = []

    def keep(self, decisions: Any) -> None:
        self.told += [one.trigger for one in decisions if isinstance(one, Start) and one.trigger is not None]
        super().keep(decisions)

    def deposits(self, times: int, now: datetime = NOON) -> "Climber":
        for number in range(times):
            self.happens(a_deposit(1_000, now, number=number), now=now)
        return self

    def until(self, end: datetime) -> "Climber":
        """Every moment that comes until then is noticed."""
        while (due := self.state.next_moment) is not None and due <= end:
            self.ticks(due)
        return self

    @property
    def tier(self) -> str | None:
        told: str | None = self.state.facts.get("tier")
        return told

    def words(self) -> list[str]:
        return [
            f"{one.direction} {one.to}" if isinstance(one, TierChanged) else f"risk {one.falls_to}"
            for one in self.told
            if isinstance(one, TierChanged | TierAtRisk)
        ]


class TestUp:
    @settings(max_examples=examples(50))
    @given(st.integers(0, 8))
    def test_i16_a_tier_rises_with_the_event_and_each_step_is_told_once(self, times: int) -> None:
        climber = Climber().deposits(times)
        reached = [one.name for one in HOUSE.tiers if one.at <= times]
        assert climber.tier == (reached[-1] if reached else None)
        assert climber.words() == [f"up {name}" for name in reached]

    def test_one_event_through_several_steps_tells_each(self) -> None:
        rich = ladder(
            "house", by=total(DepositApproved, "amount_minor"), tiers=[tier("a", 1), tier("b", 5), tier("c", 9)]
        )
        climber = Climber()
        climber.rules = RuleIndex({"moved": moved.definition}, {}, LoyaltyProgram.of([rich]))
        climber.happens(a_deposit(9))
        assert climber.tier == "c"
        assert [(one.from_tier, one.to) for one in climber.told if isinstance(one, TierChanged)] == [(None, "a")]
        assert len({one.event_id for one in climber.told}) == len(climber.told)

    def test_an_import_sets_the_tier_and_tells_nobody(self) -> None:
        climber = Climber()
        for number in range(5):
            climber.happens(a_deposit(1_000, number=number), mode="history")
        assert (climber.tier, climber.told) == ("gold", [])

    def test_i15_spending_points_moves_no_tier(self) -> None:
        climber = Climber().deposits(3)
        climber.keep(climber.state.award(POINTS, points(50), "r", NOON))
        assert climber.tier == "silver"


class TestDown:
    def test_i17_who_misses_what_keeps_the_tier_is_warned_and_falls_one_step(self) -> None:
        climber = Climber().deposits(5)
        climber.until(NOON + days(365))
        assert climber.words()[3:] == ["risk silver", "down silver", "risk bronze", "down bronze"]
        risk, down, *_ = climber.told[3:]
        assert isinstance(risk, TierAtRisk)
        assert down.occurred_at - risk.occurred_at >= HOUSE.warn
        assert down.occurred_at == risk.falls_at
        assert down.occurred_at >= NOON + HOUSE.safe_after_up
        assert climber.tier == "bronze"

    def test_who_does_in_time_what_keeps_the_tier_keeps_it(self) -> None:
        climber = Climber().deposits(5)
        warning = NOON
        while not any(isinstance(one, TierAtRisk) for one in climber.told):
            assert climber.state.next_moment is not None
            warning = climber.state.next_moment
            climber.ticks(warning)
        climber.happens(a_round(5_000, warning), now=warning)
        climber.until(warning + HOUSE.warn + days(1))
        assert climber.tier == "gold"

    def test_nobody_falls_while_protected(self) -> None:
        out = ExclusionSet(event_id="x", event_source="s", occurred_at=NOON, kind="self_exclusion", until=None)
        climber = Climber().deposits(5)
        climber.happens(out).until(NOON + days(365))
        assert climber.tier == "gold"

    @settings(max_examples=examples(50))
    @given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 6_000)), max_size=8), st.integers(0, 8))
    def test_no_review_takes_more_than_one_step_or_comes_unannounced(
        self, rounds: list[tuple[int, int]], deposits: int
    ) -> None:
        climber = Climber().deposits(deposits)
        for day, stake in sorted(rounds):
            moment = NOON + days(day)
            climber.until(moment)
            climber.happens(a_round(stake, moment), now=moment)
        climber.until(NOON + days(500))
        names = [one.name for one in HOUSE.tiers]
        announced: TierAtRisk | None = None
        for one in climber.told:
            if isinstance(one, TierAtRisk):
                announced = one
            elif isinstance(one, TierChanged) and one.direction == "down":
                assert announced is not None
                assert one.occurred_at == announced.falls_at >= announced.occurred_at + HOUSE.warn
                assert one.from_tier is not None
                assert names.index(one.from_tier) - names.index(one.to) == 1
                announced = None

    def test_a_late_sweep_gives_the_notice_that_was_promised(self) -> None:
        climber = Climber().deposits(5)
        late = NOON + days(200)
        climber.ticks(late)
        assert climber.tier == "gold"
        climber.until(late + HOUSE.warn - timedelta(seconds=1))
        assert climber.tier == "gold"

    def test_without_the_ladder_nobody_moves_and_the_sweep_is_put_off(self) -> None:
        climber = Climber().deposits(5)
        climber.rules = RuleIndex({})
        later = NOON + days(100)
        climber.ticks(later)
        assert climber.tier == "gold"
        assert climber.state.next_moment is not None
        assert climber.state.next_moment > later


def test_the_gaps_that_a_player_is_shown() -> None:
    climber = Climber().deposits(3)
    climber.happens(a_round(400))
    state = climber.state

    def read(measure: Any) -> int:
        return value(state.series.get(measure.series, {}), measure, state.present(NOON))

    assert state.loyalty is not None
    shown = standing(HOUSE, state.loyalty.tiers["house"], read)
    assert (shown.tier, shown.next, shown.gap_to_next, shown.gap_to_keep) == ("silver", "gold", 2, 600)


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (lambda: ladder("x", by=count(PointsChanged), tiers=[tier("a", 1)]), "spending would cost players their tier"),
        (lambda: ladder("x", by=POINTS, tiers=[tier("a", 1)]), "takes a measure"),  # type: ignore[arg-type]
        (lambda: ladder("x", by=count(DepositApproved), tiers=[tier("a", 5), tier("b", 5)]), "lowest to the highest"),
        (lambda: ladder("x", by=count(DepositApproved), tiers=[tier("a", 1), tier("a", 5)]), "two tiers of one name"),
        (
            lambda: ladder("x", by=count(DepositApproved), tiers=[tier("a", 1)], keeps={"b": at_least(STAKES, 1)}),
            "none of its tiers",
        ),
        (lambda: ladder("x", by=count(DepositApproved), tiers=[tier("a", 1)], warn=days(40)), "warning must lie"),
        (lambda: ladder("x", by=distinct(RoundCompleted, "game_id"), tiers=[tier("a", 500)]), "most=500"),
        (lambda: at_least(STAKES, 0), "asks for nothing"),
    ],
)
def test_a_ladder_that_would_not_be_fair_is_refused(declare: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(DesignError, match=sentence):
        declare()


GIVERS = """
from workflows import DepositApproved, Player, always, count, days, journey, ladder, on, tier, tier_upgrade

{ladder}


@journey(on(DepositApproved), entry=always, ends_after=days(1))
async def raises(player: Player, deposit: DepositApproved) -> None:
    await player.{verb}(tier_upgrade("gold"))
"""
LADDER = "house = ladder('house', by=count(DepositApproved), tiers=[tier('gold', 50)])"


def test_a_journey_that_asks_the_bonus_engine_for_a_tier_cannot_stand_beside_a_ladder(package: Write) -> None:
    (told,) = mistakes(package({"both": GIVERS.format(ladder=LADDER, verb="grant")}))
    assert re.search(r"Journey raises, line 9: .* the ladder house says who has which; write player.award", told)


@pytest.mark.parametrize(("ladder", "verb"), [("", "grant"), (LADDER, "award")])
def test_either_alone_gives_tiers(package: Write, ladder: str, verb: str) -> None:
    assert load((package({"one": GIVERS.format(ladder=ladder, verb=verb)}),)).left_out == frozenset()
