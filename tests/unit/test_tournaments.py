"""Scores, places and prizes of tournaments against a model of a few lines, in whatever order events come."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.tournament_program import cup, house_points, multiple, race, today
from tests.unit.test_points import Played, a_round
from workflows import (
    DepositApproved,
    ExclusionEnded,
    ExclusionSet,
    PlayerRegistered,
    RoundCompleted,
    RoundVoided,
    SegmentEntered,
    WithdrawalRequested,
    badge,
    best,
    cash,
    count,
    day,
    days,
    deposit_match,
    distinct,
    free_bet,
    hours,
    minutes,
    month,
    multiplier,
    place,
    places,
    points,
    total,
    tournament,
    typical,
    week,
)
from workflows.errors import DesignError
from workflows.events import Event
from workflows.loyalty.program import LoyaltyProgram, mistakes_among
from workflows.loyalty.tournament_prizes import Due, TournamentTerms, prizes_due
from workflows.loyalty.tournament_scores import MOST_ENTRIES, Score, StandingChanged, StandingsLost, StandingTooLate
from workflows.loyalty.tournaments import MOST_SCORE, Tournament, board_of, draw_of
from workflows.rules.index import RuleIndex

#: A Thursday, in the week of Monday the 12th.
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
CLOSE = datetime(2026, 1, 19, tzinfo=UTC)
RULES = RuleIndex({}, {}, LoyaltyProgram.of([race, cup, today]))
THIS_RACE, THIS_CUP, TODAY = "race:2026-01-12", "cup:2026-01-12", "today:2026-01-15"


def a_player(*events: Event, now: datetime = NOON) -> Played:
    return Played(rules=RULES).happens(*events, now=now)


def registered(now: datetime = NOON) -> Played:
    """A player with a seat in the cup."""
    player = a_player(now=now)
    instance = cup.instance_at(now)
    assert instance is not None
    assert player.state.seat_refusal(cup, instance, now) is None
    player.keep(player.state.take_seat(cup, instance, now))
    return player


def play(stake: int = 1_000, at: datetime = NOON, *, win: int = 0, **more: Any) -> RoundCompleted:
    return a_round(stake, at, **{"currency": "EUR", "win_minor": win, **more})


def voids(played: RoundCompleted, **more: Any) -> RoundVoided:
    said = {name: getattr(played, name) for name in ("round_id", "game_id", "category", "stake_minor", "win_minor")}
    return RoundVoided(
        event_id=f"void-{played.event_id}",
        event_source="/t",
        occurred_at=played.occurred_at,
        played_at=played.occurred_at,
        currency=played.currency,
        **{**said, **more},
    )


def score_of(player: Played, instance: str, declared: Tournament) -> int:
    entries = player.state.loyalty.entries if player.state.loyalty else {}
    return entries[instance].score(declared).score if instance in entries else 0


def told(player: Played, event: Event, now: datetime) -> list[object]:
    decisions = player.state.advance(event, RULES, now, player.failures)
    wanted = (StandingChanged, StandingsLost, StandingTooLate)
    return [one for one in decisions if isinstance(one, wanted)]


#: What a player may do in the week: when, for how much, with what win, and whether it is voided.
rounds = st.tuples(
    st.integers(0, 6 * 24 * 60),
    st.integers(0, 4_000),
    st.integers(0, 9_000),
    st.booleans(),
    st.sampled_from(["EUR", "SEK"]),
)


class TestScores:
    @settings(max_examples=examples(50))
    @given(st.lists(rounds, max_size=12), st.randoms(use_true_random=False), st.integers(1, 4))
    def test_i6_the_order_of_events_and_their_voids_changes_no_score(
        self, played: list[tuple[int, int, int, bool, str]], chance: Any, cuts: int
    ) -> None:
        events: list[Event] = []
        sums: dict[int, int] = {}
        multiples: list[int] = []
        counted = 0
        for number, (at, stake, win, voided, money) in enumerate(played):
            moment = datetime(2026, 1, 12, tzinfo=UTC) + timedelta(minutes=at)
            one = play(stake, moment, win=win, number=number, currency=money)
            events.append(one)
            if voided:
                events.append(voids(one))
                continue
            counted += 1
            if money == "EUR":
                sums[at // (24 * 60)] = sums.get(at // (24 * 60), 0) + stake
            multiples.append(multiple(one))
        chance.shuffle(events)
        now = datetime(2026, 1, 18, 23, 59, tzinfo=UTC)
        player = registered(datetime(2026, 1, 12, tzinfo=UTC))
        size = -(-len(events) // cuts) or 1
        for start in range(0, len(events), size):
            player.happens(*events[start : start + size], now=now)
        assert score_of(player, THIS_RACE, race) == sum(min(5_000, one) for one in sums.values())
        assert score_of(player, THIS_CUP, cup) == max(multiples, default=0)
        assert player.failures == []

    def test_a_score_is_written_whole_and_only_where_it_changed(self) -> None:
        player = a_player()
        (first, other) = told(player, play(600, at=NOON), NOON)
        assert isinstance(first, StandingChanged)
        assert (first.instance, first.score) == (THIS_RACE, Score(600, NOON, 1))
        assert isinstance(other, StandingChanged)
        assert (other.instance, other.score.score) == (TODAY, 1)
        assert first.board == board_of("acme", THIS_RACE)
        assert first.draw == draw_of(first.board, "p")
        assert told(player, play(0, at=NOON, number=2), NOON)[0] != first, "a round of nothing is a round all the same"
        assert [
            one.instance for one in told(player, play(100, currency="SEK"), NOON) if isinstance(one, StandingChanged)
        ] == [TODAY]

    def test_a_player_of_no_tournament_has_no_row_for_it(self) -> None:
        deposit = DepositApproved(
            event_id="d", event_source="/t", occurred_at=NOON, payment_id="p", amount_minor=1, currency="EUR"
        )
        assert a_player(deposit).state.loyalty is None

    @pytest.mark.parametrize("stake", [0, 1, 2**53 - 1])
    def test_case_44_stakes_without_sense_stay_within_bounds(self, stake: int) -> None:
        free = tournament("free", total(RoundCompleted, "stake_minor"), every=week, timezone="UTC", in_currency="EUR")
        player = Played(rules=RuleIndex({}, {}, LoyaltyProgram.of([free])))
        player.happens(*(play(stake, number=n) for n in range(20)), now=NOON)
        assert 0 <= score_of(player, "free:2026-01-12", free) <= MOST_SCORE
        player.happens(*(voids(play(stake, number=n)) for n in range(40)), now=NOON)
        assert score_of(player, "free:2026-01-12", free) == 0

    def test_case_7_a_producer_two_days_ahead_is_taken_as_now(self) -> None:
        player = a_player(play(700, at=NOON + days(7)))
        assert score_of(player, THIS_RACE, race) == 700

    def test_case_37_ten_thousand_rounds_a_minute_stay_within_the_cap_and_one_entry(self) -> None:
        player = a_player(*(play(100, number=n, at=NOON + timedelta(milliseconds=n)) for n in range(2_000)))
        assert score_of(player, THIS_RACE, race) == 5_000
        assert len(str(player.state.to_json()["loyalty"])) < 1_000

    def test_i34_a_row_holds_a_bounded_number_of_entries(self) -> None:
        boards = [
            tournament(f"b{n}", count(RoundCompleted), every=day, timezone="UTC") for n in range(MOST_ENTRIES + 20)
        ]
        player = Played(rules=RuleIndex({}, {}, LoyaltyProgram.of(boards)))
        player.happens(play(), now=NOON)
        assert player.state.loyalty is not None
        assert len(player.state.loyalty.entries) == MOST_ENTRIES
        player.happens(play(at=NOON + days(2)), now=NOON + days(2))
        assert all(name.endswith("-17") for name in player.state.loyalty.entries), "what is cut is forgotten"

    def test_different_values_count_once_and_leave_with_their_last_void(self) -> None:
        games = tournament("games", distinct(RoundCompleted, "game_id"), every=week, timezone="UTC")
        player = Played(rules=RuleIndex({}, {}, LoyaltyProgram.of([games])))
        a, b, again = (play(number=n, game_id=game) for n, game in enumerate(["a", "b", "a"]))
        player.happens(a, b, again, voids(b), now=NOON)
        assert score_of(player, "games:2026-01-12", games) == 1
        player.happens(voids(a), now=NOON)
        assert score_of(player, "games:2026-01-12", games) == 1
        player.happens(voids(again), now=NOON)
        assert score_of(player, "games:2026-01-12", games) == 0

    def test_a_rule_that_raises_scores_nothing_and_is_told(self) -> None:
        broken = tournament("broken", best(RoundCompleted, lambda _: 1 // 0, name="x"), every=week, timezone="UTC")
        player = Played(rules=RuleIndex({}, {}, LoyaltyProgram.of([broken])))
        player.happens(play(), now=NOON)
        assert [one.rule for one in player.failures] == ["broken"]
        assert player.state.loyalty is None


class TestTime:
    def test_case_30_an_event_exactly_at_the_end_belongs_to_the_next(self) -> None:
        player = a_player(play(100, at=CLOSE, number=1), play(200, at=CLOSE - timedelta.resolution), now=CLOSE)
        assert score_of(player, THIS_RACE, race) == 200
        assert score_of(player, "race:2026-01-19", race) == 100

    def test_case_5_late_events_count_until_the_grace_is_over_and_are_noted_afterwards(self) -> None:
        player = a_player(play(100), now=NOON)
        late = play(200, at=CLOSE - minutes(1), number=1)
        told(player, late, CLOSE + minutes(14))
        assert score_of(player, THIS_RACE, race) == 300
        decided = told(player, play(50, at=CLOSE - minutes(2), number=2), CLOSE + minutes(15))
        assert decided == [StandingTooLate(board_of("acme", one)) for one in (THIS_RACE, "today:2026-01-18")]
        assert score_of(player, THIS_RACE, race) == 300

    def test_case_16_a_void_before_the_close_takes_points_back_and_is_noted_after_it(self) -> None:
        first, second = play(100), play(200, number=1)
        player = a_player(first, second)
        player.happens(voids(second), now=CLOSE + minutes(1))
        assert score_of(player, THIS_RACE, race) == 100
        late = [StandingTooLate(board_of("acme", one)) for one in (THIS_RACE, TODAY)]
        assert told(player, voids(first), CLOSE + minutes(16)) == late

    def test_case_14_a_void_before_its_round_waits_for_it(self) -> None:
        one = play(400, win=4_000)
        player = registered(datetime(2026, 1, 12, tzinfo=UTC)).happens(voids(one), one, play(100, number=1), now=NOON)
        assert score_of(player, THIS_RACE, race) == 100
        assert score_of(player, THIS_CUP, cup) == 0

    def test_case_4_what_happens_at_the_instant_of_the_word_counts_and_what_was_before_does_not(self) -> None:
        player = registered(NOON)
        player.happens(play(100, at=NOON - timedelta.resolution, win=900), now=NOON + minutes(1))
        assert score_of(player, THIS_CUP, cup) == 0
        player.happens(play(100, at=NOON, win=300, number=1), now=NOON + minutes(1))
        assert score_of(player, THIS_CUP, cup) == 300

    @settings(max_examples=examples(50))
    @given(
        st.integers(0, 2 * 366 * 24 * 60),
        st.sampled_from([day, week, month]),
        st.sampled_from(["UTC", "Pacific/Kiritimati", "America/St_Johns", "Europe/London"]),
    )
    def test_i20_instances_tile_time_and_follow_each_other(self, minute: int, every: Any, timezone: str) -> None:
        at = datetime(2026, 1, 1, tzinfo=UTC) + minutes(minute)
        board = tournament("board", count(RoundCompleted), every=every, timezone=timezone)
        here = board.instance_at(at)
        assert here is not None
        assert here.opens <= at < here.closes
        after = board.next(here)
        assert after.opens == here.closes
        assert board.before(after) == here
        assert board.instance_at(here.closes) == after
        assert after.id > here.id

    def test_case_2_a_day_of_23_hours_and_an_opening_on_friday_evening_follow_the_clock_of_the_zone(self) -> None:
        friday = tournament(
            "friday",
            count(RoundCompleted),
            every=week,
            timezone="Europe/London",
            after=days(4) + hours(18),
            lasts=hours(48),
        )
        one = friday.instance_at(datetime(2026, 3, 28, 12, tzinfo=UTC))
        assert one is not None
        assert (one.id, one.opens, one.closes) == (
            "friday:2026-03-27",
            datetime(2026, 3, 27, 18, tzinfo=UTC),
            datetime(2026, 3, 29, 18, tzinfo=UTC),
        )
        assert friday.instance_at(datetime(2026, 3, 29, 18, tzinfo=UTC)) is None
        assert friday.next(one).opens == datetime(2026, 4, 3, 17, tzinfo=UTC), "at 18:00 of summer time"
        spring = tournament("d", count(RoundCompleted), every=day, timezone="Europe/London")
        short = spring.instance_at(datetime(2026, 3, 29, 12, tzinfo=UTC))
        assert short is not None
        assert short.closes - short.opens == hours(23)

    def test_case_35_an_import_scores_nothing(self) -> None:
        player = Played(rules=RULES).happens(play(), now=NOON, mode="history")
        assert player.state.loyalty is None


class TestWhoLeaves:
    def excluded(self, at: datetime, **more: Any) -> ExclusionSet:
        return ExclusionSet(
            event_id=f"x-{at}", event_source="/t", occurred_at=at, kind="self_exclusion", until=None, **more
        )

    def test_case_20_a_leader_excluded_a_second_before_the_end_has_no_place(self) -> None:
        player = a_player(play(5_000))
        decided = told(player, self.excluded(CLOSE - timedelta(seconds=1)), CLOSE - timedelta(seconds=1))
        assert decided == [StandingsLost()]
        assert told(player, play(100, at=CLOSE - timedelta(seconds=1), number=1), CLOSE) == []

    def test_case_18_an_exclusion_in_grace_takes_the_place_and_in_an_import_too(self) -> None:
        player = a_player(play(5_000))
        decisions = player.state.advance(self.excluded(CLOSE), RULES, CLOSE + minutes(5), [], mode="history")
        assert StandingsLost() in decisions

    def test_case_19_a_time_out_that_ends_in_mid_instance_gives_no_place_back(self) -> None:
        player = a_player(play(900))
        out = ExclusionSet(event_id="t", event_source="/t", occurred_at=NOON, kind="time_out", until=NOON + hours(24))
        assert told(player, out, NOON) == [StandingsLost()]
        later = NOON + hours(25)
        end = ExclusionEnded(event_id="e", event_source="/t", occurred_at=later, kind="time_out")
        player.happens(end, now=later)
        decided = told(player, play(100, at=later, number=1), later)
        assert [one.instance for one in decided if isinstance(one, StandingChanged)] == ["today:2026-01-16"]

    def test_case_40_a_test_account_is_on_no_board(self) -> None:
        test = PlayerRegistered(event_id="r", event_source="/t", occurred_at=NOON, timezone="UTC", is_test=True)
        player = a_player(test)
        assert told(player, play(5_000), NOON) == []
        instance = cup.instance_at(NOON)
        assert instance is not None
        assert player.state.seat_refusal(cup, instance, NOON) == "test_account"

    def test_a_player_may_keep_the_name_from_boards_and_the_place_stays(self) -> None:
        player = a_player(play(900))
        player.keep(player.state.show_name(NOON, shown=False))
        (changed, _) = told(player, play(100, number=1), NOON)
        assert isinstance(changed, StandingChanged)
        assert (changed.named, changed.score.score) == (False, 1_000)


terms = st.builds(
    lambda sizes, ties: TournamentTerms.of(
        tournament(
            "t",
            count(RoundCompleted),
            every=week,
            timezone="UTC",
            most=100,
            ties=ties,
            prizes=[
                places(1 + sum(sizes[:n]), sum(sizes[: n + 1]), points(1_000 // (n + 1) + 7)) for n in range(len(sizes))
            ],
            into=house_points,
            product="casino",
            budget=10**9,
        )
    ),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.sampled_from(["first_to_reach", "split"]),
)


class TestPrizes:
    @settings(max_examples=examples(100))
    @given(terms, st.lists(st.integers(1, 6), max_size=25))
    def test_i27_no_more_is_paid_than_was_declared_and_each_place_once(
        self, promised: TournamentTerms, numbers: list[int]
    ) -> None:
        scores = sorted(numbers, reverse=True)
        paid = [*prizes_due(promised, scores)]
        assert len({one.place for one in paid}) == len(paid)
        by_place = {one.place: one.points for one in paid}
        declared = sum(
            prize.points for one in range(1, len(scores) + 1) if (prize := promised.prize_of(one)) is not None
        )
        assert sum(by_place.values()) == declared
        if promised.ties == "split":
            for _, group in groupby(range(1, len(scores) + 1), key=lambda one: scores[one - 1]):
                shares = [by_place.get(one, 0) for one in group]
                assert max(shares) - min(shares) <= 1

    def test_case_29_a_tie_at_the_last_paid_place_is_shared_where_that_is_said(self) -> None:
        assert [*prizes_due(TournamentTerms.of(cup), [9, 7, 7, 7])] == [Due(1, 100), Due(2, 17), Due(3, 17), Due(4, 17)]
        assert [*prizes_due(TournamentTerms.of(cup), [7, 7])] == [Due(1, 76), Due(2, 75)]
        assert [*prizes_due(TournamentTerms.of(race), [7, 7])] == [Due(1, 500), Due(2, 100)]

    @settings(max_examples=examples(50))
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), max_size=20))
    def test_i26_places_are_a_permutation_in_the_declared_order(self, made: list[tuple[int, int, int]]) -> None:
        scores = [Score(number, NOON + timedelta(seconds=at), rounds) for number, at, rounds in made]
        ordered = sorted(range(len(scores)), key=lambda one: scores[one].order(draw_of(1, f"p{one}")))
        assert sorted(ordered) == [*range(len(scores))]
        for ahead, behind in pairwise(ordered):
            a, b = scores[ahead], scores[behind]
            assert (-a.score, a.reached_at, a.rounds) <= (-b.score, b.reached_at, b.rounds)


def declared(**more: Any) -> Tournament:
    usual: dict[str, Any] = {
        "score": count(RoundCompleted),
        "every": week,
        "timezone": "UTC",
        "most": 100,
        "prizes": [place(1, points(10))],
        "into": house_points,
        "product": "casino",
        "budget": 10,
    }
    given_ = {**usual, **more}
    return tournament(given_.pop("name", "t"), given_.pop("score"), **given_)


REFUSED: Sequence[tuple[dict[str, Any], str]] = [
    ({"name": "no name"}, "needs a name"),
    ({"score": 5}, "ranks by a measure"),
    ({"score": typical(RoundCompleted, "stake_minor")}, "usual for the player"),
    ({"score": count(RoundCompleted, last=days(2))}, "drop last= and per="),
    ({"score": count(SegmentEntered)}, "the engine makes itself"),
    ({"score": count(WithdrawalRequested)}, "nobody should compete in that"),
    ({"score": count(ExclusionSet)}, "nobody should compete in that"),
    ({"score": total(RoundCompleted, "bonus_stake_minor"), "in_currency": "EUR"}, "counts bonus money"),
    ({"score": total(RoundCompleted, "stake_minor")}, "say which one counts"),
    ({"score": distinct(RoundCompleted, "game_id", most=500)}, "up to 100 fit"),
    ({"least_score": 0}, "whoever did nothing would be ranked"),
    ({"timezone": "Moon/Crater"}, "which is none"),
    ({"after": days(8)}, "not within its week"),
    ({"after": timedelta(seconds=1)}, "whole minutes"),
    ({"lasts": days(8)}, "would overlap"),
    ({"grace": days(3)}, "takes late events"),
    ({"players": (5, 3), "opt_in": True}, "least up to most"),
    ({"players": (2, 50)}, "take seats by opt_in=True"),
    ({"prizes": [place(0, points(1))]}, "places that are none"),
    ({"prizes": [places(1, 3, points(1)), place(2, points(1))], "budget": 9}, "two prizes for one place"),
    ({"prizes": [place(1, points(1)), place(2, points(2))], "budget": 9}, "more for a lower place"),
    ({"prizes": [place(1, cash(500))], "budget": 0}, "needs budget_minor= of its prizes of money, 500 in all"),
    ({"prizes": [place(1, deposit_match(50, 100))]}, "what has no price here"),
    ({"prizes": [place(1, multiplier(2, hours(2)))]}, "what has no price here"),
    ({"prizes": [place(1, free_bet(100))], "budget_minor": 100}, "of another product"),
    ({"prizes": [place(1, cash(5))], "budget_minor": 5, "ties": "split"}, "cannot be parted"),
    ({"players": (1, None)}, "would pay the only player"),
    ({"product": None}, "needs product="),
    ({"into": None}, "say into which currency"),
    ({"budget": 9}, "needs budget= of its 10 points"),
    ({"lasts": hours(3)}, "pays for playing fast"),
    ({"most": None}, "without a cap of a day"),
    ({"most": 0}, "below 1"),
]


class TestDeclarations:
    @pytest.mark.parametrize(("wrong", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
    def test_what_cannot_be_fair_or_safe_is_refused_with_a_sentence(self, wrong: dict[str, Any], sentence: str) -> None:
        with pytest.raises(DesignError, match="tournament") as refused:
            declared(**wrong)
        assert sentence in str(refused.value)

    def test_a_badge_is_a_prize_and_a_board_needs_no_cap(self) -> None:
        winner = declared(prizes=[place(1, badge("champion"))], into=None, budget=0)
        (due,) = prizes_due(TournamentTerms.of(winner), [3])
        assert due == Due(1, 0, "champion")
        assert declared(prizes=(), most=None, product=None, into=None, budget=0).prize_points == 0

    def test_a_player_reads_their_own_language_and_else_english(self) -> None:
        assert cup.said("uk").startswith("Найкращий")
        assert cup.said("fi") == cup.said(None) == cup.words["en"]
        assert today.said("uk") == "Rounds played today."
        assert declared(words={"fr": "Bonjour"}).said("de") == "Bonjour"

    @pytest.mark.parametrize(
        "name", ["race", "race:", "race:x", "race:0001-01-01", "race:9999-12-31", "race:2026-01-13", "cup:2026-01-12"]
    )
    def test_an_id_that_is_none_names_nothing(self, name: str) -> None:
        assert race.named(name) is None
        program = LoyaltyProgram.of([race])
        assert program.instance_named(name) is None
        assert program.instance_named(THIS_RACE) == (race, race.instance_at(NOON))

    def test_two_of_one_name_are_refused(self) -> None:
        assert [*mistakes_among([declared(), declared()])] == [
            "Two missions, collections, wheels, tournaments or raffles are called t; rename one."
        ]
