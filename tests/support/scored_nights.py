"""Nights on which players are scored, on Postgres, by models of an invented casino."""

import random
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from activities.clock import Clock
from activities.loops.score_learning import ScoreLearning
from activities.score_models import keep_model
from activities.tables import events
from learning.churn import ChurnModel, learn_churn
from learning.churn_features import PastDeposit
from tests.support.engine import BRAND, Effects, rows
from workflows import DepositApproved, ScoreChanged

#: Players of the invented casino.
PLAYERS = 480
NIGHT = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0)


def learning(
    parts: Effects, *, reads_scores: Collection[str] = ("churn",), at_once: int = 5_000, clock: Clock | None = None
) -> ScoreLearning:
    casino = parts.casino
    return ScoreLearning(
        parts.database,
        casino.intake,
        clock or casino.clock,
        reads_scores=reads_scores,
        in_process=True,
        at_once=at_once,
    )


def invented(players: int) -> dict[str, list[PastDeposit]]:
    """Players who come at a pace of their own until they leave for good."""
    drawn, found = random.Random(4), {}
    for number in range(players):
        pace, at = drawn.choice([1.0, 2.0, 6.0]), NIGHT - timedelta(days=drawn.uniform(60, 360))
        deposits = []
        while at < NIGHT:
            deposits.append(PastDeposit(at, 2_000))
            if drawn.random() < 0.03:
                break
            at += timedelta(days=drawn.expovariate(1 / pace))
        found[f"m-{number}"] = deposits
    return found


async def deposited(parts: Effects, player: str, *ago: int) -> None:
    """A player who deposited so many days ago, as imported history."""
    now = parts.casino.clock.now
    for days in ago:
        parts.casino.clock.now = now - timedelta(days=days)
        await parts.casino.happens(player, DepositApproved, mode="history", amount_minor=2_000)
    parts.casino.clock.now = now


@cache
def learned() -> ChurnModel:
    """Of the invented players; learned once, for it takes seconds."""
    model = learn_churn(invented(PLAYERS), NIGHT)
    assert isinstance(model, ChurnModel)
    return model


async def with_model(parts: Effects) -> ChurnModel:
    """A champion, whatever its figures."""
    model = learned()
    async with parts.database.transaction() as connection:
        await keep_model(connection, BRAND, "churn", model.model_dump(mode="json"), "champion", "made", NIGHT)
    return model


async def told(parts: Effects, player: str) -> list[dict[str, Any]]:
    found = await rows(parts.database, events, player_id=player, type=ScoreChanged.type)
    return [row["data"] for row in sorted(found, key=lambda row: row["occurred_at"])]
