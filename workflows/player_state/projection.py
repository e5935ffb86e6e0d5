"""What is known of a player from their events: counts, measures, streaks, status, protection, consent.

`state.PlayerState` builds on it and decides what a fact starts, wakes and stops.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import product as product_of
from typing import Any, Final

from pydantic import TypeAdapter

from workflows.channels import CHANNELS
from workflows.countries import in_iso
from workflows.events import (
    AffordabilityChanged,
    ConsentChanged,
    ContactVerified,
    ContentViewed,
    Country,
    Currency,
    DepositApproved,
    Event,
    ExclusionEnded,
    ExclusionSet,
    FeedbackAnswered,
    HarmReviewed,
    HarmSignal,
    Jurisdiction,
    KycChanged,
    Language,
    LimitReached,
    MessageReceived,
    MessageStatus,
    PlayerRegistered,
    ProfileUpdated,
    PromotionsPaused,
    RoundCompleted,
    StatusChanged,
    TierChanged,
    Timezone,
    WithdrawalCompleted,
)
from workflows.field_types import Product
from workflows.player_state.account_status import (
    CLOSED,
    DECEASED,
    MERGED_REASONS,
    UNPROTECTED_STATUSES,
    is_for_good,
    is_replaced_by_end,
    outranks,
)
from workflows.player_state.consents import ConsentNote, Consents, ConsentWord, keep_word, withdraws
from workflows.player_state.devices import DEVICE_EVENTS, device_words
from workflows.player_state.exclusion_blocks import (
    ACCOUNT,
    END_OF,
    END_OF_STATUS,
    OPENED,
    SELF_EXCLUDED,
    SELF_EXCLUSION,
    TIME_OUT,
    Block,
    Lasting,
    TimedStatus,
    kept,
    lifted,
    note_end,
    of_status,
)
from workflows.player_state.harm_watch import HarmWatch
from workflows.player_state.likings import forget_oldest, liking_of
from workflows.player_state.limits_and_checks import Checks, restrain
from workflows.player_state.net_deposits import NetDeposits, count_net
from workflows.player_state.ordered_events import is_ordered
from workflows.player_state.ordering import Word, first_said, instant, record_word
from workflows.rules.measures import Present
from workflows.rules.streak_state import StreakState, micros

#: Since when a status of which nobody said when it began.
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: What a profile update may teach a journey, and what it must look like.
PROFILE_FACTS: Final[Mapping[str, TypeAdapter[str]]] = {
    "language": TypeAdapter(Language),
    "timezone": TypeAdapter(Timezone),
    "country": TypeAdapter(Country),
    "currency": TypeAdapter(Currency),
    "jurisdiction": TypeAdapter(Jurisdiction),
}
UPDATED_FACTS: Final = (*PROFILE_FACTS, "is_test")
#: By channel: the field of the profile that messages on it go to. The others find the player by the player's id.
ADDRESSES: Final[Mapping[str, str]] = {
    channel: spec.address_field for channel, spec in CHANNELS.items() if spec.address_field is not None
}
#: A message that came shows that the address works.
ARRIVED: Final = frozenset({"delivered", "opened", "clicked"})
#: Reasons of a bounce that say that the address will never work.
HARD_BOUNCES: Final = frozenset({"hard", "hard_bounce", "permanent"})
#: So many bounces in a row stop a channel.
MOST_BOUNCES: Final = 3
#: Personal data, which lives in the profile; here are only the times of the words on it.
PERSONAL: Final = ("username", "email", "phone", "first_name", "birth_date")
#: The events that say them.
ABOUT_PERSON: Final = (PlayerRegistered, ProfileUpdated, *DEVICE_EVENTS)
#: Under this name `told` has the time of all personal data that have none of their own.
PERSON: Final = "person"


@dataclass(slots=True)
class PlayerProjection:
    """Everything the engine derives about one player from events, whatever journeys make of it.

    No names and no addresses: they live in the profile. The month and day of birth are here, because the next
    birthday is a moment, and no journey sees them.
    """

    brand: str
    player_id: str
    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, datetime] = field(default_factory=dict)
    last: dict[str, datetime] = field(default_factory=dict)
    #: By rule: how many in a row.
    streaks: dict[str, StreakState] = field(default_factory=dict)
    #: By streak of days: its length, and the last day that was judged.
    day_streaks: dict[str, tuple[int, date]] = field(default_factory=dict)
    #: By series (`measures.Measure.series`): small integers by slice, period or value.
    series: dict[str, dict[str, int]] = field(default_factory=dict)
    #: Visits by hour of the player's day.
    hours: dict[str, int] = field(default_factory=dict)
    #: Staked minor units by game category.
    stakes: dict[str, int] = field(default_factory=dict)
    deposited_minor: int = 0
    #: The lasting status. Ask `status_at`: one with an end may lie over it.
    status: str | None = None
    status_since: datetime | None = None
    timed_status: TimedStatus | None = None
    #: Whether the lasting status is that of an account that was merged into another.
    merged_away: bool = False
    exclusions: list[Block] = field(default_factory=list)
    #: The jurisdictions the player had when these were set: where they go afterwards, none is over sooner.
    excluded_in: list[str] = field(default_factory=list)
    #: The strongest sign of harm in rows from before signs were dated; it stands until a person has judged.
    harm: str | None = None
    watch: HarmWatch = field(default_factory=HarmWatch)
    #: By channel, or channel and product, as `consents.consent_key` has it.
    consents: Consents = field(default_factory=dict)
    consent_notes: dict[str, ConsentNote] = field(default_factory=dict)
    #: By limit the player has reached: until when it may hold.
    limits: dict[str, datetime] = field(default_factory=dict)
    checks: Checks = field(default_factory=dict)
    net_deposits: NetDeposits = field(default_factory=dict)
    #: By channel: how many messages in a row came back, and when the last did.
    bounces: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    #: Ids of the person's other accounts.
    accounts: list[str] = field(default_factory=list)
    #: By rule: when the player must be looked at although nothing happens.
    moments: dict[str, datetime] = field(default_factory=dict)
    #: By birthday, anniversary or schedule: the day of the last one that came, kept from the first one or a move on.
    occasions: dict[str, date] = field(default_factory=dict)
    #: Plain JSON values, named as in `PlayerFacts`.
    facts: dict[str, Any] = field(default_factory=dict)
    #: By fact: when the newest word on it was said, as `ordering.record_word` keeps it. Its name is a key of the stored
    #: state.
    told: dict[str, int] = field(default_factory=dict)
    #: What was said of a moment still to come, and when, as `ordering.first_said` keeps it.
    ahead: dict[str, int] = field(default_factory=dict)
    #: Month and day of birth, "MM-DD".
    born: str | None = None
    #: The segments the player is in, and since when.
    segments: dict[str, datetime] = field(default_factory=dict)

    @property
    def registered_at(self) -> datetime | None:
        """When the player registered."""
        at = self.facts.get("registered_at")
        return None if at is None else datetime.fromisoformat(at)

    @property
    def timezone(self) -> str | None:
        """The player's IANA zone."""
        zone: str | None = self.facts.get("timezone")
        return zone

    @property
    def jurisdiction(self) -> str | None:
        """The country whose law holds for the player, or a region of it; their country where nobody says another."""
        told: str | None = self.facts.get("jurisdiction") or self.facts.get("country")
        # Rows of before hold what nobody writes any more.
        return None if told is None else in_iso(told)

    def present(self, now: datetime) -> Present:
        """The moment as this player's clock and calendar have it."""
        return Present.at(now, self.timezone, self.player_id)

    def status_at(self, now: datetime) -> str | None:
        """The account's status, None while it is unknown. One with an end is over when that has passed."""
        timed = self.timed_status
        return self.status if timed is None or timed.until <= now else timed.status

    def protected(self, now: datetime) -> str | None:
        """Why this player must be left alone, the strongest reason, or None.

        An unknown status is not protection here: the gate refuses it before every effect.
        """
        in_force = {block.kind for block in self.exclusions if block.until is None or block.until > now}
        status = self.status_at(now)
        if in_force - {TIME_OUT} or status == SELF_EXCLUDED:
            return SELF_EXCLUDED
        if in_force:
            return TIME_OUT
        return None if status is None or status in UNPROTECTED_STATUSES else "account_not_active"

    @property
    def bouncing(self) -> tuple[str, ...]:
        """The channels on which the player's address does not work."""
        return tuple(channel for channel, (bounced, _) in self.bounces.items() if bounced >= MOST_BOUNCES)

    @property
    def favourite_category(self) -> str | None:
        """The game category with the highest stakes so far, None before the first round."""
        return min(self.stakes, key=lambda c: (-self.stakes[c], c), default=None)

    @property
    def usual_hours(self) -> tuple[int, ...]:
        """The fewest hours of the player's day that hold half of all visits, busiest first."""
        busiest: list[int] = []
        missing = sum(self.hours.values()) / 2
        for hour in sorted(self.hours, key=lambda hour: (-self.hours[hour], int(hour))):
            if missing <= 0:
                break
            missing -= self.hours[hour]
            busiest.append(int(hour))
        return tuple(busiest)

    def word_of(self, event: Event, now: datetime, *, live: bool) -> Word:
        """The word that an event is, received `now`; of one that is said again it is the first."""
        word = Word.of(event, now, live=live)
        return first_said(self.ahead, event, word) if is_ordered(event) else word

    def learn(self, event: Event, word: Word) -> None:
        """Learn the facts that an event carries about the player, as far as its `word` counts."""
        # What comes most often is asked for first.
        match event:
            case RoundCompleted():
                stake = event.stake_minor + event.bonus_stake_minor
                self.stakes[event.category] = self.stakes.get(event.category, 0) + stake
            case PlayerRegistered():
                self._register(event, word)
            case ProfileUpdated():
                self._update(event, word)
            case StatusChanged():
                self._change_status(event, word)
            case ExclusionSet():
                self._exclude(event, word)
            case ExclusionEnded():
                self._end_exclusion(event, word)
            case HarmSignal() | HarmReviewed() | PromotionsPaused():
                self.harm = None if self.watch.learn(event, word) else self.harm
            case ConsentChanged():
                product = None if event.product == "all" else event.product
                source = (event.source, event.text_version)
                self.set_consent(event.channel, word, opted_in=event.opted_in, product=product, source=source)
            case MessageStatus() | MessageReceived():
                self._hear_of_message(event, word)
            case ContactVerified():
                self._works_again(event.channel, word)
            case LimitReached() | KycChanged() | AffordabilityChanged():
                restrain(self.limits, self.checks, self.told, event, word)
                self._note(event, word)
            case TierChanged() | ContentViewed() | FeedbackAnswered():
                self._note(event, word)
            case DepositApproved():
                self.deposited_minor += event.amount_minor
                count_net(self.net_deposits, event, self.facts.get("currency"), word.at)
            case WithdrawalCompleted():
                count_net(self.net_deposits, event, self.facts.get("currency"), word.at)
            case _:
                pass

    def _note(self, event: Event, word: Word) -> None:
        """Keep the newest word on a fact that an event names."""
        match event:
            case TierChanged():
                self._set_fact("tier", event.to, word)
            case ContentViewed(item_id=str(item)):
                self._set_fact("last_viewed", item, word)
            case FeedbackAnswered() if (name := liking_of(event)) is not None:
                self._set_fact(name, event.score == 1, word)
                forget_oldest(self.facts, self.told)
            case KycChanged():
                self._set_fact("kyc_deadline", None if event.due_at is None else event.due_at.isoformat(), word)

    def personal_words(self, event: Event, word: Word) -> dict[str, str | None]:
        """The personal data in an event that count, None for what is erased; the caller keeps them in the profile.

        To be asked before `learn`: afterwards every word is known.
        """
        said: dict[str, str | None] = {}
        match event:
            case PlayerRegistered():
                said = {name: str(value) for name in PERSONAL if (value := getattr(event, name)) is not None}
                default, word = micros(word.at), self._as_registered(word)
            case ProfileUpdated():
                changed = {name: event.changed[name] for name in PERSONAL if name in event.changed}
                said = {name: None if value is None else str(value) for name, value in changed.items()}
                default = 0
            case _:
                return device_words(self.told, event, word)
        # A row of before kept no times: what it knows is as new as anything it was told of the person.
        before = [micros(at) for at in (self.registered_at, self.last.get(ProfileUpdated.type)) if at is not None]
        since = self.told.setdefault(PERSON, max(before, default=default))
        counted = {
            name: value
            for name, value in said.items()
            if record_word(self.told, name, word, erases=value is None, since=since)
        }
        for name in counted:
            self._works_again(name, word)
            if self.told[name] == since:
                del self.told[name]
        return counted

    def _as_registered(self, word: Word) -> Word:
        """There is one registration a player: one that is sent again says what was said then."""
        known = self.registered_at
        return word if known is None else Word(min(word.at, known), live=False)

    def _set_fact(self, name: str, value: Any, word: Word) -> None:
        """Keep the newest word on a fact, None to erase it; of two at one instant the one that came last."""
        if not record_word(self.told, name, word, erases=value is None):
            return
        if value is None:
            self.facts.pop(name, None)
        else:
            self.facts[name] = value

    def _exclude(self, event: ExclusionSet, word: Word) -> None:
        """Keep an exclusion, unless an end that is known is newer."""
        self._block(event.kind, event.scope, event.until, word, self.told.get(_end_of(event)))

    def _block(self, kind: str, scope: str, until: datetime | None, word: Word, ended: int | None) -> bool:
        since = word.at
        if ended is not None and micros(since) < ended:
            if not word.live:
                return False
            # It comes after an end that claims to be newer. The same end, sent again, must not lift it.
            since = instant(ended)
        self.exclusions = kept(self.exclusions, Block(kind, scope, until, since))
        if self.jurisdiction is not None:
            self.excluded_in = sorted({*self.excluded_in, self.jurisdiction})
        return True

    def _end_exclusion(self, event: ExclusionEnded, word: Word) -> None:
        """Lift what was set before it."""
        note_end(self.told, _end_of(event), micros(word.at))
        self._lift(event.kind, event.scope, word.at)

    def _lift(self, kind: str, scope: str, at: datetime) -> bool:
        before = len(self.exclusions)
        self.exclusions = lifted(self.exclusions, kind, scope, at)
        if not self.exclusions:
            self.excluded_in = []
        return len(self.exclusions) < before

    def _register(self, event: PlayerRegistered, word: Word) -> None:
        first, word = self.registered_at is None, self._as_registered(word)
        self.status = self.status or "active"
        for name in PROFILE_FACTS:
            value = getattr(event, name)
            if name in event.model_fields_set and value is not None:
                self._set_fact(name, value, word)
            elif value is not None and name not in self.told:
                self.facts.setdefault(name, value)
        if event.birth_date is not None:
            self._set_birthday(event.birth_date, word)
        self.facts["registered_at"] = word.at.isoformat()
        self.facts["is_test"] = event.is_test or bool(self.facts.get("is_test"))
        if first:
            for channel, product in product_of(event.opted_in, event.opted_in_for or (None,)):
                self.set_consent(channel, word, opted_in=True, product=product, source=("registration", ""))

    def _update(self, event: ProfileUpdated, word: Word) -> None:
        for name in UPDATED_FACTS:
            if name in event.changed:
                self._set_fact(name, event.changed[name], word)
        if "birth_date" in event.changed:
            day = event.changed["birth_date"]
            self._set_birthday(None if day is None else date.fromisoformat(str(day)), word)

    def _set_birthday(self, birth_date: date | None, word: Word) -> None:
        if record_word(self.told, "born", word, erases=birth_date is None):
            self.born = None if birth_date is None else f"{birth_date:%m-%d}"

    def _hear_of_message(self, event: MessageStatus | MessageReceived, word: Word) -> None:
        if withdraws(event):
            source = event.status if isinstance(event, MessageStatus) else "stop_word"
            self.set_consent(event.channel, word, opted_in=False, source=(source, ""))
        address = ADDRESSES.get(event.channel)
        if address is None or isinstance(event, MessageReceived):
            return
        bounced, last = self.bounces.get(event.channel, (0, None))
        if last is not None and word.at <= last:
            return
        if event.status in ARRIVED:
            self.bounces.pop(event.channel, None)
        elif event.status == "bounced" and micros(word.at) > abs(self.told.get(address, 0)):
            hard = (event.suppress_reason or "").lower() in HARD_BOUNCES
            self.bounces[event.channel] = (MOST_BOUNCES if hard else bounced + 1, word.at)

    def _works_again(self, address: str, word: Word) -> None:
        """Another address, or one that was proven, is tried again whatever came back before."""
        for channel in [one for one, (_, last) in self.bounces.items() if ADDRESSES[one] == address and last < word.at]:
            del self.bounces[channel]

    def _change_status(self, event: StatusChanged, word: Word) -> None:
        self.adopt_status()
        self._set_status(event, word)
        self.adopt_status()
        opened = self.told.get(OPENED)
        if event.to == SELF_EXCLUDED:
            if not self._block(SELF_EXCLUSION, ACCOUNT, event.until, word, opened):
                note_end(self.told, END_OF_STATUS, opened or 0)
        elif event.to in UNPROTECTED_STATUSES:
            note_end(self.told, OPENED, micros(word.at))
            if self._lift(SELF_EXCLUSION, ACCOUNT, word.at):
                note_end(self.told, END_OF_STATUS, micros(word.at))

    def adopt_status(self) -> None:
        """Have the block that the account's status is, where the row does not have it yet."""
        lasting = Lasting(self.status, self.status_since or EPOCH) if self.status else None
        self.exclusions = of_status(self.exclusions, lasting, self.timed_status)

    def _set_status(self, event: StatusChanged, word: Word) -> None:
        to, timed = event.to, self.timed_status
        if is_for_good(self.status, to, event.reason):
            return
        replaces_lasting = outranks(to, word, self.status, self.status_since)
        replaces_timed = timed is None or outranks(to, word, timed.status, timed.since)
        since = max(word.at, self.status_since or word.at)
        if event.until is None or to == DECEASED:
            if replaces_lasting:
                self.status, self.status_since = to, since
                self.merged_away = event.reason in MERGED_REASONS
            if replaces_timed:
                self.timed_status = None
        elif replaces_lasting and replaces_timed:
            before = event.from_status
            # What was before is what will be after; where the event knows that better, it is believed.
            if before not in {None, self.status_at(word.at)} and outranks(
                before, Word(word.at, live=False), self.status, self.status_since
            ):
                self.status, self.status_since = before, since
            self.timed_status = TimedStatus(to, event.until, since if timed is None else max(since, timed.since))

    def ends_at(self, now: datetime) -> list[TimedStatus | Lasting]:
        """How the person closed the account; none while it is open or if it was only merged into another."""
        ends: list[TimedStatus | Lasting] = []
        timed = self.timed_status
        if timed is not None and timed.until > now and timed.status == CLOSED:
            ends.append(timed)
        if self.status in {CLOSED, DECEASED} and not self.merged_away:
            ends.append(Lasting(self.status, self.status_since or now))
        return ends

    def end_with(self, end: TimedStatus | Lasting) -> None:
        """Close this account as another of the same person was closed; of two ends the later one counts."""
        timed = self.timed_status
        if isinstance(end, Lasting):
            if is_replaced_by_end(self.status, end.status, merged_away=self.merged_away):
                self.status, self.merged_away = end.status, False
                self.status_since = max(end.since, self.status_since or end.since)
        elif timed is None or timed.status != CLOSED or timed.until < end.until:
            self.timed_status = end

    def _place_at(self, at: datetime) -> str | None:
        """Where the player was at a moment: nobody knows from before the jurisdiction was told that is known now."""
        name = "jurisdiction" if self.facts.get("jurisdiction") else "country"
        told = self.told.get(name)
        return self.jurisdiction if told is None or told <= micros(at) else None

    def set_consent(
        self,
        channel: str,
        word: Word,
        *,
        opted_in: bool,
        product: Product | None = None,
        source: tuple[str, str] = ("", ""),
    ) -> None:
        """Keep a word on a channel, or on a product on it; `source` is where it was said and which text was read."""
        note = (*source, self._place_at(word.at))
        new = ConsentWord(channel, product, opted_in, word, note)
        keep_word(self.consents, self.consent_notes, self.told, new)


def _end_of(event: ExclusionSet | ExclusionEnded) -> str:
    return f"{END_OF}{event.kind}/{event.scope}"
