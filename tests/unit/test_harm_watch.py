"""Signs of harm in a player's row: what they weigh, how they fade, and who lowers them."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import NOON, Life, only, stored
from workflows import (
    DepositApproved,
    ExclusionSet,
    HarmReviewed,
    HarmSignal,
    LimitChanged,
    PlayerRegistered,
    PromotionsPaused,
    RoundCompleted,
    SessionLogin,
    StatusChanged,
    WithdrawalCancelledByPlayer,
    days,
    hours,
    minutes,
)
from workflows.gate.facts import facts_of
from workflows.gate.policies import HOUSE
from workflows.gate.policy import Policy
from workflows.gate.policy_book import PolicyBook
from workflows.player_state.decisions import Decision, ReviewDue, RevokeOffers
from workflows.player_state.harm_markers import (
    MARKERS,
    TIMES_MEDIAN,
    beyond_own,
    chases,
    lost_for_days,
    plays_at_night,
    too_many,
)
from workflows.player_state.harm_watch import STRENGTHS, strength_of, stronger

TICK = timedelta(microseconds=1)
FADES = HOUSE.harm_fades_after
DAY = timedelta(days=1)


class Watched(Life):
    """A player whose policy asks for these markers, all of them unless said otherwise."""

    def __init__(self, **numbers: Any) -> None:
        super().__init__()
        own = Policy(name="watched", **{"harm_markers": frozenset(MARKERS)} | numbers)
        self.rules = self.rules.under(PolicyBook(own=(own,)))

    @property
    def strength(self) -> str:
        return strength_of(self.state.watch.signs, FADES, self.now)

    @property
    def seen(self) -> set[str]:
        return set(self.state.watch.signs)


# ---- weight and time ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strength", "age", "comes_to"),
    [
        ("weak", timedelta(0), "weak"),
        ("weak", days(30) - TICK, "weak"),
        ("weak", days(30), "none"),
        ("medium", days(45) - TICK, "medium"),
        ("medium", days(45), "weak"),
        ("medium", days(90) - TICK, "weak"),
        ("medium", days(90), "none"),
        ("strong", days(3_650), "strong"),
        ("a strength of tomorrow", days(3_650), "strong"),
    ],
)
def test_a_sign_fades_at_its_moment_and_a_strong_one_never(strength: str, age: timedelta, comes_to: str) -> None:
    assert strength_of({f"chasing/{strength}": NOON - age}, FADES, NOON) == comes_to


@pytest.mark.parametrize(
    ("signs", "together"),
    [
        (["a/weak", "b/weak"], "weak"),
        (["a/weak", "b/weak", "c/weak"], "medium"),
        (["a/medium", "b/medium", "c/weak", "d/weak"], "medium"),
        (["a/medium", "b/medium", "c/medium"], "strong"),
        (["a/medium", "b/medium", "c/weak", "d/weak", "e/weak"], "strong"),
        (["a/weak", "a/medium"], "medium"),
    ],
)
def test_signs_of_several_indicators_add_up_and_of_one_the_heaviest_counts(signs: list[str], together: str) -> None:
    assert strength_of(dict.fromkeys(signs, NOON), FADES, NOON) == together


SIGNS = st.dictionaries(
    st.builds("{}/{}".format, st.sampled_from("abcde"), st.sampled_from(["weak", "medium", "strong"])),
    st.integers(0, 100).map(lambda age: NOON - days(age)),
    max_size=6,
)


@given(SIGNS, SIGNS, st.integers(0, 200))
@settings(max_examples=examples(50))
def test_another_sign_never_weakens_and_time_never_strengthens(
    signs: dict[str, datetime], more: dict[str, datetime], later: int
) -> None:
    before = strength_of(signs, FADES, NOON)
    both = {name: max(signs.get(name, at), more.get(name, at)) for name, at in {**signs, **more}.items()}
    assert stronger(strength_of(both, FADES, NOON), before) == strength_of(both, FADES, NOON)
    assert stronger(strength_of(signs, FADES, NOON + days(later)), before) == before
    assert before in STRENGTHS


# ---- what follows ---------------------------------------------------------------------------------


def due(decisions: list[Decision]) -> list[ReviewDue]:
    return only(ReviewDue, decisions)


def test_a_strong_sign_asks_for_one_review_until_a_person_has_judged() -> None:
    life = Watched()
    (review,) = due(first := life.happens(HarmSignal, strength="strong"))
    assert only(RevokeOffers, first)
    assert review.task_id == life.state.watch.review
    assert due(life.happens(HarmSignal, after=hours(1), strength="strong", indicator="night_play")) == []
    assert due(life.happens(SessionLogin, after=days(400))) == []
    assert life.strength == "strong"
    life.happens(HarmReviewed, after=hours(1), to="none", task_id=review.task_id)
    assert life.strength == "none"
    assert life.state.watch.review is None
    assert due(life.happens(SessionLogin, after=hours(1))) == []
    (again,) = due(life.happens(HarmSignal, after=hours(1), strength="strong"))
    assert again.task_id != review.task_id


def test_who_stays_strong_by_judgement_is_not_reviewed_again_for_the_same_signs() -> None:
    life = Watched()
    (review,) = due(life.happens(HarmSignal, strength="strong"))
    life.happens(HarmReviewed, after=hours(1), to="strong", task_id=review.task_id)
    assert life.strength == "strong"
    assert due(life.happens(SessionLogin, after=hours(1))) == due(life.happens(HarmSignal, strength="weak")) == []
    assert due(life.happens(HarmSignal, after=hours(1), strength="strong"))


def test_medium_signs_that_are_strong_together_hold_although_each_fades() -> None:
    life = Watched()
    for indicator in ("chasing", "stake_jump"):
        assert due(life.happens(HarmSignal, after=days(1), strength="medium", indicator=indicator)) == []
    assert due(life.happens(HarmSignal, after=days(1), strength="medium", indicator="night_play"))
    life.happens(SessionLogin, after=days(400))
    assert life.strength == "strong"


def test_a_sign_that_comes_late_counts_after_the_judgement_that_did_not_know_it() -> None:
    life = Watched()
    life.happens(HarmReviewed, to="none")
    life.happens(HarmSignal, ago=days(2), strength="strong")
    assert life.strength == "strong"
    assert life.state.watch.review is not None


def test_history_from_before_a_judgement_changes_nothing() -> None:
    life = Watched()
    life.happens(HarmReviewed, to="weak")
    life.happens(HarmSignal, ago=days(2), strength="strong", mode="history")
    assert life.strength == "weak"


@given(order=st.permutations(["weak", "medium", "strong", "review"]), read_between=st.booleans())
@settings(max_examples=examples(50))
def test_in_history_signs_and_judgements_come_in_any_order(order: list[str], *, read_between: bool) -> None:
    at = {"weak": days(40), "medium": days(30), "review": days(20), "strong": days(10)}
    life = Watched()
    for one in order:
        kind, data = (HarmReviewed, {"to": "none"}) if one == "review" else (HarmSignal, {"strength": one})
        life.state.learn(event := life.event(kind, ago=at[one], **data), life.state.word_of(event, NOON, live=False))
        life.state = stored(life.state) if read_between else life.state
    assert life.seen == {"chasing/strong"}


def test_a_row_from_before_signs_were_dated_is_reviewed_with_its_next_event_and_stays_until_then() -> None:
    life = Watched()
    life.state.harm = "strong"
    (review,) = due(life.happens(SessionLogin, after=days(900)))
    assert review.signs == ()
    assert life.state.harm == "strong"
    life.happens(HarmReviewed, after=hours(1), to="none")
    assert life.strength == "none"
    assert life.state.harm is None


def test_a_pause_is_the_longest_that_was_said() -> None:
    life = Watched()
    life.happens(PromotionsPaused, hours=72)
    life.happens(PromotionsPaused, after=hours(1), hours=2)
    assert life.state.watch.paused_until == NOON + hours(72)


@pytest.mark.parametrize(("strength", "paused"), [("weak", None), ("medium", NOON + hours(72))])
def test_a_policy_pauses_promotions_by_itself_from_a_strength_on(strength: str, paused: datetime | None) -> None:
    life = Watched(harm_pauses={"medium": hours(72)})
    life.happens(HarmSignal, strength=strength)
    assert life.state.watch.paused_until == paused
    facts = facts_of(life.state, addresses=(), contacts=(), now=life.now)
    assert facts.paused_until == (() if paused is None else (paused,))


@pytest.mark.parametrize(
    ("kind", "data", "taken"),
    [
        (ExclusionSet, {"kind": "self_exclusion", "until": None}, True),
        (ExclusionSet, {"kind": "time_out"}, False),
        (StatusChanged, {"to": "closed", "until": None}, True),
        (StatusChanged, {"to": "closed", "until": None, "reason": "merged"}, False),
        (StatusChanged, {"to": "suspended"}, False),
        (HarmSignal, {"strength": "medium"}, False),
    ],
)
def test_offers_are_taken_back_from_who_may_have_none_any_more(kind: Any, data: dict[str, Any], *, taken: bool) -> None:
    assert bool(only(RevokeOffers, Watched().happens(kind, **data))) is taken
    assert not only(RevokeOffers, Watched().happens(kind, mode="history", **data))


# ---- markers --------------------------------------------------------------------------------------


def test_no_marker_speaks_and_nothing_is_kept_where_no_policy_asks() -> None:
    life = Life()
    for _ in range(9):
        life.happens(RoundCompleted, after=days(1), stake_minor=100, win_minor=0, balance_after_minor=0)
        life.happens(DepositApproved, amount_minor=10_000)
        life.happens(WithdrawalCancelledByPlayer)
    assert life.state.to_json().get("watch") is None


def test_three_losing_days_are_a_sign_on_the_fourth_and_a_day_won_back_breaks_them() -> None:
    life = Watched()
    for win in (0, 40, 99):
        life.happens(RoundCompleted, stake_minor=100, win_minor=win)
        assert life.seen == set()
        life.now += days(1)
    life.happens(SessionLogin)
    assert life.seen == {"losing_days/weak"}
    life = Watched()
    for win in (0, 101, 0):
        life.happens(RoundCompleted, stake_minor=100, win_minor=win)
        life.now += days(1)
    life.happens(SessionLogin)
    assert life.seen == set()


def test_a_day_is_the_players_own() -> None:
    life = Watched()
    life.happens(PlayerRegistered, timezone="Pacific/Auckland")
    for _ in range(3):
        # 23:30 and 0:30 in Auckland: of one UTC day, and of two of the player's.
        life.now = life.now.replace(hour=10, minute=30)
        life.happens(RoundCompleted, stake_minor=100, win_minor=0)
        life.happens(RoundCompleted, after=hours(1), stake_minor=100, win_minor=0)
        life.now += days(1)
    assert "losing_days/weak" in life.seen


@given(st.lists(st.integers(-300, 300), min_size=4, max_size=4), st.integers(0, 3))
@settings(max_examples=examples(50))
def test_days_are_lost_in_a_row_exactly_when_each_of_the_three_before_is(nets: list[int], missing: int) -> None:
    today = date(2026, 3, 10)
    told = {(today - n * DAY).isoformat(): net for n, net in enumerate(nets)}
    assert lost_for_days(told, today) == all(net < 0 for net in nets[1:])
    told.pop((today - missing * DAY).isoformat())
    assert lost_for_days(told, today) == (missing == 0 and all(net < 0 for net in nets[1:]))


@pytest.mark.parametrize(
    ("after", "chased"),
    [(timedelta(0), True), (minutes(10), True), (minutes(10) + TICK, False), (-TICK, False)],
)
def test_a_deposit_chases_within_ten_minutes_of_an_empty_balance(after: timedelta, *, chased: bool) -> None:
    assert chases(NOON, NOON + after) is chased
    assert not chases(None, NOON)


def test_two_chases_within_a_day_are_a_sign_and_a_win_in_between_ends_the_chase() -> None:
    life = Watched()

    def lose_all_and_deposit(after: timedelta) -> None:
        life.happens(RoundCompleted, after=after, stake_minor=100, win_minor=0, balance_after_minor=0)
        life.happens(DepositApproved, after=minutes(9))

    lose_all_and_deposit(hours(0))
    lose_all_and_deposit(hours(24))
    assert "chasing/medium" not in life.seen
    lose_all_and_deposit(hours(23))
    assert "chasing/medium" in life.seen
    life = Watched()
    for _ in range(3):
        life.happens(RoundCompleted, after=hours(1), stake_minor=100, win_minor=0, balance_after_minor=0)
        life.happens(RoundCompleted, stake_minor=0, win_minor=500, balance_after_minor=500)
        life.happens(DepositApproved)
    assert "chasing/medium" not in life.seen


@given(st.lists(st.integers(0, 20), max_size=8), st.integers(1, 4), st.integers(1, 20))
@settings(max_examples=examples(50))
def test_moments_are_counted_over_what_lies_within(ages: list[int], most: int, within: int) -> None:
    moments = [NOON - days(age) for age in ages]
    expected = sum(age < within for age in ages) >= most
    assert too_many(moments, most, days(within), NOON) is expected


@pytest.mark.parametrize(
    ("kind", "data", "apart", "sign"),
    [
        (WithdrawalCancelledByPlayer, {}, days(7), "cancelled_withdrawals/medium"),
        (LimitChanged, {"direction": "looser"}, days(30), "limit_raised/medium"),
    ],
)
def test_the_second_within_its_time_is_a_sign(kind: Any, data: Any, apart: timedelta, sign: str) -> None:
    for distance, expected in ((apart - TICK, {sign}), (apart, set[str]())):
        life = Watched()
        life.happens(kind, **data)
        life.happens(kind, after=distance, **data)
        assert life.seen == expected
    life = Watched()
    for _ in range(3):
        life.happens(LimitChanged, direction="tighter")
    assert life.seen == set()


@pytest.mark.parametrize(("hour", "night"), [(0, True), (5, True), (6, False), (23, False)])
def test_three_nights_of_a_week_are_a_sign(hour: int, *, night: bool) -> None:
    life = Watched()
    for number in range(3):
        life.now = (NOON + days(2 * number)).replace(hour=hour, minute=59)
        life.happens(RoundCompleted, stake_minor=100, win_minor=100)
    assert life.seen == ({"night_play/weak"} if night else set())


@given(st.sets(st.integers(0, 12)))
@settings(max_examples=examples(50))
def test_nights_count_for_a_week(ages: set[int]) -> None:
    today = date(2026, 3, 10)
    nights = [(today - age * DAY).isoformat() for age in ages]
    assert plays_at_night(nights, today) == (sum(age < 7 for age in ages) >= 3)


@pytest.mark.parametrize(
    ("before", "amount", "far_beyond"),
    [
        ([100] * 4, 10_000, False),
        ([100] * 5, 299, False),
        ([100] * 5, 300, True),
        ([0] * 5, 300, False),
        ([100, 100, 100, 900, 900, 900], 2_699, False),
        ([100, 100, 100, 900, 900, 900], 2_700, True),
    ],
)
def test_a_deposit_is_held_against_the_players_own_median(before: list[int], amount: int, *, far_beyond: bool) -> None:
    assert beyond_own(before, amount) is far_beyond
    life = Watched()
    for one in before:
        life.happens(DepositApproved, after=days(1), amount_minor=one)
    life.state.watch.signs.clear()
    life.happens(DepositApproved, after=days(1), amount_minor=amount)
    assert ("spend_vs_norm/weak" in life.seen) is far_beyond


@given(st.lists(st.integers(1, 1000), min_size=5, max_size=15), st.integers(1, 5000))
@settings(max_examples=examples(50))
def test_whoever_deposits_less_than_three_times_their_largest_half_is_not_far_beyond(
    before: list[int], amount: int
) -> None:
    at_least = sum(amount >= TIMES_MEDIAN * one for one in before)
    assert beyond_own(before, amount) == (at_least > len(before) // 2)


@pytest.mark.parametrize("marker", sorted(MARKERS))
def test_each_marker_is_switched_by_policy_alone(marker: str) -> None:
    life = Watched(harm_markers=frozenset(MARKERS) - {marker})
    _a_bad_month(life)
    assert life.seen
    assert not any(name.startswith(f"{marker}/") for name in life.seen)
    life = Watched(harm_markers={marker})
    _a_bad_month(life)
    assert life.seen == {f"{marker}/{MARKERS[marker].strength}"}


def _a_bad_month(life: Life) -> None:
    for number in range(8):
        life.now = (NOON + days(number)).replace(hour=2)
        life.happens(RoundCompleted, stake_minor=100, win_minor=0, balance_after_minor=0)
        for _ in range(2):
            life.happens(RoundCompleted, stake_minor=100, win_minor=0, balance_after_minor=0)
            life.happens(DepositApproved, after=minutes(1), amount_minor=100 if number < 7 else 1_000)
        life.happens(WithdrawalCancelledByPlayer)
        life.happens(LimitChanged, direction="looser")


def test_a_bad_month_under_the_law_of_great_britain_is_strong_and_is_reviewed() -> None:
    life = Life()
    life.rules = life.rules.under(PolicyBook())
    life.happens(PlayerRegistered, country="GB")
    reviews: list[Decision] = []
    for number in range(3):
        life.now = (NOON + days(number)).replace(hour=2)
        life.happens(RoundCompleted, stake_minor=100, win_minor=0, balance_after_minor=0)
        for _ in range(2):
            life.happens(RoundCompleted, stake_minor=100, win_minor=0, balance_after_minor=0)
            reviews += due(life.happens(DepositApproved, after=minutes(1), amount_minor=100))
        reviews += due(life.happens(WithdrawalCancelledByPlayer))
        reviews += due(life.happens(LimitChanged, direction="looser"))
    assert len(reviews) == 1


def test_notes_stay_small_whatever_happens() -> None:
    life = Watched()
    for number in range(300):
        _a_bad_month(life)
        life.state.watch.signs.clear()
        life.now += days(number % 3)
        if number > 20:
            break
    notes = life.state.watch.notes
    assert max(map(len, (notes.nets, notes.nights, notes.cancelled, notes.raised, notes.chases))) <= 8
    assert len(notes.deposits) <= 20
    for number in range(200):
        life.happens(HarmSignal, indicator=f"mark-{number}", strength="weak")
    assert len(life.state.watch.signs) <= 41
