"""Points are moved while connections are cut and processes die: journal and rows hold at every commit."""

import pytest
from sqlalchemy.exc import DatabaseError

from local.postgres import Postgres
from local.slowness import slowness
from tests.crash.ledger_mix import Judged, LedgerMix, prove
from tests.support.engine import connected, execute
from tests.support.servers import fresh_database

#: What the mix must have moved, or it would prove nothing of it.
MOVES = {
    "issued:wager > available",
    "issued:wheel > available",
    "available > held",
    "held > available",
    "available > redeemed:shop",
    "available > reversed",
}


def holds(judged: Judged) -> None:
    assert judged.wrong == []
    assert judged.moves.keys() >= MOVES
    assert judged.passes > 0
    assert judged.spins > 0


async def test_the_ledger_holds_at_every_commit_while_connections_are_cut(postgres: Postgres) -> None:
    async with fresh_database(postgres, as_owner=True) as url:
        judged = await LedgerMix(url, turns=8, players=10).in_this_process(cut_every=0.2 * slowness())
    holds(judged)
    assert judged.postings >= 60
    assert judged.cuts > 0


@pytest.mark.slow  # A minute: every process that is killed is started again.
async def test_the_ledger_holds_while_the_processes_that_post_are_killed(postgres: Postgres) -> None:
    async with fresh_database(postgres, as_owner=True) as url:
        judged = await prove(url, 6_000, 100, seed=1, say=print, cut_every=1, kill_every=10, kills=3)
    holds(judged)
    assert judged.postings >= 6_000
    assert judged.kills > 0


async def test_a_posting_that_its_player_knows_nothing_of_fails_at_its_commit(postgres: Postgres) -> None:
    """Without it the test before could pass because nobody looks."""
    async with fresh_database(postgres, as_owner=True) as url:
        await LedgerMix(url, turns=2, players=2).in_this_process(cut_every=1_000)
        async with connected(url) as database:
            alone = """
                INSERT INTO point_transfers (brand, player_id, number, at, currency, debit, credit, cause, ref, amount)
                SELECT brand, player_id, max(number) + 1, now(), 'points', 'issued:manual', 'available', 'manual', '', 5
                FROM point_transfers GROUP BY brand, player_id LIMIT 1
            """
            with pytest.raises(DatabaseError, match="ledger: "):
                await execute(database, alone)
