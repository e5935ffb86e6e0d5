"""What events teach about a player: status, protection, consent, harm, facts."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.player_events import NOON, Life
from workflows import (
    ConsentChanged,
    ContactVerified,
    DepositApproved,
    Event,
    ExclusionEnded,
    ExclusionSet,
    HarmSignal,
    MessageStatus,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    SessionLogin,
    StatusChanged,
    TierChanged,
    days,
    hours,
    minutes,
)
from workflows.gate.policies import HOUSE
from workflows.player_state.harm_watch import strength_of
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.ordering import Word
from workflows.player_state.state import Mode
from workflows.rules.failures import RuleFailure
from workflows.rules.triggers import On, on

SECOND = timedelta(seconds=1)


def told(life: Life, kind: type[Event], at: datetime, /, *, mode: Mode = "live", **data: Any) -> None:
    """Something that happened at `at` reaches us then, or when we have heard what is newer."""
    life.now = max(life.now, at)
    life.happens(kind, mode=mode, occurred_at=at, **data)


def known(*changes: tuple[datetime, dict[str, Any]], mode: Mode = "live") -> Life:
    life = Life()
    for at, data in changes:
        told(life, StatusChanged, at, mode=mode, **{"from_status": None, "until": None} | data)
    return life


# ---- consent and harm ---------------------------------------------------------------------------

WORDS = st.lists(st.tuples(st.sampled_from(["email", "sms"]), st.booleans(), st.integers(0, 4)), min_size=1, max_size=8)


@given(WORDS, st.randoms(use_true_random=False))
def test_the_newest_word_on_consent_wins_in_whatever_order_a_history_has_it(
    words: list[tuple[str, bool, int]], chance: Any
) -> None:
    shuffled = chance.sample(words, len(words))
    lives = Life(), Life()
    for life, order in zip(lives, (words, shuffled), strict=True):
        for channel, opted_in, hour in order:
            told(life, ConsentChanged, NOON + hours(hour), mode="history", channel=channel, opted_in=opted_in)
    assert lives[0].state.consents == lives[1].state.consents
    for channel, (opted_in, at) in lives[0].state.consents.items():
        newest = max(hour for name, _, hour in words if name == channel)
        last_words = [yes for name, yes, hour in words if (name, hour) == (channel, newest)]
        assert at == NOON + hours(newest)
        assert opted_in == all(last_words)


def test_the_boxes_ticked_at_registration_are_a_word_like_any_other() -> None:
    life = Life()
    told(life, ConsentChanged, NOON + hours(1), channel="email", opted_in=False)
    told(life, PlayerRegistered, NOON, opted_in=["email", "inapp"])
    assert {name: yes for name, (yes, _) in life.state.consents.items()} == {"email": False, "in_app": True}


@given(st.lists(st.sampled_from(["weak", "medium", "strong"]), min_size=1, max_size=6))
def test_of_all_signs_of_harm_the_strongest_stays(signals: list[str]) -> None:
    life = Life()
    for strength in signals:
        life.happens(HarmSignal, strength=strength)
    strongest = max(signals, key=["weak", "medium", "strong"].index)
    assert strength_of(life.state.watch.signs, HOUSE.harm_fades_after, life.now) == strongest


# ---- exclusions ---------------------------------------------------------------------------------


def test_an_exclusion_protects_until_its_moment_and_one_without_for_ever() -> None:
    life = Life()
    life.happens(ExclusionSet, kind="time_out", until=NOON + hours(1))
    assert life.state.protected(NOON + hours(1) - SECOND) == "time_out"
    assert life.state.protected(NOON + hours(1)) is None
    life.happens(ExclusionSet, kind="operator", until=None)
    assert life.state.protected(NOON + days(36_500)) == "self_excluded"


def test_the_strongest_protection_is_named() -> None:
    life = Life()
    life.happens(ExclusionSet, kind="time_out", until=NOON + hours(1))
    life.happens(StatusChanged, to="blocked", until=None)
    assert life.state.protected(NOON) == "time_out"
    life.happens(ExclusionSet, kind="self_exclusion", until=NOON + hours(1))
    assert life.state.protected(NOON) == "self_excluded"
    assert life.state.protected(NOON + hours(1)) == "account_not_active"


def test_the_end_of_an_exclusion_lifts_its_kind_and_scope_only() -> None:
    life = Life()
    life.happens(ExclusionSet, kind="self_exclusion", scope="brand", until=None)
    life.happens(ExclusionSet, kind="self_exclusion", scope="national", until=None)
    life.happens(ExclusionEnded, after=SECOND, kind="self_exclusion", scope="brand")
    assert [(block.kind, block.scope) for block in life.state.exclusions] == [("self_exclusion", "national")]
    life.happens(ExclusionEnded, kind="time_out", scope="national")
    assert life.state.protected(NOON) == "self_excluded"
    life.happens(ExclusionEnded, kind="self_exclusion", scope="national")
    assert life.state.protected(NOON) is None


def test_an_end_that_comes_late_does_not_lift_an_exclusion_set_after_it() -> None:
    life = Life()
    told(life, ExclusionSet, NOON, kind="self_exclusion", until=None)
    told(life, ExclusionSet, NOON + hours(2), kind="self_exclusion", until=None)
    told(life, ExclusionEnded, NOON + hours(1), kind="self_exclusion")
    assert life.state.protected(NOON + hours(3)) == "self_excluded"


def test_of_an_exclusion_and_its_end_at_one_instant_the_exclusion_counts() -> None:
    for words in ((ExclusionSet, ExclusionEnded), (ExclusionEnded, ExclusionSet)):
        life = Life()
        for kind in words:
            life.happens(kind, kind="time_out", until=NOON + hours(1))
        assert life.state.protected(NOON) == "time_out"


EXCLUSIONS = st.lists(
    st.tuples(
        st.sampled_from(["time_out", "self_exclusion"]),
        st.sampled_from(["brand", "national"]),
        st.none() | st.integers(1, 12),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=12,
)


@given(EXCLUSIONS, st.integers(0, 6))
def test_one_exclusion_of_a_kind_and_scope_is_kept_and_protects_as_all_of_them(
    words: list[tuple[str, str, int | None, int]], ended: int
) -> None:
    life = Life()
    for kind, scope, until, since in words:
        end = None if until is None else NOON + hours(until)
        told(life, ExclusionSet, NOON + hours(since), kind=kind, scope=scope, until=end)
    assert len(life.state.exclusions) == len({(kind, scope) for kind, scope, _, _ in words})
    for hour in range(14):
        in_force = any(until is None or until > hour for _, _, until, _ in words)
        assert (life.state.protected(NOON + hours(hour)) is not None) is in_force
    # An end lifts what was set before it, and nothing that any newer word holds.
    told(life, ExclusionEnded, NOON + hours(ended), kind="time_out", scope="brand")
    newer = [word for word in words if word[:2] != ("time_out", "brand") or word[3] > ended]
    for hour in range(14):
        if any(until is None or until > hour for _, _, until, _ in newer):
            assert life.state.protected(NOON + hours(hour)) is not None


def test_thousands_of_exclusions_cost_no_more_than_one() -> None:
    life = Life()
    for number in range(4_000):
        told(life, ExclusionSet, NOON + number * SECOND, kind="time_out", until=NOON + days(9_000 - number))
    (kept,) = life.state.exclusions
    assert (kept.since, kept.until) == (NOON + 3_999 * SECOND, NOON + days(9_000))


# ---- the account's status -----------------------------------------------------------------------


def test_nobody_told_us_a_status_and_that_is_neither_active_nor_protection() -> None:
    life = Life()
    life.happens(DepositApproved)
    assert life.state.status_at(NOON) is None
    assert life.state.protected(NOON) is None


def test_registration_makes_a_player_active_but_never_undoes_a_block() -> None:
    life = Life()
    life.happens(PlayerRegistered)
    assert life.state.status_at(NOON) == "active"
    assert known((NOON, {"to": "blocked"})).happens(PlayerRegistered) == []
    blocked = known((NOON, {"to": "blocked"}))
    blocked.happens(PlayerRegistered)
    assert blocked.state.status_at(NOON) == "blocked"


@pytest.mark.parametrize("before", ["active", "pending", "blocked"])
def test_a_status_with_an_end_is_over_by_itself_and_what_was_before_holds_again(before: str) -> None:
    end = NOON + days(2)
    life = known((NOON - days(9), {"to": before}), (NOON, {"to": "suspended", "until": end}))
    assert life.state.status_at(end - SECOND) == "suspended"
    assert life.state.protected(end - SECOND) == "account_not_active"
    assert life.state.status_at(end) == before
    assert life.state.protected(end) == (None if before != "blocked" else "account_not_active")


def test_a_suspension_made_longer_still_ends_in_what_was_before_it() -> None:
    life = known(
        (NOON - days(9), {"to": "active"}),
        (NOON, {"to": "suspended", "until": NOON + days(2), "from_status": "active"}),
        (NOON + days(1), {"to": "suspended", "until": NOON + days(5), "from_status": "suspended"}),
    )
    assert life.state.status_at(NOON + days(3)) == "suspended"
    assert life.state.status_at(NOON + days(5)) == "active"


def test_a_lasting_status_ends_a_timed_one() -> None:
    life = known((NOON, {"to": "suspended", "until": NOON + days(5)}), (NOON + hours(1), {"to": "active"}))
    assert life.state.status_at(NOON + hours(2)) == "active"


def test_of_a_player_we_know_nothing_else_of_the_event_says_what_was_before() -> None:
    end = NOON + days(1)
    assert known((NOON, {"to": "suspended", "until": end})).state.status_at(end) is None
    told_before = known((NOON, {"to": "suspended", "until": end, "from_status": "active"}))
    assert told_before.state.status_at(end) == "active"
    # What comes late is older than what the event knew.
    told(told_before, StatusChanged, NOON - hours(1), from_status=None, to="blocked", until=None)
    assert told_before.state.status_at(end) == "active"
    # A block nobody told us of: the event knows better.
    missed = known(
        (NOON - days(1), {"to": "active"}), (NOON, {"to": "pending", "until": end, "from_status": "blocked"})
    )
    assert missed.state.status_at(end) == "blocked"


STATUSES = st.lists(
    st.tuples(
        st.sampled_from(["active", "pending", "suspended", "blocked", "closed"]),
        st.integers(0, 4),
        st.none() | st.integers(1, 8),
    ),
    min_size=1,
    max_size=6,
)


def at_all_times(changes: Sequence[tuple[str, int, int | None]]) -> list[tuple[str | None, bool]]:
    life = known(
        *(
            (NOON + hours(hour), {"to": to, "until": None if length is None else NOON + hours(hour + length)})
            for to, hour, length in changes
        ),
        mode="history",
    )
    moments = [NOON + hours(hour) for hour in range(4, 14)]
    return [(life.state.status_at(moment), life.state.protected(moment) is not None) for moment in moments]


@given(STATUSES, st.randoms(use_true_random=False))
def test_the_newest_word_on_the_account_wins_in_whatever_order_a_history_has_it(
    changes: list[tuple[str, int, int | None]], chance: Any
) -> None:
    apart = list({change[1]: change for change in changes}.values())
    assert at_all_times(chance.sample(apart, len(apart))) == at_all_times(sorted(apart, key=lambda change: change[1]))


@given(st.permutations(["active", "suspended", "active", "pending"]))
def test_of_two_words_of_one_instant_the_one_that_protects_wins(words: list[str]) -> None:
    assert known(*((NOON, {"to": to}) for to in words)).state.status_at(NOON) == "suspended"


@given(st.permutations([("active", None), ("suspended", 5), ("active", 2)]))
def test_a_timed_suspension_is_not_lifted_by_a_word_of_the_same_instant(words: list[tuple[str, int | None]]) -> None:
    life = known(*((NOON, {"to": to, "until": None if n is None else NOON + hours(n)}) for to, n in words))
    assert life.state.protected(NOON) == "account_not_active"


# ---- facts --------------------------------------------------------------------------------------


def test_a_snapshot_holds_what_a_journey_may_know_and_nothing_of_the_person() -> None:
    life = Life()
    life.happens(PlayerRegistered, language="uk", timezone="Europe/Kyiv", country="UA", currency="UAH")
    life.happens(SessionLogin, after=hours(1))
    life.happens(DepositApproved, amount_minor=500)
    life.happens(DepositApproved, amount_minor=700)
    life.happens(TierChanged, to="gold")
    facts = journey_facts(life.state).model_dump()
    assert facts == {
        "player_id": "p-1",
        "language": "uk",
        "timezone": "Europe/Kyiv",
        "country": "UA",
        "currency": "UAH",
        "wallet": "UAH",
        "liked": {},
        "tier": "gold",
        "favourite_category": None,
        "deposits": 2,
        "deposited_minor": 1200,
        "registered_at": NOON,
        "last_login": NOON + hours(1),
        "harm": None,
        "usual_hours": [15],
        "objects_to_profiling": False,
        "consents": ["email", "in_app"],
        "kyc": None,
        "kyc_deadline": None,
        "last_viewed": None,
        "is_test": False,
    }
    assert "anna" not in str(life.state.to_json()).lower()


def test_a_profile_update_teaches_facts_and_erases_them_and_nothing_of_the_person() -> None:
    life = Life()
    life.happens(PlayerRegistered, language="uk", timezone="Europe/Kyiv", currency="UAH", birth_date="1990-05-17")
    changed = {"language": "ru", "timezone": None, "birth_date": None, "email": "a@b.example", "bio": "chess"}
    life.happens(ProfileUpdated, after=SECOND, changed=changed)
    facts = journey_facts(life.state)
    assert (facts.language, facts.timezone, facts.currency) == ("ru", None, "UAH")
    assert life.state.born is None
    assert {"email", "bio"}.isdisjoint(life.state.facts)


def test_a_test_account_stays_one_until_somebody_says_otherwise() -> None:
    life = Life()
    life.happens(PlayerRegistered, is_test=True)
    life.happens(PlayerRegistered, after=SECOND, is_test=False)
    assert journey_facts(life.state).is_test
    life.happens(ProfileUpdated, after=SECOND, changed={"is_test": False})
    assert not journey_facts(life.state).is_test


# ---- messages that were not wanted, and that did not arrive --------------------------------------------


@pytest.mark.parametrize("status", ["complained", "unsubscribed"])
def test_what_the_player_told_the_provider_withdraws_the_consent(status: str) -> None:
    life = Life()
    life.happens(PlayerRegistered, opted_in=["email", "sms"])
    life.happens(MessageStatus, after=SECOND, channel="email", status=status)
    assert {channel: given for channel, (given, _) in life.state.consents.items()} == {"email": False, "sms": True}


def bounced(*statuses: tuple[str, str | None]) -> Life:
    life = Life()
    life.happens(PlayerRegistered)
    for status, reason in statuses:
        life.happens(MessageStatus, after=SECOND, channel="email", status=status, suppress_reason=reason)
    return life


@pytest.mark.parametrize(
    ("statuses", "stops"),
    [
        ([("bounced", "hard")], True),
        ([("bounced", "Permanent")], True),
        ([("bounced", "mailbox_full")] * 2, False),
        ([("bounced", None)] * 3, True),
        ([("bounced", None), ("bounced", None), ("delivered", None), ("bounced", None)], False),
        ([("bounced", "hard"), ("opened", None)], False),
        ([("failed", None)] * 9, False),
    ],
)
def test_a_hard_bounce_or_three_in_a_row_stop_the_channel(statuses: list[tuple[str, str | None]], stops: bool) -> None:  # noqa: FBT001
    assert bounced(*statuses).state.bouncing == (("email",) if stops else ())


def test_a_stopped_channel_is_used_again_when_the_address_is_proven() -> None:
    life = bounced(("bounced", "hard"))
    life.happens(ContactVerified, ago=hours(1), channel="email")
    assert life.state.bouncing == ("email",)
    life.happens(ContactVerified, after=SECOND, channel="phone")
    assert life.state.bouncing == ("email",)
    life.happens(ContactVerified, after=SECOND, channel="email")
    assert not life.state.bouncing


def test_what_comes_back_from_the_former_address_does_not_stop_the_new_one() -> None:
    life = bounced(("bounced", "hard"))
    update = life.event(ProfileUpdated, changed={"email": "new@example.com"})
    life.now += SECOND
    later = update.model_copy(update={"occurred_at": life.now})
    assert life.state.personal_words(later, Word(life.now, live=True)) == {"email": "new@example.com"}
    assert life.state.bouncing == ()
    life.happens(MessageStatus, ago=minutes(1), channel="email", status="bounced", suppress_reason="hard")
    assert life.state.bouncing == ()


def test_a_channel_that_finds_the_player_by_their_id_is_not_stopped() -> None:
    life = Life()
    for _ in range(5):
        life.happens(MessageStatus, after=SECOND, channel="push", status="bounced", suppress_reason="hard")
    assert life.state.bouncing == ()


def test_the_favourite_category_is_where_most_was_staked_bonus_money_included() -> None:
    life = Life()
    life.happens(RoundCompleted, category="slot", stake_minor=100, bonus_stake_minor=0)
    life.happens(RoundCompleted, category="live", stake_minor=60, bonus_stake_minor=50)
    assert life.state.favourite_category == "live"
    life.happens(RoundCompleted, category="crash", stake_minor=110, bonus_stake_minor=0)
    assert life.state.favourite_category == "crash"


def test_last_seen_is_the_newest_moment_not_the_newest_message() -> None:
    life = Life()
    life.happens(SessionLogin, ago=hours(1))
    life.happens(SessionLogin, ago=days(1))
    assert life.state.last["session.login"] == NOON - hours(1)
    assert life.state.counts["session.login"] == 2


def test_a_where_that_raises_takes_nothing_and_is_told() -> None:
    """One designer's mistake about one event must not keep other players' events out."""

    def broken(deposit: DepositApproved) -> bool:
        return deposit.currency.startswith("E")  # type: ignore[union-attr]  # the mistake: it may be None

    rule = on(DepositApproved, where=broken)
    deposit = DepositApproved(
        event_id="1", event_source="/t", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), payment_id="p", amount_minor=1
    )
    assert isinstance(rule, On)
    failures: list[RuleFailure] = []
    assert rule.matches(deposit, failures) is False
    (failure,) = failures
    assert "broken raised AttributeError on a payment.deposit_approved event ('None" in str(failure)
    assert "broken raised AttributeError on a payment.deposit_approved event; it was" in failure.without_event
