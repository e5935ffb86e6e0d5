"""A journey whose release 1 is what players enter on, and whose release 2 is only there to be shadowed."""

from pathlib import Path

from tests.support.outside_packages import Write
from tests.support.releases import journeys_command, release, reloaded
from workflows.source.journey_loading import Registry

JOURNEY = """
from workflows import (
    DepositApproved,
    Form,
    Player,
    SessionEnded,
    SessionLogin,
    always,
    days,
    free_spins,
    hours,
    journey,
    on,
    points,
)


class Call(Form):
    '''How is the player?'''

    mood: str = "well"


@journey(on(SessionLogin), entry=always, exit_on=[SessionEnded], ends_after=days(30))
async def hello(player: Player, login: SessionLogin) -> None:
    '''Greet, wait, give, ask.'''
    await player.send("guide", via=["email"])
    BODY
"""
FIRST = """if not await player.event(DepositApproved, within=days(3)):
        await player.grant(points(5))
    call = await player.ask(Call, team="vip", due=days(2))
    await player.mark("called", mood=call.mood if call else None)"""
SECOND = """await player.sleep(hours(1))
    await player.send("favourite-tip", via=["email"])
    if not await player.event(DepositApproved, within=days(1)):
        await player.grant(free_spins(10, max_win=500))
    call = await player.ask(Call, team="vip", due=days(2))
    await player.mark("called", mood=call.mood if call else None)
    await player.send("verify-email")
    await player.sleep(days(5))"""


def shadowed(package: Write, folder: Path) -> Registry:
    """The journey `hello`, with both releases; its present code is the second, and players enter on the first."""
    name = package(hello=JOURNEY.replace("BODY", FIRST))
    release(name)
    path = folder / name / "hello.py"
    path.write_text(path.read_text().replace(FIRST, SECOND))
    journeys_command(name, "shadow", "hello", "--freeze")
    return reloaded(name)
