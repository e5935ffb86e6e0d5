"""Accounts of one person: what protects one of them protects them all, and what they did counts for the one that stays.

What lifts is not shared: an exclusion that ended, a consent given, an account opened again are told for each account.
Only what a person judged of signs of harm is, for it is the person who was looked at.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from datetime import datetime
from typing import Final

from workflows.events import (
    AffordabilityChanged,
    ConsentChanged,
    Event,
    ExclusionSet,
    HarmReviewed,
    HarmSignal,
    KycChanged,
    LimitReached,
    MessageReceived,
    MessageStatus,
    PlayerMerged,
    PromotionsPaused,
    StatusChanged,
)
from workflows.loyalty.loyalty_state import LoyaltyState
from workflows.loyalty.merging_points import merge_loyalty
from workflows.player_state.account_status import FINAL_STATUSES, MERGED_REASONS
from workflows.player_state.consents import withdrawn, withdraws
from workflows.player_state.decisions import Decision, RevokeOffers
from workflows.player_state.exclusion_blocks import END_ELSEWHERE, SELF_EXCLUDED, kept, last_end
from workflows.player_state.harm_response import HARM_SIGNAL, PROTECTED, takes_offers_back
from workflows.player_state.harm_watch import STRENGTHS, is_strong
from workflows.player_state.joined_history import absorb
from workflows.player_state.limits_and_checks import Checks, is_open, stays_open
from workflows.player_state.ordering import Word
from workflows.player_state.state import Mode, PlayerState
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex

#: Accounts that are joined for good; protection is handed over at the merge whatever their number.
MOST_ACCOUNTS: Final = 50


def is_shared(event: Event) -> bool:
    """Whether an event about one account protects every account of the person."""
    match event:
        case ExclusionSet() | HarmSignal() | HarmReviewed() | PromotionsPaused() | LimitReached():
            return True
        case KycChanged() | AffordabilityChanged():
            return stays_open(event)
        case ConsentChanged() | MessageStatus() | MessageReceived():
            return withdraws(event)
        case StatusChanged():
            # An account that is closed because it was merged is not the person's goodbye.
            return event.to in FINAL_STATUSES and event.reason not in MERGED_REASONS
        case _:
            return False


def accounts_of(merge: PlayerMerged, states: dict[str, PlayerState]) -> list[str]:
    """The accounts that a merge makes one person, those joined before included."""
    ends = (merge.survivor_id, merge.absorbed_id)
    return sorted({*ends, *(other for one in ends for other in states[one].accounts)})


def accounts_needed(new: Iterable[tuple[str, Event]], states: dict[str, PlayerState]) -> dict[str, str]:
    """The accounts that these events reach and that are not among `states`, so that they can be locked as well.

    By account: the one among `states` that it belongs to.
    """
    # Who has one account reaches no other, and that is nearly everybody.
    several = ((one, event) for one, event in new if states[one].accounts)
    concerned = {one for one, event in several if is_shared(event) or states[one].counts_for(event) != one}
    for _, event in new:
        if isinstance(event, PlayerMerged):
            concerned |= {event.survivor_id, event.absorbed_id}
    return {other: one for one in sorted(concerned) for other in states[one].accounts if other not in states}


def join(accounts: Sequence[PlayerState], now: datetime) -> None:
    """Make the accounts one person: each is protected by what protects any of them."""
    for one in accounts:
        one.adopt_status()
    blocks = [block for one in accounts for block in one.exclusions]
    places = sorted({place for one in accounts for place in one.excluded_in})
    ended = max((end for one in accounts if (end := last_end(one.told)) is not None), default=None)
    limits = [limit for one in accounts for limit in one.limits.items()]
    checks = open_among(accounts, now)
    refused = withdrawn(one.consents for one in accounts)
    signs = [one.harm for one in accounts if one.harm is not None]
    closed = [end for one in accounts for end in one.ends_at(now)]
    watches = [copy(one.watch) for one in accounts]
    for one in accounts:
        for watch in watches:
            one.watch.take_over(watch)
        for block in blocks:
            one.exclusions = kept(one.exclusions, block)
        one.excluded_in = list(places)
        if ended is not None:
            # Beside what this account's own ends are, which say what a late word on it may lift.
            one.told[END_ELSEWHERE] = ended
        for name, until in limits:
            one.limits[name] = max(until, one.limits.get(name, until))
        for name, check in checks.items():
            if not is_open(one.checks.get(name), now):
                one.checks[name] = check
        for channel, product, at in refused:
            one.set_consent(channel, Word(at, live=True), opted_in=False, product=product, source=("merge", ""))
        if signs:
            one.harm = max(signs, key=STRENGTHS.index)
        for goodbye in closed:
            one.end_with(goodbye)
        others = [other.player_id for other in accounts if other is not one]
        one.accounts = others if len(others) < MOST_ACCOUNTS else one.accounts


def merge(
    event: PlayerMerged,
    states: dict[str, PlayerState],
    rules: RuleIndex,
    now: datetime,
    failures: list[RuleFailure],
    *,
    mode: Mode,
) -> list[tuple[str, Decision]]:
    """Make two accounts, and those joined to either before, one person; by account what follows.

    They protect each other from now on. What was counted of the absorbed one counts for the survivor, or for the
    account that stayed of the survivor's; told again, or the other way round later, it changes nothing more.
    """
    accounts = accounts_of(event, states)
    join([states[one] for one in accounts], now)
    into, gone = (_staying(one, states) for one in (event.survivor_id, event.absorbed_id))
    decisions: list[tuple[str, Decision]] = [] if into is gone else _merge_points(into, gone, event, rules, now)
    # Beyond `MOST_ACCOUNTS` they protect each other once, and are not known to each other.
    if into is not gone and into.player_id in gone.accounts:
        decisions += absorb(into, gone, rules, now, failures, live=mode == "live")
        for one in accounts:
            if states[one].merged_into == gone.player_id:
                states[one].merged_into = into.player_id
    for one in accounts:
        back = offers_taken_back(states[one], now, mode=mode)
        decisions += [(one, what) for what in (*back, *states[one].stop_protected(now, mode=mode))]
    return decisions


def offers_taken_back(account: PlayerState, now: datetime, *, mode: Mode) -> list[Decision]:
    """What becomes of an account's offers when the word on another one protects it as well; history takes none back."""
    if mode == "history":
        return []
    ended = account.status_at(now) in FINAL_STATUSES and not account.merged_away
    if ended or account.protected(now) == SELF_EXCLUDED:
        return [RevokeOffers(PROTECTED, now)]
    is_harmed = account.harm == "strong" or any(map(is_strong, account.watch.signs))
    return [RevokeOffers(HARM_SIGNAL, now)] if is_harmed else []


def _staying(account: str, states: dict[str, PlayerState]) -> PlayerState:
    return states[states[account].merged_into or account]


def open_among(accounts: Sequence[PlayerState], now: datetime) -> Checks:
    """By check: what it came to where it is open; of several accounts any of them."""
    return {name: check for one in accounts for name, check in one.checks.items() if is_open(check, now)}


def share(event: Event, told: PlayerState, other: PlayerState, now: datetime, *, mode: Mode) -> list[Decision]:
    """Protect another account of the person by an event about the one that was told; its runs stop with it."""
    other.learn(event, other.word_of(event, now, live=mode == "live"))
    if isinstance(event, ExclusionSet | StatusChanged):
        note_places(other, told.excluded_in)
    taken: list[Decision] = [RevokeOffers(PROTECTED, now)] if mode == "live" and takes_offers_back(event) else []
    return [*taken, *other.stop_protected(now, mode=mode)]


def note_places(state: PlayerState, places: Iterable[str]) -> None:
    """Note where exclusions were set that an account has from another one of the person."""
    if state.exclusions:
        state.excluded_in = sorted({*state.excluded_in, *places})


def share_review(player: PlayerState, other: PlayerState, now: datetime) -> list[Decision]:
    """Let another account of the person know of signs that have become strong: one review is for the person."""
    other.watch.take_over(player.watch)
    return [RevokeOffers(HARM_SIGNAL, now)]


def _merge_points(
    into: PlayerState, gone: PlayerState, merge: PlayerMerged, rules: RuleIndex, now: datetime
) -> list[tuple[str, Decision]]:
    """Hand everything of loyalty from the absorbed account to the survivor; by account what goes into its journal."""
    if gone.loyalty is None:
        return []
    into.loyalty = into.loyalty or LoyaltyState()
    moved = merge_loyalty(into.loyalty, gone.loyalty, rules.loyalty, now, f"{merge.event_source} {merge.event_id}")
    taken: list[Decision] = [*moved.survivor]
    if into.opted_out:
        # A word of the other account that they want no part of it holds for this one's places too.
        taken += into.leave_boards(now)
    return [*((into.player_id, one) for one in taken), *((gone.player_id, one) for one in moved.absorbed)]
