"""A million random campaigns against the law, told in other words than the gate's own."""

import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from tests.support.gate import CHANNELS, DAY, FREE
from workflows.field_types import Product
from workflows.gate.bonus_fit import BonusFit
from workflows.gate.decide import may_grant, may_send
from workflows.gate.decision import Allowed
from workflows.gate.facts import Contact, GateFacts, GrantFacts, MessageFacts, RegisterAnswer
from workflows.gate.policy import policy
from workflows.gate.policy_book import PolicyBook
from workflows.gate.reason_sentences import LANGUAGES, told_of
from workflows.gate.reasons import Reason
from workflows.gate.rule_catalogue import RULES
from workflows.player_state.exclusion_blocks import Exclusion

HELD_OUT: Final = 5
#: A house that declares all that may be declared besides the laws.
OURS: Final = policy(
    "ours",
    since=date(2026, 1, 1),
    brand="acme",
    holdout=HELD_OUT,
    bonus_ceiling={"EUR": 7_000},
    bonus_fit={BonusFit(10, {"EUR": 500})},
)
BOOK: Final = PolicyBook(own=(OURS,))
WHERE: Final = ["GB", "MT", "SE", "NL", "DE", "ES", "CA-ON", "CA", "BR", "US", "US-NJ", "FR", "UA", None]
ZONES: Final = ["UTC", "Europe/London", "America/Toronto", "America/Sao_Paulo", "Asia/Tokyo", None]
PRODUCTS: Final[list[Product | None]] = ["casino", "casino", "betting", "bingo", None]
KINDS: Final = ["free_spins", "free_bet", "bonus_money", "cashback", "points"]


@dataclass(frozen=True)
class Campaign:
    """One player at one moment, a message and a reward."""

    facts: GateFacts
    sent: MessageFacts
    granted: GrantFacts
    now: datetime


def drawn(chance: random.Random) -> Campaign:
    """Mostly somebody who may be offered everything, with a few things against it."""
    pick, sometimes = chance.choice, chance.random
    now = datetime(2026, 2, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(60 * 24 * 300))
    where = pick(WHERE)
    consents = {name: sometimes() < 0.9 for name in (*CHANNELS, "profiling") if sometimes() < 0.8}
    consents |= {f"{name}/{pick(PRODUCTS[:4])}": sometimes() < 0.9 for name in CHANNELS if sometimes() < 0.6}

    def mostly(usual: Any, *others: Any) -> Any:
        return usual if sometimes() < 0.9 else pick(others)

    ends = pick([None, now + DAY, now - DAY, now])
    kind = pick(["self_exclusion", "time_out", "register", "operator"])
    facts = GateFacts(
        status=mostly("active", None, "closed", "suspended", "self_excluded", "deceased"),
        exclusions=mostly((), None, [Exclusion(kind, "brand", ends)]),
        harm=mostly("none", None, "weak", "medium", "strong"),
        harm_signs=mostly({}, None, {"chasing/strong": now - 400 * DAY}, {"chasing/medium": now - 2 * DAY}),
        paused_until=mostly((), None, [now - DAY], [now + DAY]),
        is_test=mostly(False, None, True),
        consents=mostly(consents, None),
        consent_places=dict.fromkeys(consents, mostly(where, None, "UA")),
        addresses=mostly(("email", "sms", "push"), None, ("sms",)),
        timezone=pick(ZONES),
        activity=(),
        contacts=mostly((), None, [Contact(now - pick([2 * DAY, DAY / 2]), "email", "other")]),
        jurisdiction=where,
        age=mostly(chance.randrange(18, 60), None, 18, 23),
        ended_exclusions=mostly((), None, [now - pick([DAY / 2, 3 * DAY, 9 * DAY])]),
        registered_at=now - 40 * DAY,
        deposits=mostly(3, None, 0, 1, 2),
        had_bonus=mostly(False, None, True),
        in_play=mostly(False, None, True),
        open_checks=mostly((), None, ["kyc rejected"]),
        passed_checks=mostly(("affordability", "kyc", "sof"), None, (), ("kyc", "sof")),
        registers=mostly(
            {"spelpaus": RegisterAnswer(listed=False, at=now)},
            None,
            {},
            {"spelpaus": RegisterAnswer(listed=True, at=now)},
            {"spelpaus": RegisterAnswer(listed=False, at=now - timedelta(seconds=30))},
        ),
    )
    facts = replace(
        facts,
        arm=mostly("treated", None, "control"),
        holdout_place=chance.randrange(100) if sometimes() < 0.95 else None,
        currency=mostly("EUR", None, "USD"),
        net_deposits=mostly(chance.randrange(-5_000, 90_000), None),
        bonus_value=mostly(chance.randrange(6_000), None),
        opted_out=mostly(False, None, True),
    )
    sent = MessageFacts(
        channel=pick(CHANNELS),
        message_class=pick(["marketing", "marketing", "survey", "service", "rg", "security"]),
        step="this",
        product=pick(PRODUCTS),
    )
    product: dict[str, Product] = {"free_spins": "casino", "free_bet": "betting"}
    reward = pick(KINDS)
    granted = GrantFacts(
        kind=reward,
        vip=sometimes() < 0.5,
        wager_x=pick([0, 5, 10, 11, 40]),
        product=product.get(reward),
        journey_product=pick(PRODUCTS),
        value=0 if reward == "points" else pick([100, 1_000, 5_000, None]),
        approved=sometimes() < 0.05,
        earned=reward == "points",
    )
    return Campaign(facts, sent, granted, now)


def unlawful_offer(one: Campaign) -> str | None:
    """What no offer may go against, a message or a reward."""
    facts, where, now = one.facts, one.facts.jurisdiction or "", one.now
    in_force = facts.exclusions is None or any(e.until is None or e.until > now for e in facts.exclusions)
    ended = facts.ended_exclusions
    wait = {"GB": DAY, "MT": 7 * DAY}.get(where)
    least = {"NL": 24, "CA-ON": 19, "CA": 19}.get(where)
    said = (facts.registers or {}).get("spelpaus")
    found = {
        "not asked of Spelpaus, or listed there": where == "SE"
        and (said is None or said.listed or now - said.at >= timedelta(seconds=30)),
        "not an active account": facts.status != "active",
        "excluded": in_force,
        "strong signs of harm, or unknown": facts.harm not in {"none", "weak", "medium"}
        or facts.harm_signs is None
        or any(name.endswith("/strong") for name in facts.harm_signs),
        "paused promotions, or unknown": facts.paused_until is None or any(at > now for at in facts.paused_until),
        "a test account, or unknown": facts.is_test is not False,
        "an exclusion that nobody lifted": where in {"GB", "DE"}
        and any(e.kind != "time_out" for e in facts.exclusions or ()),
        "only just back": wait is not None and (ended is None or any(now - at < wait for at in ended)),
        "a minor": facts.age is not None and facts.age < 18,
        "too young, or unknown": least is not None and (facts.age is None or facts.age < least),
    }
    return next((what for what, is_so in found.items() if is_so), None)


def unlawful_message(one: Campaign) -> str | None:
    """What no marketing may go against."""
    facts, sent, where, now = one.facts, one.sent, one.facts.jurisdiction or "", one.now
    consents = facts.consents or {}
    own, whole = consents.get(f"{sent.channel}/{sent.product}"), consents.get(sent.channel)
    zone = facts.timezone
    local = None if zone is None else now.astimezone(ZoneInfo(zone))
    late = 21 if where.startswith("US") and sent.channel == "sms" else 22
    place = (facts.consent_places or {}).get(f"{sent.channel}/{sent.product}" if own else sent.channel)
    found = {
        "no consent": own is False or (own is None and not whole),
        "no consent for the product": where == "GB" and sent.channel in {"email", "sms"} and own is not True,
        "consent from elsewhere": where == "CA" or (where == "CA-ON" and place != where),
        "an objection to profiling": consents.get("profiling") is False,
        "at night": sent.channel != "in_app" and (local is None or not 8 <= local.hour < late),
        "a second within a day": facts.contacts is None or any(now - c.at < DAY for c in facts.contacts),
    }
    return unlawful_offer(one) or next((what for what, is_so in found.items() if is_so), None) or compared(one)


def compared(one: Campaign) -> str | None:
    """Who gets no offers so that somebody can say what offers change."""
    place = one.facts.holdout_place
    if one.facts.arm == "control":
        return "in the control group"
    return "held out, or unknown" if place is None or place < HELD_OUT else None


def unlawful_reward(one: Campaign) -> str | None:
    """What no reward may go against."""
    facts, granted, where = one.facts, one.granted, one.facts.jurisdiction
    products = {granted.journey_product, granted.product or granted.journey_product}
    found = {
        "of a program that they want no part of": granted.kind == "points" and facts.opted_out is True,
        "wagered too often": granted.wager_x > 10,
        "two products, or unknown": where == "GB" and (len(products) > 1 or None in products),
        "a second bonus": where == "SE" and facts.had_bonus is not False,
        "a welcome": where == "BR" and (facts.deposits is None or facts.deposits < 2),
        "a VIP of whom too little is known": where == "GB"
        and granted.vip
        and (
            facts.open_checks != ()
            or len(facts.passed_checks or ()) < 3
            or facts.harm != "none"
            or facts.harm_signs != {}
        ),
        "a VIP under 25, or of unknown age": where == "GB" and granted.vip and (facts.age is None or facts.age < 25),
        "in play": where == "NL" and facts.in_play is not False,
        "for a loss": where == "NL" and granted.kind == "cashback",
        "more than fits": not granted.approved and granted.value != 0 and _is_too_much(one),
    }
    wrong = unlawful_offer(one) or next((what for what, is_so in found.items() if is_so), None)
    return wrong or (None if granted.earned else compared(one))


def _is_too_much(one: Campaign) -> bool:
    facts, value = one.facts, one.granted.value
    if value is None or facts.bonus_value is None or facts.net_deposits is None or facts.currency is None:
        return True
    fits = max(facts.net_deposits * 10 // 100, 500 if facts.currency == "EUR" else 0)
    return facts.bonus_value + value > min(fits, {"EUR": 7_000}.get(facts.currency, 0))


def explained(decision: Any, policy: str, subject: str) -> bool:
    """Whether a decision names its policy and its rules, and can be told to the player."""
    reason = None if isinstance(decision, Allowed) else str(decision.reason)
    rules = decision.rules if isinstance(decision, Allowed) else [decision.rule]
    told = told_of(reason, subject, necessary=False)
    known = bool(rules) and all(rule in RULES for rule in rules)
    return known and decision.policy == policy and told is not None and tuple(told) == LANGUAGES


def run(campaigns: int, seed: int) -> tuple[int, int]:
    """How many messages and rewards of so many campaigns were allowed; every one is held against the law."""
    chance, sent, given = random.Random(seed), 0, 0
    for number in range(campaigns):
        one = drawn(chance)
        law = BOOK.at("acme", one.facts.jurisdiction, one.now)
        message = may_send(one.facts, one.sent, law, one.now)
        grant = may_grant(one.facts, one.granted, law, one.now)
        assert explained(message, law.version, one.sent.channel), (seed, number, message)
        assert explained(grant, law.version, one.granted.kind), (seed, number, grant)
        if one.sent.message_class in {"marketing", "survey"}:
            wrong = unlawful_message(one)
            assert isinstance(message, Allowed) == (wrong is None and not _not_reachable(one)), (
                seed,
                number,
                wrong,
                message,
            )
            sent += isinstance(message, Allowed)
        wrong = unlawful_reward(one)
        assert isinstance(grant, Allowed) == (wrong is None), (seed, number, wrong, grant)
        given += isinstance(grant, Allowed)
    return sent, given


def _not_reachable(one: Campaign) -> bool:
    return one.sent.channel != "in_app" and one.sent.channel not in (one.facts.addresses or ())


def test_of_a_few_thousand_random_campaigns_none_breaks_the_law() -> None:
    sent, given = run(3_000, seed=1)
    assert min(sent, given) > 200, "Where nothing is allowed nothing is proven."


@pytest.mark.slow  # a million campaigns take a minute or two
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(10))
def test_of_a_million_random_campaigns_none_breaks_the_law(part: int) -> None:
    sent, given = run(100_000, seed=2026 + part)
    assert min(sent, given) > 5_000


def test_every_reason_has_a_rule_that_gives_it() -> None:
    seen: set[Reason] = set()
    chance = random.Random(7)
    for _ in range(8_000):
        one = drawn(chance)
        policy = BOOK.at("acme", one.facts.jurisdiction, one.now)
        for answer in (
            may_send(one.facts, one.sent, policy, one.now),
            may_grant(one.facts, one.granted, policy, one.now),
        ):
            if not isinstance(answer, Allowed):
                seen.add(answer.reason)
    never = {Reason.UNKNOWN_JURISDICTION, Reason.NEW_CUSTOMER, Reason.TOO_LATE, Reason.ACTIVE_TODAY}
    never |= {Reason.LIMIT_REACHED, Reason.OUTRANKED, Reason.SORE, Reason.OVER_JOURNEY_BUDGET, Reason.OVER_BRAND_BUDGET}
    never |= {Reason.WEEKLY_CAP, Reason.CHANNEL_WEEKLY_CAP, Reason.PROTECTED_MEANWHILE}
    assert set(Reason) - never == seen


#: What must be known before anything is sold or given; what nobody could read of it is a no.
NEEDED: Final = ("status", "exclusions", "harm", "harm_signs", "paused_until", "is_test")
#: And before a message by mail.
TO_WRITE: Final = ("consents", "addresses", "timezone", "contacts")


def without(unread: list[str]) -> GateFacts:
    nothing: dict[str, Any] = dict.fromkeys(unread)
    return replace(FREE, **nothing)


def test_of_100_000_attempts_with_facts_that_could_not_be_read_none_is_let_pass() -> None:
    chance, noon = random.Random(7), datetime(2026, 3, 10, 12, tzinfo=UTC)
    mail = MessageFacts(channel="email", message_class="marketing", step="this", product="casino")
    points = GrantFacts(kind="points", journey_product="casino", value=0)
    law = PolicyBook().at("acme", "UA", noon)
    assert isinstance(may_send(FREE, mail, law, noon), Allowed)
    assert isinstance(may_grant(FREE, points, law, noon), Allowed)
    for _ in range(100_000):
        unread = [name for name in NEEDED if chance.random() < 0.3] or [chance.choice(NEEDED)]
        facts = None if chance.random() < 0.1 else without(unread)
        assert not isinstance(may_grant(facts, points, law, noon), Allowed), unread
        if facts is not None and chance.random() < 0.5:
            unread = [chance.choice(TO_WRITE)]
            facts = without(unread)
        assert not isinstance(may_send(facts, mail, law, noon), Allowed), unread
