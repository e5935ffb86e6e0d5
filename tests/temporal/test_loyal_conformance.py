"""Loyalty in both theatres: what journeys award, multiply and give spins of leaves the same trace.

Beside `test_conformance.py`, which plays the shipped journeys.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert

from activities.loyalty_tables import wheel_days
from stage.world.player_buttons import stage_seed
from tests.support.conformance import (
    History,
    Pressing,
    beginning,
    differences,
    happens,
    on_the_server,
    on_the_stage,
    real,
    registers,
)
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from tests.support.stage_servers import skipping
from tests.support.temporal_engine import BRAND
from workflows import (
    ContactVerified,
    ContentViewed,
    DepositApproved,
    ExclusionSet,
    KycChanged,
    RoundCompleted,
    days,
    hours,
    minutes,
)
from workflows.source.journey_loading import load

AT_ONCE = minutes(0)
GONE: dict[str, Any] = {"kind": "self_exclusion", "scope": "brand"}
PAST: dict[str, Any] = {"mode": "history"}
LOYAL = "tests.support.loyal_journeys"
ROUND: dict[str, Any] = {"category": "slot", "stake_minor": 4_000, "win_minor": 0}
LOYAL_HISTORIES: Mapping[str, History] = {
    "thanked": [registers(**PAST), happens(AT_ONCE, DepositApproved)],
    "not-thanked": [registers(**PAST, is_test=True), happens(AT_ONCE, DepositApproved)],
    "doubled": [
        registers(**PAST),
        happens(AT_ONCE, KycChanged, status="approved"),
        happens(minutes(30), RoundCompleted, **ROUND),
        happens(hours(3), RoundCompleted, **ROUND),
    ],
    "spun": [
        registers(**PAST),
        happens(AT_ONCE, ContactVerified, channel="email"),
        Pressing(hours(3) + minutes(7), "spin", "daily", key="a"),
    ],
    "spun-by-the-last-minute": [
        registers(**PAST),
        happens(AT_ONCE, ContactVerified, channel="email"),
        Pressing(days(2) - minutes(3), "spin", "daily", key="b"),
    ],
    "unplayed": [registers(**PAST), happens(AT_ONCE, ContactVerified, channel="email")],
    "invited-until-they-are-through": [
        registers(**PAST),
        happens(AT_ONCE, ContentViewed),
        happens(minutes(2), ContentViewed),
        *(happens(minutes(10), RoundCompleted, **ROUND, game_id=game) for game in ("a", "b", "c")),
        happens(hours(1), ContentViewed),
    ],
    "no-spin": [registers(**PAST, is_test=True), happens(AT_ONCE, ContactVerified, channel="email")],
    "gone": [
        registers(**PAST),
        happens(AT_ONCE, ContactVerified, channel="email"),
        happens(hours(1), ExclusionSet, **GONE),
        Pressing(hours(2), "spin", "daily", key="c"),
    ],
}


async def test_awards_multipliers_and_spins_leave_the_same_trace_in_both_theatres(
    postgres_url: str, bonus_engine: LocalBonusEngine, catch_all: LocalCatchAll
) -> None:
    variables = {
        "DATABASE_URL": postgres_url,
        "BONUS_ENGINE_URL": bonus_engine.url,
        "JOURNEYS": LOYAL,
        "SHIPPED_JOURNEYS": "none",
        **catch_all.environment,
    }
    registry, began = load((LOYAL,)), beginning(datetime.now(UTC))
    async with await skipping() as environment, real(environment, variables, began) as (theatre, trace):
        # The wheel of both theatres has the same seed a day, or each would land elsewhere.
        seeds = [
            {"brand": BRAND, "wheel": "daily", "day": day, "seed": stage_seed(0, "daily", day)}
            for day in ((began + days(n)).date().isoformat() for n in range(4))
        ]
        async with theatre.engine.database.transaction() as connection:
            await connection.execute(insert(wheel_days), seeds)
        server = await on_the_server(theatre, trace, LOYAL_HISTORIES, days(6))
    stage = on_the_stage(registry, LOYAL_HISTORIES, began, days(6))
    assert {effect["effect"] for run in stage.effects.values() for effect in run} >= {
        "award",
        "offer_spin",
        "close_spin",
    }
    marked = [e["step"] for run in stage.effects for e in stage.effects[run] if "invited" in e["step"]]
    assert sorted(marked) == ["mark:invited#1", "mark:invited#1", "mark:not_invited#1"]
    assert differences(stage, server) == []
