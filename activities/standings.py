"""The table `standings`: who stands where on each board, as the players' rows say. Only this module writes it.

Intake writes a batch's scores in one statement, whole and not as differences, so nothing hangs on how often or in what
pieces they are written. Once a board is closed none of them changes anything.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import orjson
from sqlalchemy import Text, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.player_rows import HOLD_PLAYERS
from workflows.json_object import JsonObject
from workflows.loyalty.tournament_prizes import Due
from workflows.loyalty.tournament_scores import (
    NameShown,
    StandingChanged,
    StandingDecision,
    StandingsLost,
    StandingTooLate,
)
from workflows.player_state.prizes import place_effect

#: What a standing says of a prize that the bonus engine gives: the grant says what became of it.
GRANTED: Final = "granted"


class StandingRows:
    """What the decisions of a transaction write on boards."""

    def __init__(self) -> None:
        self.changed: dict[tuple[str, int], JsonObject] = {}
        self.too_late: Counter[tuple[str, int]] = Counter()
        self.lost: dict[str, JsonObject] = {}
        self.named: dict[str, JsonObject] = {}

    def take(self, player_id: str, decision: StandingDecision) -> None:
        """Note a decision; a standing is whole, so of several the last one is all of them."""
        match decision:
            case StandingChanged():
                self.changed[player_id, decision.board] = standing_row(player_id, decision)
            case StandingTooLate():
                self.too_late[player_id, decision.board] += 1
            case StandingsLost():
                self.lost[player_id] = {"player_id": player_id}
            case NameShown():
                self.named[player_id] = {"player_id": player_id, "shown": decision.shown}

    def by_statement(self) -> Iterator[tuple[TextClause, Sequence[object]]]:
        """The statements, each with its rows, if it has any."""
        # In one order everywhere: two batches that share players wait for their rows, and for nothing here.
        yield UPSERT, [self.changed[key] for key in sorted(self.changed)]
        yield NOTE_LATE, [{"player_id": one, "board": at, "late": n} for (one, at), n in sorted(self.too_late.items())]
        yield LOSE, [*self.lost.values()]
        yield NAME, [*self.named.values()]


def standing_row(player_id: str, changed: StandingChanged) -> JsonObject:
    """The row of a standing."""
    return {
        "player_id": player_id,
        "board": changed.board,
        "neg_score": -changed.score.score,
        "reached_at": changed.score.reached_at,
        "rounds": changed.score.rounds,
        "draw": changed.draw,
        "named": changed.named,
    }


async def number_page(connection: AsyncConnection, brand: str, board: int, least_score: int, limit: int) -> bool:
    """Number the next of those who are ranked, once and for all; False when everybody has a place.

    Of a board that is closed only. It goes on behind the last place that is written, whoever wrote it. The players are
    locked before their standings, as intake does, so nobody waits in a circle and nobody longer than for one page.
    """
    asked = {"board": board, "least": least_score, "limit": limit}
    after = (await connection.execute(_LAST_PLACED, {"board": board})).one_or_none()
    if after is None:
        place, chosen = 0, await connection.execute(_FIRST_PAGE, asked)
    else:
        here = {name: getattr(after, name) for name in ("neg_score", "reached_at", "rounds", "draw", "player_id")}
        place, chosen = after.place, await connection.execute(_NEXT_PAGE, {**asked, **here})
    ids = [*chosen.scalars()]
    if ids:
        await connection.execute(HOLD_PLAYERS, {"brand": brand, "ids": ids})
        await connection.execute(_PLACE, {"brand": brand, "board": board, "ids": ids, "after": place})
    return bool(ids)


async def count_places(connection: AsyncConnection, board: int) -> int:
    """How many places are written."""
    last = (await connection.execute(_LAST_PLACED, {"board": board})).one_or_none()
    return 0 if last is None else int(last.place)


async def paid_scores(connection: AsyncConnection, board: int, last: int, *, ties: bool) -> list[int]:
    """The scores of the places with a prize, in their order; with `ties` those who share the last score as well."""
    rows = await connection.execute(_TIED_SCORES if ties else _SCORES, {"board": board, "last": last})
    return [*rows.scalars()]


async def owe(connection: AsyncConnection, brand: str, board: int, dues: Sequence[Due]) -> None:
    """Write down what each of a page of places is owed, with their players locked as `number_page` has them."""
    rows = [{"place": one.place, "points": one.points, "badge": one.badge} for one in dues]
    whose = {"board": board, "first": dues[0].place, "last": dues[-1].place}
    ids = [*(await connection.execute(_HOLDERS, whose)).scalars()]
    await connection.execute(HOLD_PLAYERS, {"brand": brand, "ids": ids})
    await connection.execute(_OWE, {"board": board, "rows": orjson.dumps(rows).decode()})


async def owed(connection: AsyncConnection, board: int, limit: int) -> list[str]:
    """The players whose prizes are due next, in the order of their places."""
    return [*(await connection.execute(_OWED, {"board": board, "limit": limit})).scalars()]


async def still_owed(
    connection: AsyncConnection, brand: str, board: int, player_ids: Sequence[str]
) -> dict[str, tuple[Due, bool]]:
    """By player: what is due now that their rows are locked, and whether they still have their place."""
    rows = await connection.execute(_STILL_OWED, {"brand": brand, "board": board, "ids": [*player_ids]})
    return {row.player_id: (Due(row.place, row.points or 0, row.badge), row.state == 0) for row in rows}


async def settle(connection: AsyncConnection, brand: str, board: int, outcomes: Mapping[str, str]) -> None:
    """Write down what became of prizes, in the transaction that gives them."""
    rows = [{"player_id": player_id, "outcome": outcome} for player_id, outcome in outcomes.items()]
    await connection.execute(_SETTLE, {"brand": brand, "board": board, "rows": orjson.dumps(rows).decode()})


async def first_places(
    connection: AsyncConnection, brand: str, instance: str, board: int, *, final: bool, least: int = 1
) -> list[JsonObject]:
    """The first hundred with whose they are, and what became of their prizes; while it is open from `least` on."""
    chosen = (_FIRST_FINAL, {"board": board}) if final else (_FIRST, {"board": board, "least": least})
    rows = (await connection.execute(*chosen)).all()
    granted = {row.place: row.outcome for row in rows if row.outcome is not None}
    prizes = await prize_states(connection, brand, instance, granted)
    return [
        {
            "position": number if row.place is None else row.place,
            "player_id": row.player_id,
            "score": -row.neg_score,
            "points": row.points or 0,
            "badge": row.badge,
            "prize": prizes.get(row.place),
            "late": row.late,
        }
        for number, row in enumerate(rows, 1)
    ]


async def prize_states(
    connection: AsyncConnection, brand: str, instance: str, outcomes: Mapping[int, str]
) -> dict[int, str]:
    """What became of prizes, by place: what the standing says, and of a grant how far the bonus engine is with it."""
    keys = {place: place_effect(brand, "", instance, place).key for place, said in outcomes.items() if said == GRANTED}
    if not keys:
        return {**outcomes}
    states: dict[str, str] = {}
    for row in await connection.execute(_GRANTS, {"ids": [*keys.values()]}):
        states[row.id] = row.status
    return {place: states.get(keys.get(place, ""), said) for place, said in outcomes.items()}


async def lose(connection: AsyncConnection, brand: str, board: int, player_id: str) -> bool:
    """Take a player's place on one board, by a person's decision; False where there is none."""
    asked = {"brand": brand, "board": board, "player": player_id}
    return (await connection.execute(_LOSE_ONE, asked)).rowcount > 0


# What comes for a board that is closed is noted, where there is a standing, and changes nothing.
UPSERT: Final = text(
    """
    WITH r AS (
        SELECT *, EXISTS (SELECT FROM tournaments t WHERE t.board = told.board AND t.state <> 'open') AS closed
        FROM json_to_recordset(CAST(:rows AS json))
          AS told (player_id text, board bigint, neg_score bigint, reached_at timestamptz, rounds int, draw bigint,
                   named boolean)
    ), noted AS (
        UPDATE standings s SET late = s.late + 1 FROM r
        WHERE r.closed AND s.brand = :brand AND s.player_id = r.player_id AND s.board = r.board
    )
    INSERT INTO standings AS s (brand, player_id, board, neg_score, reached_at, rounds, draw, named)
    SELECT :brand, player_id, board, neg_score, reached_at, rounds, draw, named FROM r WHERE NOT closed
    ON CONFLICT (brand, player_id, board) DO UPDATE
    SET neg_score = EXCLUDED.neg_score, reached_at = EXCLUDED.reached_at, rounds = EXCLUDED.rounds,
        named = EXCLUDED.named
    """
)
NOTE_LATE: Final = text(
    """
    UPDATE standings s SET late = s.late + r.late
    FROM json_to_recordset(CAST(:rows AS json)) AS r (player_id text, board bigint, late int)
    WHERE s.brand = :brand AND s.player_id = r.player_id AND s.board = r.board
    """
)
LOSE: Final = text(
    """
    UPDATE standings s SET state = 1
    FROM json_to_recordset(CAST(:rows AS json)) AS r (player_id text)
    WHERE s.brand = :brand AND s.player_id = r.player_id AND s.state = 0
    """
)
NAME: Final = text(
    """
    UPDATE standings s SET named = r.shown
    FROM json_to_recordset(CAST(:rows AS json)) AS r (player_id text, shown boolean)
    WHERE s.brand = :brand AND s.player_id = r.player_id AND s.named <> r.shown
    """
)
_LAST_PLACED: Final = text(
    """
    SELECT place, neg_score, reached_at, rounds, draw, player_id FROM standings
    WHERE board = :board AND place IS NOT NULL ORDER BY place DESC LIMIT 1
    """
)
_PAGE: Final = """
    SELECT player_id FROM standings
    WHERE board = :board AND state = 0 AND neg_score <= -CAST(:least AS bigint) {further}
    ORDER BY neg_score, reached_at, rounds, draw, player_id LIMIT :limit
    """
_FIRST_PAGE: Final = text(_PAGE.format(further=""))
_NEXT_PAGE: Final = text(
    _PAGE.format(
        further="""AND (neg_score, reached_at, rounds, draw, player_id) >
        (CAST(:neg_score AS bigint), CAST(:reached_at AS timestamptz), CAST(:rounds AS int), CAST(:draw AS bigint),
         CAST(:player_id AS text))"""
    )
)
# Who lost the place while the page was chosen is skipped; nobody's order changes any more.
_PLACE: Final = text(
    """
    UPDATE standings s SET place = o.place
    FROM (SELECT player_id,
                 CAST(:after AS int) + row_number() OVER (ORDER BY neg_score, reached_at, rounds, draw, player_id)
                   AS place
          FROM standings WHERE brand = :brand AND player_id = ANY(:ids) AND board = :board AND state = 0) o
    WHERE s.brand = :brand AND s.player_id = o.player_id AND s.board = :board
    """
).bindparams(bindparam("ids", type_=ARRAY(Text)))
_HOLDERS: Final = text("SELECT player_id FROM standings WHERE board = :board AND place BETWEEN :first AND :last")
_SCORES: Final = text("SELECT -neg_score FROM standings WHERE board = :board AND place <= :last ORDER BY place")
_TIED_SCORES: Final = text(
    """
    SELECT -neg_score FROM standings WHERE board = :board AND place IS NOT NULL AND neg_score <= COALESCE(
        (SELECT neg_score FROM standings WHERE board = :board AND place = :last), 0)
    ORDER BY place
    """
)
_OWE: Final = text(
    """
    UPDATE standings s SET points = r.points, badge = r.badge, outcome = 'due'
    FROM json_to_recordset(CAST(:rows AS json)) AS r (place int, points bigint, badge text)
    WHERE s.board = :board AND s.place = r.place
    """
)
_OWED: Final = text(
    "SELECT player_id FROM standings WHERE board = :board AND outcome = 'due' ORDER BY place LIMIT :limit"
)
_STILL_OWED: Final = text(
    """
    SELECT player_id, place, points, badge, state FROM standings
    WHERE brand = :brand AND player_id = ANY(:ids) AND board = :board AND outcome = 'due'
    """
).bindparams(bindparam("ids", type_=ARRAY(Text)))
_SETTLE: Final = text(
    """
    UPDATE standings s SET outcome = r.outcome
    FROM json_to_recordset(CAST(:rows AS json)) AS r (player_id text, outcome text)
    WHERE s.brand = :brand AND s.player_id = r.player_id AND s.board = :board AND s.outcome = 'due'
    """
)
_FIRST: Final = text(
    """
    SELECT player_id, neg_score, place, points, badge, outcome, late FROM standings
    WHERE board = :board AND state = 0 AND neg_score <= -CAST(:least AS bigint)
    ORDER BY neg_score, reached_at, rounds, draw LIMIT 100
    """
)
_FIRST_FINAL: Final = text(
    """
    SELECT player_id, neg_score, place, points, badge, outcome, late FROM standings
    WHERE board = :board AND place IS NOT NULL AND state = 0 ORDER BY place LIMIT 100
    """
)
_GRANTS: Final = text("SELECT id, status FROM grants WHERE id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Text))
)
_LOSE_ONE: Final = text(
    "UPDATE standings SET state = 1 WHERE brand = :brand AND player_id = :player AND board = :board AND state = 0"
)
#: Erases up to `:limit` standings of a player.
ERASE: Final = text(
    """
    DELETE FROM standings WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM standings WHERE brand = :brand AND player_id = :player
        AND (reached_at <= :before OR state = 1) LIMIT :limit))
    """
)
FORGET: Final = text(
    """
    DELETE FROM standings WHERE ctid = ANY(ARRAY(
        SELECT s.ctid FROM tournaments t JOIN standings s ON s.board = t.board WHERE t.ended_at < :before LIMIT :limit))
    """
)
