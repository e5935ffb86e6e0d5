from datetime import timedelta

from workflows import Player, PlayerRegistered, journey, minutes, on, once


@journey(on(PlayerRegistered), entry=once, ends_after=minutes(30))
async def crash_moves(player: Player, registered: PlayerRegistered) -> None:
    """Entered on one release; whoever is moved meanwhile gets a mail more."""
    await player.send("crash-word", via=["email"], word="entered")
    await player.sleep(timedelta(seconds=10))
