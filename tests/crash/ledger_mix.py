"""Points move while connections are cut and processes killed; the ledger must hold at every commit.

    python -m tests.crash.ledger_mix --postings 1000000 [--players 1000] [--seed 1]

A trigger of the test's own holds, at each commit, the row of each player who was posted to against their journal.
Besides, the whole ledger is proved again and again in snapshots, and at the end step by step; what was earned must be
what the rounds that were sent come to, once each.
"""

import argparse
import asyncio
import math
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from activities.database import Database
from activities.ledger_proof import LedgerFault, prove_ledger
from activities.settings import Settings
from activities.wheel_spins import proof_of
from local.ports import free_port
from local.postgres import Postgres
from tests.crash.ledger_load import PROGRAM, Mix, earned, register
from tests.support.engine import BRAND, Effects, effects, execute
from tests.support.servers import fresh_database, make_template, running
from workflows.loyalty.spin_proofs import fault_of_spin

Say = Callable[[str], None]
WORKERS: Final = 2
#: What a player's row and journal say of each currency, both sides; held against each other when a commit is made.
_AT_COMMIT: Final = """
CREATE FUNCTION ledger_holds() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    own jsonb; account jsonb; told record; lots bigint; unposted bigint; number bigint := 0;
BEGIN
    SELECT state -> 'loyalty' INTO own FROM players WHERE brand = NEW.brand AND id = NEW.player_id;
    FOR told IN
        SELECT currency, count(*) AS transfers,
               sum(CASE WHEN credit = 'available' THEN amount WHEN debit = 'available' THEN -amount ELSE 0 END) AS a,
               sum(CASE WHEN debit = 'debt' THEN amount WHEN credit = 'debt' THEN -amount ELSE 0 END) AS d,
               sum(CASE WHEN credit = 'held' THEN amount WHEN debit = 'held' THEN -amount ELSE 0 END) AS h
        FROM point_transfers WHERE brand = NEW.brand AND player_id = NEW.player_id GROUP BY currency
    LOOP
        account := own -> 'points' -> told.currency;
        number := number + told.transfers;
        SELECT coalesce(sum(value::bigint), 0) INTO lots FROM jsonb_each_text(coalesce(account -> 'lots', '{}'));
        SELECT coalesce(sum(coalesce((value ->> 'points')::bigint, 0) - coalesce((value ->> 'posted')::bigint, 0)), 0)
            INTO unposted FROM jsonb_each(coalesce(account -> 'buckets', '{}'));
        IF lots - unposted <> told.a OR coalesce((account ->> 'debt')::bigint, 0) <> told.d
           OR coalesce((account ->> 'held')::bigint, 0) <> told.h THEN
            RAISE EXCEPTION 'ledger: % of % has % - %, % and %, and the journal says %', told.currency, NEW.player_id,
                lots, unposted, account ->> 'debt', account ->> 'held', told;
        END IF;
    END LOOP;
    IF number IS DISTINCT FROM (own ->> 'transfers')::bigint THEN
        RAISE EXCEPTION 'ledger: % has % transfers and the row knows %', NEW.player_id, number, own ->> 'transfers';
    END IF;
    RETURN NULL;
END $$
"""
_TRIGGER: Final = """
CREATE CONSTRAINT TRIGGER ledger_holds AFTER INSERT ON point_transfers DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ledger_holds()
"""
_CLOCK: Final = "CREATE TABLE ledger_clock (turn bigint)"
_CUT: Final = text(
    """
    SELECT count(pg_terminate_backend(pid)) FROM (
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        ORDER BY random() LIMIT 1
    ) AS one
    """
)
_SUMS: Final = text(
    """
    SELECT coalesce(sum(amount) FILTER (WHERE debit = 'issued:wager'), 0)
             - coalesce(sum(amount) FILTER (WHERE credit = 'reversed'), 0)
             + (SELECT coalesce(sum(coalesce((b.value ->> 'points')::bigint, 0)
                                    - coalesce((b.value ->> 'posted')::bigint, 0)), 0)
                FROM players p, jsonb_each(p.state -> 'loyalty' -> 'points') AS a,
                     jsonb_each(coalesce(a.value -> 'buckets', '{}')) AS b) AS earned,
           count(*) AS postings
    FROM point_transfers
    """
)
_MOVES: Final = text("SELECT debit || ' > ' || credit AS move, count(*) AS times FROM point_transfers GROUP BY move")
_SPINS: Final = text("SELECT player_id, id FROM spins")


@dataclass
class Judged:
    """What a run came to."""

    postings: int = 0
    earned: int = 0
    expected: int = 0
    faults: list[LedgerFault] = field(default_factory=list)
    spins: int = 0
    spin_faults: list[str] = field(default_factory=list)
    #: How often points went from one account to another, by both.
    moves: Counter[str] = field(default_factory=Counter)
    passes: int = 0
    kills: int = 0
    cuts: int = 0

    @property
    def wrong(self) -> list[str]:
        """A sentence for everything that must not be."""
        found = [f"{one.player_id}: {one.detail}" for one in self.faults] + self.spin_faults
        if self.earned != self.expected:
            found.append(f"{self.earned} points were earned, and the rounds come to {self.expected}")
        return found


class LedgerMix:
    """A run over so many turns, in this process or in others that are killed."""

    def __init__(self, url: str, *, turns: int, players: int, seed: int = 1, say: Say = lambda _: None) -> None:
        self.url = url
        self.turns = turns
        self.players = players
        self.chance = random.Random(seed)
        self.say = say
        self.judged = Judged(expected=earned(players, turns))
        self.database = Database(Settings(database_url=url))
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._next = {number: number for number in range(WORKERS)}

    async def in_this_process(self, *, cut_every: float) -> Judged:
        """Play in this process, so that connections are cut and nobody is killed."""
        async with effects(self.url, **PROGRAM) as parts:
            await self._begin(parts)
            mix = Mix(parts, self.players)

            async def play() -> None:
                for turn in range(self.turns):
                    await mix.play(turn)

            return await self._amid([play()], [self._cut(cut_every)])

    async def in_killed_processes(self, *, cut_every: float, kill_every: float, kills: int) -> Judged:
        """Play in processes of their own, each of which begins again where it was killed."""
        async with effects(self.url, **PROGRAM) as parts:
            await self._begin(parts)
        broken = [self._cut(cut_every), self._kill(kill_every, kills), self._tell()]
        return await self._amid([self._keep_playing(number) for number in range(WORKERS)], broken)

    async def _begin(self, parts: Effects) -> None:
        for statement in (_AT_COMMIT, _TRIGGER, _CLOCK, "INSERT INTO ledger_clock VALUES (0)"):
            await execute(self.database, statement)
        await register(parts, self.players)

    async def _amid(
        self, playing: Sequence[Coroutine[None, None, None]], breaking: Sequence[Coroutine[None, None, None]]
    ) -> Judged:
        """Play while things break and the ledger is proved, then judge."""
        around = [asyncio.create_task(one) for one in (*breaking, self._prove_again_and_again())]
        try:
            await asyncio.gather(*playing)
        finally:
            for task in around:
                task.cancel()
            await asyncio.gather(*around, return_exceptions=True)
        return await self._judge()

    async def _judge(self) -> Judged:
        judged = self.judged
        async for proved in prove_ledger(self.database, every_step=True):
            judged.faults += proved.faults
        async with self.database.reading() as connection:
            row = (await connection.execute(_SUMS)).one()
            judged.earned, judged.postings = int(row.earned), int(row.postings)
            judged.moves.update({row.move: int(row.times) for row in await connection.execute(_MOVES)})
            for player, spin in (await connection.execute(_SPINS)).all():
                proof = await proof_of(connection, BRAND, player, spin, "9999-12-31")
                judged.spins += 1
                if proof is None or (fault := fault_of_spin(proof)) is not None:
                    judged.spin_faults.append(f"spin {spin}: {'no record' if proof is None else fault}")
        await self.database.close()
        return judged

    async def _prove_again_and_again(self) -> None:
        while True:
            with suppress(SQLAlchemyError, OSError):
                async for proved in prove_ledger(self.database):
                    self.judged.faults += proved.faults
                self.judged.passes += 1
            await asyncio.sleep(0.2)

    async def _cut(self, every: float) -> None:
        """Cut one connection of this database after the other, whoever it is of."""
        own = Database(Settings(database_url=self.url), connections=1)
        try:
            while True:
                await asyncio.sleep(self.chance.uniform(0.5, 1.5) * every)
                with suppress(SQLAlchemyError, OSError):
                    async with own.transaction() as connection:
                        self.judged.cuts += int((await connection.execute(_CUT)).scalar_one())
        finally:
            await own.close()

    async def _kill(self, every: float, most: int) -> None:
        """Kill processes that have done a turn, so often at most, so that all come to an end."""
        while self.judged.kills < most:
            await asyncio.sleep(self.chance.uniform(0.5, 1.5) * every)
            if self._processes:
                number = self.chance.choice(sorted(self._processes))
                self._processes.pop(number).kill()
                self.judged.kills += 1

    async def _keep_playing(self, number: int) -> None:
        while self._next[number] < self.turns:
            asked = (self._next[number], WORKERS, self.turns, self.players)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.crash.ledger_load",
                self.url,
                *map(str, asked),
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            try:
                async for line in process.stdout:
                    self._next[number] = int(line) + WORKERS
                    self._processes[number] = process
                status = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
            self._processes.pop(number, None)
            if status not in {0, -9}:
                raise RuntimeError(f"A process of the load ended with {status}.")

    async def _tell(self) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(10)
            done, judged = min(self._next.values()), self.judged
            self.say(
                f"{time.monotonic() - began:5.0f} s: turn {done} of {self.turns}, {judged.kills} killed, "
                f"{judged.cuts} cut, {judged.passes} proofs, {len(judged.faults)} faults"
            )


async def prove(
    url: str, postings: int, players: int, *, seed: int, say: Say, cut_every: float, kill_every: float, kills: int
) -> Judged:
    """A run in processes that are killed, of so many postings at least; seconds between cuts, and between kills."""
    # Turns of two processes that fall together are posted as one.
    turns = math.ceil(postings / players * 1.6) + 2
    return await LedgerMix(url, turns=turns, players=players, seed=seed, say=say).in_killed_processes(
        cut_every=cut_every, kill_every=kill_every, kills=kills
    )


async def main(postings: int, players: int, seed: int) -> int:
    """Prove it on a Postgres of its own; the exit code."""

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory(prefix="journeys-ledger-") as folder:
        Path(folder).chmod(0o711)
        home, password = Path(folder) / "postgres", secrets.token_urlsafe()
        server = Postgres(home=home, port=free_port(), password=password, durable=False)
        server.prepare()
        async with running(server.service(), Path(folder)):
            await make_template(server)
            async with fresh_database(server, as_owner=True) as url:
                judged = await prove(
                    url, postings, players, seed=seed, say=say, cut_every=2, kill_every=60, kills=1_000
                )
    for move, times in judged.moves.most_common():
        say(f"{times:>10,}  {move}")
    say(
        f"{judged.postings:,} postings and {judged.spins:,} spins; {judged.kills} processes killed, {judged.cuts} "
        f"connections cut, {judged.passes} proofs in between; {judged.earned:,} points earned of {judged.expected:,}."
    )
    for sentence in judged.wrong[:20]:
        say(f"WRONG: {sentence}")
    return 1 if judged.wrong or judged.postings < postings else 0


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--postings", type=int, default=1_000_000)
    options.add_argument("--players", type=int, default=1_000)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    sys.exit(asyncio.run(main(given.postings, given.players, given.seed)))
