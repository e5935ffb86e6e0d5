"""Rewards and tasks while the mail server hangs and mails keep coming, beside the same while it answers.

python bench/mute_mail.py [--seconds N] [--there N] [--share N]      the full five minutes are --seconds 300

Open loop: each event has its moment, and the reward and the task it leads to are counted from that moment. The load is
a share of what this machine was measured to do just before.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from bench.harness import BRAND, House, batches, house
from bench.measuring import Figures, leave, main, percentile, progress, say, significant
from bench.reaction import LEAD, register
from bench.traffic import cloud_event, players
from local.ports import free_port

#: Runs whose pace says what the machine can do.
PROBE = 150


class MailLine:
    """What stands before the stack's mail server, and may swallow everything that is said to it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.server_port = 0
        self.mute = False
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take connections until the block ends, then hang up on everybody."""
        listener = await asyncio.start_server(self._take, "127.0.0.1", self.port)
        try:
            yield
        finally:
            listener.close()
            self.hang_up()

    def hang_up(self) -> None:
        """Leave nobody waiting."""
        for writer in self._writers:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.mute:
                await reader.read()
                return
            theirs, to_them = await asyncio.open_connection("127.0.0.1", self.server_port)
            self._writers.add(to_them)
            await asyncio.gather(_pass_on(reader, to_them), _pass_on(theirs, writer))
        except OSError:
            pass  # one of the two hung up
        finally:
            self._writers.discard(writer)
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while said := await reader.read(65_536):
        writer.write(said)
        await writer.drain()
    writer.close()


async def enter(built: House, kind: str, player: str) -> None:
    """One player, one event."""
    await built.post(batches([cloud_event(kind, player, f"{kind}-{player}")], 1)[0])


async def served(built: House, prefix: str) -> dict[str, datetime]:
    """When each of these players' tasks was open, which is after the reward."""
    query = "SELECT player_id, at FROM steps WHERE run_id LIKE %s AND step LIKE 'ask:%%' AND outcome = 'opened'"
    return {row["player_id"]: row["at"] for row in await built.rows(query, f"needing:{BRAND}:{prefix}%")}


async def capacity(built: House) -> float:
    """Runs of `needing` a second, when as many are sent as it takes."""
    ids = players(PROBE, "probe-")
    await register(built, ids)
    began = time.perf_counter()
    await built.post_all(batches([cloud_event("bench.needed", p, f"probe-{p}") for p in ids], 50), at_once=2)

    async def done() -> bool:
        return len(await served(built, "probe-")) == PROBE

    await built.until(done, within=120, what="The task of every run")
    return PROBE / (time.perf_counter() - began)


async def load(built: House, ids: Iterator[str], mailed: Iterator[str], rate: float, seconds: float) -> list[float]:
    """Milliseconds from each event's moment to its open task, while as many mails are asked for besides."""
    began, due = datetime.now(UTC) + LEAD, dict[str, datetime]()
    sent, done = int(rate * seconds), progress("Rewards and tasks", every=30)
    async with asyncio.TaskGroup() as group:
        for number in range(sent):
            done(number, sent)
            at = began + timedelta(seconds=number / rate)
            await asyncio.sleep((at - datetime.now(UTC)).total_seconds())
            player = next(ids)
            due[player] = at
            group.create_task(enter(built, "bench.needed", player))
            group.create_task(enter(built, "bench.mailed", next(mailed)))

    async def all_served() -> bool:
        return due.keys() <= (await served(built, "need-")).keys()

    await built.until(all_served, within=120, what="The task of every run", every=0.2)
    opened = await served(built, "need-")
    return [(opened[player] - at).total_seconds() * 1_000 for player, at in due.items()]


async def measure(hang: float, there: float, share: float) -> Figures:
    line = MailLine()
    extra = {"SMTP_URL": f"smtp://127.0.0.1:{line.port}", "MAIL_LOOKUP_URL": ""}
    async with house(journeys="bench.journeys", extra=extra) as built, line.listening():
        line.server_port = built.memory.ports["smtp"]
        rate = share * await capacity(built)
        say(f"{rate:.1f} runs and {rate:.1f} mails a second")
        count = int(rate * (there + hang)) + 2
        needing, mailed = players(count, "need-"), players(count, "mail-")
        await register(built, [*needing, *mailed])
        await built.settle()
        ids, receivers = iter(needing), iter(mailed)
        found: dict[str, list[float]] = {}
        for name, length in (("there", there), ("mute", hang)):
            line.mute = name == "mute"
            found[name] = await load(built, ids, receivers, rate, length)
            p50, p99 = percentile(found[name], 0.5), percentile(found[name], 0.99)
            say(f"Mail server {name}: task open after p50 {p50:.0f}, p99 {p99:.0f} ms")
        waiting = await built.count("SELECT count(*) FROM messages WHERE status IN ('waiting', 'handed_over')")
        assert waiting, "No mail waits, so the mail server did not hang."
        line.hang_up()
    answered, mute = (percentile(found[name], 0.99) for name in ("there", "mute"))
    return {
        "mute_mail_grants": significant(mute / answered),
        "mute_mail_grants_ms": round(mute, 1),
        "mute_mail_grants_there_ms": round(answered, 1),
        "mute_mail_rate_per_s": significant(rate),
        "mute_mail_hang_s": hang,
        "mute_mail_waiting": waiting,
    }


def command(
    *,
    seconds: Annotated[float, typer.Option(help="for how long the mail server hangs, under load")] = 60,
    there: Annotated[float, typer.Option(help="length of the load while it answers")] = 40,
    share: Annotated[float, typer.Option(help="load, as a share of what the machine can do")] = 0.3,
) -> None:
    """Take the figure of a mail server that hangs."""
    leave(main(lambda: measure(seconds, there, share)))


if __name__ == "__main__":
    typer.run(command)
