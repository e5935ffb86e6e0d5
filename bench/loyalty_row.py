"""Bytes by which the shipped program makes a busy player's row larger after three years.

    python bench/loyalty_row.py [--years N]

The player plays every day, reaches every tier, begins and claims what there is, spins once a day and is given a second
spin each week.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import typer

from bench.measuring import leave, told
from workflows import DepositApproved, PlayerRegistered, RoundCompleted, SessionLogin
from workflows.effects import OfferSpin
from workflows.events import Event
from workflows.loyalty.program import NO_PROGRAM, LoyaltyProgram
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex
from workflows.source.journey_loading import load

PROGRAM: Final = "workflows.programs.casino"
BEGIN: Final = datetime(2024, 1, 1, tzinfo=UTC)
CATEGORIES: Final = ("slot", "live", "table")
ROUNDS: Final = 20
WEEK: Final = 7


class Busy:
    """A player under a program, or under none."""

    def __init__(self, program: LoyaltyProgram) -> None:
        self.rules = RuleIndex({}, {}, program)
        self.program = program
        self.state = PlayerState("bench", "player-1")
        self.told = 0

    def happens(self, kind: type[Event], now: datetime, **data: Any) -> None:
        """Something happens to the player."""
        self.told += 1
        about = {"event_id": f"e{self.told}", "event_source": "/b", "occurred_at": now}
        own = {kind.unique_field: f"u{self.told}"} if kind.unique_field else {}
        event = kind.model_validate(kind.example().model_dump() | own | data | about)
        self.state.advance(event, self.rules, now, [])

    def lives(self, day: int) -> None:
        """A day of playing, and of pressing whatever may be pressed."""
        morning = BEGIN + timedelta(days=day, hours=8)
        self.happens(SessionLogin, morning)
        if day % 2 == 0:
            self.happens(DepositApproved, morning, amount_minor=5_000 + day, currency="EUR")
        for number in range(ROUNDS):
            about = {"game_id": f"game-{(day * 3 + number) % 60}", "category": CATEGORIES[number % 3]}
            self.happens(RoundCompleted, morning + timedelta(minutes=30 * number), stake_minor=10_000, **about)
        evening = morning + timedelta(hours=12)
        self._presses(day, evening)
        self.state.tick(self.rules, evening, [])

    def _presses(self, day: int, now: datetime) -> None:
        state = self.state
        for mission in self.program.missions.values():
            if mission.opt_in and state.mission_refusal(mission, self.program, now, []) is None:
                state.begin_mission(mission, now)
            if state.claim_refusal(mission, now) is None:
                state.claim_mission(mission, f"mission {mission.name}", now)
        for wheel in self.program.wheels.values():
            if day % WEEK == 0:
                step: dict[str, Any] = {
                    "journey": "welcome",
                    "run_id": f"welcome:bench:player-1:{day}",
                    "step": "spin:daily_wheel#1",
                }
                until = now + timedelta(days=2)
                state.offer_spin(
                    OfferSpin(brand="bench", player_id="player-1", wheel=wheel.name, until=until, **step), now
                )
            while state.spins_left(wheel, now):
                state.use_spin(wheel, now, blank=False)


def bytes_of(program: LoyaltyProgram, days: int) -> int:
    """Bytes of the row as it is stored."""
    busy = Busy(program)
    busy.happens(PlayerRegistered, BEGIN, timezone="Europe/Kyiv", currency="EUR", country="MT")
    for day in range(days):
        busy.lives(day)
    if program is not NO_PROGRAM:
        loyalty = busy.state.loyalty
        assert loyalty is not None, "Nothing was earned."
        assert loyalty.tiers, "No tier was reached."
        assert loyalty.missions, "No mission was begun."
    return len(orjson.dumps(busy.state.stored(), option=orjson.OPT_UTC_Z))


def command(*, years: int = 3) -> None:
    """Measure with and without the program."""
    days = 365 * years
    bare, loyal = bytes_of(NO_PROGRAM, days), bytes_of(load((PROGRAM,)).loyalty, days)
    leave(told({"loyalty_row_bytes": loyal - bare, "row_bytes_without": bare, "row_bytes_with": loyal}))


if __name__ == "__main__":
    typer.run(command)
