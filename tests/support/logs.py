"""Pasts for rehearsals: made-up logs of every kind, and journeys played over them in this process."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from content.settings import SHIPPED_TEMPLATES
from content.template_files import TemplateFacts
from content.templates import read_template_facts
from local.demo.synthetic_casino import casino
from stage.backtest.backtest import back_test, plan_of, registry_of
from stage.backtest.event_log import Log, log_of_events, play_back
from stage.backtest.metrics import BacktestMetrics, TaskWorkload, metrics_of
from workflows import hours
from workflows.events import DepositApproved, Event
from workflows.gate.policy import Policy
from workflows.source.journey_loading import SHIPPED

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = hours(1)
PACKAGES = (SHIPPED,)

Deposit = tuple[str, datetime, str]


@cache
def templates() -> Mapping[str, TemplateFacts]:
    """The shipped templates, as the gate sees them."""
    return read_template_facts([SHIPPED_TEMPLATES])


@cache
def synthetic() -> Log:
    """Half a year of 30 made-up players: logins, rounds, deposits, failures, consents, a self-exclusion."""
    made = casino(3, NOON, players=20, newcomers=10)
    return log_of_events("casino", (("", event) for event in (*made.history, *made.live)))


def rehearse(
    log: Log, *journeys: str, jobs: int = 1, desk: TaskWorkload | None = None, **options: Any
) -> BacktestMetrics:
    """Play journeys over a log, all of them if none is named."""
    plan, played = plan_of(log, packages=PACKAGES, journeys=journeys, templates=templates(), **options)
    registry = registry_of(plan.packages, plan.journeys)
    return metrics_of(back_test(plan, played, jobs=jobs), plan, played, registry, desk or TaskWorkload(), Policy())


def table(path: Path, *deposits: Deposit) -> Path:
    """A plain log of deposits."""
    rows = [f"{player_id},{at.isoformat(sep=' ')},{amount},1" for player_id, at, amount in deposits]
    path.write_text("\n".join(["player_id,ts_utc,amount_usd,reconciled", *rows]) + "\n")
    return path


def several(player_id: str, count: int, *, since: datetime = NOON, apart: timedelta = HOUR) -> list[Deposit]:
    """Deposits of ten dollars, evenly apart."""
    return [(player_id, since + number * apart, "10.00") for number in range(count)]


def told(path: Path, *events: tuple[str, Event]) -> Path:
    """A log of CloudEvents."""
    lines = [{"specversion": "1.0", "subject": player_id, **event.to_wire()} for player_id, event in events]
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return path


def happened(which: type[Event], at: datetime, number: int = 1, **data: Any) -> Event:
    """An event of a kind: its documented example, but for `data`."""
    base = which.example().model_dump(by_alias=False)
    identity = {"event_id": f"{which.type}-{number}", "event_source": "/t", "occurred_at": at}
    return which.model_validate({**base, **identity, **data})


def deposits_of(log: Log) -> list[tuple[str, DepositApproved]]:
    """The deposits of a log, in order."""
    return [(player_id, one) for player_id, one in play_back(log.events) if isinstance(one, DepositApproved)]
