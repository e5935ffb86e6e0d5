"""Who wins a raffle: bundles of tickets, drawn by a seed that is told afterwards, so that anybody draws them again."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.loyalty.fair_draws import drawn_number, seed_hash


@dataclass(frozen=True)
class Bundle:
    """Tickets that were given together, and whose they are."""

    ticket: int
    holder: str
    count: int


@dataclass(frozen=True)
class DrawnBundle:
    """A bundle that was drawn: it wins the place, 1 the first."""

    place: int
    bundle: Bundle


@dataclass(frozen=True)
class RaffleDraw:
    """What a draw came to: who wins each place, and who was drawn for one and passed over, in the order it went."""

    won: list[DrawnBundle]
    passed_over: list[DrawnBundle]


def raffle_words(name: str, period: str, place: int, again: int = 0) -> str:
    """Which draw it is; `again` counts those who were drawn for the place before and passed over."""
    return f"raffle:{name}:{period}:{place}" + (f":{again}" if again else "")


def draw_raffle(
    seed: bytes,
    name: str,
    period: str,
    bundles: Sequence[Bundle],
    places: int,
    passed_over: Collection[str] = frozenset(),
) -> RaffleDraw:
    """Who wins: each ticket with the same chance, and of one holder's tickets none after one was drawn.

    For a holder who is `passed_over` the same place is drawn once more, from what is left.
    """
    left, drawn = TicketCounts([one.count for one in bundles]), RaffleDraw([], [])
    of_holder, again = defaultdict[str, list[int]](list), 0
    for number, one in enumerate(bundles):
        of_holder[one.holder].append(number)
    while of_holder and len(drawn.won) < places:
        place = len(drawn.won) + 1
        bundle = bundles[left.bundle_of(drawn_number(seed, raffle_words(name, period, place, again), left.total))]
        is_passed_over = bundle.holder in passed_over
        (drawn.passed_over if is_passed_over else drawn.won).append(DrawnBundle(place, bundle))
        again = again + 1 if is_passed_over else 0
        for number in of_holder.pop(bundle.holder):
            left.take_out(number, bundles[number].count)
    return drawn


class TicketCounts:
    """Tickets of the bundles that are still drawn from, as sums (a Fenwick tree): a step costs their logarithm."""

    def __init__(self, counts: Sequence[int]) -> None:
        if any(count < 0 for count in counts):
            raise ValueError("a bundle of fewer tickets than none")
        self.total = sum(counts)
        self._sums = [0, *counts]
        for place in range(1, len(self._sums)):
            if (above := place + (place & -place)) < len(self._sums):
                self._sums[above] += self._sums[place]

    def bundle_of(self, ticket: int) -> int:
        """The bundle that holds a ticket, counted from 0 through those that are left."""
        place, step = 0, 1 << len(self._sums).bit_length()
        while step := step >> 1:
            if place + step < len(self._sums) and self._sums[place + step] <= ticket:
                place += step
                ticket -= self._sums[place]
        return place

    def take_out(self, number: int, count: int) -> None:
        """Take a bundle of so many tickets out."""
        self.total -= count
        place = number + 1
        while place < len(self._sums):
            self._sums[place] -= count
            place += place & -place


def taking_part(bundles: Sequence[Bundle], protected: Collection[str]) -> list[Bundle]:
    """The bundles that are drawn from: those of players who are protected when the draw comes are not."""
    return [one for one in bundles if one.holder not in protected]


def fault_of_raffle(proof: dict[str, Any]) -> str | None:
    """What is wrong with the record of a draw; None where its winners follow from its seed."""
    try:
        if proof["seed"] is None:
            return "it is not drawn yet and the seed not told"
        seed = bytes.fromhex(proof["seed"])
        if seed_hash(seed) != proof["seed_hash"]:
            return "the seed is not the one whose hash was shown"
        bundles = [Bundle(int(ticket), str(holder), int(count)) for ticket, holder, count in proof["tickets"]]
        if len(bundles) != proof.get("bundles", len(bundles)):
            return f"it is {len(bundles):,} of {proof['bundles']:,} bundles; every page is needed"
        won = [[int(place), int(ticket)] for place, ticket in proof["winners"]]
        # Draws of before nobody was passed over say nothing of it.
        passed = [[int(place), int(ticket), str(holder)] for place, ticket, holder in proof.get("passed_over", ())]
        named, places = (str(proof["raffle"]), str(proof["period"])), int(proof["places"])
        drawn = draw_raffle(seed, *named, bundles, places, {str(holder) for *_, holder in passed})
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as wrong:
        return f"it is no proof ({type(wrong).__name__}: {wrong})"
    follows = [[one.place, one.bundle.ticket] for one in drawn.won]
    if follows != won:
        return f"its winners are {follows}"
    passes = [[one.place, one.bundle.ticket, one.bundle.holder] for one in drawn.passed_over]
    return None if passes == passed else f"it passes over {passes}"
