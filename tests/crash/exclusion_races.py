"""Sends and grants race exclusions on Postgres until so many were tried; what is handed over late is named.

    python -m tests.crash.exclusion_races --attempts 1000000 [--players 40] [--seed 13] [--state FILE]

A round is a draw of its own, so a run that was stopped goes on after the last one it finished: the state file says how
far it is and what it found. Every so many rounds begin with a new database and a new bonus engine, so neither grows.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson
import sqlalchemy as sa

from activities.tables import grants, messages
from local import stand_in_processes as services
from local.ports import free_port
from local.postgres import Postgres
from tests.support.engine import BRAND, Effects, begin_run, effects
from tests.support.servers import fresh_database, make_template, running
from workflows import ExclusionSet, HarmSignal, PlayerRegistered, StatusChanged, free_spins
from workflows.effects import Give, Send
from workflows.events import Event, parse_event
from workflows.gate.policy import Policy
from workflows.gate.policy_book import PolicyBook

Say = Callable[[str], None]
#: Players of a round, each of whom is excluded once while sends and grants to them are under way.
AT_ONCE: Final = 40
#: Of each, to each player of a round.
SENDS, GRANTS = 4, 2
#: Rounds on one database.
ROUNDS_A_DATABASE: Final = 250
#: Of what was tried, at least this share must have passed and must have been refused, or little raced.
BOTH: Final = 0.1
#: The words that shut a player out, as they may come.
WORDS: Final[Sequence[tuple[type[Event], dict[str, Any]]]] = (
    (ExclusionSet, {"kind": "self_exclusion", "scope": "brand"}),
    (ExclusionSet, {"kind": "time_out", "scope": "brand"}),
    (ExclusionSet, {"kind": "register", "scope": "national"}),
    (StatusChanged, {"to": "self_excluded"}),
    (StatusChanged, {"to": "closed"}),
    (HarmSignal, {"indicator": "chasing", "strength": "strong"}),
)
_HANDED_OVER: Final = (
    sa.select(messages.c.player_id).where(messages.c.handed_over_at.is_not(None)),
    sa.select(grants.c.player_id).where(grants.c.asked_at.is_not(None)),
)


@dataclass
class Raced:
    """How far a run is: attempts by what came of them, and by player what was handed over after its exclusion."""

    seed: int
    players: int
    rounds: int = 0
    passed: int = 0
    refused: int = 0
    late: dict[str, int] = field(default_factory=dict)

    @property
    def attempts(self) -> int:
        """Sends and grants that were tried."""
        return self.passed + self.refused

    @property
    def wrong(self) -> list[str]:
        """A sentence for everything that must not be."""
        found = [f"{player}: {count} handed over after the acknowledgement" for player, count in self.late.items()]
        if min(self.passed, self.refused) < BOTH * self.attempts:
            found.append(f"Only {self.passed:,} passed and {self.refused:,} were refused: too little raced.")
        return found


@dataclass
class Race:
    """One draw of chance against all these players; what was handed over when each exclusion was acknowledged."""

    parts: Effects
    seed: int
    number: int
    size: int = AT_ONCE
    acknowledged: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = Random(f"{self.seed} {self.number}")

    @property
    def players(self) -> list[str]:
        """The ids of its players, which no other round has."""
        return [f"race-{self.number}-{one}" for one in range(self.size)]

    async def handed_over(self, *player_ids: str) -> Counter[str]:
        """By player: how many messages and rewards have been handed over by now."""
        async with self.parts.database.reading() as connection:
            found: Counter[str] = Counter()
            for query in _HANDED_OVER:
                of_these = query.where(sa.column("brand") == BRAND, sa.column("player_id").in_(player_ids))
                found.update((await connection.execute(of_these)).scalars())
        return found

    async def begins(self) -> dict[str, str]:
        """Have the players registered; by player the run that sends and grants."""
        casino = self.parts.casino
        registered = {"language": "en", "timezone": "Europe/Kyiv", "opted_in": ("email", "in_app"), "currency": "EUR"}
        told = [(one, self._said(PlayerRegistered, one, registered)) for one in self.players]
        assert set(await casino.intake.ingest(BRAND, told, casino.clock.now)) == {"accepted"}
        runs = {one: f"tested:{BRAND}:{one}:1" for one in self.players}
        for run in runs.values():
            await begin_run(self.parts.database, run)
        return runs

    def _said(self, kind: type[Event], player: str, data: dict[str, Any]) -> Event:
        at, identity = self.parts.casino.clock.now, f"{kind.type}-{player}"
        return parse_event(kind.wire_type, data, event_id=identity, event_source="/races", occurred_at=at)

    async def excludes(self, player: str) -> None:
        """Shut a player out with one of the words, and note what was handed over when that is answered."""
        await asyncio.sleep(self.chance.random() / 2)
        kind, data = self.chance.choice(WORDS)
        casino = self.parts.casino
        told = await casino.intake.ingest(BRAND, [(player, self._said(kind, player, data))], casino.clock.now)
        assert told == ["accepted"]
        self.acknowledged[player] = (await self.handed_over(player))[player]

    async def sends(self, run: str, number: int) -> None:
        """Send a message of marketing."""
        await asyncio.sleep(self.chance.random() / 2)
        news = self.parts.given(Send, run, f"send:tip#{number}", template="favourite-tip", via=["in_app"])
        await self.parts.messages.send(news)

    async def grants(self, run: str, number: int) -> None:
        """Give a reward."""
        await asyncio.sleep(self.chance.random() / 2)
        spins = self.parts.given(Give, run, f"grant:free_spins#{number}", reward=free_spins(5))
        await self.parts.grants.give(spins)

    async def run(self, raced: Raced) -> None:
        """Let them race, and add to `raced` what came of it."""
        runs = await self.begins()
        racing: list[Coroutine[Any, Any, None]] = [
            self.sends(run, number) for run in runs.values() for number in range(SENDS)
        ]
        racing += [self.grants(run, number) for run in runs.values() for number in range(GRANTS)]
        racing += [self.excludes(player) for player in runs]
        self.chance.shuffle(racing)
        await asyncio.gather(*racing)
        await self.judge(raced)

    async def judge(self, raced: Raced) -> None:
        """Hold what is handed over in the end against what was when each exclusion was acknowledged."""
        at_the_end = await self.handed_over(*self.players)
        after = {one: at_the_end[one] - self.acknowledged[one] for one in self.players}
        raced.late |= {one: late for one, late in after.items() if late}
        raced.rounds += 1
        raced.passed += at_the_end.total()
        raced.refused += self.size * (SENDS + GRANTS) - at_the_end.total()


@asynccontextmanager
async def racing_parts(url: str, bonus_engine_url: str) -> AsyncIterator[Effects]:
    """The effects on one database, without caps, so that nothing but the exclusion stands against any of them."""
    async with effects(url, bonus_engine_url=bonus_engine_url, worker_pool_size=16) as parts:
        free = Policy(per_day=1_000, per_week=1_000, channel_per_week={"in_app": 1_000})
        parts.messages.policies = parts.grants.policies = PolicyBook(house=free)
        yield parts


def read_state(path: Path, seed: int, players: int) -> Raced:
    """How far a run of this seed is; the beginning where there is none. Raises SystemExit for a file of another run."""
    if not path.exists():
        return Raced(seed, players)
    known = Raced(**orjson.loads(path.read_bytes()))
    if (known.seed, known.players) != (seed, players):
        sys.exit(f"{path} is of seed {known.seed} and {known.players} players; remove it or name another file.")
    return known


def write_state(path: Path, raced: Raced) -> None:
    """Write how far a run is, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_bytes(orjson.dumps(asdict(raced)))
    beside.replace(path)


async def prove(server: Postgres, folder: Path, raced: Raced, attempts: int, path: Path, say: Say) -> None:
    """Race until so many attempts are made, with a new database and a new bonus engine every so many rounds."""
    began, before = time.monotonic(), raced.attempts
    while raced.attempts < attempts:
        port, ledger = free_port(), folder / f"bonus-engine-{raced.rounds}.jsonl"
        async with (
            fresh_database(server, as_owner=True) as url,
            running(services.bonus_engine(port, ledger), folder),
            racing_parts(url, f"http://127.0.0.1:{port}") as parts,
        ):
            for _ in range(ROUNDS_A_DATABASE):
                await Race(parts, raced.seed, raced.rounds, raced.players).run(raced)
                write_state(path, raced)
                if raced.attempts >= attempts:
                    break
                if raced.rounds % 5 == 0:
                    say(_progress(raced, attempts, raced.attempts - before, time.monotonic() - began))
        ledger.unlink(missing_ok=True)


def _progress(raced: Raced, attempts: int, made: int, took: float) -> str:
    left = (attempts - raced.attempts) * took / max(made, 1)
    return (
        f"{raced.attempts:>9,} of {attempts:,}: {raced.passed:,} passed, {raced.refused:,} refused, {len(raced.late)} "
        f"late; {made / took:,.0f} a second, {left / 60:,.0f} min left"
    )


async def main(attempts: int, players: int, seed: int, path: Path) -> int:
    """Race on a Postgres of its own; the exit code."""

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    raced, began = read_state(path, seed, players), time.monotonic()
    if raced.rounds:
        say(f"Goes on after {raced.rounds:,} rounds, {raced.attempts:,} attempts, as {path} says.")
    with tempfile.TemporaryDirectory(prefix="journeys-races-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        home, password = folder / "postgres", secrets.token_urlsafe()
        server = Postgres(home=home, port=free_port(), password=password, durable=False)
        server.prepare()
        async with running(server.service(), folder):
            await make_template(server)
            await prove(server, folder, raced, attempts, path, say)
    say(
        f"{raced.attempts:,} sends and grants against {raced.rounds * raced.players:,} exclusions, seed {seed}: "
        f"{raced.passed:,} passed, {raced.refused:,} refused, {len(raced.late)} players got something after the "
        f"acknowledgement; {time.monotonic() - began:,.0f} s in this run."
    )
    for sentence in raced.wrong[:20]:
        say(f"WRONG: {sentence}")
    return 1 if raced.wrong else 0


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--attempts", type=int, default=1_000_000)
    options.add_argument("--players", type=int, default=AT_ONCE)
    options.add_argument("--seed", type=int, default=13)
    options.add_argument("--state", type=Path)
    given = options.parse_args()
    state = given.state or Path(".local") / f"exclusion-races-{given.seed}-{given.players}.json"
    sys.exit(asyncio.run(main(given.attempts, given.players, given.seed, state)))
