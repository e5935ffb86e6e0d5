"""What tournaments make of a player: a score with every event that counts, a seat by the player's word, a prize."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from workflows.events import Event
from workflows.loyalty.missions import Badge
from workflows.loyalty.point_currencies import PointCurrency
from workflows.loyalty.point_lots import lot_of
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.program import LoyaltyProgram
from workflows.loyalty.reversals import undone_by
from workflows.loyalty.tournament_prizes import Due, TournamentTerms
from workflows.loyalty.tournament_scores import (
    MOST_ENTRIES,
    NameShown,
    Score,
    StandingChanged,
    StandingDecision,
    StandingsLost,
    StandingTooLate,
    TournamentEntry,
)
from workflows.loyalty.tournaments import Instance, Tournament, board_of, draw_of
from workflows.player_state.wheel_player import WheelPlayer
from workflows.rules.failures import RuleFailure

#: Why a player gets no seat.
SeatRefusal = Literal["unknown", "no_opt_in", "already_registered", "closed", "lost", "in_too_many", "test_account"]


@dataclass(slots=True)
class TournamentPlayer(WheelPlayer):
    """A player with the tournaments they compete in."""

    def gain(
        self, event: Event, program: LoyaltyProgram, now: datetime, failures: list[RuleFailure]
    ) -> list[PointTransfer | StandingDecision]:
        """Count an event under the earn rules and in tournaments, or what it undoes."""
        return [*self.earn_by(event, program, now, failures), *self.compete(event, program, now, failures)]

    def compete(
        self, event: Event, program: LoyaltyProgram, now: datetime, failures: list[RuleFailure]
    ) -> list[StandingDecision]:
        """Count an event in the instances it is about, or take it out again where it is undone."""
        undone = undone_by(event)
        counted = undone or event
        about = program.tournaments_about.get(counted.type, ())
        if not about or self.left_alone(now) or self.facts.get("is_test"):
            return []
        at = min(counted.occurred_at, now)
        decisions: list[StandingDecision] = []
        for declared in about:
            instance = declared.instance_at(at)
            amount = 0 if instance is None else declared.amount(counted, failures)
            if instance is None or not amount:
                continue
            if now >= instance.cut:
                if self.loyalty is not None and self.loyalty.ranked:
                    decisions.append(StandingTooLate(board_of(self.brand, instance.id)))
                continue
            entry = self._entry(declared, instance, now)
            if entry is None or entry.out or at < entry.since:
                continue
            before = entry.score(declared)
            entry.add(declared, counted, amount, at, undone=undone is not None)
            if (score := entry.score(declared)) != before:
                decisions.append(self._standing(instance, score))
        return decisions

    def seat_refusal(self, declared: Tournament, instance: Instance, now: datetime) -> SeatRefusal | None:
        """Why the player may not register for an instance; None if they may. The caller asks the gate."""
        if not declared.opt_in:
            return "no_opt_in"
        if now >= instance.closes:
            return "closed"
        if self.facts.get("is_test"):
            return "test_account"
        entries = {} if self.loyalty is None else self.loyalty.entries
        if instance.id in entries:
            return "lost" if entries[instance.id].out else "already_registered"
        return "in_too_many" if self._entries_live(now) >= MOST_ENTRIES else None

    def take_seat(self, declared: Tournament, instance: Instance, now: datetime) -> list[StandingDecision]:
        """Register by the player's word; what happens from now on counts."""
        entry = self._begin(instance, max(now, instance.opens), now)
        return [self._standing(instance, entry.score(declared))]

    def leave_boards(self, now: datetime) -> list[StandingDecision]:
        """Take every place from the player, for good: who is protected competes in nothing that is under way."""
        if self.loyalty is None:
            return []
        self.loyalty.entries = {name: one for name, one in self.loyalty.entries.items() if one.until > now}
        for entry in self.loyalty.entries.values():
            entry.out = True
        lost, self.loyalty.ranked = self.loyalty.ranked, False
        return [StandingsLost()] if lost else []

    def take_part(self, now: datetime, *, out: bool) -> list[StandingDecision]:
        """Have no more part in loyalty, by the player's own word, or have part in it again.

        What they have stays and expires as it would have. Places on boards are lost for good, as by a protection.
        """
        self._postings(now).state.opted_out = out
        return self.leave_boards(now) if out else []

    def lose_place(self, instance: str) -> None:
        """Let the player score no more in an instance, by a person's decision."""
        if self.loyalty is not None and (entry := self.loyalty.entries.get(instance)) is not None:
            entry.out = True

    @property
    def name_shown(self) -> bool:
        """Whether boards show a name for the player."""
        return self.loyalty is None or not self.loyalty.nameless

    def show_name(self, now: datetime, *, shown: bool) -> list[StandingDecision]:
        """Show the player's name on boards, or keep it from them."""
        state = self._postings(now).state
        state.nameless = not shown
        return [NameShown(shown)] if state.ranked else []

    def take_prize(self, terms: TournamentTerms, due: Due, ref: str, now: datetime) -> list[PointTransfer]:
        """Give the prize of a place. The caller has asked the gate, and gives once."""
        postings, present = self._postings(now), self.present(now)
        if due.badge is not None:
            self._wear(Badge(due.badge), now)
        if not due.points or terms.currency is None:
            return []
        into = PointCurrency(terms.currency, terms.expires)
        lot = lot_of(terms.product, present.today, into.expires, present)
        postings.credit(into.name, due.points, lot, "issued:tournament", "tournament", ref)
        return postings.transfers

    def _entry(self, declared: Tournament, instance: Instance, now: datetime) -> TournamentEntry | None:
        entry = None if self.loyalty is None else self.loyalty.entries.get(instance.id)
        if entry is not None or declared.opt_in:
            return entry
        return None if self._entries_live(now) >= MOST_ENTRIES else self._begin(instance, instance.opens, now)

    def _entries_live(self, now: datetime) -> int:
        return 0 if self.loyalty is None else sum(one.until > now for one in self.loyalty.entries.values())

    def _begin(self, instance: Instance, since: datetime, now: datetime) -> TournamentEntry:
        state = self._postings(now).state
        state.entries = {name: one for name, one in state.entries.items() if one.until > now}
        entry = state.entries[instance.id] = TournamentEntry(since, instance.cut)
        return entry

    def _standing(self, instance: Instance, score: Score) -> StandingChanged:
        assert self.loyalty is not None
        self.loyalty.ranked = True
        board = board_of(self.brand, instance.id)
        draw, named = draw_of(board, self.player_id), not self.loyalty.nameless
        return StandingChanged(board, instance.id, score, draw, named)
