from bench.journeys.signals import Called, Parked
from workflows import Player, days, journey, on, once


@journey(on(Parked), entry=once, ends_after=days(60))
async def parked(player: Player, began: Parked) -> None:
    """Wait, and answer every call with a message."""
    while await player.event(Called, within=days(30)):
        await player.send("deposit-thanks", via=["in_app"])
