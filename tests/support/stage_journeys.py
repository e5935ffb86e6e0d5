# ruff: noqa: ARG001 - a journey takes the event that starts it
"""Journeys for tests of the world: each shows one thing."""

from datetime import timedelta
from typing import Literal

from workflows import (
    DepositApproved,
    Event,
    Form,
    Player,
    SessionLogin,
    always,
    days,
    free_spins,
    hours,
    journey,
    on,
    points,
)


class Called(Event, type="stage_tests.called", example={"what": "messages"}):
    """Somebody called for a journey by what it shows."""

    what: str


class Opinion(Form):
    """What do you think?"""

    opinion: Literal["good", "bad"]
    note: str = ""


@journey(on(Called, where=lambda called: called.what == "messages"), entry=always, ends_after=days(30))
async def messages(player: Player, called: Called) -> None:
    """A service message everywhere, then a marketing one with a fallback."""
    first = await player.send("welcome", via=["push", "email", "in_app"])
    await player.mark("first", told=repr(first))
    await player.sleep(hours(1))
    second = await player.send("guide", via=["email"], fallback=["push"])
    await player.mark("second", told=repr(second))


@journey(on(Called, where=lambda called: called.what == "rewards"), entry=always, ends_after=days(30))
async def rewards(player: Player, called: Called) -> None:
    """Two rewards, one after the other."""
    first = await player.grant(free_spins(10, max_win=500))
    await player.mark("first", status=first.status, reason=first.reason)
    second = await player.grant(points(2))
    await player.mark("second", status=second.status, reason=second.reason)


@journey(on(Called, where=lambda called: called.what == "opinions"), entry=always, ends_after=days(30))
async def opinions(player: Player, called: Called) -> None:
    """Ask once."""
    opinion = await player.ask(Opinion, team="desk", due=hours(4))
    await player.mark("answered", opinion=opinion.opinion if opinion else None)


@journey(on(Called, where=lambda called: called.what == "bug"), entry=always, ends_after=days(30))
async def broken(player: Player, called: Called) -> None:
    """A bug after the first wait."""
    await player.event(DepositApproved, within=days(1))
    await player.send("welcome", via=["in_app"])
    await player.event(SessionLogin, within=days(1))
    raise LookupError(called.what)


@journey(on(Called, where=lambda called: called.what == "careless"), entry=always, ends_after=days(30))
async def careless(player: Player, called: Called) -> None:
    """Lets a timeout go, which fails a run for good."""
    await player.mark("here")
    raise TimeoutError("nobody caught this")


@journey(on(Called, where=lambda called: called.what == "waits"), entry=always, ends_after=days(30))
async def waits(player: Player, called: Called) -> None:
    """Wait, whatever happens."""
    await player.send("welcome", via=["in_app"])
    await player.event(SessionLogin, within=days(10))
    await player.send("verify-email", via=["in_app"])


@journey(on(Called, where=lambda called: called.what == "starts"), entry=always, ends_after=days(30))
async def starts(player: Player, called: Called) -> None:
    """Start a journey that waits."""
    started = await player.start(waits)
    await player.mark("started", run_id=started.run_id, refused=started.refused)


@journey(on(Called, where=lambda called: called.what == "starts nothing"), entry=always, ends_after=days(30))
async def starts_nothing(player: Player, called: Called) -> None:
    """Start a journey that nobody deployed."""
    started = await player.start("gone")
    await player.mark("started", run_id=started.run_id, refused=started.refused)


@journey(on(Called, where=lambda called: called.what == "exact"), entry=always, ends_after=days(1))
async def exact(player: Player, called: Called) -> None:
    """Waits for as long as the run may last: production begins a moment after it is entered, and never gets on."""
    await player.event(SessionLogin, within=days(1))
    await player.mark("too late")


@journey(on(Called, where=lambda called: called.what == "night"), entry=always, ends_after=days(30))
async def nightly(player: Player, called: Called) -> None:
    """A marketing message whose fallback would disturb nobody at night."""
    sent = await player.send("reload-offer", via=["email"], fallback=["in_app"])
    await player.mark("told", what=repr(sent))


@journey(on(Called, where=lambda called: called.what == "daily"), entry=always, ends_after=days(30))
async def daily(player: Player, called: Called) -> None:
    """A marketing message every day for nine days."""
    for _ in range(9):
        await player.send("guide", via=["email"])
        await player.sleep(days(1))


@journey(on(Called, where=lambda called: called.what == "hurry"), entry=always, ends_after=days(30))
async def hurry(player: Player, called: Called) -> None:
    """A marketing message that is worth nothing after two hours, and then one that is worth something for longer."""
    first = await player.send("guide", via=["email"], by=hours(2))
    await player.mark("first", told=repr(first))
    second = await player.send("other-channel", via=["push"])
    await player.mark("second", told=repr(second))


@journey(on(Called, where=lambda called: called.what == "appointment"), entry=always, ends_after=days(30))
async def appointment(player: Player, called: Called) -> None:
    """A moment of the player's clock, about and to the minute."""
    await player.until("15:00")
    await player.mark("about")
    await player.until("18:00", jitter=timedelta(0))
    await player.mark("sharp")


@journey(on(Called, where=lambda called: called.what == "brief"), entry=always, ends_after=hours(3))
async def brief(player: Player, called: Called) -> None:
    """Two effects, of which the first may take longer than the run lives."""
    await player.send("welcome", via=["email"])
    await player.grant(points(2))
