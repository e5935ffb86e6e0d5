"""A code that did not work: support looks at once, before the player has to ask."""

from typing import Annotated, Literal

from workflows import Form, Player, RewardClaimed, RewardCodeFailed, days, every, goal, hours, journey, on
from workflows.events import Pii


class CodeHelp(Form):
    """A code did not work. Find out why; if the mistake is ours, make the code work and tell the player."""

    outcome: Literal["mended", "explained", "not_ours"]
    note: Annotated[str, Pii()] = ""


@journey(
    on(RewardCodeFailed),
    entry=every(hours(4)),
    goal=goal(RewardClaimed, within=days(1)),
    ends_after=days(2),
    waives={"no-control": "Help is not withheld."},
)
async def code_failed(player: Player, failed: RewardCodeFailed) -> None:
    """A task within the hour, with the reason of the bonus engine."""
    await player.ask(
        CodeHelp,
        team="support",
        due=hours(1),
        escalate_to="support-lead",
        reason=f"The code {failed.code} failed as {failed.reason}.",
        priority=70,
    )
