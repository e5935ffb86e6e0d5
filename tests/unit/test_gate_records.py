"""What a decision keeps: the rules that were asked, and facts from which it can be made again."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.gate import CHANNELS, DAY, FREE, HOUSE, NOON, SPINS, ZONES, message, reason
from workflows.events import MessageClass
from workflows.gate.decide import may_grant, may_send
from workflows.gate.decision import Allowed, Refusal, Wait
from workflows.gate.facts import Contact, GateFacts, GrantFacts, MessageFacts, RegisterAnswer
from workflows.gate.policy import Policy
from workflows.gate.policy_book import PolicyBook
from workflows.gate.reasons import Reason
from workflows.player_state.exclusion_blocks import Exclusion
from workflows.rewards import deposit_match

INSTANTS = st.integers(-9 * 24, 9 * 24).map(lambda ahead: NOON + timedelta(hours=ahead))
PRODUCTS = st.sampled_from(["casino", "casino", "betting", None])
BLOCKS = st.builds(
    Exclusion,
    st.sampled_from(["self_exclusion", "time_out", "register"]),
    st.sampled_from(["brand", "national"]),
    st.none() | INSTANTS,
)
LAWS = ["GB", "MT", "SE", "NL", "DE", "CA-ON", "CA", "BR", "US", "UA", None]


def mostly(usual: Any, *others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Three times in four the value with which nothing stands against an offer."""
    return st.one_of(*[st.just(usual)] * 3, st.one_of(*others))


SIGNS = st.dictionaries(
    st.sampled_from(["chasing/medium", "night_play/weak", "stake_jump/medium", "together/strong"]), INSTANTS
)
FACTS = st.builds(
    replace,
    st.just(FREE),
    status=mostly("active", st.sampled_from([None, "pending", "suspended", "closed", "self_excluded"])),
    exclusions=mostly((), st.none(), st.lists(BLOCKS, max_size=2)),
    ended_exclusions=mostly((), st.none(), st.lists(INSTANTS, max_size=2)),
    harm=mostly("none", st.sampled_from([None, "medium", "strong"])),
    harm_signs=mostly({}, st.none(), SIGNS),
    paused_until=mostly((), st.none(), st.lists(INSTANTS, max_size=2)),
    is_test=mostly(False, st.sampled_from([None, True])),
    consents=mostly(
        FREE.consents,
        st.none(),
        st.dictionaries(st.sampled_from([*CHANNELS, "email/casino", "profiling"]), st.booleans()),
    ),
    consent_places=mostly(dict.fromkeys(FREE.consents or (), "CA-ON"), st.just({})),
    addresses=mostly(FREE.addresses, st.none(), st.frozensets(st.sampled_from(CHANNELS))),
    timezone=mostly("UTC", st.none(), ZONES),
    activity=mostly((), st.none(), st.lists(INSTANTS, max_size=2)),
    contacts=mostly(
        (),
        st.none(),
        st.lists(st.builds(Contact, INSTANTS, st.sampled_from(CHANNELS), st.sampled_from("abcde")), max_size=5),
    ),
    jurisdiction=st.sampled_from(LAWS),
    age=mostly(30, st.none(), st.integers(16, 25)),
    registered_at=mostly(FREE.registered_at, st.none(), INSTANTS),
    deposits=mostly(5, st.none(), st.integers(0, 2)),
    had_bonus=mostly(False, st.none(), st.booleans()),
    in_play=mostly(False, st.none(), st.booleans()),
    limits_until=mostly((), st.none(), st.lists(INSTANTS, max_size=2)),
    open_checks=mostly((), st.none(), st.just(["kyc pending"])),
)
MESSAGES = st.builds(
    MessageFacts,
    channel=st.sampled_from(CHANNELS),
    message_class=st.sampled_from(["marketing", "marketing", "survey", "service", "rg"]),
    step=st.sampled_from(["a", "z"]),
    suppress_if_active_today=st.booleans(),
    product=PRODUCTS,
    asked_at=st.none() | INSTANTS,
    by=st.none() | INSTANTS,
)
GRANTS = st.builds(
    GrantFacts,
    kind=st.sampled_from(["deposit_match", "cashback"]),
    wager_x=st.integers(0, 12),
    wager_basis=st.sampled_from(["bonus", "bonus_plus_deposit"]),
    match_pct=st.integers(1, 500),
    product=PRODUCTS,
    journey_product=PRODUCTS,
)
#: Turns on what no law does.
STRICT = Policy(offers_at_limit=False, bonus_with_open_check=False, bonus_after=3 * DAY, first_bonus_only=True)

#: By name: all that a book knows is too much to tell of an example.
BOOKS = {"as shipped": PolicyBook(), "strict": PolicyBook(house=STRICT)}
#: Somebody of whom a register has just been asked.
ASKED = replace(FREE, jurisdiction="SE")


def moments(told: list[str] | None) -> list[datetime] | None:
    return None if told is None else [datetime.fromisoformat(one) for one in told]


def moment(told: str | None) -> datetime | None:
    return None if told is None else datetime.fromisoformat(told)


def player_of(seen: dict[str, Any]) -> GateFacts | None:
    """The facts that a decision kept. Of contacts it keeps how many count."""
    if seen.get("known") is False:
        return None
    now, contacts = datetime.fromisoformat(seen["at"]), []
    for number in range(seen.get("contacts_7d", 0)):
        at = now - timedelta(hours=1 if number < seen["contacts_24h"] else 48)
        channel = seen["channel"] if number < seen["channel_7d"] else "another"
        contacts.append(Contact(at, channel, f"before#{number}"))
    last = moment(seen["last_active"])
    blocks = seen["exclusions"]
    return GateFacts(
        status=seen["status"],
        exclusions=None if blocks is None else [Exclusion(kind, scope, moment(end)) for kind, scope, end in blocks],
        ended_exclusions=moments(seen["ended_exclusions"]),
        harm=seen["harm"],
        harm_signs=None
        if seen["harm_signs"] is None
        else {name: datetime.fromisoformat(at) for name, at in seen["harm_signs"].items()},
        paused_until=moments(seen["paused_until"]),
        is_test=seen["is_test"],
        consents=seen["consents"],
        consent_places=seen["consent_places"],
        addresses=seen["addresses"],
        timezone=seen["timezone"],
        activity=None if not seen["activity"] else () if last is None else [last],
        contacts=None if seen["contacts"] is None else contacts,
        jurisdiction=seen["jurisdiction"],
        age=seen["age"],
        registered_at=moment(seen.get("registered_at")),
        deposits=seen.get("deposits"),
        had_bonus=seen.get("had_bonus"),
        in_play=seen.get("in_play"),
        limits_until=moments(seen["limits_until"]),
        open_checks=seen.get("open_checks"),
        registers={
            name: RegisterAnswer(listed=listed, at=datetime.fromisoformat(at))
            for name, (listed, at) in seen["registers"].items()
        },
    )


def may_send_again(seen: dict[str, Any], policy: Policy) -> Allowed | Refusal | Wait:
    message_class: MessageClass = seen["message_class"]
    sent = MessageFacts(
        channel=seen["channel"],
        message_class=message_class,
        step="again",
        suppress_if_active_today=seen["suppress_if_active_today"],
        product=seen["product"],
        asked_at=moment(seen["asked_at"]),
        by=moment(seen["by"]),
    )
    return may_send(player_of(seen), sent, policy, datetime.fromisoformat(seen["at"]))


def may_grant_again(seen: dict[str, Any], policy: Policy) -> Allowed | Refusal:
    granted = GrantFacts(kind=seen["kind"], wager_x=seen["wager_factor"], product=seen.get("product"))
    granted = replace(granted, journey_product=seen.get("journey_product"))
    return may_grant(player_of(seen), granted, policy, datetime.fromisoformat(seen["at"]))


@given(FACTS | st.none(), MESSAGES, GRANTS, INSTANTS, st.sampled_from([*BOOKS]))
@example(ASKED, message(), SPINS, NOON, "as shipped")
@settings(max_examples=examples(600, quick=150))
def test_a_decision_is_made_again_from_what_it_kept(
    facts: GateFacts | None, sent: MessageFacts, granted: GrantFacts, now: datetime, book: str
) -> None:
    policy = BOOKS[book].of("acme", facts, now)
    made: list[tuple[Any, Any]] = [
        (may_send(facts, sent, policy, now), may_send_again),
        (may_grant(facts, granted, policy, now), may_grant_again),
    ]
    for decision, again in made:
        repeated = again(json.loads(json.dumps(decision.seen, allow_nan=False)), policy)
        assert type(repeated) is type(decision)
        if isinstance(decision, Allowed):
            assert repeated.rules == decision.rules
        else:
            assert (repeated.rule, repeated.reason) == (decision.rule, decision.reason)


def test_an_allowed_message_names_the_rules_that_were_asked_and_no_other() -> None:
    inside = may_send(FREE, message("in_app"), HOUSE, NOON)
    mail = may_send(FREE, message("email"), HOUSE, NOON)
    help_ = may_send(FREE, message("email", "rg"), HOUSE, NOON)
    assert isinstance(inside, Allowed)
    assert isinstance(mail, Allowed)
    assert isinstance(help_, Allowed)
    assert set(mail.rules) - set(inside.rules) == {"address", "quiet-hours"}
    assert "active-today" not in mail.rules
    assert "too-late" not in mail.rules
    assert help_.rules == ("known-player", "deceased", "account-status", "address")
    late = may_send(FREE, message(asked_at=NOON, suppress_if_active_today=True), HOUSE, NOON)
    assert isinstance(late, Allowed)
    assert set(late.rules) - set(mail.rules) == {"active-today", "too-late"}
    spins = may_grant(FREE, SPINS, HOUSE, NOON)
    assert isinstance(spins, Allowed)
    assert "wager-cap" in spins.rules
    assert "one-product" not in spins.rules


def test_a_wagering_on_bonus_and_deposit_counts_as_what_it_is_of_the_bonus() -> None:
    def decide(percent: int, wager: int, basis: Any = "bonus_plus_deposit") -> tuple[int, Any]:
        grant = GrantFacts.of(deposit_match(percent, 5000, wager=wager, wager_basis=basis))
        decision = may_grant(FREE, grant, HOUSE, NOON)
        assert (decision.seen["wager_basis"], decision.seen["wager_factor"]) == (basis, grant.wager_factor)
        return grant.wager_factor, reason(decision)

    assert decide(100, 5) == (10, None)
    assert decide(100, 6) == (12, Reason.WAGER_TOO_HIGH)
    assert decide(100, 10) == (20, Reason.WAGER_TOO_HIGH)
    assert decide(100, 10, "bonus") == (10, None)
    assert decide(200, 6) == (9, None)
    assert decide(200, 7) == (11, Reason.WAGER_TOO_HIGH), "ten and a half times is more than ten"
    assert decide(50, 3) == (9, None)
    assert decide(50, 4) == (12, Reason.WAGER_TOO_HIGH)
