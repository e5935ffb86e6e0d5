"""Journeys with an experiment, for both theatres and for the watch over it."""

from workflows import (
    DepositApproved,
    HarmSignal,
    Player,
    PlayerRegistered,
    days,
    experiment,
    goal,
    journey,
    looks,
    no_more,
    on,
)

greeting = experiment(
    "greeting",
    arms={"push": 45, "email": 45, "control": 10},
    goal=goal(DepositApproved, within=days(7)),
    guardrails=[no_more(HarmSignal)],
    plan=looks(days(7), base=30, detect=10),
)


@journey(on(PlayerRegistered), goal=goal(DepositApproved, within=days(7)), ends_after=days(10))
async def greeted(player: Player, registered: PlayerRegistered) -> None:  # noqa: ARG001 - it begins the run
    """A greeting by one of two channels, or none."""
    match await player.arm(greeting):
        case "push":
            await player.send("content-news", via="push")
        case "email":
            await player.send("content-news", via="email")
        case _:
            await player.mark("nothing")
    if await player.event(DepositApproved, within=days(2)):
        await player.mark("again", arm=await player.arm(greeting))
