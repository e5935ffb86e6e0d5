"""What the gate knows of a player, a message and a reward, the same in production and on the stage.

Every fact defaults to None, which is "not known" and never "no": `GateFacts()` lets nothing through but what protects
the player. A fact known to be empty says so: `exclusions=()`, `harm="none"`.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import timezone as tz
from typing import Final

from workflows.effects import Give, OfferSpin
from workflows.events import DepositApproved
from workflows.field_types import MessageClass, Product
from workflows.local_time import DAY, zone
from workflows.loyalty.shop_items import ShopItem
from workflows.player_state.decisions import Arm
from workflows.player_state.exclusion_blocks import TIME_OUT, Block, Exclusion, last_end, of_status
from workflows.player_state.limits_and_checks import open_checks, passed_checks
from workflows.player_state.net_deposits import net_of
from workflows.player_state.ordering import instant
from workflows.player_state.state import PlayerState
from workflows.rewards import RewardBase
from workflows.rewards.base import value_of
from workflows.rules.sore_players import soreness

#: Who is known to be younger is sold to nowhere, whatever the policies say.
ADULT: Final = 18
SESSION_LOGIN: Final = "session.login"
SESSION_ENDED: Final = "session.ended"
ROUND: Final = "game.round_completed"
ACTIVE: Final = "active"
#: What the gate hears of an account that lives on as another one.
MERGED: Final = "merged"
#: Where a day begins last.
LAST_ZONE: Final = tz(timedelta(hours=-12))
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
BONUS_EVENTS: Final = ("reward.offered", "reward.claimed", "reward.activated", "reward.completed")
SIGNS_OF_PLAY: Final = (SESSION_LOGIN, ROUND, "sport.bet_placed")
SIGNS_OF_LIFE: Final = (*SIGNS_OF_PLAY, SESSION_ENDED, DepositApproved.type)


@dataclass(frozen=True, slots=True)
class Contact:
    """A marketing or survey message handed over; rows of one step are one contact, whatever the channels."""

    at: datetime
    channel: str
    step: str


@dataclass(frozen=True, slots=True)
class RegisterAnswer:
    """What a national register of excluded players said of a player, and when."""

    listed: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What is known of the player at this moment, read from the primary. None is "not known"."""

    status: str | None = None
    #: All exclusions on record; past ones do no harm. Empty: known to have none.
    exclusions: Sequence[Exclusion] | None = None
    #: The jurisdictions the player had when they were set.
    excluded_in: Collection[str] | None = None
    #: The harm that stands whatever the time, in rows from before signs were dated: none, weak, medium, strong.
    harm: str | None = None
    #: Signs of harm by "indicator/strength", and when each was seen.
    harm_signs: Mapping[str, datetime] | None = None
    #: Until when promotions are paused. Empty: known not to be.
    paused_until: Collection[datetime] | None = None
    is_test: bool | None = None
    #: Opt-in per channel, or per channel and product ("email/casino"); what is missing was never asked for.
    consents: Mapping[str, bool] | None = None
    #: By the same names: the player's jurisdiction when the consent was given.
    consent_places: Mapping[str, str | None] | None = None
    #: Channels the player can be reached on; `in_app` needs no address, and one that gives messages back is none.
    addresses: Collection[str] | None = None
    #: IANA name.
    timezone: str | None = None
    #: The newest login, the newest bet, any sign of life. Empty: known never to have been here.
    activity: Collection[datetime] | None = None
    #: Marketing and survey contacts of at least the last 7 days.
    contacts: Collection[Contact] | None = None
    #: How many messages of journeys that go first wait for the player's morning, and will be contacts then. It is about
    #: order and protects nobody: not known is none.
    ahead: int | None = None
    #: The country whose law holds for the player, or a region of it: "GB", "CA-ON".
    jurisdiction: str | None = None
    #: In whole years, on the player's own calendar.
    age: int | None = None
    #: When exclusions have ended, time-outs left out. Empty: known that none has.
    ended_exclusions: Collection[datetime] | None = None
    registered_at: datetime | None = None
    #: Approved deposits.
    deposits: int | None = None
    #: Whether the player had a bonus before, other than the one that is asked about.
    had_bonus: bool | None = None
    #: Whether the player is in a session.
    in_play: bool | None = None
    #: Until when limits hold that the player has reached; past ones do no harm. Empty: known to have reached none.
    limits_until: Collection[datetime] | None = None
    #: By national register: its newest answer. One that is missing was not asked, or did not answer.
    registers: Mapping[str, RegisterAnswer] | None = None
    #: Checks of the player that are pending, have failed or are out of date. Empty: known to be none.
    open_checks: Collection[str] | None = None
    #: Checks the player has passed and that are good today: `kyc`, `affordability`, `sof`. Empty: known to be none.
    passed_checks: Collection[str] | None = None
    #: The player's, in which bonuses are reckoned.
    currency: str | None = None
    #: What the player paid in less what was paid out in it, within 31 days; minor units.
    net_deposits: int | None = None
    #: What bonuses of the last 30 days are worth, other than the one that is asked about, in it; minor units.
    bonus_value: int | None = None
    #: The arm of the run that asks. It protects nobody: not known is not compared.
    arm: Arm | None = None
    #: The person's place among a hundred, drawn once for ever: a holdout of five percent is the places below 5.
    holdout_place: int | None = None
    #: Why the player is not to be asked how they like it: none, loss, complaint.
    sore: str | None = None
    #: Whether the player wants no part of loyalty. It protects nobody: not known is no.
    opted_out: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFacts:
    """The message in question. Ask once a channel; `step` is the effect's key and never counts against itself."""

    channel: str
    message_class: MessageClass
    step: str
    suppress_if_active_today: bool = False
    #: The kind of gambling it is about; None: nobody says.
    product: Product | None = None
    #: When the journey asked for it, when it is too late in its designer's eyes, and how long after a night it goes.
    asked_at: datetime | None = None
    by: datetime | None = None
    delay: timedelta = timedelta(0)
    #: Whether it asks the player how they like it.
    asks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFacts:
    """The reward in question."""

    kind: str
    #: How often what `wager_basis` names must be staked.
    wager_x: int = 0
    wager_basis: str = "bonus"
    #: The bonus in percent of the deposit that it is added to.
    match_pct: int = 100
    #: The kind of gambling it can be used on; None: whatever the journey is about.
    product: Product | None = None
    #: What the journey that gives it is about; None: nobody says.
    journey_product: Product | None = None
    #: Whether it is for players with a manager of their own.
    vip: bool = False
    #: What it is worth, at most or as expected, in the player's currency; minor units. None: nobody can say.
    value: int | None = None
    #: Whether a person has let it pass, however much the player had or others get.
    approved: bool = False
    #: Whether it is the player's due and no offer: nobody is left without it for a comparison, and no budget counts it.
    earned: bool = False

    @property
    def wager_factor(self) -> int:
        """How often the bonus itself must be staked, rounded up: the deposit counts too where the basis says so."""
        if self.wager_basis == "bonus":
            return self.wager_x
        return -(-self.wager_x * (self.match_pct + 100) // self.match_pct)

    @classmethod
    def of_item(cls, item: ShopItem, paid_with: Product | None) -> "GrantFacts":
        """The part of what a shop sells that the gate looks at, and the kind of gambling its points come from."""
        if isinstance(item.gives, RewardBase):
            return cls.of(item.gives, paid_with, earned=True)
        return cls(kind=item.kind, journey_product=paid_with, earned=True)

    @classmethod
    def of(
        cls,
        reward: RewardBase,
        journey_product: Product | None = None,
        *,
        vip: bool = False,
        approved: bool = False,
        earned: bool = False,
    ) -> "GrantFacts":
        """The part of a reward the gate looks at."""
        return cls(
            kind=reward.name,
            wager_x=getattr(reward, "wager_x", 0),
            wager_basis=getattr(reward, "wager_basis", "bonus"),
            match_pct=getattr(reward, "match_pct", 100),
            product=reward.product,
            journey_product=journey_product,
            vip=vip,
            value=value_of(reward),
            approved=approved,
            earned=earned or reward.earned,
        )


def give_facts(request: Give, product: Product) -> GrantFacts:
    """The part of a reward the gate looks at that a journey gives; `product` is what journeys are about by default."""
    about, approved, earned = request.product or product, request.approved, request.earned
    return GrantFacts.of(request.reward, about, vip=request.vip, approved=approved, earned=earned)


def spin_facts(request: OfferSpin, product: Product) -> GrantFacts:
    """The part of a spin the gate looks at before a journey gives it; of its prizes it is asked when it is made."""
    return GrantFacts(kind="mini_game", journey_product=product, vip=request.vip, value=0)


def facts_of(
    state: PlayerState,
    *,
    addresses: Collection[str],
    contacts: Collection[Contact],
    now: datetime,
    birth_date: date | None = None,
    had_bonus: bool | None = None,
    registers: Mapping[str, RegisterAnswer] | None = None,
    drawn_as: str | None = None,
) -> GateFacts:
    """The gate's facts at `now`. `contacts` are the marketing contacts of at least the last 7 days.

    `drawn_as` is the brand under whose name holdouts are drawn, where it is another of the group.

    What the state does not say stays unknown here, and the gate takes unknown for no. Only harm and the
    test mark are known to be absent once the player is known: nobody ever reports that there is none.
    """
    blocks, currency = _exclusions(state), state.facts.get("currency")
    return GateFacts(
        status=_status(state, now),
        exclusions=tuple(blocks),
        excluded_in=tuple(state.excluded_in),
        harm=state.harm or "none",
        harm_signs=dict(state.watch.signs),
        paused_until=() if state.watch.paused_until is None else (state.watch.paused_until,),
        is_test=bool(state.facts.get("is_test", False)),
        consents={name: opted_in for name, (opted_in, _) in state.consents.items()},
        consent_places={name: place for name, (*_, place) in state.consent_notes.items()},
        addresses=tuple(channel for channel in addresses if channel not in state.bouncing),
        timezone=state.facts.get("timezone"),
        activity=[state.last[kind] for kind in SIGNS_OF_LIFE if kind in state.last],
        contacts=tuple(contacts),
        jurisdiction=state.jurisdiction,
        age=None if birth_date is None else age_on(birth_date, _todays_date(state.timezone, now)),
        ended_exclusions=_ended_exclusions(state, blocks, now),
        registered_at=state.registered_at,
        deposits=state.counts.get(DepositApproved.type, 0),
        had_bonus=had_bonus,
        in_play=_in_play(state, now),
        limits_until=tuple(state.limits.values()),
        open_checks=open_checks(state.checks, now),
        passed_checks=passed_checks(state.checks, now),
        registers=registers or {},
        opted_out=state.opted_out,
        currency=currency,
        net_deposits=None if currency is None else net_of(state.net_deposits, currency, now),
        holdout_place=holdout_place(drawn_as or state.brand, state.player_id, *state.accounts),
        sore=soreness(state.series, state.present(now)),
    )


def _status(state: PlayerState, now: datetime) -> str | None:
    """The account's own; one that was merged away is nobody's any more, though nothing was told of its end."""
    status = state.status_at(now)
    return MERGED if status == ACTIVE and state.merged_into is not None else status


def holdout_place(brand: str, *accounts: str) -> int:
    """The place of a person with these accounts among a hundred, by which holdouts are drawn: 0 to 99.

    It is the lowest of their accounts' places, each the same for ever: who is in a holdout is in it also when their
    accounts are joined, in whichever order, and so is the other account from then on.
    """
    # Another text than that of the arms of journeys, so that neither share says anything of the other.
    digests = (hashlib.sha256(f"holdout:{brand}:{account}".encode()).digest() for account in accounts)
    return min(int.from_bytes(digest[:8], "big") % 100 for digest in digests)


def _ended_exclusions(state: PlayerState, blocks: Sequence[Exclusion], now: datetime) -> list[datetime]:
    """When exclusions have ended, by a word or because their time was over; time-outs left out."""
    told = last_end(state.told)
    over = [block.until for block in blocks if block.until is not None and block.kind != TIME_OUT]
    return [*([] if told is None else [instant(told)]), *(until for until in over if until <= now)]


def _exclusions(state: PlayerState) -> list[Block]:
    """All on record; one that is an account status with an end outlives that end where exclusions do not lapse."""
    timed = state.timed_status
    return state.exclusions if timed is None else of_status(state.exclusions, None, timed)


def had_bonus(
    state: PlayerState, *others: PlayerState, granted_here: bool, heard_since: datetime | None = None
) -> bool | None:
    """Whether the player had a bonus before, at this account or at the person's `others`.

    One that was granted here counts, and one that the bonus engine told of. `heard_since` is when we first heard of the
    player, None where nothing came before us: of one who registered earlier nobody knows what they had.
    """
    accounts = (state, *others)
    if granted_here or any(kind in one.counts for one in accounts for kind in BONUS_EVENTS):
        return True
    if heard_since is None:
        return False
    begun = [one.registered_at for one in accounts]
    heard_all = all(at is not None and at >= heard_since - DAY for at in begun)
    return False if heard_all else None


def _in_play(state: PlayerState, now: datetime) -> bool | None:
    """Whether a login, a round or a bet is newer than the last end of a session; nobody plays for a day on end.

    None for a player of whom no such thing was ever told: there may be nobody who tells it.
    """
    last = state.last
    begun = max((last[kind] for kind in SIGNS_OF_PLAY if kind in last), default=None)
    ended = last.get(SESSION_ENDED)
    if begun is None:
        return None if ended is None else False
    return begun > max(now - DAY, ended or LONG_AGO)


def _todays_date(timezone: str | None, now: datetime) -> date:
    """The player's; without a zone the one where the day begins last, so that nobody is taken for older."""
    return now.astimezone(LAST_ZONE if timezone is None else zone(timezone)).date()


def age_on(birth_date: date, day: date) -> int:
    """The age in whole years on a day; who was born on 29 February is a year older on 1 March."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))
