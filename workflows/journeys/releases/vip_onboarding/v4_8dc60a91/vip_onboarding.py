"""J11: from VIP candidate to a player with a host."""

from datetime import timedelta
from typing import Annotated, Literal

from workflows import DepositApproved, Form, Player, TierChanged, days, goal, hours, journey, milestone, on, once
from workflows.events import Pii

TEAM, HEAD = "vip", "vip-head"
NO_OFFER = "no VIP reward before the checks are done"


class Affordability(Form):
    """Is this player's spend affordable and sustainable, and is there no sign of harm?"""

    outcome: Literal["approve", "reject", "more_documents"]
    note: Annotated[str, Pii()] = ""


class SourceOfFunds(Form):
    """Ask the player for proof of identity, occupation and source of funds, and judge it."""

    outcome: Literal["proven", "not_proven", "no_documents"]
    evidence: Annotated[str, Pii()] = ""
    note: Annotated[str, Pii()] = ""


class SignOff(Form):
    """As the accountable executive: may this player join the VIP programme?"""

    approved: bool
    note: Annotated[str, Pii()] = ""


class HostAssignment(Form):
    """Choose the player's host by capacity, language and hours."""

    host_name: Annotated[str, Pii()]
    host_contact: Annotated[str, Pii()]


class HostCall(Form):
    """Call the player as their host. Listen first, sell nothing."""

    outcome: Literal["reached", "no_answer", "voicemail", "declined", "escalated"]
    note: Annotated[str, Pii()] = ""


class Review(Form):
    """After thirty days: is the programme right for this player, and is the spend still sustainable?"""

    outcome: Literal["keep", "leave"]
    note: Annotated[str, Pii()] = ""


def to_vip_tier(change: TierChanged) -> bool:
    """Whether a change of tier makes a candidate."""
    return change.direction == "up" and change.to.lower() in {"platinum", "diamond", "black"}


@journey(
    on(TierChanged, where=to_vip_tier),
    milestone(DepositApproved, 100),
    entry=once,
    goal=goal(DepositApproved, within=days(90)),
    ends_after=days(75),
    waives={"no-control": "A regulator asks for the checks; nobody may be left out of them."},
    vip=True,
)
async def vip_onboarding(player: Player, reached: TierChanged | DepositApproved) -> None:
    """Checks before perks: affordability, source of funds, sign-off, then a host, a call, a letter.

    There is no control arm, because a regulator asks for the checks. The VIP score is not derived
    yet; until it is, the hundredth deposit stands in for it. Reminders of the source of funds
    after 3 and 7 days are the task's own, at half its time and at its end.
    """
    review = await player.ask(
        Affordability,
        team=TEAM,
        skill="aml",
        due=hours(48),
        escalate_to=HEAD,
        reason="Became a VIP candidate.",
        forbidden=[NO_OFFER],
        priority=70,
    )
    if review is None or review.outcome == "reject":
        return
    funds = await player.ask(
        SourceOfFunds,
        team=TEAM,
        skill="aml",
        due=days(7),
        escalate_to=HEAD,
        reason=f"Affordability: {review.outcome}.",
        forbidden=[NO_OFFER],
        priority=70,
    )
    if funds is None or funds.outcome != "proven":
        await player.send("vip-declined", via=["email"])
        return
    signed = await sign_off(player)
    if signed is None or not signed.approved:
        await player.send("vip-declined", via=["email"])
        return
    host = await player.ask(HostAssignment, team=HEAD, due=hours(24), escalate_to=TEAM)
    if host is None:
        return
    for _ in range(3):
        call = await call_player(player, "Welcome call to a new VIP.", due=hours(24))
        if call is not None and call.outcome in {"reached", "declined"}:
            break
        await player.until("11:00")
    await player.send("vip-letter", via=["email"], host_name=host.host_name, host_contact=host.host_contact)
    await player.sleep(days(7))
    await call_player(player, "A week in the programme.", due=days(1))
    await player.sleep(days(23))
    await player.ask(Review, team=TEAM, due=days(3), escalate_to=HEAD, reason="Thirty days in the programme.")


async def sign_off(player: Player) -> SignOff | None:
    """Have the accountable executive sign, who has checked nothing of it."""
    return await player.ask(
        SignOff, team=HEAD, skill="executive", not_by=[Affordability, SourceOfFunds], due=hours(48), priority=80
    )


async def call_player(player: Player, reason: str, *, due: timedelta) -> HostCall | None:
    """Have the host call; what came of it."""
    return await player.ask(HostCall, team=TEAM, due=due, escalate_to=HEAD, reason=reason, forbidden=["no offer first"])
