"""What follows from signs of harm in the transaction that learns them: a review, a pause, offers taken back."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from workflows.effects import PausePromotions
from workflows.events import Event, ExclusionSet, HarmReviewed, HarmSignal, PromotionsPaused, StatusChanged
from workflows.events.kinds import Kinds
from workflows.gate.policy import Policies
from workflows.player_state.account_status import FINAL_STATUSES, MERGED_REASONS
from workflows.player_state.decisions import Decision, ReviewDue, RevokeOffers
from workflows.player_state.exclusion_blocks import TIME_OUT
from workflows.player_state.harm_markers import LOOKED_AT, MARKERS, markers_of
from workflows.player_state.harm_watch import TOGETHER, is_strong, strength_of, stronger
from workflows.player_state.ordering import Word
from workflows.player_state.projection import PlayerProjection

_LOOKED_AT: Final = Kinds(*LOOKED_AT)
_HEEDED: Final = Kinds(*LOOKED_AT, HarmSignal, HarmReviewed, ExclusionSet, StatusChanged)
#: Under which source a journey's pauses are kept. Nobody posts under it.
JOURNEY_SOURCE: Final = "engine:journey"
#: Why offers are taken back.
HARM_SIGNAL, PROTECTED = "harm_signal", "player_protected"


def respond(player: PlayerProjection, event: Event, word: Word, policies: Policies, now: datetime) -> list[Decision]:
    """What is to be done about an event that the player's row has just learned.

    Markers that a policy of the player asks for are derived and noted here. Where signs have become strong a review by
    a person is due, once until it is done, and offers that are not taken yet are taken back.

    The trap: a sign that is merely medium restricts nobody by itself, and under a policy that refuses from medium on
    it does so without a review: it fades.
    """
    kind = type(event)
    if not _HEEDED[kind] and player.harm is None:
        return []
    decided: list[Decision] = []
    if word.live and takes_offers_back(event):
        decided.append(RevokeOffers(PROTECTED, now))
    watch, policy = player.watch, policies.at(player.brand, player.jurisdiction, now)
    if policy.harm_markers and _LOOKED_AT[kind]:
        for name in markers_of(watch.notes, event, word.at, player.timezone, policy.harm_markers):
            watch.see(name, MARKERS[name].strength, word)
            _pause(player, policy.harm_pauses, word, strength_of(watch.signs, policy.harm_fades_after, now))
    if not watch.signs and player.harm is None:
        return decided
    strength = stronger(player.harm or "none", strength_of(watch.signs, policy.harm_fades_after, now))
    if isinstance(event, HarmSignal):
        _pause(player, policy.harm_pauses, word, strength)
    if strength != "strong":
        return decided
    if player.harm is None and not any(is_strong(name) for name in watch.signs):
        # What is strong together stays so although its parts fade.
        watch.see(TOGETHER, "strong", word)
    if watch.review is None and not _judged(player):
        watch.review = _review_id(player, event)
        decided += [_review(player, watch.review, now), RevokeOffers(HARM_SIGNAL, now)]
    return decided


def takes_offers_back(event: Event) -> bool:
    """Whether an event ends what the player was offered: an exclusion, time-outs aside, and the account's end."""
    if isinstance(event, StatusChanged):
        return event.to in FINAL_STATUSES and event.reason not in MERGED_REASONS
    return isinstance(event, ExclusionSet) and event.kind != TIME_OUT


def paused_by(request: PausePromotions, now: datetime) -> PromotionsPaused:
    """The event that a journey's step is, once however often it is tried."""
    digest = hashlib.sha256(request.key.encode()).hexdigest()
    return PromotionsPaused(
        event_id=digest, event_source=JOURNEY_SOURCE, occurred_at=now, hours=request.hours, why=request.why
    )


def _pause(player: PlayerProjection, pauses: Mapping[Any, timedelta], word: Word, strength: str) -> None:
    """Pause promotions for as long as a policy says at this strength."""
    if (length := pauses.get(strength)) is not None:
        player.watch.pause_until(word.at + length)


def _judged(player: PlayerProjection) -> bool:
    """Whether a person has seen every strong sign there is; what is from before they were dated nobody has."""
    seen, signs = player.watch.reviewed_at, player.watch.signs
    if player.harm is not None or seen is None:
        return False
    return all(at <= seen for name, at in signs.items() if is_strong(name))


def _review_id(player: PlayerProjection, event: Event) -> str:
    """The id of the task: of one event there is one review, however often its transaction is tried."""
    cause = f"{player.brand} {player.player_id} harm {event.event_source} {event.event_id}"
    return hashlib.sha256(cause.encode()).hexdigest()[:24]


def _review(player: PlayerProjection, task_id: str, now: datetime) -> ReviewDue:
    signs = sorted(player.watch.signs.items(), key=lambda one: (one[1], one[0]))
    return ReviewDue(task_id, now, tuple(signs))
