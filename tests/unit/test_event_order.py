"""One player's facts under any order of arrival and any batching, and what they cost in bytes."""

from datetime import timedelta
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import BRAND, NO_FAILURES, NOON, Life, declared, stored
from workflows import (
    BetPlaced,
    ConsentChanged,
    DepositApproved,
    DepositFailed,
    Event,
    ExclusionSet,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    SessionLogin,
    Statistics,
    TierChanged,
    anniversary,
    birthday,
    count,
    day,
    days,
    distinct,
    hours,
    inactive,
    milestone,
    minutes,
    month,
    segment,
    streak,
    streak_of_days,
    threshold,
    total,
    week,
)
from workflows.player_state.state import PlayerState

STAKES_30 = total(RoundCompleted, "stake_minor", last=days(30))
STAKES_7 = total(RoundCompleted, "stake_minor", last=days(7))
STAKES_MONTH = total(RoundCompleted, "stake_minor", per=month)
GAMES_WEEK = distinct(RoundCompleted, "game_id", per=week)
GAMES_90 = distinct(RoundCompleted, "game_id", last=days(90))
NET = total(RoundCompleted, lambda r: r.win_minor - r.stake_minor, per=day, name="net")
LOGINS = count(SessionLogin, last=hours(24))


@segment
def busy(player: Statistics) -> bool:
    """Plays a lot, in any of several ways."""
    return player[STAKES_30] > 500 or player[STAKES_7] > 200 or player[GAMES_WEEK] > 2 or player[GAMES_90] > 3


@segment
def back(player: Statistics) -> bool:
    """Here again."""
    return player[LOGINS] > 0 and player.usual_hours != () and player.favourite_category == "slot"


RULES = (
    declared("a", threshold(STAKES_MONTH, 400)),
    declared("b", streak_of_days(NET, 3, where=lambda net: net < 0)),
    declared("c", milestone(DepositApproved, 3), birthday(at="10:00"), anniversary(months=6)),
    declared("d", inactive(SessionLogin, days(14)), streak(DepositFailed, 3, broken_by=DepositApproved)),
)
HAPPENED = st.lists(
    st.one_of(
        st.tuples(
            st.just(RoundCompleted),
            st.fixed_dictionaries({"stake_minor": st.integers(0, 90), "game_id": st.sampled_from("abcd")}),
        ),
        st.tuples(st.just(DepositApproved), st.fixed_dictionaries({"amount_minor": st.integers(1, 900)})),
        st.tuples(st.sampled_from([DepositFailed, SessionLogin, BetPlaced]), st.just({})),
        st.tuples(st.just(TierChanged), st.fixed_dictionaries({"to": st.sampled_from(["gold", "silver"])})),
        st.tuples(
            st.just(ProfileUpdated),
            st.fixed_dictionaries({"changed": st.fixed_dictionaries({"country": st.sampled_from(["UA", "DE"])})}),
        ),
        st.tuples(
            st.just(ConsentChanged),
            st.fixed_dictionaries({"channel": st.sampled_from(["email", "sms"]), "opted_in": st.booleans()}),
        ),
    ),
    max_size=14,
)


def learned(happened: list[tuple[timedelta, type[Event], dict[str, Any]]]) -> PlayerState:
    life = Life(*RULES, segments=[busy, back])
    life.happens(PlayerRegistered, ago=days(60), timezone="Europe/Kyiv", country="UA")
    for ago, kind, data in happened:
        life.happens(kind, ago=ago, mode="history", **data)
    return life.state


@given(HAPPENED, st.lists(st.integers(1, 60 * 24 * 60), min_size=14, max_size=14, unique=True), st.randoms())
@settings(max_examples=examples(50, quick=20))
def test_what_is_known_of_a_player_does_not_depend_on_the_order_of_arrival(
    happened: list[tuple[type[Event], dict[str, Any]]], moments: list[int], chance: Any
) -> None:
    told = [(minutes(ago), kind, data) for ago, (kind, data) in zip(moments, happened, strict=False)]
    one = learned(sorted(told, key=lambda fact: -fact[0]))
    other = learned(chance.sample(told, len(told)))
    for part in ("counts", "first", "last", "streaks", "series", "hours", "facts", "consents", "segments", "moments"):
        assert getattr(one, part) == getattr(other, part), part
    for rule in (busy, back):
        assert rule.evaluate(one, NOON) == rule.evaluate(other, NOON)


@given(HAPPENED)
def test_what_intake_writes_and_reads_is_the_state(happened: list[tuple[type[Event], dict[str, Any]]]) -> None:
    life = Life(*RULES, segments=[busy, back])
    life.happens(PlayerRegistered, ago=days(60), timezone="Europe/Kyiv", country="UA")
    for kind, data in happened:
        life.happens(kind, **data)
    written = orjson.dumps(life.state.stored(), option=orjson.OPT_UTC_Z)
    assert orjson.loads(written) == life.state.to_json()
    assert PlayerState.from_text(BRAND, "p-1", written.decode()) == life.state
    assert PlayerState.from_text(BRAND, 'p"1', "{}") == PlayerState(BRAND, 'p"1')


def test_the_same_exclusion_said_a_thousand_times_is_kept_once() -> None:
    life = Life()
    for number in range(1_000):
        life.happens(ExclusionSet, ago=minutes(1_000 - number), kind="self_exclusion", until=None)
    assert len(life.state.exclusions) == 1


def test_a_player_of_years_costs_no_more_than_the_bound() -> None:
    life = Life(*RULES, segments=[busy, back])
    life.happens(PlayerRegistered, ago=days(1), timezone="Europe/Kyiv", country="UA")
    for number in range(3_000):
        life.now += hours(7)
        for happened in (SessionLogin, DepositFailed if number % 3 else DepositApproved):
            life.state.advance(life.event(happened), life.rules, life.now, NO_FAILURES)
        game = f"game-{number % 500}"
        life.state.advance(life.event(RoundCompleted, game_id=game, stake_minor=99), life.rules, life.now, NO_FAILURES)
        life.state.tick(life.rules, life.now, life.failures)
    size = len(str(stored(life.state).to_json()))
    assert size < 12_000, f"{size:,} bytes for {BRAND}"
