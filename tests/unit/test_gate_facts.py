"""What the gate makes of a player's row: age, jurisdiction, sessions, exclusions that have ended."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.support.gate import DAY, NOON, SPINS, TICK, reason
from tests.support.player_events import Life, declared, rules
from workflows import (
    AffordabilityChanged,
    DepositApproved,
    Event,
    KycChanged,
    LimitReached,
    ProfileUpdated,
    SessionEnded,
    SessionLogin,
    on,
)
from workflows.events import parse_event
from workflows.gate.decide import may_grant
from workflows.gate.facts import GateFacts, age_on, facts_of, had_bonus
from workflows.gate.policy import Policy
from workflows.gate.reasons import Reason
from workflows.player_state.exclusion_blocks import Block, TimedStatus
from workflows.player_state.ordering import Word
from workflows.player_state.state import PlayerState
from workflows.rules.streak_state import micros


def facts(state: PlayerState, now: datetime = NOON, **more: Any) -> GateFacts:
    return facts_of(state, addresses=(), contacts=(), now=now, **more)


def player(**facts: Any) -> PlayerState:
    return PlayerState("acme", "p-1", status="active", facts={"timezone": "UTC", **facts})


@pytest.mark.parametrize(
    ("born", "day", "age"),
    [
        ("2002-03-10", "2026-03-09", 23),
        ("2002-03-10", "2026-03-10", 24),
        ("2004-02-29", "2023-02-28", 18),
        ("2004-02-29", "2023-03-01", 19),
        ("2004-02-29", "2024-02-29", 20),
    ],
)
def test_an_age_is_reached_on_the_birthday(born: str, day: str, age: int) -> None:
    assert age_on(date.fromisoformat(born), date.fromisoformat(day)) == age


@pytest.mark.parametrize(("zone", "age"), [("Pacific/Auckland", 24), ("UTC", 23), ("Pacific/Honolulu", 23)])
def test_the_birthday_comes_on_the_players_own_calendar(zone: str, age: int) -> None:
    evening = datetime(2026, 3, 9, 20, tzinfo=UTC)
    assert facts(player(timezone=zone), evening, birth_date=date(2002, 3, 10)).age == age
    assert facts(player()).age is None


@pytest.mark.parametrize(("hour", "age"), [(11, 23), (12, 24)])
def test_without_a_zone_the_birthday_comes_where_the_day_begins_last(hour: int, age: int) -> None:
    state = PlayerState("acme", "p-1", status="active")
    assert facts(state, datetime(2026, 3, 10, hour, tzinfo=UTC), birth_date=date(2002, 3, 10)).age == age


@pytest.mark.parametrize(
    ("known", "where"),
    [
        ({}, None),
        ({"country": "CA"}, "CA"),
        ({"country": "CA", "jurisdiction": "CA-ON"}, "CA-ON"),
        ({"jurisdiction": "MT"}, "MT"),
    ],
)
def test_the_law_is_that_of_the_country_unless_somebody_says_another(known: dict[str, str], where: str | None) -> None:
    assert facts(player(**known)).jurisdiction == where


@pytest.mark.parametrize(
    ("last", "plays"),
    [
        ({}, None),
        ({"payment.deposit_approved": -1}, None),
        ({"session.ended": -1}, False),
        ({"sport.bet_placed": -1}, True),
        ({"sport.bet_placed": -3, "session.ended": -1}, False),
        ({"session.login": -1}, True),
        ({"session.login": -3, "session.ended": -1}, False),
        ({"session.login": -1, "session.ended": -3}, True),
        ({"session.login": -9, "session.ended": -5, "game.round_completed": -2}, True),
        ({"session.login": -25}, False),
    ],
)
def test_a_player_plays_from_a_login_or_a_round_to_the_end_of_the_session(
    last: dict[str, int],
    plays: bool | None,  # noqa: FBT001 - a column of the table
) -> None:
    state = player()
    state.last = {kind: NOON + timedelta(hours=ago) for kind, ago in last.items()}
    assert facts(state).in_play is plays


def test_a_bonus_was_had_here_or_is_told_of_by_the_engine() -> None:
    state = player()
    assert not had_bonus(state, granted_here=False)
    assert had_bonus(state, granted_here=True)
    state.counts["reward.claimed"] = 1
    assert had_bonus(state, granted_here=False)
    assert facts(state).had_bonus is None


def test_of_who_registered_before_we_heard_of_them_nobody_knows_whether_they_had_one() -> None:
    late, new = player(), player()
    late.facts["registered_at"] = (NOON - 400 * DAY).isoformat()
    new.facts["registered_at"] = (NOON - 2 * DAY).isoformat()

    def had(*accounts: PlayerState, granted_here: bool = False) -> bool | None:
        return had_bonus(*accounts, granted_here=granted_here, heard_since=NOON - 2 * DAY)

    assert had(new) is False
    assert had(late) is None
    assert had(player()) is None
    assert had(new, late) is None
    assert had(late, granted_here=True)
    late.counts["reward.claimed"] = 1
    assert had(late)
    assert had(new, late), "a bonus of another account is the person's"


def test_an_end_of_a_session_that_is_dated_ahead_does_not_hide_what_is_played_after_it() -> None:
    life = Life(declared("thanks", on(DepositApproved)))
    ahead = life.event(SessionEnded, ago=-timedelta(hours=1))
    life.state.advance(ahead, rules(), NOON, [])
    played = life.event(SessionLogin, ago=-timedelta(minutes=10))
    life.state.advance(played, rules(), NOON + timedelta(minutes=10), [])
    assert life.state.last["session.ended"] == NOON
    assert facts(life.state, NOON + timedelta(minutes=20)).in_play is True


def test_an_exclusion_has_ended_when_somebody_says_so_or_its_time_is_over() -> None:
    state = player()
    state.told = {"end of self_exclusion/brand": micros(NOON - DAY), "end of time_out/brand": micros(NOON)}
    state.exclusions = [
        Block("register", "national", NOON - 2 * DAY, NOON - 9 * DAY),
        Block("operator", "brand", NOON + DAY, NOON - DAY),
        Block("time_out", "brand", NOON - TICK, NOON - DAY),
    ]
    assert facts(state).ended_exclusions == [NOON - DAY, NOON - 2 * DAY]
    state.told["end of exclusion elsewhere"] = micros(NOON)
    assert facts(state).ended_exclusions == [NOON, NOON - 2 * DAY], "the newest of those that were told"
    assert facts(player()).ended_exclusions == []


def test_a_self_exclusion_told_as_a_status_with_an_end_is_one_that_does_not_lapse() -> None:
    state = player()
    state.timed_status = TimedStatus("self_excluded", NOON - DAY, NOON - 9 * DAY)
    assert state.status_at(NOON) == "active"
    lasting, cooling = Policy(exclusions_lapse=False), Policy(cooling_off=2 * DAY)
    assert reason(may_grant(facts(state), SPINS, Policy(), NOON)) is None
    assert reason(may_grant(facts(state), SPINS, lasting, NOON)) == Reason.SELF_EXCLUDED
    assert reason(may_grant(facts(state), SPINS, cooling, NOON)) == Reason.COOLING_OFF


def test_where_a_consent_was_given_is_a_fact() -> None:
    state = player(jurisdiction="CA-ON")
    state.set_consent("email", Word(NOON, live=True), opted_in=True, source=("form", "2026-01"))
    state.facts["jurisdiction"] = "MT"
    assert facts(state).consent_places == {"email": "CA-ON"}
    assert facts(player()).consent_places == {}


def test_a_consent_from_before_the_place_was_told_was_given_nobody_knows_where() -> None:
    state = player()
    happens(state, ProfileUpdated, 2 * DAY, changed={"jurisdiction": "CA-ON"})
    state.set_consent("email", Word(NOON - 3 * DAY, live=True), opted_in=True, source=("form", ""))
    state.set_consent("sms", Word(NOON - 2 * DAY, live=True), opted_in=True, source=("form", ""))
    assert facts(state).consent_places == {"email": None, "sms": "CA-ON"}
    happens(state, ProfileUpdated, DAY, changed={"jurisdiction": "MT"})
    state.set_consent("push", Word(NOON - 2 * DAY, live=True), opted_in=True, source=("form", ""))
    assert (facts(state).consent_places or {})["push"] is None, "they may have been elsewhere then"


def happens(state: PlayerState, event: type[Event], ago: timedelta = timedelta(0), /, **data: Any) -> None:
    at = NOON - ago
    state.learn(
        parse_event(event.wire_type, data, event_id="e", event_source="/t", occurred_at=at), Word(at, live=True)
    )


def test_a_limit_that_was_reached_holds_for_its_period() -> None:
    state = player()
    happens(state, LimitReached, DAY, kind="deposit", period="week", amount_minor=5000, currency="EUR")
    happens(state, LimitReached, 6 * DAY, kind="deposit", period="week", amount_minor=5000, currency="EUR")
    assert facts(state).limits_until == (NOON + 6 * DAY,)
    assert facts(player()).limits_until == ()
    assert PlayerState.from_json("acme", "p-1", state.to_json()).limits == state.limits


@pytest.mark.parametrize(
    ("result", "until", "found"),
    [
        ("pending", None, ("affordability/enhanced pending",)),
        ("fail", None, ("affordability/enhanced fail",)),
        ("pass", None, ()),
        ("pass", "2026-03-10T12:00:00Z", ("affordability/enhanced pass",)),
        ("pass", "2026-03-10T12:00:01Z", ()),
    ],
)
def test_a_check_is_open_until_it_is_passed_and_again_when_that_is_out_of_date(
    result: str, until: str | None, found: tuple[str, ...]
) -> None:
    state = player()
    happens(state, AffordabilityChanged, stage="enhanced", result=result, valid_until=until)
    assert facts(state).open_checks == found


def test_the_newest_word_on_a_check_counts_in_whatever_order_they_come() -> None:
    state = player()
    happens(state, KycChanged, status="approved")
    happens(state, KycChanged, DAY, status="submitted")
    assert facts(state).open_checks == ()
    happens(state, KycChanged, -DAY, status="expired")
    assert facts(state).open_checks == ("kyc expired",)
    assert facts(player()).open_checks == ()


def test_checks_that_were_passed_are_known_as_long_as_they_are_good() -> None:
    state = player()
    happens(state, KycChanged, DAY, status="approved")
    happens(state, AffordabilityChanged, DAY, stage="enhanced", result="pass", valid_until=f"{NOON + DAY:%Y-%m-%dT%XZ}")
    happens(state, AffordabilityChanged, DAY, stage="sof", result="pending")
    assert facts(state).passed_checks == ("affordability", "kyc")
    later = facts_of(state, addresses=(), contacts=(), now=NOON + DAY)
    assert (later.passed_checks, len(later.open_checks or ())) == (("kyc",), 2)
    assert facts(player()).passed_checks == ()
