"""What the gate knows of a player, a message and a reward, the same in production and on the stage.

Every fact defaults to None, which is "not known" and never "no": `GateFacts()` lets nothing through but what protects
the player. A fact known to be empty says so: `exclusions=()`, `harm="none"`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows.field_types import MessageClass
from workflows.player_state.projection import Exclusion
from workflows.player_state.state import PlayerState
from workflows.rewards import RewardBase

SIGNS_OF_LIFE = ("session.login", "session.ended", "game.round_completed", "payment.deposit_approved")


@dataclass(frozen=True, slots=True)
class Contact:
    """A marketing or survey message handed over; rows of one step are one contact, whatever the channels."""

    at: datetime
    channel: str
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What is known of the player at this moment, read from the primary. None is "not known"."""

    status: str | None = None
    #: All exclusions on record; past ones do no harm. Empty: known to have none.
    exclusions: Sequence[Exclusion] | None = None
    #: The strongest harm signal in force: none, weak, medium, strong.
    harm: str | None = None
    is_test: bool | None = None
    #: Opt-in per channel; a missing channel was never asked for.
    consents: Mapping[str, bool] | None = None
    #: Channels the player can be reached on; `in_app` needs no address, and one that gives messages back is none.
    addresses: Collection[str] | None = None
    #: IANA name.
    timezone: str | None = None
    #: The newest login, the newest bet, any sign of life. Empty: known never to have been here.
    activity: Collection[datetime] | None = None
    #: Marketing and survey contacts of at least the last 7 days.
    contacts: Collection[Contact] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFacts:
    """The message in question. Ask once a channel; `step` is the effect's key and never counts against itself."""

    channel: str
    message_class: MessageClass
    step: str
    suppress_if_active_today: bool = False
    #: When the journey asked for it, when it is too late in its designer's eyes, and how long after a night it goes.
    asked_at: datetime | None = None
    by: datetime | None = None
    delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFacts:
    """The reward in question."""

    kind: str
    wager_x: int = 0

    @classmethod
    def of(cls, reward: RewardBase) -> "GrantFacts":
        """The part of a reward the gate looks at."""
        return cls(kind=reward.name, wager_x=getattr(reward, "wager_x", 0))


def facts_of(
    state: PlayerState, *, addresses: Collection[str], contacts: Collection[Contact], now: datetime
) -> GateFacts:
    """The gate's facts at `now`. `contacts` are the marketing contacts of at least the last 7 days.

    What the state does not say stays unknown here, and the gate takes unknown for no. Only harm and the
    test mark are known to be absent once the player is known: nobody ever reports that there is none.
    """
    return GateFacts(
        status=state.status_at(now),
        exclusions=tuple(state.exclusions),
        harm=state.harm or "none",
        is_test=bool(state.facts.get("is_test", False)),
        consents={channel: opted_in for channel, (opted_in, _) in state.consents.items()},
        addresses=tuple(channel for channel in addresses if channel not in state.bouncing),
        timezone=state.facts.get("timezone"),
        activity=[state.last[kind] for kind in SIGNS_OF_LIFE if kind in state.last],
        contacts=tuple(contacts),
    )
