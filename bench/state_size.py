"""What a player costs in bytes as rules grow: after three busy years, under 0 to 100 rules that all keep something.

    python bench/state_size.py [--rules N ...]

A rule here is a measure of its own with a segment that reads it, which is the dearest kind.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
import typer

from bench.measuring import leave, told
from workflows import (
    DepositApproved,
    PlayerRegistered,
    RoundCompleted,
    SessionLogin,
    Statistics,
    count,
    days,
    distinct,
    hours,
    month,
    total,
    week,
)
from workflows.events import Event
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex
from workflows.rules.measures import Measure
from workflows.rules.segments import Segment

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
YEARS = 3
KINDS: tuple[Callable[[str], Measure], ...] = (
    lambda name: total(RoundCompleted, "stake_minor", where=_any, last=days(7), name=name),
    lambda name: total(DepositApproved, "amount_minor", where=_any, last=days(30), name=name),
    lambda name: count(RoundCompleted, where=_any, per=month, name=name),
    lambda name: distinct(RoundCompleted, "game_id", where=_any, per=week, name=name, most=20),
    lambda name: count(SessionLogin, where=_any, last=hours(24), name=name),
    lambda name: total(RoundCompleted, "stake_minor", where=_any, last=days(90), name=name),
)


def _any(_event: Event) -> bool:
    return True


RULES = (0, 10, 25, 50, 100)


def _segment(number: int) -> Segment:
    measure = KINDS[number % len(KINDS)](f"m{number}")

    def belongs(player: Statistics) -> bool:
        return player[measure] > 1_000

    return Segment(f"segment_{number}", belongs)


def size_of(rules: int) -> int:
    """Bytes of the player's row as JSON."""
    segments = {one.name: one for one in map(_segment, range(rules))}
    given, state = RuleIndex({}, segments), PlayerState("bench", "player-1")
    number = 0

    def happens(kind: type[Event], now: datetime, **data: Any) -> None:
        nonlocal number
        number += 1
        told = kind.example().model_dump() | {"event_id": f"e{number}", "event_source": "/b", "occurred_at": now}
        state.advance(kind.model_validate(told | data), given, now, [])

    happens(PlayerRegistered, BEGIN, timezone="Europe/Kyiv")
    for day in range(365 * YEARS):
        now = BEGIN + timedelta(days=day, hours=day % 24)
        happens(SessionLogin, now)
        happens(DepositApproved, now, amount_minor=5_000 + day)
        happens(RoundCompleted, now, game_id=f"game-{day % 40}", stake_minor=137)
        state.tick(given, now, [])
    return len(orjson.dumps(state.to_json()))


def command(*, rules: Annotated[list[int] | None, typer.Option()] = None) -> None:
    """Measure; `--rules` may be given several times."""
    sizes = {number: size_of(number) for number in rules or RULES}
    nothing = min(sizes.values())
    dearest = max((size - nothing) / number for number, size in sizes.items() if number)
    leave(told({"player_bytes_by_rules": sizes, "player_bytes_a_rule": round(dearest)}))


if __name__ == "__main__":
    typer.run(command)
