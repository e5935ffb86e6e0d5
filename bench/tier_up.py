"""Seconds from the moment a player's fiftieth deposit is told until tier, perks and message are written, under load.

python bench/tier_up.py [--rate N] [--seconds N] [--load N]
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from bench.harness import BRAND, House, Row, batches, house
from bench.intake import import_past
from bench.measuring import Figures, leave, main, percentile, say, significant
from bench.traffic import CloudEvent, cloud_event, day, players, registration

DEPOSITS: Final = 50
#: Players who rise before it is measured, which fills caches and connections.
WARM: Final = 10
#: Rounds, logins and deposits of others: so many requests a second, whatever is in them.
POSTS_A_SECOND: Final = 4
LEAD: Final = timedelta(seconds=0.5)


def deposit(player: str, number: int, at: datetime) -> CloudEvent:
    """A player's deposit with this number."""
    identity = f"rise-{player}-{number}"
    data: dict[str, Any] = {"payment_id": identity, "amount_minor": 5_000, "currency": "EUR", "method": "card"}
    return cloud_event("payment.deposit_approved", player, identity, at, **data)


async def import_risers(built: House, ids: Sequence[str]) -> None:
    """Players one deposit short of gold."""
    now = datetime.now(UTC)
    told = [registration(one, now - timedelta(days=90)) for one in ids]
    told += [
        deposit(one, number, now - timedelta(days=60, hours=-number)) for one in ids for number in range(1, DEPOSITS)
    ]
    await built.post_all(batches(told, 500), at_once=1, mode="history")
    await built.sql.execute("VACUUM ANALYZE players, events")


async def keep_busy(built: House, ids: Sequence[str], load: float, stop: asyncio.Event) -> None:
    """What others do meanwhile, `load` events a second, until told to stop."""
    number, size = 0, max(1, round(load / POSTS_A_SECOND))
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            number += 1
            (body,) = batches(day(ids, size, f"busy-{number}", datetime.now(UTC)), size)
            group.create_task(built.post(body))
            await asyncio.sleep(1 / POSTS_A_SECOND)


async def rise(built: House, ids: Sequence[str], rate: float) -> list[float]:
    """Seconds from each fiftieth deposit's moment to the message, when `rate` players rise a second."""
    began = datetime.now(UTC) + LEAD
    due = {one: began + timedelta(seconds=number / rate) for number, one in enumerate(ids)}

    async def told(player: str) -> None:
        await asyncio.sleep(max(0.0, (due[player] - datetime.now(UTC)).total_seconds()))
        await built.post(batches([deposit(player, DEPOSITS, due[player])], 1)[0])

    async with asyncio.TaskGroup() as group:
        for one in ids:
            group.create_task(told(one))
    query = "SELECT player_id, at FROM steps WHERE step LIKE %s AND outcome = 'sent' AND at >= %s"
    found: list[Row] = []

    async def all_told() -> bool:
        found[:] = [one for one in await built.rows(query, "send:tier-gold%", began) if one["player_id"] in due]
        return len(found) == len(ids)

    await built.until(all_told, within=120, what="The message to everybody who rose", every=0.2)
    return [(one["at"] - due[one["player_id"]]).total_seconds() for one in found]


async def measure(rate: float, seconds: float, load: float) -> Figures:
    async with house(journeys="bench.programs.tiers") as built:
        rising, others = players(WARM + max(1, int(rate * seconds)), "rise-"), players(1_000)
        await import_risers(built, rising)
        await import_past(built, others)
        stop = asyncio.Event()
        busy = asyncio.create_task(keep_busy(built, others, load, stop))
        try:
            await rise(built, rising[:WARM], rate)
            took = await rise(built, rising[WARM:], rate)
        finally:
            stop.set()
            await busy
        gold = await built.count(
            "SELECT count(*) FROM players WHERE brand = %s AND state -> 'facts' ->> 'tier' = 'gold'", BRAND
        )
        perks = await built.count("SELECT count(*) FROM grants WHERE status = 'confirmed'")
        points = await built.count("SELECT count(*) FROM point_transfers WHERE cause = 'journey'")
    assert (gold, perks, points) == (len(rising),) * 3, f"{gold} are gold, {perks} and {points} perks, of {len(rising)}"
    half, most = percentile(took, 0.5), percentile(took, 0.99)
    say(f"{len(took)} players rose beside {load:.0f} events a second: p50 {half:.2f} s, p99 {most:.2f} s")
    return {"tier_up_s": significant(most), "tier_up_p50_s": significant(half), "tier_up_players": len(took)}


def command(
    *,
    rate: Annotated[float, typer.Option(help="players who rise a second")] = 5,
    seconds: float = 60,
    load: Annotated[float, typer.Option(help="events of others a second meanwhile")] = 200,
) -> None:
    """Take the figure of a tier that is reached."""
    leave(main(lambda: measure(rate, seconds, load)))


if __name__ == "__main__":
    typer.run(command)
