"""Seconds from the close of a tournament until its last prize is written: places, gate, points, journal, events.

python bench/final.py [--entries N] [--rounds N]
"""

import argparse
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final

import orjson
from sqlalchemy import text

from activities.engine import WorkerEngine, worker_engine
from activities.settings import Settings
from activities.tournaments import close_to_scores
from bench.harness import BRAND, house
from bench.measuring import Figures, leave, main, say
from workflows import PlayerRegistered
from workflows.loyalty.tournament_prizes import PrizeTerms, TournamentTerms
from workflows.loyalty.tournaments import board_of
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex

_TOURNAMENT: Final = text(
    """
    INSERT INTO tournaments (board, brand, name, instance, opens_at, closes_at, cut_at, terms)
    VALUES (:board, :brand, 'final', :instance, :at, :at, :at, CAST(:terms AS jsonb))
    """
)
_PLAYERS: Final = text(
    """
    INSERT INTO players (brand, id, state, profile)
    SELECT :brand, 'p-' || n, CAST(:state AS jsonb), '{"birth_date": "1980-01-01"}' FROM generate_series(1, :entries) n
    ON CONFLICT DO NOTHING
    """
)
_STANDINGS: Final = text(
    """
    INSERT INTO standings (brand, player_id, board, neg_score, reached_at, rounds, draw, named)
    SELECT :brand, 'p-' || n, :board, -(1 + n % 997), CAST(:at AS timestamptz), 1, n, true
    FROM generate_series(1, :entries) n
    """
)
_PAID: Final = text("SELECT count(*) FROM standings WHERE board = :board AND outcome = 'paid'")
_POSTED: Final = text("SELECT count(*) FROM point_transfers WHERE cause = 'tournament' AND ref LIKE :instance || ' %'")


async def measure(given: argparse.Namespace) -> Figures:
    async with house() as built:
        url = built.environment()["DATABASE_URL"]
        settings = Settings(
            database_url=url,
            webhook_secret="whsec_" + "c2VjcmV0" * 4,
            link_secrets=("a secret for the bench, and for it only",),
        )
        async with worker_engine(settings) as engine:
            times = [await _final(engine, given.entries, number) for number in range(given.rounds)]
    return {"final_50k": round(median(times), 1), "final_50k_entries": given.entries}


async def _final(engine: WorkerEngine, entries: int, number: int) -> float:
    """One tournament, closed and paid; checked to the last prize."""
    instance, at = f"final:{number}", datetime.now(UTC) - timedelta(hours=1)
    board = board_of(BRAND, instance)
    terms = TournamentTerms(prizes=[PrizeTerms(first=1, last=entries, points=10)], currency="points", product="casino")
    about = {"brand": BRAND, "board": board, "instance": instance, "entries": entries, "at": at}
    async with engine.database.transaction() as connection:
        await connection.execute(_TOURNAMENT, about | {"terms": terms.model_dump_json()})
        await connection.execute(_PLAYERS, about | {"state": _registered(at)})
        await connection.execute(_STANDINGS, about)
    async with engine.database.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))
    began = time.perf_counter()
    async with engine.database.transaction() as connection:
        await close_to_scores(connection, board, engine.clock())
    assert (await engine.tournament_closing.write_places(board)).more
    ranked = time.perf_counter() - began
    while await engine.tournament_closing.pay_page(board):
        pass
    took = time.perf_counter() - began
    async with engine.database.reading() as connection:
        paid = (await connection.execute(_PAID, {"board": board})).scalar_one()
        posted = (await connection.execute(_POSTED, {"instance": instance})).scalar_one()
    assert (paid, posted) == (entries, entries), f"{paid} prizes are paid and {posted} posted of {entries}."
    say(f"{entries:,} prizes in {took:.1f} s, the places in {ranked:.1f} s of them.")
    return took


def _registered(at: datetime) -> str:
    """The row of a player who may be given anything."""
    state = PlayerState(BRAND, "p")
    told = PlayerRegistered(
        event_id="r", event_source="/bench", occurred_at=at, timezone="Europe/Copenhagen", country="DK", currency="DKK"
    )
    state.advance(told, RuleIndex({}), at, [])
    return orjson.dumps(state.stored(), option=orjson.OPT_UTC_Z).decode()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--entries", type=int, default=50_000)
    options.add_argument("--rounds", type=int, default=1)
    given = options.parse_args()
    leave(main(lambda: measure(given)))
