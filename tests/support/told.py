"""A player whom others speak of, and what is said on each subject: No, Yes, and whether the No is in force."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from tests.support.player_events import NOON, Life, stored
from workflows import (
    ConsentChanged,
    Event,
    ExclusionEnded,
    ExclusionSet,
    PlayerRegistered,
    ProfileUpdated,
    StatusChanged,
    days,
)
from workflows.player_state.state import Mode

#: How far a sender's clock may be wrong without being refused.
SKEW: Final = 5


class Told(Life):
    """A player whose profile is kept as intake keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.profile: dict[str, str | None] = {}

    def hears(self, kind: type[Event], at: datetime, /, *, mode: Mode = "live", **data: Any) -> None:
        """A sender claims that this happened `at`; it reaches us now."""
        event = self.event(kind, occurred_at=at, **data)
        self.profile |= self.state.personal_words(event, self.state.word_of(event, self.now, live=mode == "live"))
        self.state.advance(event, self.rules, self.now, self.failures, mode=mode)
        self.state = stored(self.state)

    def registers(self, at: datetime, **data: Any) -> None:
        person: dict[str, Any] = {"email": "first@example.com", "timezone": "Europe/Kyiv", "birth_date": "1990-05-17"}
        self.hears(PlayerRegistered, at, **person | {"opted_in": ["email"], "is_test": False} | data)


Saying = tuple[type[Event], Mapping[str, Any]]
#: By subject: how the player says No to it and Yes, and whether the No is in force.
SUBJECTS: Final[Mapping[str, tuple[Saying, Saying, Callable[[Told], bool]]]] = {
    "consent": (
        (ConsentChanged, {"channel": "email", "product": "all", "opted_in": False}),
        (ConsentChanged, {"channel": "email", "product": "all", "opted_in": True}),
        lambda told: told.state.consents["email"][0] is False,
    ),
    "closed": (
        (StatusChanged, {"from_status": None, "to": "closed", "until": None, "reason": ""}),
        (StatusChanged, {"from_status": None, "to": "active", "until": None, "reason": ""}),
        lambda told: told.state.protected(told.now) is not None,
    ),
    "self_excluded": (
        (StatusChanged, {"from_status": None, "to": "self_excluded", "until": NOON + days(999), "reason": ""}),
        (StatusChanged, {"from_status": None, "to": "active", "until": None, "reason": ""}),
        lambda told: told.state.protected(told.now) == "self_excluded",
    ),
    "exclusion": (
        (ExclusionSet, {"kind": "self_exclusion", "scope": "brand", "until": None}),
        (ExclusionEnded, {"kind": "self_exclusion", "scope": "brand"}),
        lambda told: told.state.protected(told.now) == "self_excluded",
    ),
    "email": (
        (ProfileUpdated, {"changed": {"email": None}}),
        (ProfileUpdated, {"changed": {"email": "other@example.com"}}),
        lambda told: told.profile.get("email") is None,
    ),
    "timezone": (
        (ProfileUpdated, {"changed": {"timezone": None}}),
        (ProfileUpdated, {"changed": {"timezone": "Europe/Kyiv"}}),
        lambda told: told.state.timezone is None,
    ),
    "birth_date": (
        (ProfileUpdated, {"changed": {"birth_date": None}}),
        (ProfileUpdated, {"changed": {"birth_date": "1990-05-17"}}),
        lambda told: told.state.born is None and told.profile.get("birth_date") is None,
    ),
}
