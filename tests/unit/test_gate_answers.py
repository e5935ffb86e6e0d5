"""What the gate answers, word for word: each refusal with its sentence, and what a decision keeps.

A sentence is read by people and a record by courts, so both are held whole in `tests/golden/gate_answers.json`. To
store new ones after they were changed on purpose: RECORD_ANSWERS=1 pytest tests/unit/test_gate_answers.py
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import time
from pathlib import Path
from typing import Any, Final

from tests.support.gate import DAY, FREE, NOON, SPINS, TICK, contacts, message
from workflows.channels import Channel
from workflows.gate.bonus_fit import BonusFit
from workflows.gate.bonus_value import DayBudget, over_budget
from workflows.gate.channel_rates import ChannelRates, HouseRate
from workflows.gate.decide import may_grant, may_send
from workflows.gate.decision import Allowed
from workflows.gate.facts import GateFacts, GrantFacts, RegisterAnswer
from workflows.gate.policy import Policy
from workflows.gate.quiet_hours import Night
from workflows.gate.send_choice import Heard, SeenByChoice, choose
from workflows.player_state.exclusion_blocks import Block, Exclusion
from workflows.send_choices import Choose

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "gate_answers.json"
#: A policy by which every rule speaks, and a player with whom all of them are content.
STRICT: Final = Policy(
    name="strict",
    per_day=3,
    per_week=4,
    channel_per_week={"email": 3},
    exclusions_lapse=False,
    self_exclusion_least=90 * DAY,
    registers={"gamstop": DAY, "spelpaus": DAY},
    cooling_off=DAY,
    jurisdictions=frozenset({"GB", "SE"}),
    unknown_jurisdiction=False,
    min_age=21,
    product_consent=frozenset({"email"}),
    consent_given_here=True,
    consent_given_in=frozenset({"GB"}),
    offers_at_limit=False,
    bonus_with_open_check=False,
    vip_needs=frozenset({"kyc", "sof", "no_harm"}),
    vip_min_age=25,
    wager_cap=10,
    one_product=True,
    first_bonus_only=True,
    welcome_bonus=False,
    bonus_in_play=False,
    banned_rewards=frozenset({"cash"}),
    bonus_ceiling={"EUR": 10_000},
    bonus_fit=frozenset({BonusFit(percent=50, floor=(("EUR", 100),))}),
    holdout=5,
    bonus_after=3 * DAY,
)
PLAYER: Final = replace(
    FREE,
    jurisdiction="GB",
    excluded_in=("GB",),
    consent_places={"email": "GB", "email/casino": "GB"},
    registers={name: RegisterAnswer(listed=False, at=NOON - TICK) for name in ("gamstop", "spelpaus")},
    currency="EUR",
    net_deposits=9_000,
    bonus_value=1_000,
    arm="treated",
    holdout_place=5,
    sore="none",
    ahead=0,
    opted_out=False,
    timezone="Europe/Kyiv",
)
NEWS: Final = message(asked_at=NOON - DAY / 4, suppress_if_active_today=True, asks=True)
BONUS: Final = GrantFacts(
    kind="deposit_match", wager_x=4, wager_basis="bonus_plus_deposit", match_pct=200, product="casino",
    journey_product="casino", vip=True, value=2_000,
)  # fmt: skip
#: A player of whom everything was noted that a record keeps.
NOTED: Final = replace(
    PLAYER,
    exclusions=(Exclusion("time_out", "brand", NOON - DAY), Exclusion("time_out", "casino", NOON - 2 * DAY)),
    ended_exclusions=(NOON - 30 * DAY,),
    harm_signs={"night_play/weak": NOON - DAY},
    paused_until=(NOON - DAY,),
    limits_until=(NOON - DAY,),
    activity=(NOON - 3 * DAY, NOON - 2 * DAY),
    contacts=contacts(3 * DAY),
    in_play=False,
)


def unknown(field: str) -> GateFacts:
    return replace(PLAYER, **{field: None})


def but(**changed: Any) -> GateFacts:
    return replace(PLAYER, **changed)


ALWAYS_NIGHT: Final = Policy(nights=frozenset({Night(time(0), time(12)), Night(time(12), time(0))}))
LASTING: Final = Exclusion("register", "national", None)
OVER: Final = Block("self_exclusion", "brand", NOON - DAY, NOON - 2 * DAY)
#: By name: somebody a message is not for, or not yet.
NOT_SENT: Final[Mapping[str, GateFacts | None]] = {
    "nobody": None,
    **{f"{field} unread": unknown(field) for field in (
        "status", "exclusions", "ended_exclusions", "harm", "harm_signs", "is_test", "paused_until", "limits_until",
        "jurisdiction", "age", "consents", "addresses", "timezone", "activity", "contacts", "sore", "holdout_place",
        "registers", "consent_places",
    )},
    **{status: but(status=status) for status in ("deceased", "closed", "self_excluded", "suspended")},
    "excluded": but(exclusions=(LASTING,)),
    "time is over and no word": but(exclusions=(OVER,)),
    "on a break": but(exclusions=(Exclusion("time_out", "brand", NOON + TICK),)),
    "back only just": but(ended_exclusions=(NOON - 9 * DAY, NOON - DAY + TICK)),
    "harmed": but(harm="strong"),
    "a test": but(is_test=True),
    "paused": but(paused_until=(NOON - DAY, NOON + DAY)),
    "at a limit": but(limits_until=(NOON + TICK,)),
    "elsewhere": but(jurisdiction="FR"),
    "too young": but(age=20),
    "no consent": but(consents={"email": False}),
    "no consent to the product": but(consents={"email": True, "email/casino": False}),
    "consent to the channel alone": but(consents={"email": True}, consent_places={"email": "GB"}),
    "consent elsewhere": but(consent_places={"email/casino": "SE"}),
    "objects to profiling": but(consents={**(FREE.consents or {}), "profiling": False}),
    "no address": but(addresses=frozenset({"sms"})),
    "no such zone": but(timezone="Mars/Olympus"),
    "here today": but(activity=(NOON - DAY + TICK,)),
    "sore": but(sore="complaint"),
    "enough for a day": but(contacts=contacts(TICK, 2 * TICK, 3 * TICK, channel="sms")),
    "enough for a week": but(contacts=contacts(2 * DAY, 3 * DAY, 4 * DAY, 5 * DAY, channel="sms")),
    "enough by mail": but(contacts=contacts(2 * DAY, 3 * DAY, 4 * DAY)),
    "others go first": but(ahead=3),
    "control": but(arm="control"),
    "held out": but(holdout_place=4),
    "on a register": but(registers={"gamstop": RegisterAnswer(listed=True, at=NOON)}),
    "one register is late": but(registers={"gamstop": RegisterAnswer(listed=False, at=NOON - DAY)}),
}  # fmt: skip
#: By name: somebody a bonus is not for.
NOT_GIVEN: Final[Mapping[str, tuple[GateFacts, GrantFacts]]] = {
    **{f"{field} unread": (unknown(field), BONUS) for field in (
        "had_bonus", "deposits", "in_play", "open_checks", "passed_checks", "harm", "registered_at", "currency",
        "net_deposits", "bonus_value", "age", "holdout_place", "registers",
    )},
    "opted out": (but(opted_out=True), replace(BONUS, kind="points")),
    "wagered too often": (PLAYER, replace(BONUS, wager_x=7, match_pct=100)),
    "wagered too often, by the bonus alone": (PLAYER, replace(BONUS, wager_x=11, wager_basis="bonus")),
    "for another product": (PLAYER, replace(BONUS, product="betting")),
    "for any product": (PLAYER, replace(BONUS, product=None, journey_product=None)),
    "not the first": (but(had_bonus=True), BONUS),
    "draws in": (but(deposits=1), BONUS),
    "interrupts play": (but(in_play=True), BONUS),
    "banned": (PLAYER, replace(BONUS, kind="cash")),
    "being checked": (but(open_checks=("kyc pending", "sof pending")), BONUS),
    "a VIP without a check": (but(passed_checks=("affordability",)), BONUS),
    "a VIP with a weak sign": (but(harm="weak"), BONUS),
    "too young for a VIP": (but(age=24), BONUS),
    "a new customer": (but(registered_at=NOON - 3 * DAY + TICK), BONUS),
    "above the ceiling": (but(bonus_value=8_001, net_deposits=99_999), BONUS),
    "does not fit": (but(bonus_value=2_501), BONUS),
    "of unknown worth": (PLAYER, replace(BONUS, value=None)),
    "control": (but(arm="control"), BONUS),
    "held out": (but(holdout_place=4), BONUS),
}  # fmt: skip
#: What no strict policy lets one see: rules that others come before.
OTHERWISE: Final[Mapping[str, tuple[GateFacts, GrantFacts, Mapping[str, Any]]]] = {
    "a check is open, and it is a VIP": (
        but(open_checks=("kyc pending", "sof pending")), BONUS, {"bonus_with_open_check": True},
    ),
    "checks unread, and it is a VIP": (unknown("open_checks"), BONUS, {"bonus_with_open_check": True}),
    "age unread, and it is a VIP": (unknown("age"), BONUS, {"min_age": None}),
    "no currency, and no ceiling": (unknown("currency"), BONUS, {"bonus_ceiling": {}}),
    "where nobody serves": (unknown("jurisdiction"), BONUS, {"jurisdictions": None}),
}  # fmt: skip


def strict_but(**changed: Any) -> Policy:
    # Not a copy, which keeps what was worked out of the first.
    return Policy.model_validate({name: getattr(STRICT, name) for name in STRICT.model_fields_set} | changed)


def told(answer: Any) -> dict[str, Any]:
    """An answer as it is stored; what it saw stands with those that let pass."""
    said = {"answer": type(answer).__name__, **asdict(answer)}
    # The version of a policy is a digest of all that policies may say.
    del said["policy"]
    if not isinstance(answer, Allowed):
        del said["seen"]
    stored: dict[str, Any] = json.loads(json.dumps(said, default=str))
    return stored


def choices() -> dict[str, Any]:
    """How a channel and an hour are chosen, and the words for it."""
    yes = but(
        consents={**(FREE.consents or {}), "sms/casino": True, "profiling": True}, excluded_in=(), ended_exclusions=()
    )
    asked = Choose(
        brand="acme", player_id="p-1", journey="tip", run_id="tip:acme:p-1:1", step="send:tip#1", template="tip",
        channels=["email", "sms", "push"], otherwise="18:00",
    )  # fmt: skip
    seen = SeenByChoice(
        facts=yes, policy=Policy(), message_class="marketing", suppress_if_active_today=False, product="casino"
    )
    heard: dict[Channel, Heard] = {
        "email": Heard(8, opened=2, followed=1),
        "sms": Heard(7, opened=4, followed=3, left=1),
        "push": Heard(0),
    }
    rates = ChannelRates(version=7, rates={"email": HouseRate(mean=0.2, spread=0.01)}, counts=30)
    hours = {"18": 4, "19": 9, "20": 3}
    asking = {
        "as declared": replace(seen, facts=PLAYER),
        "of nobody": replace(seen, facts=None),
        "a sign of harm": replace(seen, facts=replace(yes, harm="weak")),
        "at a limit": replace(seen, facts=replace(yes, limits_until=(NOON + TICK,))),
        "excluded not long ago": replace(seen, facts=replace(yes, ended_exclusions=(NOON - 90 * DAY + TICK,))),
        "excluded and not over": replace(seen, facts=replace(yes, exclusions=(LASTING,))),
        "no channel": replace(seen, facts=replace(yes, consents={"profiling": True})),
        "one channel": replace(seen, facts=replace(yes, addresses=("sms",))),
        "no zone": replace(seen, facts=replace(yes, timezone=None)),
        "for their sake": replace(seen, message_class="service"),
        "too little": replace(seen, heard={"sms": Heard(4, followed=4)}, hours={"19": 9}),
        "by what they did": replace(seen, heard=heard, hours=hours),
        "by the house": replace(seen, heard=heard, hours=hours, rates=rates),
        "the channel alone": replace(seen, heard=heard),
    }
    alone = asked.model_copy(update={"otherwise": None})
    answers = {name: choose(alone if name == "the channel alone" else asked, one, NOON) for name, one in asking.items()}
    return {name: answer.model_dump(mode="json") for name, answer in answers.items()}


def answers() -> dict[str, dict[str, Any]]:
    """Every answer, by what was asked and of whom."""
    calm, night = replace(NEWS, asks=False), NOON.replace(hour=1)
    allowed = may_grant(PLAYER, BONUS, STRICT, NOON)
    assert isinstance(allowed, Allowed)
    wide = strict_but(vip_needs=frozenset({"kyc", "sof"}))
    return {
        "sent": {
            "everything known": told(may_send(NOTED, NEWS, STRICT, NOON)),
            "nothing known": told(
                may_send(GateFacts(), replace(NEWS, message_class="rg", channel="in_app"), STRICT, NOON)
            ),
            "of nobody, for nobody": told(may_send(None, NEWS, STRICT, NOON)),
            "help": told(may_send(PLAYER, message(kind="rg"), STRICT, NOON)),
            "service": told(may_send(PLAYER, message(kind="service", by=NOON + DAY), STRICT, NOON)),
        },
        "not sent": {name: told(may_send(facts, NEWS, STRICT, NOON)) for name, facts in NOT_SENT.items()},
        "not sent now": {
            "at night": told(may_send(PLAYER, replace(calm, channel="sms", product=None), Policy(), night)),
            "too late": told(may_send(PLAYER, replace(NEWS, by=NOON - TICK), STRICT, NOON)),
            "grown old": told(may_send(PLAYER, replace(NEWS, asked_at=NOON - 9 * DAY), STRICT, NOON)),
            "for no product": told(may_send(PLAYER, replace(NEWS, product=None), STRICT, NOON)),
            "no hour is left": told(may_send(PLAYER, replace(calm, channel="sms"), ALWAYS_NIGHT, NOON)),
        },
        "given": {
            "everything known": told(may_grant(NOTED, BONUS, wide, NOON)),
            "spins": told(may_grant(PLAYER, SPINS, Policy(), NOON)),
        },
        "not given": {
            **{name: told(may_grant(facts, grant, STRICT, NOON)) for name, (facts, grant) in NOT_GIVEN.items()},
            **{
                name: told(may_grant(facts, grant, strict_but(**changed), NOON))
                for name, (facts, grant, changed) in OTHERWISE.items()
            },
            "over the journey's budget": told(over_budget(DayBudget("tip", "EUR", 500), allowed, 600)),
            "over the brand's budget": told(over_budget(DayBudget("", "EUR", 500), allowed, None)),
        },
        "chosen": choices(),
    }


def test_what_the_gate_answers_is_what_is_on_record() -> None:
    said = answers()
    if os.environ.get("RECORD_ANSWERS"):
        GOLDEN.write_text(json.dumps(said, indent=1, ensure_ascii=False, sort_keys=False) + "\n", encoding="utf-8")
    assert said == json.loads(GOLDEN.read_text(encoding="utf-8"))
