"""`player.webhook` on the stage: it is said, stands in the story, and changes nothing for the player."""

from datetime import UTC, datetime
from typing import Any

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.world.world import World
from tests.support.outside_packages import Write
from workflows import DepositApproved, PlayerRegistered, hours
from workflows.source.journey_loading import load

MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)
SAYS = """
from datetime import timedelta
from workflows import DepositApproved, Player, days, journey, on, once

@journey(on(DepositApproved), entry=once, ends_after=days(1), control=0)
async def says(player: Player, deposit: DepositApproved) -> None:
    \"\"\"Tells others of a deposit.\"\"\"
    await player.webhook({name!r}, amount=deposit.amount_minor{more})
"""


def story(package: Write, name: str, more: str = "") -> list[tuple[str, str, dict[str, object]]]:
    given: dict[str, Any] = {"event_source": "/test", "occurred_at": MORNING}
    registry = load((package(says=SAYS.format(name=name, more=more)),))
    with World(registry, read_template_facts([SHIPPED_TEMPLATES]), MORNING) as world:
        world.happen("p", PlayerRegistered(event_id="e1", timezone="Europe/London", **given))
        world.happen("p", DepositApproved(event_id="e2", payment_id="pay", amount_minor=500, **given))
        world.advance_to(MORNING + hours(1))
        return [(one.step, one.outcome, dict(one.detail)) for one in world.story]


def test_what_is_said_stands_in_the_story(package: Write) -> None:
    assert story(package, "deposit-came")[0] == ("webhook:deposit-came#1", "said", {"amount": 500})


def test_a_name_that_is_none_and_too_much_to_say_stop_the_run_where_a_person_looks(package: Write) -> None:
    with pytest.raises(Exception, match="no name of an outgoing event"):
        story(package, "Deposit came")
    with pytest.raises(Exception, match="say less"):
        story(package, "deposit-came", ", all='x' * 20_000")
