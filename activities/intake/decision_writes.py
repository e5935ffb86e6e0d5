"""What decisions about players write, table by table; the table `memberships` is this module's own."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict

import orjson
from sqlalchemy import TextClause, text

from activities import grant_rows, messages, point_transfers, raffle_draws, runs, shadows, standings, tasks
from activities.run_delivery import deliveries
from activities.run_delivery.deliveries import DeliveryRow
from activities.standalone_tasks import StandaloneTask
from workflows.json_object import JsonObject
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.tournament_scores import NameShown, StandingChanged, StandingsLost, StandingTooLate
from workflows.player_facts import PlayerFacts
from workflows.player_state.decisions import (
    Decision,
    Ended,
    GoalReached,
    GrantReached,
    MessageReached,
    Migrate,
    Moved,
    ReviewDue,
    RevokeOffers,
    ShadowStart,
    Start,
    Stop,
    TicketsGiven,
    Wake,
)


class DecisionRows:
    """What the decisions of a transaction write, table by table."""

    def __init__(
        self,
        brand: str,
        decisions: Iterable[tuple[str, Decision]],
        facts: Mapping[str, PlayerFacts],
        messages: Iterable[DeliveryRow],
        held_out: Collection[str] = (),
    ) -> None:
        self.held_out = held_out
        self.starts: list[runs.NewRun] = []
        self.shadow_starts: list[shadows.NewShadowRun] = []
        self.ends: dict[str, runs.EndedRun] = {}
        self.moves: dict[str, runs.MovedRow] = {}
        self.goals: dict[str, runs.ReachedGoal] = {}
        self.deliveries: list[DeliveryRow] = [*messages]
        self.transfers: list[JsonObject] = []
        self.tickets: list[JsonObject] = []
        self.reached: list[JsonObject] = []
        self.grants_reached: list[JsonObject] = []
        self.reviews: list[StandaloneTask] = []
        self.revoked: dict[str, JsonObject] = {}
        self.standings = standings.StandingRows()
        self.left: list[JsonObject] = []
        self.stays: list[JsonObject] = []
        self._open: dict[tuple[str, str], JsonObject] = {}
        for player_id, decision in decisions:
            self._take(brand, player_id, decision, facts)

    def _take(self, brand: str, player_id: str, decision: Decision, facts: Mapping[str, PlayerFacts]) -> None:
        match decision:
            case Start():
                self._start(brand, player_id, decision, facts)
            case ShadowStart():
                self._start_shadow(brand, player_id, decision, facts)
            case Wake():
                self.deliveries.append(DeliveryRow.event(decision.run_id, decision.seq, decision.event))
            case Stop():
                self.deliveries.append(DeliveryRow.stop(decision.run_id, decision.seq, decision.reason))
            case Migrate():
                order = DeliveryRow.migrate(decision.run_id, decision.seq, decision.version, decision.do)
                self.deliveries.append(order)
                self.moves[decision.run_id] = runs.MovedRow(decision.run_id, decision.version)
            case GoalReached():
                self.goals[decision.run_id] = runs.ReachedGoal(decision.run_id, decision.at)
            case Ended():
                self.ends[decision.run_id] = runs.EndedRun(decision.run_id, decision.at, decision.outcome)
            case PointTransfer():
                self.transfers.append(point_transfers.transfer_row(player_id, decision))
            case TicketsGiven():
                self.tickets.append({"player_id": player_id, **asdict(decision)})
            case MessageReached() | GrantReached():
                self._reach(player_id, decision)
            case ReviewDue():
                self.reviews.append(StandaloneTask.reviewing(decision, facts[decision.task_id]))
            case RevokeOffers():
                self._revoke(player_id, decision)
            case Moved():
                self._move(player_id, decision)
            case StandingChanged() | StandingTooLate() | StandingsLost() | NameShown():
                self.standings.take(player_id, decision)

    def by_statement(self) -> Iterator[tuple[TextClause, Sequence[object]]]:
        """The statements that have something to write, in the order of their foreign keys."""
        written: tuple[tuple[TextClause, Sequence[object]], ...] = (
            (runs.INSERT, self.starts),
            (shadows.INSERT_RUNS, self.shadow_starts),
            (runs.MOVE, [*self.moves.values()]),
            (runs.REACH_GOALS, [*self.goals.values()]),
            (runs.END, [*self.ends.values()]),
            (messages.ADVANCE, self.reached),
            (grant_rows.ADVANCE, self.grants_reached),
            (_LEAVE, self.left),
            (_STAY, self.stays),
            (point_transfers.INSERT, self.transfers),
            *self.standings.by_statement(),
            (raffle_draws.INSERT_TICKETS, self.tickets),
            (tasks.OPEN, self.reviews),
            (grant_rows.REVOKE_OFFERS, [*self.revoked.values()]),
            (deliveries.INSERT, self.deliveries),
        )
        return ((statement, rows) for statement, rows in written if rows)

    def _start(self, brand: str, player_id: str, decision: Start, facts: Mapping[str, PlayerFacts]) -> None:
        """Begin a run; a refused entry is a row alone."""
        run_input: JsonObject | None = None
        if decision.refused is None:
            run = decision.run_input(brand, facts[decision.run_id])
            begin = DeliveryRow.start(run, decision.cause)
            self.deliveries.append(begin)
            run_input = begin.payload
        held_out = decision.run_id in self.held_out
        self.starts.append(runs.NewRun.of(player_id, decision, run_input, held_out=held_out))

    def _start_shadow(
        self, brand: str, player_id: str, decision: ShadowStart, facts: Mapping[str, PlayerFacts]
    ) -> None:
        shadow = decision.run_input(brand, facts[decision.beside.run_id])
        self.deliveries.append(DeliveryRow.start(shadow, decision.beside.cause))
        self.shadow_starts.append(shadows.NewShadowRun.of(player_id, decision))

    def _reach(self, player_id: str, told: MessageReached | GrantReached) -> None:
        """Move what a provider told of, each in its own table."""
        rows = self.reached if isinstance(told, MessageReached) else self.grants_reached
        rows.append({"player_id": player_id, **asdict(told)})

    def _revoke(self, player_id: str, decision: RevokeOffers) -> None:
        """Have a player's offers taken back; of several reasons the first is told."""
        taken: JsonObject = {"player_id": player_id, "reason": decision.reason, "at": decision.at}
        self.revoked.setdefault(player_id, taken)

    def _move(self, player_id: str, move: Moved) -> None:
        """Close a membership that was left, open one that was entered; a stay within one transaction is kept too."""
        key = (player_id, move.segment)
        if move.entered:
            stay = {"player_id": player_id, "segment": move.segment, "entered_at": move.at, "left_at": None}
            self._open[key] = stay
            self.stays.append(stay)
        elif key in self._open:
            self._open.pop(key)["left_at"] = move.at
        else:
            self.left.append({"player_id": player_id, "segment": move.segment, "left_at": move.at})


def as_json(value: object) -> str:
    """A value as the JSON document that statements of intake take."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()


# Rows come as one JSON document: cheaper for a batch than arrays, whose text must be escaped.
_LEAVE = text(
    """
    UPDATE memberships m SET left_at = t.left_at
    FROM json_to_recordset(CAST(:rows AS json)) AS t (player_id text, segment text, left_at timestamptz)
    WHERE m.brand = :brand AND m.segment = t.segment AND m.player_id = t.player_id AND m.left_at IS NULL
    """
)
_STAY = text(
    """
    INSERT INTO memberships (brand, segment, player_id, entered_at, left_at)
    SELECT :brand, segment, player_id, entered_at, left_at
    FROM json_to_recordset(CAST(:rows AS json))
      AS t (player_id text, segment text, entered_at timestamptz, left_at timestamptz) ON CONFLICT DO NOTHING
    """
)
FORGET_STAYS = text(
    "DELETE FROM memberships WHERE seq = ANY(ARRAY(SELECT seq FROM memberships WHERE left_at < :before LIMIT :limit))"
)
#: Erases up to `:limit` stays of a player in segments that began before `:before`.
ERASE_STAYS = text(
    """
    DELETE FROM memberships WHERE seq = ANY(ARRAY(
        SELECT seq FROM memberships WHERE brand = :brand AND player_id = :player AND entered_at <= :before
        LIMIT :limit))
    """
)
