"""A complaint: somebody answers within a day, and it is seen when nobody does."""

from typing import Annotated, Literal

from workflows import Form, Player, SupportCaseClosed, SupportCaseOpened, days, goal, hours, journey, on, per
from workflows.events import Pii

VIP_TIERS = ("gold", "platinum", "diamond", "black")


class ComplaintAnswer(Form):
    """Answer the complaint in your own words. Say what you will do and until when."""

    outcome: Literal["settled", "answered", "passed_on"]
    note: Annotated[str, Pii()] = ""


def a_complaint(case: SupportCaseOpened) -> bool:
    """Whether a case is a complaint."""
    return case.topic == "complaint"


@journey(
    on(SupportCaseOpened, where=a_complaint),
    entry=per("case_id"),
    goal=goal(SupportCaseClosed, within=days(3), same="case_id"),
    exit_on=[on(SupportCaseClosed, same="case_id")],
    ends_after=days(7),
    waives={"no-control": "Whoever complains is answered."},
)
async def complaint(player: Player, case: SupportCaseOpened) -> None:
    """A task at once; closed with its own case, and asked again after three days while the case is open."""
    await answered(player, f"A complaint of severity {case.severity}.")
    await player.sleep(days(3))
    await answered(player, "The complaint is still open after three days.")


async def answered(player: Player, reason: str) -> ComplaintAnswer | None:
    """Have a person answer it."""
    return await player.ask(
        ComplaintAnswer,
        team="vip" if player.tier in VIP_TIERS else "support",
        due=hours(24),
        escalate_to="support-lead",
        reason=reason,
        forbidden=["no bonus instead of an answer"],
        priority=80,
    )
