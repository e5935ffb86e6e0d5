"""Two accounts of one person become one: all that the absorbed one has of loyalty goes to the survivor."""

from datetime import datetime
from typing import NamedTuple

from workflows.loyalty.loyalty_state import LoyaltyState
from workflows.loyalty.mission_progress import united
from workflows.loyalty.mission_states import MissionStates
from workflows.loyalty.point_account import MOST_WINDOWS
from workflows.loyalty.point_lots import add, remove
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.postings import Postings
from workflows.loyalty.program import LoyaltyProgram


class MergedPoints(NamedTuple):
    """What goes into the journals of both."""

    survivor: list[PointTransfer]
    absorbed: list[PointTransfer]


def merge_loyalty(
    survivor: LoyaltyState, absorbed: LoyaltyState, program: LoyaltyProgram, now: datetime, ref: str
) -> MergedPoints:
    """Move slices, debt and multipliers to the survivor, who gets the higher tier of both.

    Points and debt of both together are afterwards what they were before; then what is owed is paid of what is there.
    The buckets of the day stay where they were filled: a round that is voided later is voided there.
    """
    giving, taking = Postings(absorbed, now), Postings(survivor, now)
    for currency in sorted(absorbed.points):
        giving.settle(currency)
        taking.settle(currency)
        source, target = absorbed.account(currency), survivor.account(currency)
        slices = dict(source.lots)
        amount = sum(slices.values())
        remove(source.lots, slices)
        add(target.lots, slices)
        giving.post(currency, amount, "available", "merged", "merge", ref, slices=slices)
        taking.post(currency, amount, "merged", "available", "merge", ref, slices=slices)
        giving.post(currency, source.debt, "merged", "debt", "merge", ref)
        taking.post(currency, source.debt, "debt", "merged", "merge", ref)
        target.debt, source.debt = target.debt + source.debt, 0
        target.ever, source.ever = target.ever + source.ever, 0
        windows = sorted({*target.windows, *source.windows}, key=lambda one: (one.until, one.since, one.factor))
        target.windows, source.windows = windows[-MOST_WINDOWS:], []
        taking.settle(currency)
    ladder = program.ladder
    if ladder is not None and (theirs := absorbed.tiers.get(ladder.name)) is not None:
        own = survivor.tiers.get(ladder.name)
        if own is None or ladder.place(own.tier) < ladder.place(theirs.tier):
            survivor.tiers[ladder.name] = theirs
        absorbed.tiers.pop(ladder.name)
    for name, theirs_of in absorbed.missions.items():
        mine = survivor.missions.get(name)
        survivor.missions[name] = theirs_of if mine is None else united(mine, theirs_of)
    absorbed.missions = MissionStates()
    for badge, since in absorbed.badges.items():
        survivor.badges[badge] = min(since, survivor.badges.get(badge, since))
    for collection, names in absorbed.pieces.items():
        survivor.pieces[collection] = [*dict.fromkeys([*survivor.pieces.get(collection, []), *names])]
    for wheel, day in absorbed.spins.items():
        survivor.spins[wheel] = day if (known := survivor.spins.get(wheel)) is None else known.with_(day)
    _add_up(survivor.bought, absorbed.bought)
    # Runs of the absorbed account are over, and with them what they gave and nobody has spun.
    absorbed.spins, absorbed.given_spins, absorbed.bought = {}, [], {}
    survivor.nameless = survivor.nameless or absorbed.nameless
    survivor.opted_out = survivor.opted_out or absorbed.opted_out
    absorbed.badges, absorbed.pieces = {}, {}
    return MergedPoints(taking.transfers, giving.transfers)


def _add_up(mine: dict[str, tuple[str, int]], theirs: dict[str, tuple[str, int]]) -> None:
    """What is counted by day or period adds up, so that two accounts have no more of it than one."""
    for name, (period, times) in theirs.items():
        known, own = mine.get(name, ("", 0))
        mine[name] = (period, times + own) if period == known else max((period, times), (known, own))
