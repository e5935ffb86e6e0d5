"""What loyalty makes of a player: points earned by events, given by journeys, and gone when their time is over.

`state.PlayerState` builds on it. Where no program is declared nothing here does anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from workflows.events import Event, TierAtRisk, TierChanged
from workflows.field_types import Product
from workflows.local_time import DAY
from workflows.loyalty.accrual import accrue, left_the_row, remember
from workflows.loyalty.loyalty_state import LoyaltyState
from workflows.loyalty.point_account import LATENESS, MOST_FACTOR, MOST_WINDOWS, MultiplierWindow
from workflows.loyalty.point_currencies import EarnRule, PointCurrency
from workflows.loyalty.point_lots import choose, lot_of
from workflows.loyalty.point_transfers import Cause, HouseAccount, PointTransfer
from workflows.loyalty.postings import Postings
from workflows.loyalty.program import LoyaltyProgram
from workflows.loyalty.reversals import undone_by
from workflows.loyalty.tier_standing import TierState, plan, review, rise
from workflows.player_state.counting import derived_id
from workflows.player_state.ordering import Word
from workflows.player_state.projection import PlayerProjection
from workflows.rewards import RewardBase
from workflows.rules.failures import RuleFailure
from workflows.rules.measures import Measure
from workflows.rules.series import value


@dataclass(slots=True)
class LoyalPlayer(PlayerProjection):
    """A player with what loyalty knows of them; None for a player who never came near it."""

    loyalty: LoyaltyState | None = None

    @property
    def opted_out(self) -> bool:
        """Whether the player wants no part of loyalty."""
        return self.loyalty is not None and self.loyalty.opted_out

    def left_alone(self, now: datetime) -> bool:
        """Whether nothing of loyalty is counted or shown: the player is protected, or out by their own word."""
        return self.opted_out or self.protected(now) is not None

    def earn_by(
        self, event: Event, program: LoyaltyProgram, now: datetime, failures: list[RuleFailure]
    ) -> list[PointTransfer]:
        """Count an event under the earn rules, or what it undoes; what goes into the journal because of it."""
        undone = undone_by(event)
        counted = undone or event
        rules = program.earn_rules.get(counted.type)
        if rules is None or (undone is None and self.opted_out):
            return []
        postings = self._postings(now)
        accrue(rules, counted, self.present(now), postings, failures, undone=undone is not None)
        if postings.state == LoyaltyState():
            self.loyalty = None
        return postings.transfers

    def forgotten_buckets(self, event: Event, program: LoyaltyProgram, now: datetime) -> dict[str, EarnRule]:
        """The buckets that an event is about and that left the row long ago; the journal knows what was in them."""
        counted = undone_by(event) or event
        found: dict[str, EarnRule] = {}
        for rule in program.earn_rules.get(counted.type, ()):
            account = None if self.loyalty is None else self.loyalty.points.get(rule.currency.name)
            if (key := left_the_row(rule, account, counted.occurred_at, self.present(now))) is not None:
                found[key] = rule
        return found

    def remember_bucket(self, rule: EarnRule, key: str, units: Mapping[str, int], now: datetime) -> None:
        """Have such a bucket again, before the event is counted."""
        self.loyalty = self.loyalty or LoyaltyState()
        remember(rule, self.loyalty.account(rule.currency.name), key, units, self.present(now))

    def climb(self, event: Event, program: LoyaltyProgram, now: datetime) -> list[TierChanged]:
        """Lift the player through the tiers that an event, counted already, has reached; each step is an event."""
        ladder = program.ladder
        if ladder is None or ladder.by.kind.type != event.type or self.opted_out:
            return []
        before = None if self.loyalty is None else self.loyalty.tiers.get(ladder.name)
        state, moves = rise(ladder, before, self.present(now), partial(self._read, now))
        if state is None or not moves:
            return []
        self.loyalty = self.loyalty or LoyaltyState()
        self.loyalty.tiers[ladder.name] = state
        self._set_fact("tier", state.tier, Word(now, live=True))
        return [
            TierChanged(
                event_id=derived_id(event, f"{TierChanged.type}:{move.to}"),
                event_source=event.event_source,
                occurred_at=now,
                from_tier=move.before,
                to=move.to,
                direction="up",
            )
            for move in moves
        ]

    def award(
        self,
        into: PointCurrency,
        reward: RewardBase,
        ref: str,
        now: datetime,
        *,
        source: HouseAccount = "issued:award",
        cause: Cause = "journey",
        product: Product | None = None,
    ) -> list[PointTransfer]:
        """Give points, or a time in which they count more. The caller has asked the gate, and gives once."""
        postings, present = self._postings(now), self.present(now)
        if (boost := reward.boost) is not None:
            account = postings.state.account(into.name)
            known = [one for one in account.windows if one.until > now - LATENESS]
            window = MultiplierWindow(now, now + boost.lasts, min(MOST_FACTOR, boost.factor), boost.games, product)
            account.windows = [*known, window][-MOST_WINDOWS:]
        if reward.awarded_points:
            lot = lot_of(product, present.today, into.expires, present)
            postings.credit(into.name, reward.awarded_points, lot, source, cause, ref)
        return postings.transfers

    def lift(
        self, to: str, lasts: timedelta | None, program: LoyaltyProgram, now: datetime
    ) -> list[tuple[str | None, str]]:
        """Lift the player to a tier that was given, at least for so long; the tiers before and behind each step."""
        ladder = program.ladder
        held = None if ladder is None or self.loyalty is None else self.loyalty.tiers.get(ladder.name)
        place = -1 if ladder is None or held is None else ladder.place(held.tier)
        if ladder is None or ladder.place(to) <= place:
            return []
        names = [None, *(one.name for one in ladder.tiers)]
        self.loyalty = self.loyalty or LoyaltyState()
        state = TierState(to, now, now + (ladder.safe_after_up if lasts is None else lasts))
        plan(ladder, state, self.present(now))
        self.loyalty.tiers[ladder.name] = state
        self._set_fact("tier", to, Word(now, live=True))
        return [(names[number + 1], str(names[number + 2])) for number in range(place, ladder.place(to))]

    def correct_points(self, into: PointCurrency, amount: int, ref: str, now: datetime) -> list[PointTransfer] | None:
        """Give points by a person's word, or take some; None where there are fewer than are to be taken."""
        postings, present = self._postings(now), self.present(now)
        if amount > 0:
            lot = lot_of(None, present.today, into.expires, present)
            postings.credit(into.name, amount, lot, "issued:manual", "manual", ref)
            return postings.transfers
        postings.settle(into.name)
        slices = choose(postings.state.account(into.name).lots, -amount)
        if sum(slices.values()) < -amount:
            return None
        postings.spend(into.name, slices, "issued:manual", "manual", ref)
        return postings.transfers

    def tick_tiers(self, program: LoyaltyProgram, now: datetime) -> list[Event]:
        """Warn and review where the time has come; what journeys hear of it."""
        ladder = program.ladder
        if self.loyalty is None:
            return []
        for name, gone in self.loyalty.tiers.items():
            if (ladder is None or name != ladder.name) and (late := gone.next_moment) is not None and late <= now:
                gone.put_off(now + DAY)
        state = None if ladder is None else self.loyalty.tiers.get(ladder.name)
        if ladder is None or state is None:
            return []
        told: list[Event] = []
        while (due := state.next_moment) is not None and due <= now:
            alone = self.left_alone(now)
            for move in review(ladder, state, self.present(now), partial(self._read, now), protected=alone):
                envelope: dict[str, Any] = {
                    "event_id": f"{ladder.name}:{move.direction}:{int(due.timestamp())}",
                    "event_source": "engine",
                    "occurred_at": now,
                }
                if move.at_risk is not None:
                    told.append(TierAtRisk(**envelope, tier=state.tier, falls_to=move.to, falls_at=move.at_risk))
                    continue
                self._set_fact("tier", move.to, Word(now, live=True))
                told.append(TierChanged(**envelope, from_tier=move.before, to=move.to, direction="down"))
        return told

    def _read(self, now: datetime, measure: Measure) -> int:
        return value(self.series.get(measure.series, {}), measure, self.present(now))

    def tick_points(self, now: datetime) -> list[PointTransfer]:
        """Post and expire what is due; it needs no rule, so that nothing hangs on a release."""
        due = None if self.loyalty is None else self.loyalty.next_moment
        if self.loyalty is None or due is None or due > now:
            return []
        postings = self._postings(now)
        for name, account in self.loyalty.points.items():
            if account.post_at is not None and account.post_at <= now:
                postings.settle(name)
            postings.expire(name, protected=self.protected(now) is not None)
        return postings.transfers

    @property
    def loyalty_moments(self) -> list[datetime]:
        """When the player must be looked at for the sake of loyalty; none where nothing is due."""
        due = None if self.loyalty is None else self.loyalty.next_moment
        return [] if due is None else [due]

    def _postings(self, now: datetime) -> Postings:
        if self.loyalty is None:
            self.loyalty = LoyaltyState()
        return Postings(self.loyalty, now)
