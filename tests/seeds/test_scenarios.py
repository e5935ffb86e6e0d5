"""Scenarios that articles on CRM tell of players, played by the shipped journeys in memory.

How long a reaction takes on real servers is measured in `test_reactions_in_seconds.py`; how the blackjack player of the
first weeks is met stands in `tests/stage/test_journeys_with_points.py`.
"""

from datetime import UTC, datetime

from stage.testing.rehearsal import Rehearse, player
from workflows import (
    ConsentChanged,
    DepositAbandoned,
    DepositApproved,
    DepositFailed,
    Player,
    RoundCompleted,
    SessionLogin,
    TierChanged,
    WithdrawalRequested,
    days,
    hours,
    journey,
    local,
    minutes,
    on,
    once,
)
from workflows.journeys.abandoned_cashier import abandoned_cashier
from workflows.journeys.churn_risk import churn_risk
from workflows.journeys.failed_deposit import failed_deposit
from workflows.journeys.game_preference import game_preference
from workflows.journeys.loss_back import loss_back
from workflows.journeys.loss_checkin import loss_checkin
from workflows.journeys.second_deposit import second_deposit
from workflows.journeys.tier_up import tier_up
from workflows.journeys.win_back import win_back
from workflows.journeys.withdrawal import withdrawal

TUESDAY_AT_TWO = datetime(2026, 3, 10, 2, tzinfo=UTC)


async def test_the_fiftieth_deposit_on_a_tuesday_at_two_in_the_morning_is_gold_in_the_same_second(
    rehearse: Rehearse,
) -> None:
    run = await rehearse(tier_up, player(deposits=49), at=TUESDAY_AT_TWO)
    assert (run.now, run.granted) == (TUESDAY_AT_TWO, ["tier_upgrade", "free_spins"])
    assert all(grant.at == TUESDAY_AT_TWO for grant in run.world.grants)


async def test_a_text_message_goes_to_who_is_silent_for_two_days_after_a_deposit_and_to_nobody_else(
    rehearse: Rehearse,
) -> None:
    silent, here = await rehearse(second_deposit), await rehearse(second_deposit, player("other"))
    await here.advance(hours(5))
    await here.happens(SessionLogin)
    for run in (silent, here):
        await run.advance(days(2) + hours(4))
    assert ("comeback-sms" in silent.sent, "comeback-sms" in here.sent) == (True, False)


async def test_the_offer_comes_three_hours_after_the_deposit(rehearse: Rehearse) -> None:
    run = await rehearse(second_deposit)
    await run.advance(hours(3) - minutes(1))
    assert run.granted == []
    await run.advance(minutes(2))
    assert run.granted == ["reload"]


async def test_sarah_plays_slots_and_hears_of_slots(rehearse: Rehearse) -> None:
    run = await rehearse(game_preference, player("sarah"), begins=False)
    for number in range(20):
        await run.happens(RoundCompleted, round_id=f"r{number}", category="slot")
    assert run.world.messages[-1].variables["about"] == "slot"


async def test_mike_plays_after_his_shift_and_hears_from_us_then_if_he_agreed_that_we_look_at_it(
    rehearse: Rehearse,
) -> None:
    evening = datetime(2026, 3, 9, 20, tzinfo=UTC)
    for name, agreed in (("mike", True), ("mia", False)):
        run = await rehearse(churn_risk, player(name, deposits=3, timezone="Europe/London"), begins=False, at=evening)
        if agreed:
            await run.happens(ConsentChanged, channel="profiling", opted_in=True)
        for _ in range(12):
            await run.happens(SessionLogin)
            await run.advance(days(1))
        await run.advance(days(3))
        (news,) = (one for one in run.world.messages if one.template == "content-news" and one.suppressed is None)
        assert (news.at.hour, news.channel) == ((20, "push") if agreed else (18, "push"))
        assert news.choice is not None
        assert news.choice.hour is not None
        assert news.choice.hour.chance == (0.907692 if agreed else 1)


@journey(on(DepositApproved, where=local("tuesday", hours=(2, 3))), entry=once, ends_after=days(9))
async def tuesday_at_two(player_of_it: Player, deposit: DepositApproved) -> None:
    """A deposit on Tuesday at two in the morning is answered at three in the afternoon, on the player's clock."""
    await player_of_it.until("15:00", weekday="tuesday", jitter=minutes(0))
    await player_of_it.mark("greeted", came_on=f"{deposit.local:%A %H:%M}")


async def test_tuesday_is_the_players_tuesday_at_night_and_in_the_afternoon(rehearse: Rehearse) -> None:
    # 17:30 on Monday in UTC is half past two on Tuesday in Tokyo.
    monday = datetime(2026, 3, 9, 17, 30, tzinfo=UTC)
    run = await rehearse(tuesday_at_two, player(timezone="Asia/Tokyo"), begins=False, at=monday)
    await run.happens(DepositApproved)
    await run.advance(hours(13))
    (line,) = (one for one in run.world.story if one.step.startswith("mark:"))
    assert (line.at, line.detail["came_on"]) == (datetime(2026, 3, 10, 6, tzinfo=UTC), "Tuesday 02:30")


async def test_jennifer_worries_about_her_money_and_is_told_half_way(rehearse: Rehearse) -> None:
    run = await rehearse(withdrawal, player("jennifer"), trigger=WithdrawalRequested, eta=48 * 3600)
    await run.advance(days(1) + minutes(1))
    assert run.sent == ["withdrawal-received", "withdrawal-on-its-way"]


async def test_jennifer_at_the_highest_tier_has_a_person_who_stays_with_her_money(rehearse: Rehearse) -> None:
    run = await rehearse(withdrawal, player("jennifer"), begins=False)
    await run.happens(TierChanged, to="black", direction="up")
    await run.happens(WithdrawalRequested, eta=48 * 3600)
    assert ([(task.form, task.team) for task in run.tasks], run.granted) == ([("WithdrawalComfort", "vip")], [])


async def test_three_losing_days_bring_a_person_and_no_letter_and_no_money(rehearse: Rehearse) -> None:
    run = await rehearse(loss_checkin, along=[loss_back], begins=False)
    for number in range(3):
        await run.happens(RoundCompleted, round_id=f"r{number}", stake_minor=5000, win_minor=0)
        await run.advance(days(1))
    await run.advance(hours(1))
    assert run.asked == ["LossCheckin"]
    assert (run.world.messages, run.world.grants) == ([], [])


async def test_three_failed_deposits_bring_help_in_the_same_second(rehearse: Rehearse) -> None:
    run = await rehearse(failed_deposit, begins=False)
    for number in range(3):
        await run.happens(DepositFailed, payment_id=f"p{number}", failure="declined")
    assert "deposit-help" in run.sent
    assert all(message.at == run.now for message in run.world.messages)


async def test_who_leaves_the_cashier_is_helped_in_the_same_second_and_offered_no_money(rehearse: Rehearse) -> None:
    run = await rehearse(abandoned_cashier, begins=False)
    await run.happens(DepositAbandoned)
    assert (run.sent, [message.at for message in run.world.messages], run.granted) == (["cashier-help"], [run.now], [])


async def test_we_miss_you_is_not_said_to_who_was_here_this_morning(rehearse: Rehearse) -> None:
    run = await rehearse(win_back, player(deposits=3), begins=False)
    await run.happens(SessionLogin)
    await run.advance(days(13))
    await run.happens(SessionLogin)
    await run.advance(days(10))
    assert (run.entries, run.sent) == (0, [])
    await run.happens(DepositApproved)
    await run.advance(days(3))
    assert run.sent == []
