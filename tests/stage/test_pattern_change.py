"""Who plays in another way than before: a person looks, and the player hears of no machine."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stage.testing.rehearsal import Rehearsal, Rehearse, player
from workflows import ConsentChanged, Event, RoundCompleted, SessionLogin, TierChanged, days, hours
from workflows.journeys.game_preference import game_preference
from workflows.journeys.loss_checkin import loss_checkin
from workflows.journeys.pattern_change import HostLook, StakesReview, pattern_change

MONDAY = datetime(2026, 1, 12, 10, tzinfo=UTC)
#: Nobody loses, so that nothing else makes anybody look.
SLOT: dict[str, Any] = {"category": "slot", "stake_minor": 100, "win_minor": 500}
LIVE = SLOT | {"category": "live"}
HIGH = SLOT | {"stake_minor": 300}
LOW = SLOT | {"stake_minor": 40}


async def weeks(
    run: Rehearsal, number: int, kind: type[Event], weekdays: tuple[int, ...] = (0, 3), **data: Any
) -> None:
    """So many weeks from a Monday morning on, on these days of each."""
    for _ in range(number):
        for before, day in zip((0, *weekdays), weekdays, strict=False):
            await run.advance(days(day - before))
            await run.happens(kind, **data)
        await run.advance(days(7 - weekdays[-1]))


async def played(
    rehearse: Rehearse, before: dict[str, Any], lately: dict[str, Any], tier: str | None = None, **how: Any
) -> Rehearsal:
    """Eight weeks in one way and then in another until it is noticed; it is the morning after."""
    run = await rehearse(pattern_change, player("p"), begins=False, **how)
    if tier is not None:
        await run.happens(TierChanged, to=tier, direction="up")
    await weeks(run, 8, RoundCompleted, **before)
    while run.entries == 0 and run.now < MONDAY + timedelta(weeks=13):
        await weeks(run, 1, RoundCompleted, **lately)
    return run


def silent(run: Rehearsal) -> bool:
    return (run.world.messages, run.world.grants) == ([], [])


def marks(run: Rehearsal) -> list[dict[str, Any]]:
    return [dict(line.detail) for line in run.world.story if line.step.startswith("mark:pattern")]


@pytest.mark.parametrize("tier", [None, "black"])
async def test_much_higher_stakes_are_looked_at_by_a_trained_person_whoever_it_is(
    rehearse: Rehearse, tier: str | None
) -> None:
    run = await played(rehearse, SLOT, HIGH, tier)
    (task,) = run.tasks
    assert (task.form, task.team) == ("StakesReview", "safer-play")
    assert "in the middle of the last four weeks, against 100 in the eight before. Now: higher." in str(task.reason)
    await run.answers(StakesReview(outcome="well"))
    assert (run.ended, silent(run), marks(run)) == ("completed", True, [])


async def test_who_looked_decides_whether_the_player_is_talked_to(rehearse: Rehearse) -> None:
    run = await played(rehearse, SLOT, HIGH, along=[loss_checkin])
    await run.answers(StakesReview(outcome="talk"))
    await run.advance(hours(1))
    assert ([task.form for task in run.world.tasks.values()], silent(run)) == (["StakesReview", "LossCheckin"], True)


async def test_a_look_that_nobody_takes_leads_to_no_talk(rehearse: Rehearse) -> None:
    run = await played(rehearse, SLOT, HIGH, along=[loss_checkin])
    await run.advance(days(10))
    assert (run.ended, [task.form for task in run.world.tasks.values()], silent(run)) == (
        "completed",
        ["StakesReview"],
        True,
    )


@pytest.mark.parametrize(("lately", "says"), [(LIVE, "Now: live."), (LOW, "was 40 in the middle")])
async def test_the_host_of_a_vip_reads_what_has_changed(rehearse: Rehearse, lately: dict[str, Any], says: str) -> None:
    run = await played(rehearse, SLOT, lately, "black")
    (task,) = run.tasks
    assert (task.form, task.team, says in str(task.reason)) == ("HostLook", "vip", True)
    await run.answers(HostLook(outcome="called"))
    assert (run.ended, silent(run)) == ("completed", True)


async def test_higher_stakes_are_looked_at_although_another_game_is_noticed_in_the_same_night(
    rehearse: Rehearse,
) -> None:
    run = await rehearse(pattern_change, player("p"), begins=False)
    await run.happens(TierChanged, to="gold", direction="up")
    await weeks(run, 8, RoundCompleted, **SLOT)
    await run.advance(timedelta(weeks=1))
    await weeks(run, 2, RoundCompleted, **LIVE | {"stake_minor": 300})
    assert sorted(task.form for task in run.tasks if task.state == "open") == ["HostLook", "StakesReview"]


async def test_of_who_is_no_vip_another_game_is_only_kept(rehearse: Rehearse) -> None:
    run = await played(rehearse, SLOT, LIVE, "silver")
    assert (run.asked, silent(run)) == ([], True)
    assert marks(run) == [{"of": "games_changed", "to": "live"}]


@pytest.mark.parametrize("lately", [LIVE, LOW])
@pytest.mark.parametrize("tier", [None, "black"])
async def test_who_objects_to_profiling_is_looked_at_by_no_host_and_gets_no_mark(
    rehearse: Rehearse, lately: dict[str, Any], tier: str | None
) -> None:
    run = await rehearse(pattern_change, player("p"), begins=False)
    await run.happens(TierChanged, to=tier or "silver", direction="up")
    await run.happens(ConsentChanged, channel="profiling", product="all", opted_in=False)
    await weeks(run, 8, RoundCompleted, **SLOT)
    await weeks(run, 5, RoundCompleted, **lately)
    assert (run.asked, silent(run), marks(run)) == ([], True, [])


async def test_who_objects_to_profiling_and_stakes_far_more_is_looked_at_all_the_same_to_protect_them(
    rehearse: Rehearse,
) -> None:
    run = await rehearse(pattern_change, player("p"), begins=False)
    await run.happens(TierChanged, to="black", direction="up")
    await run.happens(ConsentChanged, channel="profiling", product="all", opted_in=False)
    await weeks(run, 8, RoundCompleted, **SLOT)
    await weeks(run, 5, RoundCompleted, **LIVE | {"stake_minor": 300})
    assert [task.form for task in run.tasks] == ["StakesReview"]
    assert "Now: higher." in str(run.tasks[0].reason)


async def test_an_objection_ends_what_was_seen_before_and_a_yes_later_finds_it_again(rehearse: Rehearse) -> None:
    run = await played(rehearse, SLOT, LIVE, "silver")
    assert "games_changed" in run.world.player("p").segments
    await run.happens(ConsentChanged, channel="profiling", product="all", opted_in=False)
    assert "games_changed" not in run.world.player("p").segments
    await run.advance(hours(1))
    await run.happens(ConsentChanged, channel="profiling", product="all", opted_in=True)
    assert "games_changed" in run.world.player("p").segments


async def test_who_came_at_weekends_and_comes_on_weekdays_is_noticed(rehearse: Rehearse) -> None:
    run = await rehearse(pattern_change, player("p"), begins=False)
    await weeks(run, 8, SessionLogin, (5, 6))
    await weeks(run, 4, SessionLogin, (0, 2))
    assert (marks(run), silent(run)) == ([{"of": "days_changed", "to": "weekdays"}], True)


async def test_who_plays_as_ever_is_looked_at_by_nobody(rehearse: Rehearse) -> None:
    run = await played(rehearse, SLOT, SLOT, "black")
    await run.advance(timedelta(weeks=3))
    assert (run.entries, silent(run)) == (0, True)


async def test_what_is_played_lately_is_tipped_however_much_was_staked_on_the_old(rehearse: Rehearse) -> None:
    """The journey `game_preference`, for a player of years who has gone over to live tables."""
    run = await rehearse(game_preference, player("p"), begins=False)
    await weeks(run, 6, RoundCompleted, **SLOT | {"stake_minor": 90_000})
    await run.advance(timedelta(weeks=1))
    await weeks(run, 3, RoundCompleted, **LIVE)
    assert run.entries == 0, "the twentieth round is still to come"
    await weeks(run, 1, RoundCompleted, **LIVE)
    assert run.world.messages[0].variables["about"] == "live"
