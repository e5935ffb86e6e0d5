from bench.journeys.signals import Begun, Woken
from workflows import Player, hours, journey, on, once


@journey(on(Begun), entry=once, ends_after=hours(2))
async def two_sends(player: Player, begun: Begun) -> None:
    """Start, send, wait for an event, send."""
    await player.send("deposit-thanks", via=["in_app"])
    if await player.event(Woken, within=hours(1)):
        await player.send("tier-gold", via=["in_app"])
