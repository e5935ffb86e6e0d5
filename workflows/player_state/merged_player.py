"""A player whose account was merged into another: what they do from then on counts for the account that stays."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from workflows.events import (
    AffordabilityChanged,
    ConsentChanged,
    ContactVerified,
    DeviceRegistered,
    DeviceRemoved,
    Event,
    ExclusionEnded,
    ExclusionSet,
    HarmSignal,
    KycChanged,
    LimitChanged,
    LimitReached,
    MessageReceived,
    MessageStatus,
    PaymentReversed,
    PlayerMerged,
    PlayerRegistered,
    ProfileUpdated,
    RoundVoided,
    StatusChanged,
)
from workflows.player_state.erased_player import ErasedPlayer

#: Words on an account. They stay with the one they are told of: what lifts there must lift nothing elsewhere, and what
#: protects is shared (`merging.is_shared`).
_ABOUT_ACCOUNT: Final = (
    AffordabilityChanged,
    ConsentChanged,
    ContactVerified,
    DeviceRegistered,
    DeviceRemoved,
    ExclusionEnded,
    ExclusionSet,
    HarmSignal,
    KycChanged,
    LimitChanged,
    LimitReached,
    MessageReceived,
    MessageStatus,
    PlayerMerged,
    PlayerRegistered,
    ProfileUpdated,
    StatusChanged,
)


@dataclass(slots=True)
class MergedPlayer(ErasedPlayer):
    """A player who may have another account, which stayed when the two were merged."""

    #: The account that stays, where this one does not.
    merged_into: str | None = None
    merged_at: datetime | None = None

    def protected(self, now: datetime) -> str | None:
        """Why this player must be left alone. An account that was merged away is nobody's any more."""
        reason = ErasedPlayer.protected(self, now)
        return "account_not_active" if reason is None and self.merged_into is not None else reason

    def counts_for(self, event: Event) -> str:
        """The account that an event told of this one counts for."""
        if self.merged_into is None or isinstance(event, _ABOUT_ACCOUNT):
            return self.player_id
        if isinstance(event, PaymentReversed | RoundVoided):
            # Points are taken back where they were earned.
            at = event.paid_at if isinstance(event, PaymentReversed) else event.played_at
            if at is None or self.merged_at is None or at <= self.merged_at:
                return self.player_id
        return self.merged_into
