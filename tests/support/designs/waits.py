"""Every kind of wait."""

from tests.support.designs.facts import Ping, Pong
from workflows import Player, always, days, hours, journey, minutes, on


@journey(on(Ping, where=lambda ping: ping.name == "buffer"), entry=always, ends_after=days(30))
async def buffering(player: Player, ping: Ping) -> None:
    """Sleep through two events, then use the older, then look only forward."""
    await player.sleep(hours(1))
    older = await player.event(Pong, within=hours(1))
    forward = await player.event(Pong, within=hours(1), fresh=True)
    newer = await player.event(Pong, within=hours(1))
    await player.mark(
        "seen",
        older=older.name if older else None,
        forward=forward.name if forward else None,
        newer=newer.name if newer else None,
    )


@journey(on(Ping, where=lambda ping: ping.name == "filter"), entry=always, ends_after=days(30))
async def choosy(player: Player, ping: Ping) -> None:
    """Take only the event that fits, and the first of two kinds."""
    fitting = await player.event(Pong, within=days(1), where=lambda pong: pong.name == "right")
    either = await player.first(Ping, Pong, within=days(1))
    await player.mark("seen", fitting=fitting.name if fitting else None, either=type(either).__name__)


@journey(on(Ping, where=lambda ping: ping.name == "long"), entry=always, ends_after=days(3))
async def outlived(player: Player, ping: Ping) -> None:
    """Wait for longer than the run may live."""
    await player.event(Pong, within=days(10))
    await player.mark("never")


@journey(on(Ping, where=lambda ping: ping.name == "monday"), entry=always, ends_after=days(30))
async def punctual(player: Player, ping: Ping) -> None:
    """Wait for a weekday and an hour of the player's own clock."""
    moment = await player.until("09:00", weekday="monday")
    await player.mark("moment", at=moment.isoformat())


@journey(on(Ping, where=lambda ping: ping.name == "night"), entry=always, ends_after=days(30))
async def nightly(player: Player, ping: Ping) -> None:
    """Write in the middle of the night."""
    await player.until("03:00")
    await player.send("content-news", via=["email"], jitter=minutes(0))


@journey(on(Ping, where=lambda ping: ping.name == "hoard"), entry=always, ends_after=days(30))
async def hoarding(player: Player, ping: Ping) -> None:
    """Let events pile up, then look at the oldest that was kept."""
    await player.sleep(hours(1))
    oldest = await player.event(Pong, within=hours(1))
    await player.mark("seen", oldest=oldest.name if oldest else None)


@journey(on(Ping, where=lambda ping: ping.name == "tell"), entry=always, ends_after=days(300))
async def talkative(player: Player, ping: Ping) -> None:
    """Wait hundreds of times without any effect."""
    for _ in range(250):
        await player.event(Pong, within=hours(1))
