"""One needs the mail server, the others everything else."""

from workflows import Event, Form, Player, always, days, free_spins, journey, on


class Mailed(Event, type="tests.mailed", example={}):
    """A player is to get a mail."""


class Served(Event, type="tests.served", example={}):
    """A player is to get everything but a mail."""


class Look(Form):
    """What do you see?"""

    seen: str


@journey(on(Mailed), entry=always, ends_after=days(30))
async def mailed(player: Player, began: Mailed) -> None:
    """Write a mail."""
    await player.send("verify-email", via=["email"])


@journey(on(Served), entry=always, ends_after=days(30))
async def rewarded(player: Player, began: Served) -> None:
    """Reward, write on the site, and end."""
    await player.grant(free_spins(5))
    await player.send("tier-gold", via=["in_app"])


@journey(on(Served), entry=always, ends_after=days(30))
async def asked(player: Player, began: Served) -> None:
    """Ask people."""
    await player.ask(Look, team="desk", due=days(1))
