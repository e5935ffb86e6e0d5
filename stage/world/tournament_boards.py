"""Boards in memory: the standings of the world's players beside made-up rivals, closed and paid when they are cut."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Protocol

from stage.virtual_temporal.server import VirtualTemporal
from stage.world.given_rewards import GivenRewards
from stage.world.records import GrantRecord
from workflows.channels import CHANNELS, Channel
from workflows.effects import Give
from workflows.events import Event, TournamentResult
from workflows.field_types import Product
from workflows.gate.decide import may_grant
from workflows.gate.decision import Refusal
from workflows.gate.facts import GrantFacts, facts_of
from workflows.gate.policy_book import PolicyBook
from workflows.loyalty.tournament_prizes import Due, TournamentTerms, prizes_due
from workflows.loyalty.tournament_scores import Score, StandingChanged, StandingDecision, StandingsLost
from workflows.loyalty.tournaments import Instance, Tournament, board_of, draw_of
from workflows.player_state.decisions import Decision
from workflows.player_state.prizes import place_effect, prize_request
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex


class BoardWorld(Protocol):
    """What boards need of their world."""

    rules: RuleIndex
    temporal: VirtualTemporal
    policies: PolicyBook
    product: Product
    brand: str
    addresses: dict[str, frozenset[Channel]]
    birth_dates: dict[str, date]
    grants: GivenRewards

    @property
    def now(self) -> datetime:
        """The present."""

    def player(self, player_id: str) -> PlayerState:
        """A player's state."""

    def happen(self, player_id: str, *events: Event) -> None:
        """Events reach intake."""

    def carry_out(self, state: PlayerState, decisions: Iterable[Decision]) -> None:
        """What decisions write."""


#: By place: the player and the score.
Places = dict[int, tuple[str, int]]


@dataclass
class Board:
    """The standings of one instance. `places` are written when it is closed."""

    declared: Tournament
    instance: Instance
    number: int
    scores: dict[str, Score] = field(default_factory=dict)
    rivals: set[str] = field(default_factory=set)
    places: Places | None = None
    #: By player: what became of the prize.
    outcomes: dict[str, str] = field(default_factory=dict)

    def ranked(self) -> list[str]:
        """Who would have a place now, the first one first."""
        least = self.declared.least_score
        taking_part = [one for one, score in self.scores.items() if score.score >= least]
        return sorted(taking_part, key=lambda one: self.scores[one].order(draw_of(self.number, one)))


class TournamentBoards:
    """The boards of a world, by instance."""

    def __init__(self, world: BoardWorld) -> None:
        self.world = world
        self.boards: dict[str, Board] = {}

    def take(self, player_id: str, decision: StandingDecision) -> None:
        """What intake writes; a board that is closed takes nothing."""
        match decision:
            case StandingChanged():
                if (board := self._board(decision.instance)).places is None:
                    board.scores[player_id] = decision.score
            case StandingsLost():
                for board in self.boards.values():
                    board.scores.pop(player_id, None)
            case _:
                pass  # names are shown to nobody here, and what comes too late changes nothing

    def rival(self, tournament: str, name: str, score: int, *, at: datetime | None = None) -> None:
        """Somebody the world does not know has this score in the present instance."""
        board = self._board(self.world.rules.loyalty.tournaments[tournament].newest(self.world.now).id)
        board.scores[name] = Score(score, at or self.world.now, 1)
        board.rivals.add(name)

    def register(self, state: PlayerState, tournament: str) -> str | None:
        """A player takes a seat in the present instance; why there was none, None if there was."""
        world = self.world
        one = world.rules.loyalty.tournaments.get(tournament)
        if one is None:
            return "unknown"
        instance = one.newest(world.now)
        reason: str | None = state.seat_refusal(one, instance, world.now)
        if reason == "already_registered":
            return None
        reason = reason or self._refused(state, "points", one.product)
        seats = self._board(instance.id).scores
        if reason is None and one.most_players is not None and len(seats) >= one.most_players:
            reason = "full"
        if reason is None:
            world.carry_out(state, state.take_seat(one, instance, world.now))
        return reason

    def _board(self, instance_id: str) -> Board:
        board = self.boards.get(instance_id)
        if board is None:
            declared = self.world.rules.loyalty.tournaments[instance_id.partition(":")[0]]
            newest = declared.newest(self.world.now)
            instance = next(
                one for one in (newest, declared.before(newest), declared.next(newest)) if one.id == instance_id
            )
            board = Board(declared, instance, board_of(self.world.brand, instance_id))
            self.boards[instance_id] = board
            self.world.temporal.at(instance.cut, partial(self._close, board))
        return board

    def _close(self, board: Board) -> None:
        ranked = board.ranked()
        board.places = {place: (one, board.scores[one].score) for place, one in enumerate(ranked, 1)}
        terms = TournamentTerms.of(board.declared)
        if terms.prizes and len(ranked) < terms.least_players:
            return
        for due in prizes_due(terms, [board.scores[one].score for one in ranked]):
            player_id = ranked[due.place - 1]
            if player_id not in board.rivals:
                board.outcomes[player_id] = self._pay(board, terms, player_id, due)

    def _pay(self, board: Board, terms: TournamentTerms, player_id: str, due: Due) -> str:
        world = self.world
        state = world.player(player_id)
        request, reward = None, terms.reward_of(due.place)
        if reward is not None:
            about = place_effect(world.brand, player_id, board.instance.id, due.place)
            whose = (about.brand, about.player_id, about.run_id, about.step)
            request = prize_request(*whose, reward, terms.product, earned=True)
        asked = None if request is None else GrantFacts.of(request.reward, terms.product, earned=True)
        refused = self._refused(state, "points" if due.points else "badge", terms.product, asked)
        if refused is not None:
            return f"withheld:{refused}"
        if request is not None:
            world.grants.append(_grant(world.now, request))
        world.carry_out(state, state.take_prize(terms, due, f"{board.instance.id} place {due.place}", world.now))
        world.happen(
            player_id,
            TournamentResult(
                event_id=f"{board.instance.id}:{player_id}",
                event_source="engine",
                occurred_at=world.now,
                entity_id=board.declared.name,
                rank=due.place,
                instance=board.instance.id,
            ),
        )
        return "paid" if request is None else "granted"

    def _refused(
        self, state: PlayerState, kind: str, product: Product | None, asked: GrantFacts | None = None
    ) -> str | None:
        world = self.world
        facts = facts_of(
            state,
            addresses=world.addresses.get(state.player_id, frozenset(CHANNELS)),
            contacts=(),
            now=world.now,
            birth_date=world.birth_dates.get(state.player_id),
        )
        asked = asked or GrantFacts(kind=kind, journey_product=product or world.product, earned=True)
        decision = may_grant(facts, asked, world.policies.of(world.brand, facts, world.now), world.now)
        return str(decision.reason) if isinstance(decision, Refusal) else None


def _grant(now: datetime, request: Give) -> GrantRecord:
    """A prize of money, which the bonus engine never fails on the stage."""
    return GrantRecord(
        at=now,
        run_id=request.run_id,
        player_id=request.player_id,
        journey=request.journey,
        step=request.step,
        kind=request.reward.name,
        reward=request.reward,
        status="confirmed",
        reason=None,
    )
