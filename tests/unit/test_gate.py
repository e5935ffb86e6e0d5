"""The gate: whom it lets through, whom it never does, and what it says about it."""

import json
from dataclasses import fields, replace
from datetime import datetime, time, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.gate import CHANNELS, DAY, FREE, HOUSE, NOON, SPINS, TICK, ZONES, block, contacts, message, reason
from workflows.events import MessageClass
from workflows.gate.decide import may_grant, may_send
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import Contact, GateFacts, GrantFacts, MessageFacts, facts_of
from workflows.gate.policy import NECESSARY, Night, Policy
from workflows.gate.reasons import Reason
from workflows.gate.rule_catalogue import RULES
from workflows.player_state.exclusion_blocks import Exclusion
from workflows.player_state.state import PlayerState
from workflows.rewards import deposit_match, points

# ---- what it says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_free_player_may_be_written_to_by_day(channel: str) -> None:
    assert isinstance(may_send(FREE, message(channel), HOUSE, NOON), Allowed)


def test_a_free_player_may_be_rewarded_even_at_night_and_without_consent() -> None:
    facts = replace(FREE, consents=None, addresses=None, timezone=None, contacts=None, activity=None)
    assert isinstance(may_grant(facts, SPINS, HOUSE, NOON.replace(hour=23)), Allowed)


PROTECTED = [
    (None, Reason.UNKNOWN_PLAYER),
    (GateFacts(), Reason.UNKNOWN_PLAYER),
    (replace(FREE, status=None), Reason.UNKNOWN_PLAYER),
    (replace(FREE, status="closed"), Reason.ACCOUNT_NOT_ACTIVE),
    (replace(FREE, status="blocked"), Reason.ACCOUNT_NOT_ACTIVE),
    (replace(FREE, status="pending"), Reason.ACCOUNT_NOT_ACTIVE),
    (replace(FREE, status="self_excluded"), Reason.SELF_EXCLUDED),
    (replace(FREE, exclusions=None), Reason.FACTS_UNREADABLE),
    (block("self_exclusion"), Reason.SELF_EXCLUDED),
    (block("register"), Reason.SELF_EXCLUDED),
    (block("operator"), Reason.SELF_EXCLUDED),
    (block("a kind of tomorrow"), Reason.SELF_EXCLUDED),
    (block("time_out", NOON + TICK), Reason.TIME_OUT),
    (replace(FREE, harm=None), Reason.FACTS_UNREADABLE),
    (replace(FREE, harm_signs=None), Reason.FACTS_UNREADABLE),
    (replace(FREE, paused_until=None), Reason.FACTS_UNREADABLE),
    (replace(FREE, paused_until=[NOON + TICK]), Reason.PROMOTIONS_PAUSED),
    (replace(FREE, harm="strong"), Reason.HARM_SIGNAL),
    (replace(FREE, harm="a strength of tomorrow"), Reason.HARM_SIGNAL),
    (replace(FREE, is_test=None), Reason.FACTS_UNREADABLE),
    (replace(FREE, is_test=True), Reason.TEST_ACCOUNT),
]


@pytest.mark.parametrize(("facts", "why"), PROTECTED)
def test_a_protected_player_gets_no_marketing_no_survey_and_no_reward(facts: GateFacts | None, why: Reason) -> None:
    assert reason(may_send(facts, message(), HOUSE, NOON)) == why
    assert reason(may_send(facts, message(kind="survey"), HOUSE, NOON)) == why
    assert reason(may_grant(facts, SPINS, HOUSE, NOON)) == why


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (replace(FREE, consents=None), Reason.NO_CONSENT),
        (replace(FREE, consents={"sms": True}), Reason.NO_CONSENT),
        (replace(FREE, consents={"email": False}), Reason.NO_CONSENT),
        (replace(FREE, addresses=None), Reason.NO_ADDRESS),
        (replace(FREE, addresses=["sms"]), Reason.NO_ADDRESS),
        (replace(FREE, timezone=None), Reason.UNKNOWN_TIMEZONE),
        (replace(FREE, timezone="Europe/Atlantis"), Reason.UNKNOWN_TIMEZONE),
        (replace(FREE, timezone="Europe"), Reason.UNKNOWN_TIMEZONE),
        (replace(FREE, contacts=None), Reason.FACTS_UNREADABLE),
    ],
)
def test_marketing_needs_consent_an_address_a_clock_and_a_count(facts: GateFacts, why: Reason) -> None:
    assert reason(may_send(facts, message(), HOUSE, NOON)) == why


def test_consent_to_one_channel_is_no_consent_to_another() -> None:
    facts = replace(FREE, consents={"email": True})
    assert [reason(may_send(facts, message(channel), HOUSE, NOON)) for channel in CHANNELS] == [
        None,
        Reason.NO_CONSENT,
        Reason.NO_CONSENT,
        Reason.NO_CONSENT,
    ]


@pytest.mark.parametrize("spelling", ["inapp", "in_app"])
def test_both_spellings_of_in_app_are_one_channel(spelling: str) -> None:
    facts = replace(FREE, consents={spelling: True})
    assert {reason(may_send(facts, message(name), HOUSE, NOON)) for name in ("inapp", "in_app")} == {None}
    refused = replace(FREE, consents={"inapp": False, "in_app": True})
    assert reason(may_send(refused, message("in_app"), HOUSE, NOON)) == Reason.NO_CONSENT
    assert Night(time(22), time(8), frozenset({"inapp"})) == Night(time(22), time(8), frozenset({"in_app"}))


@pytest.mark.parametrize("kind", sorted(NECESSARY))
def test_a_necessary_message_needs_no_consent_and_knows_no_caps_and_no_night(kind: MessageClass) -> None:
    night = NOON.replace(hour=23)
    bare = GateFacts(status="active", exclusions=(), addresses=["email"], contacts=contacts(*[TICK] * 9))
    assert isinstance(may_send(bare, message(kind=kind), HOUSE, night), Allowed)
    assert isinstance(may_send(replace(bare, harm="strong"), message(kind=kind), HOUSE, night), Allowed)
    assert reason(may_send(replace(bare, addresses=()), message(kind=kind), HOUSE, night)) == Reason.NO_ADDRESS
    assert reason(may_send(replace(bare, status="closed"), message(kind=kind), HOUSE, night)) == (
        Reason.ACCOUNT_NOT_ACTIVE
    )


@pytest.mark.parametrize("kind", ["marketing", "service", "rg"])
def test_nothing_goes_to_an_address_that_gives_messages_back(kind: MessageClass) -> None:
    state = PlayerState("acme", "p-1", status="active", bounces={"email": (3, NOON), "sms": (2, NOON)})
    state.consents = dict.fromkeys(("email", "sms"), (True, NOON))
    state.facts["timezone"] = "UTC"
    facts = facts_of(state, addresses=("email", "sms"), contacts=(), now=NOON)
    assert reason(may_send(facts, message("email", kind=kind), HOUSE, NOON)) == Reason.NO_ADDRESS
    assert reason(may_send(facts, message("sms", kind=kind), HOUSE, NOON)) is None


@pytest.mark.parametrize(
    ("facts", "service"),
    [
        (replace(FREE, status="self_excluded"), Reason.SELF_EXCLUDED),
        (block("self_exclusion"), Reason.SELF_EXCLUDED),
        (replace(FREE, exclusions=None), Reason.FACTS_UNREADABLE),
        (block("time_out"), None),
        (replace(FREE, status="suspended"), None),
    ],
)
def test_help_and_security_reach_the_excluded_and_service_does_not(facts: GateFacts, service: Reason | None) -> None:
    assert isinstance(may_send(facts, message(kind="rg"), HOUSE, NOON), Allowed)
    assert isinstance(may_send(facts, message(kind="security"), HOUSE, NOON), Allowed)
    assert reason(may_send(facts, message(kind="service"), HOUSE, NOON)) == service


def test_a_policy_may_let_service_reach_the_excluded_but_never_marketing() -> None:
    lenient = Policy(service_to_excluded=True)
    assert isinstance(may_send(block("self_exclusion"), message(kind="service"), lenient, NOON), Allowed)
    assert reason(may_send(block("self_exclusion"), message(), lenient, NOON)) == Reason.SELF_EXCLUDED


@pytest.mark.parametrize("kind", ["self_exclusion", "time_out"])
def test_an_exclusion_holds_until_its_last_instant_and_for_ever_without_one(kind: str) -> None:
    assert isinstance(may_grant(block(kind, NOON), SPINS, HOUSE, NOON), Allowed)
    assert isinstance(may_grant(block(kind, NOON + TICK), SPINS, HOUSE, NOON), Refusal)
    assert isinstance(may_grant(block(kind), SPINS, HOUSE, NOON + 36_500 * DAY), Refusal)


def test_one_exclusion_in_force_is_enough() -> None:
    facts = replace(
        FREE,
        exclusions=[
            Exclusion("self_exclusion", "brand", NOON - DAY),
            Exclusion("time_out", "brand", NOON - DAY),
            Exclusion("register", "national", NOON + DAY),
        ],
    )
    assert reason(may_grant(facts, SPINS, HOUSE, NOON)) == Reason.SELF_EXCLUDED


def test_how_strong_a_signal_stops_offers_is_the_policys_to_say() -> None:
    medium = replace(FREE, harm="medium")
    assert isinstance(may_grant(medium, SPINS, HOUSE, NOON), Allowed)
    assert reason(may_grant(medium, SPINS, Policy(harm_refuses_from="medium"), NOON)) == Reason.HARM_SIGNAL


def test_wagering_above_the_ceiling_is_not_granted() -> None:
    dear = GrantFacts.of(deposit_match(100, 5000, wager=11))
    assert dear == GrantFacts(kind="deposit_match", wager_x=11, value=5000)
    assert reason(may_grant(FREE, dear, HOUSE, NOON)) == Reason.WAGER_TOO_HIGH
    assert isinstance(may_grant(FREE, GrantFacts.of(deposit_match(100, 5000, wager=10)), HOUSE, NOON), Allowed)
    assert isinstance(may_grant(FREE, dear, Policy(wager_cap=None), NOON), Allowed)
    assert isinstance(may_grant(FREE, GrantFacts.of(points(5)), HOUSE, NOON), Allowed)


def test_nobody_who_was_here_this_morning_is_told_they_are_missed() -> None:
    missed = message(suppress_if_active_today=True)
    for age, why in ((TICK, Reason.ACTIVE_TODAY), (DAY - TICK, Reason.ACTIVE_TODAY), (DAY, None)):
        facts = replace(FREE, activity=[NOON - 30 * DAY, NOON - age])
        assert reason(may_send(facts, missed, HOUSE, NOON)) == why
        assert isinstance(may_send(facts, message(), HOUSE, NOON), Allowed)
    ahead = replace(FREE, activity=[NOON + timedelta(minutes=5)])
    assert reason(may_send(ahead, missed, HOUSE, NOON)) == Reason.ACTIVE_TODAY
    unread = replace(FREE, activity=None)
    assert reason(may_send(unread, missed, HOUSE, NOON)) == Reason.FACTS_UNREADABLE


def test_a_naive_now_is_a_mistake_and_not_a_time() -> None:
    with pytest.raises(ValueError, match="aware"):
        may_send(FREE, message(), HOUSE, NOON.replace(tzinfo=None))
    with pytest.raises(ValueError, match="aware"):
        may_grant(FREE, SPINS, HOUSE, NOON.replace(tzinfo=None))


def test_a_version_names_every_number_and_nothing_else() -> None:
    assert HOUSE.version == Policy().version
    assert HOUSE.version.startswith("house@")
    later = frozenset({Night(time(22), time(9))})
    changed = [Policy(per_day=2), Policy(nights=later), Policy(channel_per_week={"sms": 1, "push": 3})]
    assert len({HOUSE.version, *(policy.version for policy in changed)}) == 4
    assert Policy(channel_per_week=dict(reversed([*HOUSE.channel_per_week.items()]))).version == HOUSE.version
    unordered = Policy(banned_rewards=frozenset("fedcba"))
    assert unordered.model_dump(mode="json")["banned_rewards"] == list("abcdef")


# ---- caps -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ages", "why"),
    [
        ([DAY], None),
        ([DAY - TICK], Reason.DAILY_CAP),
        ([timedelta(0)], Reason.DAILY_CAP),
        ([-timedelta(minutes=1)], Reason.DAILY_CAP),
        ([DAY, 2 * DAY, 3 * DAY], None),
        ([DAY, 2 * DAY, 3 * DAY, 7 * DAY - TICK], Reason.WEEKLY_CAP),
        ([DAY, 2 * DAY, 3 * DAY, 7 * DAY], None),
    ],
)
def test_a_cap_counts_what_is_younger_than_its_window(ages: list[timedelta], why: Reason | None) -> None:
    facts = replace(FREE, contacts=contacts(*ages))
    assert reason(may_send(facts, message(), HOUSE, NOON)) == why
    assert reason(may_send(facts, message("in_app"), HOUSE, NOON)) == why, "in-app marketing is marketing"


@pytest.mark.parametrize(("channel", "most"), [("sms", 2), ("push", 3), ("email", 4)])
def test_a_channel_has_a_cap_of_its_own(channel: str, most: int) -> None:
    week = [2 * DAY, 3 * DAY, 4 * DAY, 5 * DAY]
    below = replace(FREE, contacts=contacts(*week[: most - 1], channel=channel))
    at = replace(FREE, contacts=contacts(*week[:most], channel=channel))
    assert isinstance(may_send(below, message(channel), HOUSE, NOON), Allowed)
    capped = Reason.WEEKLY_CAP if most == 4 else Reason.CHANNEL_WEEKLY_CAP
    assert reason(may_send(at, message(channel), HOUSE, NOON)) == capped
    if most < 4:
        assert isinstance(may_send(at, message("email"), HOUSE, NOON), Allowed)


def test_contacts_on_other_channels_leave_a_channels_own_cap_alone() -> None:
    facts = replace(FREE, contacts=contacts(2 * DAY, 3 * DAY, channel="push"))
    assert isinstance(may_send(facts, message("sms"), HOUSE, NOON), Allowed)


def test_a_step_on_several_channels_is_one_contact_and_never_counts_against_itself() -> None:
    roomy = Policy(per_day=2)
    before = [Contact(NOON - TICK, channel, "run/send:before#1") for channel in CHANNELS]
    mine = [Contact(NOON - TICK, channel, message().step) for channel in CHANNELS]
    facts = replace(FREE, contacts=before + mine)
    assert isinstance(may_send(facts, message(), roomy, NOON), Allowed)
    assert isinstance(may_send(replace(FREE, contacts=mine), message("push"), HOUSE, NOON), Allowed)
    assert reason(may_send(facts, message(), HOUSE, NOON)) == Reason.DAILY_CAP


@given(
    ages=st.lists(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9)), max_size=8),
    per_day=st.integers(0, 3),
    per_week=st.integers(0, 5),
)
@settings(max_examples=examples(100))
def test_an_allowed_contact_never_breaks_a_cap(ages: list[timedelta], per_day: int, per_week: int) -> None:
    policy = Policy(per_day=per_day, per_week=per_week)
    decision = may_send(replace(FREE, contacts=contacts(*ages)), message(), policy, NOON)
    in_a_day = sum(age < DAY for age in ages)
    in_a_week = sum(age < 7 * DAY for age in ages)
    assert isinstance(decision, Allowed) == (in_a_day + 1 <= per_day and in_a_week + 1 <= per_week)


# ---- for all inputs -------------------------------------------------------------------------------------------

INSTANTS = st.timedeltas(-9 * DAY, 9 * DAY).map(lambda ahead: NOON + ahead)
EXCLUSIONS = st.builds(
    Exclusion,
    st.sampled_from(["self_exclusion", "time_out", "register", "operator"]),
    st.sampled_from(["brand", "group", "national"]),
    st.none() | INSTANTS,
)
MAYBE_CHANNELS = st.sampled_from([*CHANNELS, "phone"])
FACTS = st.builds(
    GateFacts,
    status=st.sampled_from([None, "active", "active", "active", "pending", "suspended", "closed", "self_excluded"]),
    exclusions=st.none() | st.just(()) | st.lists(EXCLUSIONS, max_size=2),
    harm=st.sampled_from([None, "none", "none", "weak", "medium", "strong"]),
    harm_signs=st.none()
    | st.just({})
    | st.dictionaries(st.sampled_from(["chasing/medium", "a/weak", "b/medium", "c/strong"]), INSTANTS),
    paused_until=st.none() | st.just(()) | st.lists(INSTANTS, max_size=2),
    is_test=st.sampled_from([None, False, False, True]),
    consents=st.none() | st.dictionaries(MAYBE_CHANNELS, st.booleans()) | st.just(FREE.consents),
    addresses=st.none() | st.frozensets(MAYBE_CHANNELS) | st.just(FREE.addresses),
    timezone=st.none() | ZONES | st.just("UTC"),
    activity=st.none() | st.lists(INSTANTS, max_size=2),
    contacts=st.none()
    | st.just(())
    | st.lists(st.builds(Contact, INSTANTS, MAYBE_CHANNELS, st.sampled_from(["a", "b", "c"])), max_size=5),
)
MESSAGES = st.builds(
    MessageFacts,
    channel=MAYBE_CHANNELS,
    message_class=st.sampled_from(get_args(MessageClass)),
    step=st.sampled_from(["a", "z"]),
    suppress_if_active_today=st.booleans(),
)
GRANTS = st.builds(GrantFacts, kind=st.just("free_spins"), wager_x=st.integers(0, 20))
FACT_NAMES = [field.name for field in fields(GateFacts)]


@given(FACTS, MESSAGES, GRANTS, INSTANTS, st.sets(st.sampled_from(FACT_NAMES)), st.data())
@settings(max_examples=examples(1000, quick=200))
def test_knowing_less_never_opens_the_gate(
    facts: GateFacts, sent: MessageFacts, granted: GrantFacts, now: datetime, forgotten: set[str], data: st.DataObject
) -> None:
    less = replace(facts, **dict.fromkeys(forgotten))
    if less.consents:
        gone = data.draw(st.sets(st.sampled_from(sorted(less.consents))))
        less = replace(less, consents={name: said for name, said in less.consents.items() if name not in gone})
    if less.addresses:
        less = replace(less, addresses=data.draw(st.frozensets(st.sampled_from(sorted(less.addresses)))))
    if not isinstance(may_send(facts, sent, HOUSE, now), Allowed):
        assert not isinstance(may_send(less, sent, HOUSE, now), Allowed)
    if not isinstance(may_grant(facts, granted, HOUSE, now), Allowed):
        assert not isinstance(may_grant(less, granted, HOUSE, now), Allowed)
    assert not isinstance(may_send(None, sent, HOUSE, now), Allowed)


@given(FACTS, EXCLUSIONS, MESSAGES, GRANTS, INSTANTS)
@settings(max_examples=examples(500, quick=150))
def test_an_excluded_player_is_never_sold_to_or_rewarded(
    facts: GateFacts, excluded: Exclusion, sent: MessageFacts, granted: GrantFacts, now: datetime
) -> None:
    in_force = replace(excluded, until=None if excluded.until is None else max(excluded.until, now + TICK))
    facts = replace(facts, exclusions=[*(facts.exclusions or ()), in_force])
    assert isinstance(may_grant(facts, granted, HOUSE, now), Refusal)
    if sent.message_class in {"marketing", "survey"}:
        assert isinstance(may_send(facts, sent, HOUSE, now), Refusal)


@given(FACTS, MESSAGES, GRANTS, INSTANTS)
@settings(max_examples=examples(300, quick=100))
def test_marketing_that_is_allowed_was_consented_to_and_comes_by_day(
    facts: GateFacts, sent: MessageFacts, granted: GrantFacts, now: datetime
) -> None:
    if isinstance(may_grant(facts, granted, HOUSE, now), Allowed):
        assert (facts.status, facts.is_test) == ("active", False)
        assert facts.harm in {"none", "weak", "medium"}
    if sent.message_class in NECESSARY or not isinstance(may_send(facts, sent, HOUSE, now), Allowed):
        return
    assert facts.status == "active"
    assert facts.consents is not None
    assert facts.consents[sent.channel]
    if sent.channel != "in_app":
        assert facts.timezone is not None
        assert 8 <= now.astimezone(ZoneInfo(facts.timezone)).hour < 22


@given(FACTS | st.none(), MESSAGES, GRANTS, INSTANTS)
@settings(max_examples=examples(300, quick=100))
def test_every_decision_can_be_kept_and_explained(
    facts: GateFacts | None, sent: MessageFacts, granted: GrantFacts, now: datetime
) -> None:
    for decision in (may_send(facts, sent, HOUSE, now), may_grant(facts, granted, HOUSE, now)):
        assert decision.policy == HOUSE.version
        seen = json.loads(json.dumps(decision.seen, allow_nan=False))
        assert seen["at"] == now.isoformat()
        assert len(json.dumps(seen)) < 2000
        if isinstance(decision, Allowed):
            on = [rule.id for rule in RULES.values() if rule.is_on(HOUSE)]
            assert [*decision.rules] == [name for name in on if name in decision.rules]
        else:
            assert decision.rule in RULES
            assert decision.detail.endswith(".")
