"""Who a journey is rehearsed with: a player and a past, as the events that would have told it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from pydantic import ValidationError

from stage.errors import StageError
from workflows.channels import CHANNELS, Channel
from workflows.events import DepositApproved, Event, PlayerRegistered, RoundCompleted, SessionLogin, TierChanged
from workflows.events.base import ENVELOPE
from workflows.field_types import Product

SOURCE = "/rehearsal"
#: How long ago a player's past lies, so that nothing of it looks like today's.
PAST = timedelta(days=60)

Happening = tuple[type[Event], Mapping[str, Any], timedelta]
"""A kind of event, its data, and how long ago."""


@dataclass(frozen=True)
class Cast:
    """A player to rehearse with: facts of the registration, a past, and the channels they can be reached on."""

    player_id: str
    registered: Mapping[str, Any]
    deposits: int
    deposit_minor: int
    tier: str | None
    favourite_category: str | None
    last_login: timedelta | None
    reachable: frozenset[Channel]

    @property
    def registration(self) -> Happening:
        """How the player came."""
        return PlayerRegistered, self.registered, PAST

    def past(self) -> Iterator[Happening]:
        """Everything since the registration, but no deposits."""
        if self.tier is not None:
            yield TierChanged, {"to": self.tier}, PAST
        if self.favourite_category is not None:
            yield RoundCompleted, {"category": self.favourite_category, "stake_minor": 100, "win_minor": 100}, PAST
        if self.last_login is not None:
            yield SessionLogin, {}, self.last_login

    @property
    def deposit(self) -> Happening:
        """One deposit of the past."""
        data = {"amount_minor": self.deposit_minor, "currency": self.registered["currency"] or "EUR"}
        return DepositApproved, data, PAST


def player(
    player_id: str = "player",
    *,
    language: str = "en",
    timezone: str | None = "Europe/London",
    country: str | None = "GB",
    currency: str | None = "GBP",
    opted_in: Sequence[str] = tuple(CHANNELS),
    opted_in_for: Sequence[Product] = get_args(Product),
    reachable: Sequence[Channel] = tuple(CHANNELS),
    deposits: int = 0,
    deposit_minor: int = 5000,
    tier: str | None = None,
    favourite_category: str | None = None,
    last_login: timedelta | None = None,
    **registered: Any,
) -> Cast:
    """A player, by default an active one who may be told everything everywhere.

    In the past lie `deposits` approved ones of `deposit_minor` each, the `tier`, a round in `favourite_category` and
    a login, `last_login` ago. `registered` are further fields of the registration, such as `is_test=True`. Take a
    permission away to see what the gate does: `opted_in=[]` for no consent, `opted_in_for=["bingo"]` for consent to one
    product, `reachable=["push"]` for no addresses.
    """
    facts = {
        "language": language,
        "timezone": timezone,
        "country": country,
        "currency": currency,
        "opted_in": list(opted_in),
        "opted_in_for": list(opted_in_for),
        **registered,
    }
    cast = Cast(
        player_id=player_id,
        registered=facts,
        deposits=deposits,
        deposit_minor=deposit_minor,
        tier=tier,
        favourite_category=favourite_category,
        last_login=last_login,
        reachable=frozenset(reachable),
    )
    make(PlayerRegistered, facts, event_id="check", occurred_at=datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
    return cast


def make(kind: type[Event], data: Mapping[str, Any], *, event_id: str, occurred_at: datetime) -> Event:
    """An event of `kind`; what it requires and `data` does not give comes from the documented example.

    Raises StageError for a field the kind does not have: pydantic would drop it and the example would be taken.
    """
    aliases = {field.alias or name: name for name, field in kind.model_fields.items()}
    if unknown := sorted(data.keys() - aliases.keys() - set(aliases.values())):
        known = ", ".join(sorted(aliases.keys() - ENVELOPE)) or "no data at all"
        raise StageError(f"{kind.__name__} has no {', '.join(unknown)}; it has {known}.")
    given = {aliases.get(name, name) for name in data}
    required = {
        name: value
        for name, value in kind.example_data.items()
        if (field := aliases.get(name, name)) not in given and kind.model_fields[field].is_required()
    }
    if kind.unique_field in required:
        # Two deposits are two payments, unless somebody says that they are one.
        required[kind.unique_field] = event_id[-64:]
    envelope = {"event_id": event_id, "event_source": SOURCE, "occurred_at": occurred_at}
    try:
        return kind.model_validate({**required, **envelope, **data})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors())
        raise StageError(f"There can be no such {kind.__name__}: {faults}.") from None
