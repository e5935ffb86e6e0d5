"""What a player's row holds of loyalty: points, tiers, missions, badges, spins, places, purchases."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workflows.loyalty.mission_states import MissionStates
from workflows.loyalty.point_account import PointAccount
from workflows.loyalty.tier_standing import TierState
from workflows.loyalty.tournament_scores import TournamentEntry
from workflows.loyalty.wheel_attempts import GivenSpin, KnownWheelDay
from workflows.player_state.sparse_storage import parts_of, sparse


@dataclass(slots=True)
class LoyaltyState:
    """What a player's row holds of loyalty. `transfers` is the number of the newest one."""

    points: dict[str, PointAccount] = field(default_factory=dict)
    transfers: int = 0
    #: By ladder.
    tiers: dict[str, TierState] = field(default_factory=dict)
    missions: MissionStates = field(default_factory=MissionStates)
    #: By badge: since when the player wears it.
    badges: dict[str, datetime] = field(default_factory=dict)
    #: By wheel.
    spins: dict[str, KnownWheelDay] = field(default_factory=dict)
    #: Spins that journeys have given and that were not made yet.
    given_spins: list[GivenSpin] = field(default_factory=list)
    #: By collection.
    pieces: dict[str, list[str]] = field(default_factory=dict)
    #: By instance of a tournament, until it is cut.
    entries: dict[str, TournamentEntry] = field(default_factory=dict)
    #: Whether there may be standings of the player, and whether their name is kept from boards.
    ranked: bool = False
    nameless: bool = False
    #: Whether the player wants no part of it: what they have stays, and nothing more is counted, given or shown.
    opted_out: bool = False
    #: By item that is sold a few times to each player: the newest of its periods, and how often it was bought in it.
    bought: dict[str, tuple[str, int]] = field(default_factory=dict)

    def account(self, currency: str) -> PointAccount:
        """The player's points of a currency, from now on."""
        return self.points.setdefault(currency, PointAccount())

    @property
    def next_moment(self) -> datetime | None:
        """When the player must be looked at for the sake of loyalty."""
        parts: list[PointAccount | TierState] = [*self.points.values(), *self.tiers.values()]
        return min((at for one in parts if (at := one.next_moment) is not None), default=None)

    def stored(self, *, mission_numbers: bool = True) -> dict[str, Any]:
        """What differs from nothing, in live values, as `PlayerState.stored` writes it."""
        values = sparse(self, _STATE)
        if "points" in values:
            values["points"] = {name: one.stored() for name, one in self.points.items()}
        if "tiers" in values:
            values["tiers"] = {name: sparse(one, _TIER) for name, one in self.tiers.items()}
        if "missions" in values:
            values["missions"] = self.missions.stored(as_numbers=mission_numbers)
        if "entries" in values:
            values["entries"] = {name: sparse(one, _ENTRY) for name, one in self.entries.items()}
        if "spins" in values:
            values["spins"] = {name: one.stored() for name, one in self.spins.items()}
        return values


_STATE, _TIER, _ENTRY = parts_of(LoyaltyState), parts_of(TierState), parts_of(TournamentEntry)
