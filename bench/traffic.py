"""What a casino's backends send all day: mostly rounds, now and then a login or a deposit. The same for every run."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

CloudEvent = dict[str, Any]
CATEGORIES = ("slot", "slot", "slot", "live", "table", "crash")


def players(count: int, prefix: str = "p") -> list[str]:
    """Their ids."""
    return [f"{prefix}{number}" for number in range(count)]


def cloud_event(kind: str, player: str, identity: str, at: datetime | None = None, **data: Any) -> CloudEvent:
    """One CloudEvent as a backend would write it."""
    event: CloudEvent = {
        "specversion": "1.0",
        "id": identity,
        "source": "/bench",
        "type": f"igaming.{kind}.v1",
        "subject": player,
        "data": data,
    }
    return event if at is None else event | {"time": at.isoformat()}


def awake() -> str:
    """A time zone where it is early afternoon now, so that no message waits for the morning."""
    ahead = (14 - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def registration(player: str, at: datetime, mark: str = "") -> CloudEvent:
    """A player who may be told everything, on a clock that shows early afternoon."""
    return cloud_event(
        "player.registered",
        player,
        f"registered-{mark}{player}",
        at,
        email=f"{player}@bench.example",
        first_name="Olena",
        language="en",
        timezone=awake(),
        country="GB",
        currency="EUR",
        opted_in=["email", "sms", "push", "in_app"],
        opted_in_for=["casino"],
    )


def past(ids: Sequence[str], now: datetime) -> Iterator[CloudEvent]:
    """Each player registered and deposited three times, so that no journey begins with a deposit of today."""
    for number, player in enumerate(ids):
        yield registration(player, now - timedelta(days=90, minutes=number % 600))
        for deposit in range(3):
            at = now - timedelta(days=80 - 7 * deposit, minutes=number % 600)
            yield _deposit(player, f"past-{player}-{deposit}", at)


def day(ids: Sequence[str], count: int, mark: str, began: datetime, seed: int = 1) -> list[CloudEvent]:
    """`count` events of these players: 85 % rounds, 10 % logins, 5 % deposits, at about now."""
    draw = random.Random(f"{seed}:{mark}")
    events: list[CloudEvent] = []
    for number in range(count):
        player, identity = draw.choice(ids), f"{mark}-{number}"
        at = began + timedelta(milliseconds=number)
        kind = draw.random()
        if kind < 0.85:
            events.append(_round(player, identity, at, draw))
        elif kind < 0.95:
            events.append(cloud_event("session.login", player, identity, at, device="mobile", platform="ios"))
        else:
            events.append(_deposit(player, identity, at))
    return events


def _round(player: str, identity: str, at: datetime, draw: random.Random) -> CloudEvent:
    stake = draw.choice((20, 50, 100, 200))
    return cloud_event(
        "game.round_completed",
        player,
        identity,
        at,
        round_id=identity,
        game_id=f"game-{draw.randrange(200)}",
        category=draw.choice(CATEGORIES),
        provider="acme",
        stake_minor=stake,
        win_minor=stake * 2 if draw.random() < 0.45 else 0,
        balance_after_minor=draw.randrange(100_000),
        currency="EUR",
        duration=4,
    )


def _deposit(player: str, identity: str, at: datetime) -> CloudEvent:
    return cloud_event(
        "payment.deposit_approved",
        player,
        identity,
        at,
        payment_id=identity,
        amount_minor=2_000,
        currency="EUR",
        method="card",
        provider="acme",
    )
