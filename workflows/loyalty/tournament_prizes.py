"""Who gets what at the end: pure, so that the stage, the database and anybody with a list agree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from pydantic import BaseModel

from workflows.field_types import Product, Seconds
from workflows.json_object import JsonObject
from workflows.loyalty.missions import Badge
from workflows.loyalty.tournaments import Ties, Tournament


class PrizeTerms(BaseModel):
    """The prize of a range of places: points, a badge, or what the bonus engine gives."""

    first: int
    last: int
    points: int = 0
    badge: str | None = None
    #: As it travels to the bonus engine.
    reward: JsonObject | None = None


class TournamentTerms(BaseModel):
    """What was promised when an instance opened; it is kept with it, so that its end hangs on no release."""

    prizes: list[PrizeTerms] = []
    least_players: int = 2
    least_score: int = 1
    ties: Ties = "first_to_reach"
    currency: str | None = None
    expires: Seconds | None = None
    product: Product | None = None

    @classmethod
    def of(cls, declared: Tournament) -> "TournamentTerms":
        """The terms of a declaration."""
        return cls(
            prizes=[
                PrizeTerms(
                    first=one.first,
                    last=one.last,
                    points=one.points,
                    badge=one.gives.name if isinstance(one.gives, Badge) else None,
                    reward=None if one.money is None else one.money.model_dump(mode="json"),
                )
                for one in declared.prizes
            ],
            least_players=declared.least_players,
            least_score=declared.least_score,
            ties=declared.ties,
            currency=None if declared.into is None else declared.into.name,
            expires=None if declared.into is None else declared.into.expires,
            product=declared.product,
        )

    @property
    def last_paid(self) -> int:
        """The last place that has a prize; 0 where there is none."""
        return max((one.last for one in self.prizes), default=0)

    def reward_of(self, place: int) -> JsonObject | None:
        """What the bonus engine gives for a place; None for points and a badge."""
        prize = self.prize_of(place)
        return None if prize is None else prize.reward

    def prize_of(self, place: int) -> PrizeTerms | None:
        """What a place gets."""
        return next((one for one in self.prizes if one.first <= place <= one.last), None)


@dataclass(frozen=True, slots=True)
class Due:
    """What one place is owed."""

    place: int
    points: int
    badge: str | None = None


def prizes_due(terms: TournamentTerms, scores: Sequence[int]) -> Iterator[Due]:
    """What each place is owed, from the scores in order of places; of places without a prize nothing is said.

    With `split` those of one score share the points of all their places, the first of them what is left over. All that
    is paid is then exactly what was declared for those places.
    """
    if terms.ties == "first_to_reach":
        for place in range(1, min(len(scores), terms.last_paid) + 1):
            if (prize := terms.prize_of(place)) is not None:
                yield Due(place, prize.points, prize.badge)
        return
    place = 1
    for _, group in groupby(scores):
        size = len([*group])
        if place > terms.last_paid:
            return
        prizes = [terms.prize_of(one) for one in range(place, min(place + size, terms.last_paid + 1))]
        share, rest = divmod(sum(one.points for one in prizes if one is not None), size)
        for number in range(size):
            own = prizes[number] if number < len(prizes) else None
            badge = None if own is None else own.badge
            points = share + (number < rest)
            if points or badge is not None:
                yield Due(place + number, points, badge)
        place += size
