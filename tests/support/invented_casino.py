"""A casino made up for what learns: players of whom each comes at a pace of their own, with sums of their own."""

import csv
import os
import random
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from learning.churn_features import PastDeposit

REAL_LOG = Path(os.environ.get("LOG") or Path(__file__).parents[2].parent / "shared" / "data" / "casino_deposits.csv")


def invented(seed: int, players: int, now: datetime, *, days: int = 520) -> dict[str, list[PastDeposit]]:
    """Players who come until they leave for good; a few of them bring most of the money."""
    drawn = random.Random(seed)
    found = {}
    for number in range(players):
        pace, at = drawn.lognormvariate(1.5, 0.8), now - timedelta(days=drawn.uniform(20, days))
        usual = drawn.lognormvariate(8, 1.2)
        deposits = []
        while at < now:
            deposits.append(PastDeposit(at, 1 + round(usual * drawn.lognormvariate(0, 0.5))))
            if drawn.random() < 0.04:
                break
            at += timedelta(days=drawn.expovariate(1 / pace))
        found[f"p{number}"] = deposits
    return found


def real_log() -> dict[str, list[PastDeposit]]:
    """The deposits of the real log, by player; skips the test where it is not here."""
    if not REAL_LOG.exists():
        pytest.skip("The real log is not here.")
    found: dict[str, list[PastDeposit]] = defaultdict(list)
    with REAL_LOG.open() as lines:
        for row in csv.DictReader(lines):
            amount = round(100 * float(row["amount_usd"]))
            found[row["player_id"]].append(PastDeposit(datetime.fromisoformat(row["ts_utc"]), amount))
    return found
