"""What follows from many events, on the stage: the same segments, thresholds and calendars as in production."""

from datetime import UTC, datetime, timedelta
from typing import Any

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.testing.rehearsal import Rehearse, player
from stage.world.world import World
from tests.support.derived.journeys import greeting, losing_days, monday, wager_goal, well_off_welcome
from workflows import DepositApproved, PlayerRegistered, RoundCompleted, SessionLogin, days, hours
from workflows.source.journey_loading import load

MONDAY = datetime(2026, 3, 9, 9, tzinfo=UTC)
REGISTRY = load(("tests.support.derived.journeys",))


class Casino(World):
    """A world with one player, born on the 20th of March, who lives in Kyiv."""

    def __init__(self) -> None:
        super().__init__(REGISTRY, read_template_facts([SHIPPED_TEMPLATES]), MONDAY)
        self.told = 0
        self.happens(PlayerRegistered, timezone="Europe/Kyiv", birth_date="1990-03-20")

    def happens(self, kind: type[Any], /, **data: Any) -> None:
        self.told += 1
        base = kind.example().model_dump(by_alias=False)
        envelope = {"event_id": f"e{self.told}", "event_source": "/test", "occurred_at": self.now}
        self.happen("p", kind.model_validate(base | envelope | data))

    def passes(self, duration: timedelta) -> None:
        self.advance_to(self.now + duration)

    def marks(self, name: str) -> list[datetime]:
        return [line.at for line in self.story if line.step.startswith(f"mark:{name}")]


def test_a_run_begins_with_a_segment_and_ends_when_a_window_has_passed() -> None:
    with Casino() as casino:
        casino.happens(DepositApproved, amount_minor=60_000)
        casino.happens(DepositApproved, amount_minor=40_000)
        casino.passes(days(40))
        (run,) = (run for run in casino.runs.values() if run.journey == "well_off_welcome")
        assert run.outcome == "exit_on:derived.segment_left"
        assert run.ended_at is not None
        assert MONDAY + days(30) < run.ended_at <= MONDAY + days(31)
        assert casino.marks("stayed") == []


def test_a_threshold_begins_a_run_that_can_ask_for_a_segment() -> None:
    with Casino() as casino:
        casino.happens(DepositApproved, amount_minor=100_000)
        casino.happens(RoundCompleted, stake_minor=999)
        casino.happens(RoundCompleted, stake_minor=1)
        casino.passes(hours(1))
        (answer,) = (line.outcome for line in casino.story if line.step.startswith("matches:"))
        assert answer == "yes"
        assert casino.marks("reached") == [MONDAY]


def test_three_losing_days_a_birthday_and_a_monday_come_when_they_are_due() -> None:
    with Casino() as casino:
        for _ in range(3):
            casino.happens(RoundCompleted, stake_minor=100, win_minor=0)
            casino.passes(days(1))
        casino.happens(SessionLogin)
        casino.passes(days(30))
        assert casino.marks("three") == [datetime(2026, 3, 11, 23, tzinfo=UTC)]
        assert casino.marks("birthday") == [datetime(2026, 3, 20, 8, tzinfo=UTC)]
        mondays = [at.date().isoformat() for at in casino.marks("monday")]
        assert mondays == ["2026-03-23", "2026-03-30", "2026-04-06"]


async def test_a_journey_that_begins_with_a_segment_is_rehearsed_like_any_other(rehearse: Rehearse) -> None:
    run = await rehearse(well_off_welcome)
    await run.advance(days(81))
    assert run.ended == "completed"


async def test_or_with_everything_that_leads_to_it(rehearse: Rehearse) -> None:
    run = await rehearse(well_off_welcome, player(deposits=0), begins=False)
    await run.happens(DepositApproved, amount_minor=99_999)
    assert run.entries == 0
    await run.happens(DepositApproved, amount_minor=1)
    assert run.entries == 1


async def test_thresholds_calendars_and_streaks_of_days_are_rehearsed(rehearse: Rehearse) -> None:
    for journey in (wager_goal, greeting, losing_days, monday):
        run = await rehearse(journey)
        await run.advance(days(1))
        assert run.ended == "completed", journey
