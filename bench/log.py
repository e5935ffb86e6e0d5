"""The end of a real log, played by three journeys: what comes in, and what must have happened afterwards.

welcome, second_deposit and tier_up as they are shipped. Every event comes at once, so nothing that waits for hours ends
by itself; what must happen follows from the log and from each player's arm alone, whoever plays it.
"""

import csv
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.harness import BRAND, House, batches
from bench.measuring import say
from bench.traffic import CloudEvent, cloud_event, registration

LOG = Path(os.environ.get("LOG") or Path(__file__).parent.parent.parent / "shared" / "data" / "casino_deposits.csv")
ABSENT = "The real log is not here, so its figures are left out; name it in LOG to take them."
GOLD = 50


@dataclass
class Work:
    """What must be true when everything that one brand's events bring about has been done."""

    ended: set[str] = field(default_factory=set)
    told: set[tuple[str, str]] = field(default_factory=set)  # run and step
    runs: list[tuple[str, str, str]] = field(default_factory=list)  # id, player, journey

    async def as_entered(self, built: House, brand: str) -> "Work":
        """The same with the ids that the engine gave its runs; it has entered all of them."""
        entered = await built.rows("SELECT id, player_id, journey FROM runs WHERE brand = %s", brand)
        known = {f"{row['journey']}:{brand}:{row['player_id']}:1": row["id"] for row in entered}
        return Work({known[run] for run in self.ended}, {(known[run], step) for run, step in self.told}, self.runs)

    async def wait(self, built: House) -> None:
        """Return when all of it has happened."""
        await built.until(lambda: self._done(built), within=180, what="Everything the log brings about", every=0.03)

    async def _done(self, built: House) -> bool:
        query = "SELECT count(*) FROM runs WHERE id = ANY(%s) AND state = 'ended'"
        if await built.count(query, list(self.ended)) < len(self.ended):
            return False
        runs, steps = zip(*sorted(self.told), strict=True)
        query = """
            SELECT count(*) FROM unnest(%s::text[], %s::text[]) AS t (run_id, step)
            WHERE EXISTS (SELECT FROM steps s WHERE s.run_id = t.run_id AND s.step = t.step AND s.line = 0)
            """
        return await built.count(query, list(runs), list(steps)) == len(self.told)


@dataclass
class Tail:
    """The last deposits of the log, in order, and what came before them."""

    past: list[CloudEvent]
    deposits: list[tuple[str, int]]  # player, minor units
    before: Counter[str]  # deposits of each player before the tail

    @property
    def players(self) -> list[str]:
        """Everybody who deposits in the tail."""
        return list(dict.fromkeys(player for player, _ in self.deposits))

    @property
    def counts(self) -> Counter[str]:
        """Everybody's deposits afterwards."""
        counts = Counter(self.before)
        counts.update(player for player, _ in self.deposits)
        return counts

    def events(self, mark: str, now: datetime) -> list[CloudEvent]:
        """The tail as live events of now; who deposits for the first time has registered just before."""
        found: list[CloudEvent] = []
        known = set(self.before)
        for number, (player, amount) in enumerate(self.deposits):
            if player not in known:
                known.add(player)
                found.append(registration(player, now, mark))
            found.append(_deposit(player, f"{mark}-{number}", now, amount))
        return found

    async def register_newcomers(self, built: House, brand: str, now: datetime) -> None:
        """Make known who will register in the tail, as history: a peer's activities look players up."""
        new = [registration(player, now, "before-") for player in self.players if player not in self.before]
        await built.post(batches(new, 500)[0], key=await built.key(brand), mode="history")

    def work(self, brand: str) -> Work:
        """What the tail must bring about in a brand, in both arms alike."""
        work, counts = Work(), self.counts
        for player in self.players:
            if player not in self.before:
                work.ended.add(_entered(work, brand, player, "welcome"))
                run = _entered(work, brand, player, "second_deposit")
                if counts[player] > 1:
                    work.ended.add(run)
                else:
                    work.told.add((run, "send:deposit-thanks#1"))
            if self.before[player] < GOLD <= counts[player]:
                work.told.add((_entered(work, brand, player, "tier_up"), "ask:PersonalNote#1"))
        return work


def _entered(work: Work, brand: str, player: str, journey: str) -> str:
    run = f"{journey}:{brand}:{player}:1"
    work.runs.append((run, player, journey))
    return run


def _deposit(player: str, identity: str, at: datetime, amount: int) -> CloudEvent:
    data = {"payment_id": identity, "amount_minor": amount, "currency": "USD", "method": "card"}
    return cloud_event("payment.deposit_approved", player, identity, at, **data)


def read_tail(log: Path, deposits: int) -> Tail:
    """The last `deposits` of the log, and the past of whoever makes them."""
    with log.open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["ts_utc"])
    tail = [(row["player_id"], round(float(row["amount_usd"]) * 100)) for row in rows[-deposits:]]
    playing = {player for player, _ in tail}
    past: list[CloudEvent] = []
    before: Counter[str] = Counter()
    for number, row in enumerate(rows[:-deposits]):
        player, at = row["player_id"], datetime.fromisoformat(row["ts_utc"])
        if player not in playing:
            continue
        if player not in before:
            past.append(registration(player, at))
        before[player] += 1
        past.append(_deposit(player, f"past-{number}", at, round(float(row["amount_usd"]) * 100)))
    return Tail(past, tail, before)


async def import_past(built: House, tail: Tail) -> None:
    """The past of everybody in the tail, once; each round's brand takes a copy."""
    say(f"Importing {len(tail.past):,} earlier events of {len(tail.players)} players …")
    await built.post_all(batches(tail.past, 500), at_once=1, mode="history")


async def new_brand(built: House, brand: str) -> None:
    """A brand whose players have the imported past."""
    await built.sql.execute(
        "INSERT INTO players (brand, id, state, profile) SELECT %s, id, state, profile FROM players WHERE brand = %s",
        (brand, BRAND),
    )


async def play(built: House, tail: Tail, brand: str) -> float:
    """Seconds until the engine has acknowledged the tail over HTTP and everything due has happened."""
    await new_brand(built, brand)
    key = await built.key(brand)
    bodies = batches(tail.events(brand, datetime.now(UTC)), 500)
    work = tail.work(brand)
    await built.settle()
    began = time.perf_counter()
    for body in bodies:
        await built.post(body, key=key)
    taken = time.perf_counter() - began
    await (await work.as_entered(built, brand)).wait(built)
    seconds = time.perf_counter() - began
    say(f"The engine had acknowledged everything after {taken:.2f} s and done everything after {seconds:.2f} s")
    return seconds


async def enrol(built: House, work: Work, brand: str) -> None:
    """The rows of runs that a peer's activities need, written before its clock starts; the engine writes its own."""
    runs, players, journeys = zip(*work.runs, strict=True)
    await built.sql.execute(
        """
        INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at)
        SELECT t.id, %s, t.player, t.journey, 'treated', 'active', now(), now() + interval '14 days'
        FROM unnest(%s::text[], %s::text[], %s::text[]) AS t (id, player, journey)
        """,
        (brand, list(runs), list(players), list(journeys)),
    )


def by_player(events: Sequence[CloudEvent]) -> list[list[CloudEvent]]:
    """Each player's events in order, those with the most first: how a sender with many calls at a time goes fastest."""
    found: dict[str, list[CloudEvent]] = {}
    for event in events:
        found.setdefault(event["subject"], []).append(event)
    return sorted(found.values(), key=len, reverse=True)
