"""J14: proving who one is."""

from datetime import timedelta
from typing import Annotated, Literal

from workflows import (
    DepositApproved,
    Form,
    KycChanged,
    Player,
    WithdrawalRequested,
    days,
    every,
    goal,
    hours,
    journey,
    on,
    threshold,
    total,
)
from workflows.events import Pii

VIP_TIERS = ("gold", "platinum", "diamond", "black")
#: In minor units: before this sum of deposits the law asks for a name.
NEAR_THE_LIMIT = 150_000

deposited = total(DepositApproved, "amount_minor")


class KycHelp(Form):
    """Call the player and help with the documents. It is no condition for anything, and nothing is offered for it."""

    outcome: Literal["sent", "will_send", "no_answer", "refuses"]
    note: Annotated[str, Pii()] = ""


def asks_for_documents(requested: WithdrawalRequested) -> bool:
    """Whether a withdrawal waits for documents."""
    return requested.kyc_required


def asked(change: KycChanged) -> bool:
    """Whether the player has to prove who they are, for the first time or again."""
    return change.status in {"none", "expired"}


def approved(change: KycChanged) -> bool:
    """Whether it is done."""
    return change.status == "approved"


@journey(
    on(WithdrawalRequested, where=asks_for_documents),
    on(KycChanged, where=asked),
    threshold(deposited, NEAR_THE_LIMIT),
    entry=every(days(30)),
    goal=goal(KycChanged, within=days(14), where=approved),
    ends_after=days(31),
    waives={"no-control": "What the law asks for is explained to everybody."},
)
async def kyc_completion(player: Player, cause: WithdrawalRequested | KycChanged | DepositApproved | None) -> None:
    """A list, a reminder, a person, a last word before the day; thanks when it is done. Nothing is given for it."""
    if player.kyc == "approved" and not isinstance(cause, KycChanged):
        return
    await player.send("kyc-checklist", via=["in_app", "email"])
    if await done_within(player, days(1)):
        return
    await player.send("kyc-reminder", via=["email", "in_app"], deadline=deadline_of(player))
    if await done_within(player, days(2)):
        return
    await player.ask(
        KycHelp,
        team="vip" if player.tier in VIP_TIERS else "support",
        due=hours(24),
        escalate_to="support-lead",
        reason="Documents are missing for three days.",
        forbidden=["no bonus for documents"],
    )
    if await done_within(player, days(10)):
        return
    await player.send("kyc-last-days", via=["email", "in_app"], deadline=deadline_of(player))
    await done_within(player, days(16))


async def done_within(player: Player, within: timedelta) -> bool:
    """Wait until it is done; a document that is refused is asked for once more meanwhile."""
    until = player.now + within
    while (change := await player.event(KycChanged, within=until - player.now)) is not None:
        await player.refresh()
        match change:
            case KycChanged(status="approved"):
                await player.send("kyc-thanks", via=["in_app"], fallback=["email"])
                return True
            case KycChanged(status="rejected", can_resubmit=True):
                await player.send("kyc-resubmit", via=["email", "in_app"], reason=change.reject_reason)
            case _:
                pass
    return False


def deadline_of(player: Player) -> str | None:
    """Until when it has to be done, as text; None where nobody named a day."""
    return None if player.kyc_deadline is None else player.kyc_deadline.isoformat()
