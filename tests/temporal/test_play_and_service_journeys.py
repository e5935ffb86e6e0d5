"""The shipped journeys about play, service, relations and support, on real Postgres and a Temporal that skips waits.

What they decide is proven on the stage (`tests/stage/test_play_journeys.py` and its three neighbours); this proves the
effects behind it, and records the histories that every later version must replay.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.tables import runs
from tests.support.conformance import (
    Answering,
    History,
    Looking,
    Replying,
    beginning,
    happens,
    on_the_server,
    real,
    registers,
)
from tests.support.history_recording import record
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from tests.support.temporal_engine import BRAND, Theatre
from workflows import (
    BigWin,
    DepositAbandoned,
    DepositApproved,
    FeedbackAnswered,
    GameFault,
    ItemPurchased,
    KycChanged,
    LimitChanged,
    PaymentReversed,
    RewardCodeFailed,
    RewardCompleted,
    RoundCompleted,
    SessionLogin,
    SupportCaseClosed,
    SupportCaseOpened,
    TierChanged,
    WithdrawalCompleted,
    WithdrawalRequested,
    days,
    free_spins,
    gift,
    hours,
    minutes,
)
from workflows.player_state.control_arms import arm_of
from workflows.source.journey_loading import load

pytestmark = pytest.mark.recorded

AT_ONCE = minutes(0)
#: What a player did before the journeys were deployed.
PAST: dict[str, Any] = {"mode": "history"}
KNOWN = registers(**PAST)
GOLD = happens(AT_ONCE, TierChanged, to="gold", direction="up", basis="deposits", **PAST)
LOST: dict[str, Any] = {"stake_minor": 9_000, "win_minor": 0, "category": "slot"}

#: Deploys the house's own points, wheel, missions and tiers too.
CASINO = "workflows.programs.casino"

Plays = Callable[..., Awaitable[Theatre]]


def treated(journey: str) -> str:
    """A player id that is in the treated arm of the journey."""
    share = load().journeys[journey].control
    names = (f"{journey.replace('_', '-')}-{number}" for number in range(1000))
    return next(name for name in names if arm_of(BRAND, name, journey, share) == "treated")


@pytest.fixture
async def play(
    request: pytest.FixtureRequest,
    time_skipping: WorkflowEnvironment,
    postgres_url: str,
    bonus_engine: LocalBonusEngine,
    catch_all: LocalCatchAll,
) -> AsyncIterator[Plays]:
    """Play a history of one player, from ten on a Wednesday morning, where this journey alone is deployed, or a program
    beside it.
    """
    variables = {"DATABASE_URL": postgres_url, "BONUS_ENGINE_URL": bonus_engine.url, **catch_all.environment}

    async with AsyncExitStack() as opened:

        async def plays(journey: str, history: History, until: timedelta, program: str = "") -> Theatre:
            chosen = {**variables, "SHIPPED_JOURNEYS": journey, "JOURNEYS": program}
            theatre, trace = await opened.enter_async_context(real(time_skipping, chosen, beginning(datetime.now(UTC))))
            await on_the_server(theatre, trace, {treated(journey): history}, until)
            await record(request, theatre)
            return theatre

        yield plays


async def outcome(stage: Theatre) -> tuple[str | None, bool]:
    """How the player's only run ended, and whether it reached its goal."""
    (run,) = await stage.rows(runs)
    return run["outcome"], run["goal_at"] is not None


class TestPlay:
    async def test_who_registers_and_hesitates_is_shown_the_way_offered_a_match_and_asked(self, play: Plays) -> None:
        stage = await play("first_deposit", [registers(), Looking(hours(1) + minutes(1))], days(14))
        assert await stage.sent() == [
            "how-to-deposit/in_app",
            "first-deposit-offer/email",
            "what-stopped-you/in_app",
            "first-deposit-last-day/sms",
        ]
        assert await stage.granted() == ["deposit_match"]
        assert await outcome(stage) == ("completed", False)

    async def test_twenty_rounds_of_one_kind_bring_a_tip_a_mission_news_and_one_thumb(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            happens(AT_ONCE, RoundCompleted, times=20, **LOST),
            happens(days(15), FeedbackAnswered, kind="thumb", score=1),
        ]
        stage = await play("game_preference", history, days(16), CASINO)
        assert await stage.sent() == [
            "favourite-tip/in_app",
            "mission-for-you/in_app",
            "new-in-your-kind/in_app",
            "quick-question/in_app",
        ]
        assert "award:mission#1: awarded" in await stage.story("game_preference")
        assert await stage.granted() == []
        assert await outcome(stage) == ("completed", False)

    async def test_a_losing_week_brings_cashback_on_monday_and_one_reminder(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            happens(AT_ONCE, SessionLogin),
            happens(AT_ONCE, RoundCompleted, **LOST),
            Looking(days(5)),
            happens(days(7) + hours(4), SessionLogin),
        ]
        stage = await play("loss_back", history, days(10))
        assert await stage.sent() == ["loss-back-ready/email", "loss-back-ready/in_app", "loss-back-reminder/in_app"]
        assert await stage.granted() == ["cashback"]
        assert await outcome(stage) == ("completed", False)

    async def test_who_came_every_day_and_stays_away_hears_news_and_then_gets_spins(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            happens(AT_ONCE, DepositApproved, times=3, **PAST),
            *(happens(days(number), SessionLogin) for number in range(8)),
            Looking(days(9) + hours(1)),
        ]
        stage = await play("churn_risk", history, days(16))
        assert await stage.sent() == ["content-news/push", "spins-offer/email"]
        assert await stage.granted() == ["free_spins"]
        assert await outcome(stage) == ("completed", False)

    async def test_three_months_of_silence_bring_three_touches_and_after_a_year_rest(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            happens(AT_ONCE, DepositApproved, **PAST),
            happens(AT_ONCE, SessionLogin),
            Looking(days(90) + hours(1)),
        ]
        stage = await play("dormant", history, days(370))
        assert await stage.sent() == [
            "content-news/email",
            "still-interested/email",
            "content-news/push",
            "account-at-rest/email",
        ]
        assert "mark:minimise#1: marked" in await stage.story("dormant")
        assert await outcome(stage) == ("completed", False)


class TestService:
    async def test_who_waits_for_their_money_hears_of_it_each_day_and_when_it_has_come(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            happens(AT_ONCE, WithdrawalRequested, payment_id="w-1", eta=86_400),
            happens(days(2) + hours(1), WithdrawalCompleted, payment_id="w-1"),
        ]
        stage = await play("withdrawal", history, days(3))
        assert await stage.sent() == [
            "withdrawal-received/email",
            "withdrawal-received/in_app",
            "withdrawal-on-its-way/in_app",
            *["withdrawal-delayed/email", "withdrawal-delayed/in_app"] * 2,
            "withdrawal-paid/email",
            "withdrawal-paid/in_app",
            "quick-question/in_app",
        ]
        assert await outcome(stage) == ("completed", True)

    async def test_a_winner_is_congratulated_and_asked_a_day_later(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            happens(AT_ONCE, BigWin),
            happens(days(1) + hours(1), FeedbackAnswered, kind="thumb", score=1),
        ]
        stage = await play("win_celebration", history, days(2))
        assert await stage.sent() == ["big-win/in_app", "quick-question/in_app"]
        assert await outcome(stage) == ("completed", True)

    async def test_a_game_that_breaks_in_a_win_is_told_and_is_a_persons(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            happens(AT_ONCE, BigWin),
            happens(minutes(2), GameFault, kind="unpaid_win"),
            Answering(minutes(10), "FaultInWin", {"outcome": "paid"}),
        ]
        stage = await play("win_celebration", history, days(2))
        assert await stage.sent() == ["big-win/in_app", "fault-note/email", "fault-note/in_app"]
        assert await stage.asked() == [("FaultInWin", "support", "completed")]
        assert await outcome(stage) == ("completed", False)

    async def test_documents_are_asked_for_again_with_a_person_and_thanked_for(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            happens(AT_ONCE, WithdrawalRequested, kyc_required=True),
            happens(hours(2), KycChanged, status="rejected", reject_reason="blurred"),
            Answering(days(3) + hours(2), "KycHelp", {"outcome": "will_send"}),
            happens(days(5), KycChanged, status="approved"),
        ]
        stage = await play("kyc_completion", history, days(6))
        assert await stage.sent() == [
            "kyc-checklist/email",
            "kyc-checklist/in_app",
            "kyc-resubmit/email",
            "kyc-resubmit/in_app",
            "kyc-reminder/email",
            "kyc-reminder/in_app",
            "kyc-thanks/in_app",
        ]
        assert await stage.asked() == [("KycHelp", "support", "completed")]
        assert await outcome(stage) == ("completed", True)

    async def test_three_losing_days_bring_a_talk_and_two_reviews_and_no_word_by_machine(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            *(happens(days(number), RoundCompleted, **LOST) for number in range(3)),
            *(Looking(hours(15 + 24 * number)) for number in range(3)),
            Answering(days(3) + hours(2), "LossCheckin", {"outcome": "reached", "limit_set": True}),
            happens(days(3) + hours(3), LimitChanged, direction="tighter"),
            Answering(days(10) + hours(5), "SaferPlayReview", {"outcome": "calmer"}),
            Answering(days(33) + hours(8), "SaferPlayReview", {"outcome": "calmer"}),
        ]
        stage = await play("loss_checkin", history, days(40))
        assert (await stage.sent(), await stage.granted()) == ([], [])
        assert await stage.asked() == [
            ("LossCheckin", "safer-play", "completed"),
            ("SaferPlayReview", "safer-play", "completed"),
            ("SaferPlayReview", "safer-play", "completed"),
        ]
        assert await outcome(stage) == ("completed", True)

    async def test_far_higher_stakes_are_looked_at_by_a_person_and_the_player_hears_nothing(self, play: Plays) -> None:
        # Two weeks without play, so that the third week at the new stake is the first to tell. It ends on Sunday.
        low, high = {"stake_minor": 100, "win_minor": 100}, {"stake_minor": 300, "win_minor": 300}
        history: History = [
            registers(-days(90), **PAST),
            *(happens(-days(7 * week + 1), RoundCompleted, **low, **PAST) for week in range(11, 4, -1)),
            *(happens(-days(7 * week + 1), RoundCompleted, **high, **PAST) for week in (2, 1, 0)),
            Looking(days(4) + hours(15)),
            Answering(days(5), "StakesReview", {"outcome": "well", "note": "A rise in wages."}),
        ]
        stage = await play("pattern_change", history, days(6))
        assert (await stage.sent(), await stage.granted()) == ([], [])
        assert await stage.asked() == [("StakesReview", "safer-play", "completed")]
        assert await outcome(stage) == ("completed", False)


class TestShop:
    ORDER: Final[dict[str, Any]] = {"purchase_id": "o-1", "price": 500, "currency": "points", "to_deliver": True}

    async def test_spins_from_the_shop_go_through_the_bonus_engine(self, play: Plays) -> None:
        bought = happens(AT_ONCE, ItemPurchased, item="spins", gives=free_spins(20, max_win=10_000), **self.ORDER)
        stage = await play("shop_order", [KNOWN, bought], days(1))
        assert (await stage.granted(), await stage.asked()) == (["free_spins"], [])
        assert await outcome(stage) == ("completed", False)

    async def test_a_parcel_from_the_shop_is_sent_by_a_person(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            happens(AT_ONCE, ItemPurchased, item="mug", gives=gift("mug", value=800), **self.ORDER),
            Answering(days(1), "ParcelToSend", {"outcome": "sent"}),
        ]
        stage = await play("shop_order", history, days(2))
        assert (await stage.granted(), await stage.asked()) == ([], [("ParcelToSend", "support", "completed")])
        assert await outcome(stage) == ("completed", False)


class TestRelation:
    async def test_a_birthday_brings_spins_in_the_wallets_own_money(self, play: Plays) -> None:
        born = f"1992-{beginning(datetime.now(UTC)) + days(2):%m-%d}"
        stage = await play("personal_days", [registers(birth_date=born, **PAST), Looking(days(2) + hours(1))], days(5))
        assert await stage.granted() == ["free_spins"]
        assert await stage.sent() == ["occasion-gift/email", "occasion-gift/in_app"]
        assert await outcome(stage) == ("completed", False)

    async def test_the_tenth_deposit_brings_points_of_the_house(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            happens(AT_ONCE, DepositApproved, times=9, **PAST),
            happens(AT_ONCE, DepositApproved),
        ]
        # Ten deposits are a tier of the ladder too, of which this journey says nothing.
        stage = await play("personal_days", history, days(5), CASINO)
        assert "award:points#1: awarded" in await stage.story("personal_days")
        assert (await stage.sent(), await stage.granted()) == (["occasion-points/email", "occasion-points/in_app"], [])
        assert await outcome(stage) == ("completed", False)

    async def test_a_vip_whom_two_calls_do_not_reach_gets_a_line_and_neither_gift_nor_points(self, play: Plays) -> None:
        history: History = [
            GOLD,
            KNOWN,
            happens(AT_ONCE, DepositApproved, times=9, **PAST),
            happens(AT_ONCE, DepositApproved),
            Answering(hours(1), "GreetingCall", {"outcome": "no_answer"}),
            Answering(days(1) + hours(4), "GreetingCall", {"outcome": "voicemail"}),
        ]
        stage = await play("personal_days", history, days(5))
        assert await stage.asked() == [("GreetingCall", "vip", "completed")] * 2
        assert (await stage.sent(), await stage.granted()) == (["occasion-greeting/email"], [])
        assert await outcome(stage) == ("completed", False)

    @pytest.mark.parametrize(("program", "granted"), [("", ["points"]), (CASINO, [])], ids=["engine", "house"])
    async def test_a_regular_who_answers_three_of_ten_gets_points_of_whom_there_is_and_a_call(
        self, play: Plays, program: str, granted: list[str]
    ) -> None:
        history: History = [
            registers(-days(100), **PAST),
            *(happens(days(number), SessionLogin) for number in range(3, 7)),
            Looking(days(7) + hours(8)),
            Replying(days(8), "nps", {"score": 3}),
            Answering(days(8) + hours(2), "DetractorCall", {"outcome": "reached", "to_mend": "slow payouts"}),
        ]
        stage = await play("feedback", history, days(9), program)
        assert await stage.sent() == ["recommend/in_app"]
        assert await stage.granted() == granted
        assert f"award:points#1: {'awarded' if program else 'withheld'}" in await stage.story("feedback")
        assert await stage.asked() == [("DetractorCall", "support", "completed")]
        assert await outcome(stage) == ("completed", True)

    async def test_a_day_after_a_reward_was_used_one_tap_answers(self, play: Plays) -> None:
        asked = Replying(days(1) + hours(2), "thumb", {"score": 0})
        stage = await play("reward_feedback", [KNOWN, happens(AT_ONCE, RewardCompleted), asked], days(3))
        assert await stage.sent() == ["reward-thumb/in_app"]
        assert await outcome(stage) == ("completed", True)


class TestSupport:
    async def test_who_left_the_cashier_is_helped_at_once_and_offered_nothing(self, play: Plays) -> None:
        history: History = [KNOWN, happens(AT_ONCE, DepositAbandoned), happens(hours(2), DepositApproved)]
        stage = await play("abandoned_cashier", history, days(1))
        assert (await stage.sent(), await stage.granted()) == (["cashier-help/in_app"], [])
        assert await outcome(stage) == ("completed", True)

    async def test_a_failed_code_is_looked_at_by_support(self, play: Plays) -> None:
        history: History = [
            KNOWN,
            happens(AT_ONCE, RewardCodeFailed),
            Answering(minutes(30), "CodeHelp", {"outcome": "mended"}),
        ]
        stage = await play("code_failed", history, days(1))
        assert await stage.asked() == [("CodeHelp", "support", "completed")]
        assert (await stage.sent(), await outcome(stage)) == ([], ("completed", False))

    async def test_a_reversed_payment_nobody_looks_at_is_escalated(self, play: Plays) -> None:
        stage = await play("disputed_payment", [KNOWN, happens(AT_ONCE, PaymentReversed)], days(2))
        assert await stage.asked() == [("DisputedPayment", "payments-lead", "expired")]
        assert (await stage.sent(), await outcome(stage)) == ([], ("completed", False))

    async def test_a_complaint_is_asked_about_again_until_its_case_is_closed(self, play: Plays) -> None:
        case: dict[str, Any] = {"topic": "complaint", "case_id": "c-1"}
        history: History = [
            GOLD,
            KNOWN,
            happens(AT_ONCE, SupportCaseOpened, **case),
            Answering(hours(3), "ComplaintAnswer", {"outcome": "answered"}),
            happens(days(3) + hours(6), SupportCaseClosed, **case),
        ]
        stage = await play("complaint", history, days(5))
        assert await stage.asked() == [("ComplaintAnswer", "vip", "completed"), ("ComplaintAnswer", "vip", "cancelled")]
        assert (await stage.sent(), await outcome(stage)) == ([], ("exit_on:support.case_closed", False))
