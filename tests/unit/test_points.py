"""Points of a player's row against a model of a few lines, whatever happens and in whatever order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from workflows import (
    DepositApproved,
    ExclusionSet,
    PaymentReversed,
    PlayerRegistered,
    RoundCompleted,
    RoundVoided,
    currency,
    days,
    earn,
    multiplier,
    points,
)
from workflows.errors import DesignError
from workflows.events import Event
from workflows.loyalty.loyalty_state import LoyaltyState
from workflows.loyalty.merging_points import merge_loyalty
from workflows.loyalty.point_account import MultiplierWindow
from workflows.loyalty.point_lots import choose, end_of_lot, lot_of
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.postings import Postings, recomputed
from workflows.loyalty.program import LoyaltyProgram
from workflows.player_state.state import PlayerState
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex
from workflows.rules.measures import Present

#: A Thursday.
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
POINTS = currency("points", expires=days(90))
WAGER = earn(
    POINTS,
    RoundCompleted,
    "stake_minor",
    rate=(1, 1_000),
    product="casino",
    weights={"slot": 100, "live": 20},
    most=50,
    name="wager",
)
PAID = earn(POINTS, DepositApproved, "amount_minor", rate=(3, 700), most=100, name="paid")
RULES = RuleIndex({}, {}, LoyaltyProgram.of([WAGER, PAID]))


@dataclass
class Played:
    """One player, and the journal of what happened to their points."""

    state: PlayerState = field(default_factory=lambda: PlayerState("acme", "p"))
    journal: list[PointTransfer] = field(default_factory=list)
    failures: list[RuleFailure] = field(default_factory=list)
    rules: RuleIndex = RULES

    def happens(self, *events: Event, now: datetime = NOON, **options: Any) -> Self:
        for event in events:
            self.keep(self.state.advance(event, self.rules, now, self.failures, **options))
        return self

    def keep(self, decisions: Sequence[Any]) -> None:
        self.journal += [one for one in decisions if isinstance(one, PointTransfer)]
        # As the next transaction reads it.
        text = orjson.dumps(self.state.stored(), option=orjson.OPT_UTC_Z).decode()
        assert orjson.loads(text) == orjson.loads(orjson.dumps(self.state.to_json()))
        self.state = PlayerState.from_text("acme", "p", text)

    def ticks(self, now: datetime) -> Self:
        self.keep(self.state.tick(self.rules, now, self.failures))
        return self

    def settles(self, now: datetime = NOON) -> Self:
        if self.state.loyalty is not None:
            postings = Postings(self.state.loyalty, now)
            for name in self.state.loyalty.points:
                postings.settle(name)
            self.keep(postings.transfers)
        return self

    @property
    def available(self) -> int:
        return self.state.loyalty.account("points").available if self.state.loyalty else 0

    @property
    def debt(self) -> int:
        return self.state.loyalty.account("points").debt if self.state.loyalty else 0

    def agrees(self) -> None:
        """The journal proves the row: what it comes to is the row without what is not posted yet."""
        if self.state.loyalty is None:
            assert self.journal == []
            return
        account, proof = self.state.loyalty.account("points"), recomputed(self.journal).account("points")
        assert proof.available == account.available - account.unposted
        assert proof.debt == account.debt
        self.settles()
        assert recomputed(self.journal).account("points").lots == self.state.loyalty.account("points").lots


def a_round(
    stake: int = 1_000, at: datetime = NOON, *, number: int = 0, category: str = "slot", **more: Any
) -> RoundCompleted:
    data = {
        "round_id": f"r-{number}",
        "game_id": "g",
        "category": category,
        "stake_minor": stake,
        "win_minor": 0,
        **more,
    }
    return RoundCompleted(event_id=f"e-{number}", event_source="casino", occurred_at=at, **data)


def a_deposit(amount: int, at: datetime = NOON, *, number: int = 0) -> DepositApproved:
    return DepositApproved(
        event_id=f"d-{number}", event_source="cashier", occurred_at=at, payment_id=f"pay-{number}", amount_minor=amount
    )


rounds = st.builds(
    a_round,
    st.integers(0, 20_000),
    st.integers(0, 47).map(lambda hour: NOON - timedelta(hours=hour)),
    category=st.sampled_from(["slot", "live", "table"]),
)
deposits = st.builds(a_deposit, st.integers(0, 9_000), st.integers(0, 47).map(lambda h: NOON - timedelta(hours=h)))
histories = st.lists(rounds | deposits, max_size=30)


def expected(events: Sequence[Event]) -> int:
    """What a history earns, by the definition: a day's points are the cap, or the sum at its rate rounded down once."""
    units: dict[Any, int] = {}
    for one in events:
        day = one.occurred_at.date()
        if isinstance(one, RoundCompleted):
            weight = {"slot": 100, "live": 20}.get(one.category, 0)
            units["wager", day] = units.get(("wager", day), 0) + one.stake_minor * weight
        elif isinstance(one, DepositApproved):
            units["paid", day] = units.get(("paid", day), 0) + one.amount_minor * 100
    rates = {"wager": (1, 1_000, 50), "paid": (3, 700, 100)}
    return sum(
        min(rates[rule][2], number * rates[rule][0] // (rates[rule][1] * 100)) for (rule, _), number in units.items()
    )


class TestAccrual:
    @settings(max_examples=examples(50))
    @given(histories)
    def test_i11_a_days_points_are_the_cap_or_the_sum_rounded_once(self, events: list[Event]) -> None:
        played = Played().happens(*events)
        assert played.available == expected(events)
        played.agrees()

    @settings(max_examples=examples(50))
    @given(st.data())
    def test_i6_the_order_of_events_changes_neither_balance_nor_lots(self, data: st.DataObject) -> None:
        events = data.draw(histories)
        other = data.draw(st.permutations(events))
        one, two = Played().happens(*events).settles(), Played().happens(*other).settles()
        lots = [it.state.loyalty.account("points").lots if it.state.loyalty else {} for it in (one, two)]
        assert lots[0] == lots[1]

    @settings(max_examples=examples(50))
    @given(histories, st.lists(st.integers(0, 29), max_size=5))
    def test_i8_postings_may_be_cut_anywhere(self, events: list[Event], cuts: list[int]) -> None:
        played = Played()
        for number, event in enumerate(events):
            played.happens(event)
            if number in cuts:
                played.settles()
        assert played.available == expected(events)
        played.agrees()

    def test_i10_no_multiplier_lifts_a_day_over_its_cap(self) -> None:
        played = Played().happens(a_round(30_000))
        assert played.state.loyalty is not None
        window = MultiplierWindow(NOON - timedelta(hours=1), NOON + timedelta(hours=1), 500)
        played.state.loyalty.account("points").windows.append(window)
        assert played.happens(a_round(30_000, number=1)).available == 50

    def test_case_10_a_round_that_a_grant_paid_for_earns_nothing(self) -> None:
        assert Played().happens(a_round(5_000, grant_id="g-1"), a_round(0, bonus_stake_minor=9_000)).available == 0

    def test_case_5_three_hours_late_counts_for_the_day_it_was_played(self) -> None:
        late = a_round(50_000, NOON - timedelta(hours=13))
        played = Played().happens(a_round(50_000, number=1), late)
        assert played.available == 100, "each day has its own cap"

    def test_case_7_a_clock_two_days_ahead_is_taken_as_now(self) -> None:
        played = Played().happens(a_round(50_000, NOON + days(2)), a_round(50_000, number=1))
        assert played.available == 50, "and opens no other day with a cap of its own"

    def test_case_2_a_day_of_twenty_three_hours_is_one_day(self) -> None:
        born = PlayerRegistered(event_id="x", event_source="s", occurred_at=NOON, timezone="Europe/Kyiv")
        # 29 March 2026: the clock jumps from three to four.
        midnight = datetime(2026, 3, 28, 22, tzinfo=UTC)
        now = midnight + timedelta(hours=24)
        played = Played().happens(born, now=now)
        played.happens(a_round(50_000, midnight), a_round(50_000, midnight + timedelta(hours=22, minutes=59)), now=now)
        assert played.available == 50
        assert played.happens(a_round(50_000, midnight + timedelta(hours=23)), now=now).available == 100

    @pytest.mark.parametrize("stake", [0, 2**53 - 1])
    def test_case_44_stakes_of_any_size_keep_the_sums_small(self, stake: int) -> None:
        played = Played().happens(*(a_round(stake, number=number) for number in range(200))).settles()
        assert played.available == (50 if stake else 0)
        played.agrees()

    def test_case_37_ten_thousand_rounds_are_one_bucket_and_one_posting(self) -> None:
        played = Played()
        for number in range(10_000):
            played.state.advance(a_round(1, number=number), RULES, NOON, [])
        played.settles()
        assert [(one.amount, one.cause, one.ref) for one in played.journal] == [(10, "wager", "wager")]
        assert len(orjson.dumps(played.state.loyalty.stored() if played.state.loyalty else {})) < 300

    def test_case_35_what_is_imported_earns_nothing(self) -> None:
        assert Played().happens(a_round(5_000), mode="history").state.loyalty is None

    def test_without_a_program_the_row_says_nothing_of_points(self) -> None:
        played = Played(rules=RuleIndex({})).happens(a_round(5_000))
        assert "loyalty" not in played.state.to_json()

    def test_a_rule_whose_function_raises_earns_nothing_and_is_told(self) -> None:
        wrong = earn(POINTS, RoundCompleted, lambda round_: round_.nothing, rate=(1, 1), most=5, name="wrong")
        played = Played(rules=RuleIndex({}, {}, LoyaltyProgram.of([wrong]))).happens(a_round())
        assert (played.available, [str(one.rule) for one in played.failures]) == (0, ["wrong"])


class TestPosting:
    def test_what_is_earned_goes_into_the_journal_when_the_hour_is_over(self) -> None:
        played = Played().happens(a_round(3_000), a_round(2_500, number=1))
        assert (played.journal, played.available) == ([], 5)
        assert played.state.next_moment == NOON + timedelta(hours=1)
        played.ticks(NOON + timedelta(hours=1))
        (line,) = played.journal
        assert (line.amount, line.debit, line.credit, line.number) == (5, "issued:wager", "available", 1)
        assert line.units == {"100": 550_000}
        played.happens(a_round(600, number=2), now=NOON + timedelta(hours=1)).ticks(NOON + timedelta(hours=2))
        assert [one.amount for one in played.journal] == [5, 1]

    def test_days_that_are_over_leave_the_row_and_stay_in_the_journal(self) -> None:
        played = Played().happens(a_round(3_000))
        later = NOON + days(4)
        played.happens(a_round(1_000, later, number=1), now=later)
        assert played.state.loyalty is not None
        assert len(played.state.loyalty.account("points").buckets) == 1
        assert sum(one.amount for one in played.journal) == 4
        played.agrees()


class TestAwards:
    def test_an_award_is_available_at_once_and_posted_with_its_cause(self) -> None:
        played = Played()
        played.keep(played.state.award(POINTS, points(50), "welcome:acme:p:1/award:points#1", NOON))
        (line,) = played.journal
        assert (played.available, line.cause, line.debit) == (50, "journey", "issued:award")
        played.agrees()


class TestExpiry:
    def test_i13_points_expire_at_the_end_of_their_day_and_not_before(self) -> None:
        played = Played().happens(a_round(3_000)).settles()
        end = datetime(2026, 4, 16, tzinfo=UTC)
        assert played.state.next_moment == end
        assert played.ticks(end - timedelta(seconds=1)).available == 3
        assert played.ticks(end).available == 0
        assert [(one.credit, one.amount) for one in played.journal] == [("available", 3), ("expired", 3)]
        assert played.state.next_moment is None
        played.agrees()

    def test_nothing_expires_while_the_player_is_protected_nor_in_the_week_after(self) -> None:
        out = ExclusionSet(event_id="x", event_source="s", occurred_at=NOON, kind="time_out", until=NOON + days(100))
        played = Played().happens(a_round(3_000), out).settles()
        end = datetime(2026, 4, 16, tzinfo=UTC)
        assert played.ticks(end).available == 3
        assert played.ticks(end + days(7)).available == 3
        again = played.state.next_moment
        assert again is not None
        assert again > NOON + days(100)
        assert played.ticks(again).available == 3, "the time-out ended in between: a week is left"
        assert played.ticks(again + days(7)).available == 0
        played.agrees()

    def test_case_38_lots_end_at_the_players_own_midnight(self) -> None:
        present = Present.at(NOON, "America/New_York", "p")
        assert end_of_lot(lot_of(None, present.today, days(10), present)) == datetime(2026, 1, 26, 5, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("lasts", "end"),
        [
            (days(92), datetime(2026, 4, 18, tzinfo=UTC)),
            (days(93), datetime(2026, 4, 20, tzinfo=UTC)),
            (days(400), datetime(2027, 3, 1, tzinfo=UTC)),
            (None, None),
        ],
    )
    def test_long_lasting_points_end_with_their_week_or_month(
        self, lasts: timedelta | None, end: datetime | None
    ) -> None:
        present = Present.at(NOON, None, "p")
        assert end_of_lot(lot_of("casino", present.today, lasts, present)) == end

    def test_a_spend_takes_the_earliest_end_of_what_may_be_spent(self) -> None:
        lots = {"casino@200": 5, "@100": 3, "betting@50": 4, "@never": 9}
        assert choose(lots, 10, products=("casino", None)) == {"@100": 3, "casino@200": 5, "@never": 2}


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (lambda: earn(POINTS, RoundCompleted, "stake_minor", rate=(1, 1)), "has no cap"),
        (lambda: earn(POINTS, RoundCompleted, "stakes", rate=(1, 1), most=5), "no such field"),
        (lambda: earn(POINTS, RoundCompleted, "bonus_stake_minor", rate=(1, 1), most=5), "not the player's own"),
        (lambda: earn(POINTS, RoundCompleted, "stake_minor", rate=(1, 0), most=5), "write points and minor units"),
        (lambda: currency("my points"), "letters, digits"),
        (lambda: currency("points", expires=timedelta(hours=2)), "at least days"),
    ],
)
def test_what_could_not_be_fair_is_refused_with_a_sentence(declare: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(DesignError, match=sentence):
        declare()


def voided(one: RoundCompleted, *, number: int = 0) -> RoundVoided:
    said = {name: getattr(one, name) for name in ("round_id", "game_id", "category", "stake_minor", "grant_id")}
    return RoundVoided(
        event_id=f"v-{number}", event_source="casino", occurred_at=NOON, played_at=one.occurred_at, **said
    )


def spend(played: Played, amount: int) -> int:
    """What a shop will do; how much was there to spend."""
    assert played.state.loyalty is not None
    postings = Postings(played.state.loyalty, NOON)
    slices = choose(played.state.loyalty.account("points").lots, amount)
    postings.spend("points", slices, "redeemed:shop", "shop", "item")
    played.keep(postings.transfers)
    return sum(slices.values())


class TestReversals:
    @settings(max_examples=examples(50))
    @given(st.lists(rounds, max_size=12), st.integers(0, 60), st.data())
    def test_i7_earn_spend_anything_reverse_all_leaves_what_was_spent_as_debt(
        self, events: list[RoundCompleted], amount: int, data: st.DataObject
    ) -> None:
        played = Played().happens(*events)
        spent = spend(played, amount) if played.state.loyalty else 0
        for number, one in enumerate(data.draw(st.permutations(events))):
            played.happens(voided(one, number=number))
        assert played.available - played.debt == -spent
        played.agrees()

    @settings(max_examples=examples(50))
    @given(st.lists(rounds, max_size=10), st.data())
    def test_case_14_a_void_may_come_before_its_round(self, events: list[RoundCompleted], data: st.DataObject) -> None:
        gone = [one for number, one in enumerate(events) if number % 2]
        told = data.draw(st.permutations([*events, *(voided(one, number=n) for n, one in enumerate(gone))]))
        played = Played().happens(*told)
        assert played.available == expected([one for number, one in enumerate(events) if not number % 2])
        assert played.debt == 0
        played.agrees()

    def test_a_void_of_what_is_not_posted_yet_leaves_no_line(self) -> None:
        one = a_round(5_000)
        played = Played().happens(one, voided(one)).settles()
        assert (played.available, played.journal) == (0, [])

    def test_case_15_debt_is_paid_first_by_what_is_earned_later(self) -> None:
        one = a_round(30_000)
        played = Played().happens(one)
        assert spend(played, 30) == 30
        played.happens(voided(one))
        assert (played.available, played.debt) == (0, 30)
        played.happens(a_round(40_000, number=5))
        assert (played.available, played.debt) == (10, 0)
        assert [one.cause for one in played.journal] == ["wager", "shop", "reversal", "wager", "debt"]
        played.agrees()

    def test_case_13_a_partial_refund_takes_back_its_part(self) -> None:
        played = Played().happens(a_deposit(7_000))
        assert played.available == 30
        back: dict[str, Any] = {"event_source": "bank", "occurred_at": NOON, "payment_id": "pay-0", "paid_at": NOON}
        refund = PaymentReversed(event_id="x", kind="refund", amount_minor=3_500, **back)
        assert played.happens(refund).available == 15
        untold = PaymentReversed(event_id="y", kind="refund", amount_minor=700, **{**back, "paid_at": None})
        withdrawn = PaymentReversed(event_id="z", kind="rollback", amount_minor=700, of="withdrawal", **back)
        assert played.happens(untold, withdrawn).available == 15

    def test_a_void_after_weeks_finds_the_day_in_the_journal(self) -> None:
        one = a_round(30_000)
        played = Played().happens(one, a_round(60_000, number=2))
        later = NOON + days(30)
        played.happens(a_round(1_000, later, number=3), now=later)
        gone = voided(one)
        assert played.state.loyalty is not None
        ((key, rule),) = played.state.forgotten_buckets(gone, RULES.loyalty, later).items()
        units = [line.units for line in played.journal if line.bucket == key][-1]
        assert units is not None
        played.state.remember_bucket(rule, key, units, later)
        played.happens(gone, now=later)
        assert played.available == 51, "ninety of fifty points at most, and sixty of them still are"
        played.agrees()

    def test_case_34_a_round_of_a_rule_that_is_gone_is_voided_without_effect(self) -> None:
        one = a_round(5_000)
        played = Played().happens(one).settles()
        played.rules = RuleIndex({})
        assert played.happens(voided(one)).available == 5


class TestMultipliers:
    def boosted(self, factor: float, lasts: timedelta, **scope: Any) -> Played:
        played = Played()
        played.keep(played.state.award(POINTS, multiplier(factor, lasts, **scope), "r", NOON))
        return played

    @settings(max_examples=examples(50))
    @given(st.integers(-120, 240))
    def test_i12_outside_every_window_the_factor_is_one(self, minute: int) -> None:
        played = self.boosted(2, timedelta(hours=2))
        at = NOON + timedelta(minutes=minute)
        played.happens(a_round(10_000, at), now=NOON + timedelta(hours=4))
        assert played.available == (20 if 0 <= minute < 120 else 10)

    def test_case_8_of_windows_that_overlap_the_highest_counts_and_never_more_than_five_times(self) -> None:
        played = self.boosted(2, timedelta(hours=2))
        played.keep(played.state.award(POINTS, multiplier(3, timedelta(hours=1)), "r", NOON))
        assert played.happens(a_round(5_000)).available == 15
        played.keep(played.state.award(POINTS, multiplier(9, timedelta(hours=1)), "r", NOON))
        assert played.happens(a_round(1_000, number=1)).available == 20

    def test_a_window_for_some_games_counts_for_these(self) -> None:
        played = self.boosted(2, timedelta(hours=2), games=["other"])
        assert played.happens(a_round(5_000)).available == 5

    @pytest.mark.parametrize(("late", "factor"), [(days(39), 2), (days(41), 1)])
    def test_case_6_late_within_forty_days_has_the_factor_of_its_time(self, late: timedelta, factor: int) -> None:
        played = self.boosted(2, timedelta(hours=2))
        assert played.happens(a_round(5_000), now=NOON + late).available == 5 * factor


class TestMerging:
    @settings(max_examples=examples(50))
    @given(histories, histories, st.integers(0, 60), st.sampled_from(["voided", "kept"]))
    def test_i31_a_merge_keeps_every_point_and_every_debt(
        self, mine: list[Event], theirs: list[Event], spent: int, then: str
    ) -> None:
        one, two = Played().happens(*mine), Played().happens(*theirs)
        for played in (one, two):
            if played.state.loyalty:
                spend(played, spent)
        for event in theirs if then == "voided" else []:
            if isinstance(event, RoundCompleted):
                two.happens(voided(event))
        worth = sum(it.available - it.debt for it in (one, two))
        one.state.loyalty = one.state.loyalty or LoyaltyState()
        two.state.loyalty = two.state.loyalty or LoyaltyState()
        moved = merge_loyalty(one.state.loyalty, two.state.loyalty, RULES.loyalty, NOON, "merge")
        one.keep(moved.survivor)
        two.keep(moved.absorbed)
        assert (one.available - one.debt, two.available, two.debt) == (worth, 0, 0)
        assert one.available == 0 or one.debt == 0
        one.agrees()
        two.agrees()
