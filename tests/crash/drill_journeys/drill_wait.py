from workflows import Player, PlayerRegistered, SessionLogin, hours, journey, on, once, points


@journey(on(PlayerRegistered), entry=once, ends_after=hours(3), control=0)
async def drill_wait(player: Player, _registered: PlayerRegistered) -> None:
    """A mail, then a reward for each login: what a run hears can be counted at the bonus engine."""
    await player.send("crash-word", via=["email"], word="drill")
    while await player.event(SessionLogin, within=hours(2)):
        await player.grant(points(1))
