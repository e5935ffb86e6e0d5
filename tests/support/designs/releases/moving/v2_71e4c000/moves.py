"""A journey with two releases, for runs that move from one to the other."""

from tests.support.designs.facts import Pong
from workflows import Player, always, days, journey


@journey(entry=always, ends_after=days(90))
async def moving(player: Player, nothing: None) -> None:
    """Waits for the right one among many."""
    await player.mark("began", part=player.split("half", a=50, b=50))
    await player.mark("inserted")
    came = await player.event(Pong, within=days(9), where=lambda pong: pong.name == "right")
    await player.mark("heard", it=came is not None, at=player.now.isoformat())
