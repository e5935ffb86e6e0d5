"""What a rehearsal says of points is what the journal of production says, and two rates stand side by side."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.backtest.counts import BacktestCounts, counts_of
from stage.backtest.metrics import PointMonth, points_by_month
from stage.world.world import World
from workflows import PlayerRegistered, RoundCompleted, days
from workflows.loyalty.program import LoyaltyProgram
from workflows.source.journey_loading import SHIPPED, Registry, load

REGISTRY = load((SHIPPED, "tests.support.shop_journeys"))
BEGIN = datetime(2026, 3, 9, 9, tzinfo=UTC)


def doubled(registry: Registry) -> Registry:
    """The same program with every rate twice as high."""
    program = registry.loyalty
    rules = {
        kind: tuple(replace(one, rate=(2 * one.rate[0], one.rate[1])) for one in rules)
        for kind, rules in program.earn_rules.items()
    }
    assert isinstance(program, LoyaltyProgram)
    return replace(registry, loyalty=replace(program, earn_rules=rules))


def played(registry: Registry) -> BacktestCounts:
    """Two players play for a month; one of them buys spins, and the other's points expire."""
    with World(registry, read_template_facts([SHIPPED_TEMPLATES]), BEGIN) as world:
        for player in ("p", "q"):
            about: dict[str, Any] = {"event_source": "/t", "occurred_at": world.now}
            world.happen(player, PlayerRegistered(event_id="r", timezone="Europe/London", **about))
            game: dict[str, Any] = {"round_id": "r", "game_id": "g", "category": "slot", "win_minor": 0}
            world.happen(player, RoundCompleted(event_id="g", stake_minor=100_000, **game, **about))
        world.advance_to(world.now + timedelta(hours=2))
        assert world.buy("p", "spins-20") is None
        world.advance_to(world.now + days(100))
        return counts_of(world, {}, {})


def test_a_rehearsal_says_what_points_come_to_by_month() -> None:
    counts = BacktestCounts.from_json(played(REGISTRY).to_json())
    march, june = points_by_month(counts)
    assert march == PointMonth(
        currency="points",
        month=date(2026, 3, 1),
        issued=2_000,
        redeemed=500,
        expired=0,
        taken_back=0,
        liability=1_500,
        active_players=2,
        breakage_pct=0.0,
        inflation_pct=None,
        cost_per_active_player=250.0,
    )
    assert (june.expired, june.liability, june.breakage_pct) == (1_500, 0, 100.0)


def test_twice_the_rate_beside_the_rate_that_is() -> None:
    before, after = (points_by_month(played(one))[0] for one in (REGISTRY, doubled(REGISTRY)))
    assert (after.issued, after.redeemed) == (2 * before.issued, before.redeemed)
    assert after.liability - before.liability == before.issued
