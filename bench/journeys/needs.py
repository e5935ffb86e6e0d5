from bench.journeys.signals import Mailed, Needed
from workflows import Form, Player, days, journey, on, once, points


class Look(Form):
    """What do you see?"""

    seen: str


@journey(on(Mailed), entry=once, ends_after=days(60))
async def mailing(player: Player, began: Mailed) -> None:
    """Write a mail."""
    await player.send("verify-email", via=["email"])


@journey(on(Needed), entry=once, ends_after=days(60))
async def needing(player: Player, began: Needed) -> None:
    """Give a reward and open a task."""
    await player.grant(points(1))
    await player.ask(Look, team="desk", due=days(30))
