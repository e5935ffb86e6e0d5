"""Budgets of bonuses on the stage: of a journey, of the brand, of a player; and what a person lets pass beyond them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.world.state import Answer
from stage.world.world import World
from workflows import (
    ConsentChanged,
    DepositApproved,
    DepositFailed,
    PlayerRegistered,
    SessionLogin,
    WithdrawalRequested,
    days,
    hours,
    policy,
)
from workflows.gate.policies import HOUSE
from workflows.gate.policy import Policy
from workflows.source.journey_loading import load

MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)
REGISTRY = load(("tests.support.budgeted_journeys",))
TEMPLATES = read_template_facts([SHIPPED_TEMPLATES])


class Casino(World):
    """A world of players who are paid in euros; `says` is what people answer when they are asked, after an hour."""

    def __init__(self, says: str = "nothing", house: Policy = HOUSE) -> None:
        def answers(*_: Any) -> Answer:
            return None if says == "nothing" else (hours(1), {"give": says == "yes"})

        super().__init__(REGISTRY, TEMPLATES, MORNING, policy=house, answers=answers)
        self.told = 0

    def happens(self, player: str, kind: type[Any], /, **data: Any) -> None:
        if player not in self.players:
            about = {"timezone": "Europe/Kyiv", "currency": "EUR", "opted_in": ["in_app", "email"]}
            self.happens_only(player, PlayerRegistered, **about)
        self.happens_only(player, kind, **data)

    def happens_only(self, player: str, kind: type[Any], /, **data: Any) -> None:
        self.told += 1
        named = {name: f"n{self.told}" for name in [kind.unique_field] if name}
        given = {"event_id": f"e{self.told}", "event_source": "/test", "occurred_at": self.now}
        self.happen(player, kind(**given | dict(kind.example_data) | named | data))
        self.advance_to(self.now + timedelta(minutes=1))

    @property
    def given(self) -> list[tuple[str, str, str | None]]:
        return [(grant.player_id, grant.status, grant.reason) for grant in self.grants]


@pytest.fixture
def casino() -> Iterator[Casino]:
    with Casino() as opened:
        yield opened


def test_a_journey_gives_no_more_than_its_budget_of_a_day(casino: Casino) -> None:
    casino.happens("a", DepositApproved)
    casino.happens("b", DepositApproved)
    casino.advance_to(MORNING + days(1))
    casino.happens("b", DepositApproved)
    assert casino.given == [("a", "confirmed", None), ("b", "refused", "over_budget:journey"), ("b", "confirmed", None)]
    assert casino.tasks == {}


BRAND_DAY, CEILING = {"bonus_per_day": {"EUR": 900}}, {"bonus_ceiling": {"EUR": 900}}


@pytest.mark.parametrize(("numbers", "why"), [(BRAND_DAY, "over_budget:brand"), (CEILING, None)])
def test_the_brand_has_a_budget_and_so_has_each_player(numbers: dict[str, Any], why: str | None) -> None:
    ours = policy("ours", since=date(2026, 1, 1), **numbers)
    with Casino(house=HOUSE.model_copy(update=dict(ours))) as casino:
        casino.happens("a", SessionLogin)
        casino.happens("b", DepositApproved)
    assert casino.given == [("a", "confirmed", None), ("b", "confirmed" if why is None else "refused", why)]


@pytest.mark.parametrize(("says", "grants", "sent"), [
    ("yes", ["confirmed", "refused", "confirmed"], 2),
    ("no", ["confirmed", "refused"], 1),
    ("nothing", ["confirmed", "refused"], 1),
])  # fmt: skip
def test_beyond_a_budget_the_team_is_asked_and_what_it_lets_pass_is_given(
    says: str, grants: list[str], sent: int
) -> None:
    with Casino(says) as casino:
        casino.happens("a", SessionLogin)
        casino.happens("b", SessionLogin)
        (task,) = casino.tasks.values()
        assert (task.player_id, task.team, task.form, task.state) == ("b", "promotions", "GrantApproval", "open")
        assert "budget of the day is spent" in task.reason
        casino.advance_to(MORNING + days(3))
    assert [grant.status for grant in casino.grants] == grants
    assert len(casino.messages) == sent
    assert {run.outcome for run in casino.runs.values()} == {"completed"}


# ---- who goes first -----------------------------------------------------------------------------

EVENING = MORNING + hours(12)  # 23:00 in Kyiv


def sent(casino: Casino) -> list[tuple[str, str | None]]:
    return [(message.journey, message.suppressed) for message in casino.messages]


def test_a_message_that_could_go_at_once_waits_for_one_that_goes_first_in_the_morning(casino: Casino) -> None:
    casino.advance_to(EVENING)
    casino.happens("p", WithdrawalRequested)
    casino.happens("p", DepositFailed)
    assert sent(casino) == []
    casino.advance_to(EVENING + hours(14))
    assert sent(casino) == [("goes_first", None), ("goes_last", "daily_cap")]


def test_it_goes_when_the_other_does_not(casino: Casino) -> None:
    casino.advance_to(EVENING)
    casino.happens("p", WithdrawalRequested)
    casino.happens("p", DepositFailed)
    casino.happens("p", ConsentChanged, channel="email", opted_in=False, source="player")
    casino.advance_to(EVENING + hours(14))
    assert sent(casino) == [("goes_first", "no_consent"), ("goes_last", None)]


def test_nobody_waits_for_a_journey_that_does_not_go_first(casino: Casino) -> None:
    casino.advance_to(EVENING)
    casino.happens("p", DepositFailed)
    casino.happens("p", WithdrawalRequested)
    casino.advance_to(EVENING + hours(14))
    assert sent(casino) == [("goes_last", None), ("goes_first", "daily_cap")]
