"""What tells of each fact of a player, so that a moment that hangs on facts moves with them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from workflows.events import (
    ConsentChanged,
    ContentViewed,
    DepositApproved,
    Event,
    KycChanged,
    PlayerRegistered,
    ProfileUpdated,
    SessionLogin,
    TierChanged,
)

_PROFILE: Final[tuple[type[Event], ...]] = (ProfileUpdated, PlayerRegistered)
#: By fact of the player: the events that change it.
TOLD_BY: Final[Mapping[str, tuple[type[Event], ...]]] = MappingProxyType(
    {
        "id": (),
        "kyc": (KycChanged,),
        "kyc_deadline": (KycChanged,),
        "tier": (TierChanged,),
        "registered_at": (PlayerRegistered,),
        "last_login": (SessionLogin,),
        "usual_hours": (SessionLogin,),
        "objects_to_profiling": (ConsentChanged,),
        "last_viewed": (ContentViewed,),
        "deposits": (DepositApproved,),
        "mean_deposit_minor": (DepositApproved,),
        **dict.fromkeys(("timezone", "language", "country", "currency"), _PROFILE),
    }
)
#: Every event that may move a moment.
MOVING: Final[tuple[type[Event], ...]] = tuple(dict.fromkeys(kind for kinds in TOLD_BY.values() for kind in kinds))
