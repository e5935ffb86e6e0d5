"""What wheels make of a player: spins of the day, spins that journeys gave, blanks in a row."""

from dataclasses import dataclass
from datetime import datetime

from workflows.effects import OfferSpin
from workflows.loyalty.loyalty_state import LoyaltyState
from workflows.loyalty.wheel_attempts import MOST_GIVEN, GivenSpin, WheelDay, still_good
from workflows.loyalty.wheels import Wheel
from workflows.player_state.mission_player import MissionPlayer


@dataclass(slots=True)
class WheelPlayer(MissionPlayer):
    """A player with the spins they have."""

    def wheel_day(self, wheel: Wheel, now: datetime) -> WheelDay:
        """How the player stands with a wheel on its present day."""
        known = None if self.loyalty is None else self.loyalty.spins.get(wheel.name)
        return WheelDay(wheel.day_of(now)) if known is None else known.on(wheel.day_of(now))

    def spins_left(self, wheel: Wheel, now: datetime) -> int:
        """How often the player may spin a wheel now: what is left of the day, and what journeys gave."""
        day = self.wheel_day(wheel, now)
        return max(0, wheel.plays - (day.spun - day.given)) + len(self.given_spins(wheel.name, now))

    def given_spins(self, wheel: str, now: datetime) -> list[GivenSpin]:
        """Spins that journeys gave and that may still be made, the one that ends first first."""
        given = () if self.loyalty is None else self.loyalty.given_spins
        return [one for one in still_good(given, now) if one.wheel == wheel]

    def offer_spin(self, offer: OfferSpin, now: datetime) -> None:
        """Give a spin. The caller has asked the gate, and gives once."""
        self.loyalty = self.loyalty or LoyaltyState()
        given = GivenSpin(offer.wheel, offer.run_id, offer.step, offer.until)
        self.loyalty.given_spins = [*still_good(self.loyalty.given_spins, now), given][-MOST_GIVEN:]

    def take_back_spin(self, key: str) -> None:
        """Take a spin back that a step gave and that nobody has made."""
        if self.loyalty is not None:
            self.loyalty.given_spins = [one for one in self.loyalty.given_spins if one.key != key]

    def may_spin_at(self, wheel: Wheel, now: datetime) -> datetime | None:
        """When the pause since the last spin of a wheel is over; None where it is."""
        last = self.wheel_day(wheel, now).last
        return None if last is None or now >= last + wheel.pause else last + wheel.pause

    def next_spin(self, wheel: Wheel, now: datetime) -> GivenSpin | None:
        """The spin that a press uses, the one that ends first: given by a journey, or None for one of the day."""
        given, day = next(iter(self.given_spins(wheel.name, now)), None), self.wheel_day(wheel, now)
        is_left = wheel.plays > day.spun - day.given
        return None if given is None or (is_left and wheel.end_of_day(now) < given.until) else given

    def use_spin(self, wheel: Wheel, now: datetime, *, blank: bool) -> GivenSpin | None:
        """Use the spin that `next_spin` says, and return that.

        The caller has asked `spins_left`, `may_spin_at` and the gate, and drawn.
        """
        self.loyalty = self.loyalty or LoyaltyState()
        given, day = self.next_spin(wheel, now), self.wheel_day(wheel, now)
        self.loyalty.spins[wheel.name] = WheelDay(
            day.day,
            day.spun + 1,
            day.given + (given is not None),
            day.blanks + 1 if blank else 0,
            now if wheel.pause else None,
        )
        if given is not None:
            self.take_back_spin(given.key)
        return given
