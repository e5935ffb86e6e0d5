# ruff: noqa: E501 - a case reads best on one line
"""The law, rule by rule: what is allowed, what is not, and the boundary between, each case with its source.

The numbers G1 to G21 are those of the table in docs/law.md. What a case gives the player is all that sets them apart
from one who may be offered everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.gate import CHANNELS, DAY, FREE, NOON, SPINS, TICK, message
from workflows.gate.decide import may_grant, may_send
from workflows.gate.decision import Allowed
from workflows.gate.facts import GateFacts, GrantFacts, RegisterAnswer
from workflows.gate.policy import Policy
from workflows.gate.policy_book import PolicyBook
from workflows.gate.rule_catalogue import RULES
from workflows.player_state.exclusion_blocks import Exclusion

BOOK = PolicyBook()
#: Eight with a law here, the rest of the world, and one that nobody told us.
JURISDICTIONS = ["GB", "MT", "SE", "NL", "DE", "ES", "CA-ON", "BR", "US", "UA", None]
MAIL, SMS, HELP, SERVICE = message("email"), message("sms"), message(kind="rg"), message(kind="service")


@dataclass(frozen=True)
class Case:
    """A player of a jurisdiction, what is asked for, and the rule that speaks; None: it is allowed."""

    source: str
    what: str
    where: str | None
    asked: Any
    rule: str | None
    player: Mapping[str, Any]
    now: datetime = NOON

    def __str__(self) -> str:
        return f"{self.source} {self.where}: {self.what}".replace(" ", "_")

    def answer(self) -> str | None:
        facts = replace(FREE, jurisdiction=self.where, **self.player)
        if "consent_places" not in self.player:
            facts = replace(facts, consent_places=dict.fromkeys(facts.consents or (), self.where))
        policy = BOOK.at("acme", self.where, self.now)
        return rule_of(facts, self.asked, policy, self.now)


def rule_of(facts: GateFacts, asked: Any, policy: Policy, now: datetime) -> str | None:
    decide: Any = may_grant if isinstance(asked, GrantFacts) else may_send
    decision = decide(facts, asked, policy, now)
    return None if isinstance(decision, Allowed) else decision.rule


def case(source: str, what: str, where: str | None, asked: Any, rule: str | None, **player: Any) -> Case:
    now = player.pop("now", NOON)
    return Case(source, what, where, asked, rule, player, now)


def excluded(kind: str, until: datetime | None = None, scope: str = "brand") -> list[Exclusion]:
    return [Exclusion(kind, scope, until)]


def spelpaus(ago: timedelta = timedelta(0), *, listed: bool = False) -> dict[str, RegisterAnswer]:
    return {"spelpaus": RegisterAnswer(listed, NOON - ago)}


HALF_A_MINUTE = timedelta(seconds=30)
SPIN_X = {times: replace(SPINS, wager_x=times) for times in (0, 10, 11)}
MATCH_X = {
    times: GrantFacts(kind="deposit_match", wager_x=times, wager_basis="bonus_plus_deposit", journey_product="casino")
    for times in (5, 6, 10)
}
VIP = replace(SPINS, vip=True)
BET_IN_CASINO = GrantFacts(kind="free_bet", product="betting", journey_product="casino")
BET = replace(BET_IN_CASINO, journey_product="betting")
MONEY = GrantFacts(kind="bonus_money", journey_product="casino")
CASHBACK = GrantFacts(kind="cashback", journey_product="casino")
THE_DAY_BEFORE = {"now": NOON.replace(month=1, day=18, hour=9)}

CASES = [
    # G1: no marketing after self-exclusion.
    case("G1 GB SR 3.5.3", "nobody is excluded", "GB", MAIL, None),
    case("G1 GB SR 3.5.3", "an excluded player gets no mail", "GB", MAIL, "self-exclusion", exclusions=excluded("self_exclusion")),
    case("G1 GB SR 3.5.3", "an excluded player gets no bonus", "GB", SPINS, "self-exclusion", exclusions=excluded("self_exclusion")),
    case("G1 GB SR 3.5.3", "help reaches an excluded player", "GB", HELP, None, exclusions=excluded("self_exclusion")),
    case("G1 GB SR 3.5.3", "an exclusion of the group holds here", "GB", MAIL, "self-exclusion", exclusions=excluded("self_exclusion", scope="group")),
    # Who has died is contacted by no class.
    *(case("GDPR 5(1)(d)", f"{name} to who has died", where, asked, "deceased", status="deceased") for where in ("GB", "SE", None) for name, asked in (("a mail", MAIL), ("help", HELP), ("service", SERVICE), ("security", message(kind="security")), ("a survey", message(kind="survey")), ("a bonus", SPINS))),
    case("GDPR 5(1)(d)", "who has died and was excluded", "GB", MAIL, "deceased", status="deceased", exclusions=excluded("self_exclusion")),
    case("GDPR 5(1)(d)", "help to a suspended account", "GB", HELP, None, status="suspended"),
    # G2: Sky Vegas, 41,395 excluded and 249,159 unsubscribed players in one mailing.
    case("G2 GB SR 5.1.11", "who opted in is written to", "GB", MAIL, None),
    case("G2 GB SR 5.1.11", "who unsubscribed is not", "GB", MAIL, "consent", consents={"email": False}),
    case("G2 GB SR 5.1.11", "who closed the account by excluding themselves is not", "GB", MAIL, "self-exclusion", status="self_excluded"),
    case("G2 GB SR 5.1.11", "who never said anything is not", "GB", MAIL, "consent", consents={}),
    # G3: an exclusion stays until the customer acts, and a day longer.
    case("G3 GB SR 3.5.4", "its last instant", "GB", MAIL, "self-exclusion", exclusions=excluded("self_exclusion", NOON + TICK)),
    case("G3 GB SR 3.5.4", "its time alone does not end it", "GB", MAIL, "self-exclusion", exclusions=excluded("self_exclusion", NOON - 100 * DAY)),
    case("G3 GB SR 3.5.4", "a day less an instant after the customer acted", "GB", MAIL, "cooling-off", ended_exclusions=[NOON - DAY + TICK]),
    case("G3 GB SR 3.5.4", "a day after the customer acted", "GB", MAIL, None, ended_exclusions=[NOON - DAY]),
    case("G3 GB SR 3.5.4", "unknown ends", "GB", MAIL, "cooling-off", ended_exclusions=None),
    # G4: GAMSTOP is not lifted by itself.
    case("G4 GAMSTOP", "a register's block", "GB", SPINS, "self-exclusion", exclusions=excluded("register", None, "national")),
    case("G4 GAMSTOP", "a register's block whose time is over", "GB", SPINS, "self-exclusion", exclusions=excluded("register", NOON - DAY, "national")),
    case("G4 GAMSTOP", "one that was lifted two days ago", "GB", SPINS, None, ended_exclusions=[NOON - 2 * DAY]),
    # G3: six months at least, wherever exclusions lapse by themselves. (In Great Britain none does.)
    # G5: a time-out ends by itself.
    case("G5 GB SR 3.3.4", "during it no mail", "GB", MAIL, "time-out", exclusions=excluded("time_out", NOON + DAY)),
    case("G5 GB SR 3.3.4", "during it news of one's money", "GB", SERVICE, None, exclusions=excluded("time_out", NOON + DAY)),
    case("G5 GB SR 3.3.4", "its last instant", "GB", SPINS, "time-out", exclusions=excluded("time_out", NOON + TICK)),
    case("G5 GB SR 3.3.4", "its end", "GB", SPINS, None, exclusions=excluded("time_out", NOON)),
    # G6: consent by product and channel, for mail, text messages and phone, since 1 May 2025.
    case("G6 GB SR 5.1.12", "consent that names the product", "GB", MAIL, None, consents={"email/casino": True}),
    case("G6 GB SR 5.1.12", "consent that names none", "GB", MAIL, "product-consent", consents={"email": True}),
    case("G6 GB SR 5.1.12", "consent to another product", "GB", MAIL, "consent", consents={"email/bingo": True}),
    case("G6 GB SR 5.1.12", "consent to all and to another product", "GB", SMS, "product-consent", consents={"sms": True, "sms/bingo": True}),
    case("G6 GB SR 5.1.12", "the product on another channel", "GB", SMS, "consent", consents={"email/casino": True}),
    case("G6 GB SR 5.1.12", "push is not on the list", "GB", message("push"), None, consents={"push": True}),
    case("G6 GB SR 5.1.12", "the day before, consent that names none", "GB", MAIL, None, consents={"email": True}, now=datetime(2025, 4, 30, 9, tzinfo=UTC)),
    case("G6 GB SR 5.1.12", "half past midnight on the day in London, consent that names none", "GB", MAIL, "product-consent", consents={"email": True}, now=datetime(2025, 4, 30, 23, 30, tzinfo=UTC)),
    case("G6 GB SR 5.1.12", "consent that names none elsewhere", "UA", MAIL, None, consents={"email": True}),
    case("G6 GB SR 5.1.12", "a product that was refused elsewhere", "UA", MAIL, "consent", consents={"email": True, "email/casino": False}),
    case("G6 GB SR 5.1.12", "a message about nobody knows what", "GB", message(product=None), "product-consent"),
    # G7: strong signs of harm.
    case("G7 GB SR 3.4.3 req. 10", "strong signs, no marketing", "GB", MAIL, "harm", harm="strong"),
    case("G7 GB SR 3.4.3 req. 10", "strong signs, no new bonus", "GB", SPINS, "harm", harm="strong"),
    case("G7 GB SR 3.4.3 req. 10", "medium signs", "GB", SPINS, None, harm="medium"),
    case("G7 GB SR 3.4.3 req. 10", "unknown signs", "GB", SPINS, "harm", harm=None),
    case("G7 GB SR 3.4.3 req. 10", "help all the same", "GB", HELP, None, harm="strong"),
    # G8: a restriction stays until a member of staff decides: nothing that time does lowers it.
    case("G8 GB SR 3.4.3 req. 11", "years later", "GB", SPINS, "harm", harm="strong", now=NOON + 1000 * DAY),
    # G10: ten times, one product, from 19 January 2026 on.
    case("G10 GB SR 5.1.1", "ten times", "GB", SPIN_X[10], None),
    case("G10 GB SR 5.1.1", "eleven times", "GB", SPIN_X[11], "wager-cap"),
    case("G10 GB SR 5.1.1", "five times bonus and deposit", "GB", MATCH_X[5], None),
    case("G10 GB SR 5.1.1", "six times bonus and deposit", "GB", MATCH_X[6], "wager-cap"),
    case("G10 GB SR 5.1.1", "ten times bonus and deposit", "GB", MATCH_X[10], "wager-cap"),
    case("G10 GB SR 5.1.1", "spins of a casino journey", "GB", SPINS, None),
    case("G10 GB SR 5.1.1", "a bet of a betting journey", "GB", BET, None),
    case("G10 GB SR 5.1.1", "a bet of a casino journey", "GB", BET_IN_CASINO, "one-product"),
    case("G10 GB SR 5.1.1", "a bet of a casino journey the day before", "GB", BET_IN_CASINO, None, **THE_DAY_BEFORE),
    case("G10 GB SR 5.1.1", "money that is bound to the journey's product", "GB", MONEY, None),
    case("G10 GB SR 5.1.1", "a journey about nobody knows what", "GB", replace(MONEY, journey_product=None), "one-product"),
    case("G10 GB SR 5.1.1", "a bet of a casino journey elsewhere", "UA", BET_IN_CASINO, None),
    # G11: what must be known of a player before a VIP reward.
    case("G11 GB HVC", "a VIP of whom all is known", "GB", VIP, None),
    *(case("G11 GB HVC", f"a VIP without {lacking}", "GB", VIP, "vip-check", passed_checks={"kyc", "affordability", "sof"} - {lacking}) for lacking in ("kyc", "affordability", "sof")),
    case("G11 GB HVC", "a VIP with a check that is pending", "GB", VIP, "vip-check", open_checks=["affordability/enhanced pending"]),
    case("G11 GB HVC", "a VIP of whom nobody knows the checks", "GB", VIP, "vip-check", passed_checks=None),
    case("G11 GB HVC", "a VIP with weak signs of harm", "GB", VIP, "vip-check", harm="weak"),
    case("G11 GB HVC", "a VIP of twenty-four", "GB", VIP, "vip-age", age=24),
    case("G11 GB HVC", "a VIP of twenty-five", "GB", VIP, None, age=25),
    case("G11 GB HVC", "a VIP of unknown age", "GB", VIP, "vip-age", age=None),
    case("G11 GB HVC", "others need no check", "GB", SPINS, None, open_checks=["affordability/enhanced pending"], passed_checks=(), age=24),
    case("G11 GB HVC", "a VIP elsewhere", "UA", VIP, None, passed_checks=()),
    # G13: Malta's cooling-off.
    case("G13 Malta PPD", "a week less an instant after the end", "MT", SPINS, "cooling-off", ended_exclusions=[NOON - 7 * DAY + TICK]),
    case("G13 Malta PPD", "a week after it", "MT", SPINS, None, ended_exclusions=[NOON - 7 * DAY]),
    case("G13 Malta PPD", "the last end counts", "MT", SPINS, "cooling-off", ended_exclusions=[NOON - 70 * DAY, NOON - DAY]),
    case("G13 Malta PPD", "news of a withdrawal reaches who came back", "MT", SERVICE, None, ended_exclusions=[NOON - DAY]),
    # G14: Sweden.
    case("G14 SE ch. 14 s. 9", "a first bonus", "SE", SPINS, None),
    case("G14 SE ch. 14 s. 9", "a second one", "SE", SPINS, "first-bonus", had_bonus=True),
    case("G14 SE ch. 14 s. 9", "cashback is one", "SE", CASHBACK, "first-bonus", had_bonus=True),
    case("G14 SE ch. 14 s. 9", "nobody knows whether", "SE", SPINS, "first-bonus", had_bonus=None),
    case("G14 SE ch. 14 s. 9", "a second one elsewhere", "DE", SPINS, None, had_bonus=True),
    case("G14 SE ch. 15 s. 2", "Spelpaus", "SE", MAIL, "self-exclusion", exclusions=excluded("register", None, "national")),
    case("G14 SE ch. 15 s. 2", "not in Spelpaus", "SE", MAIL, None),
    case("G14 SE ch. 15 s. 2", "Spelpaus said so half a minute less an instant ago", "SE", MAIL, None, registers=spelpaus(HALF_A_MINUTE - TICK)),
    case("G14 SE ch. 15 s. 2", "Spelpaus said so half a minute ago", "SE", MAIL, "register", registers=spelpaus(HALF_A_MINUTE)),
    case("G14 SE ch. 15 s. 2", "Spelpaus lists the player", "SE", MAIL, "register", registers=spelpaus(listed=True)),
    case("G14 SE ch. 15 s. 2", "Spelpaus lists the player, a bonus", "SE", SPINS, "register", registers=spelpaus(listed=True)),
    case("G14 SE ch. 15 s. 2", "Spelpaus listed the player a day ago and was not asked since", "SE", MAIL, "register", registers=spelpaus(DAY, listed=True)),
    case("G14 SE ch. 15 s. 2", "Spelpaus did not answer", "SE", MAIL, "register", registers={}),
    case("G14 SE ch. 15 s. 2", "Spelpaus did not answer, a bonus", "SE", SPINS, "register", registers={}),
    case("G14 SE ch. 15 s. 2", "nobody knows what Spelpaus said", "SE", MAIL, "register", registers=None),
    case("G14 SE ch. 15 s. 2", "another register answered", "SE", MAIL, "register", registers={"cruks": RegisterAnswer(listed=False, at=NOON)}),
    case("G14 SE ch. 15 s. 2", "help without Spelpaus", "SE", HELP, None, registers={}),
    case("G14 SE ch. 15 s. 2", "news of a withdrawal without Spelpaus", "SE", SERVICE, None, registers={}),
    case("G14 SE ch. 15 s. 2", "whom Swedish law is not about", "UA", MAIL, None, registers={}),
    # G15: the Netherlands.
    case("G15 NL", "twenty-three", "NL", MAIL, "age", age=23),
    case("G15 NL", "twenty-four", "NL", MAIL, None, age=24),
    case("G15 NL", "a bonus at twenty-three", "NL", SPINS, "age", age=23),
    case("G15 NL", "an unknown age", "NL", MAIL, "age", age=None),
    case("G15 NL", "help at twenty-three", "NL", HELP, None, age=23),
    case("G15 NL", "a bonus during play", "NL", SPINS, "bonus-in-play", in_play=True),
    case("G15 NL", "a bonus after play", "NL", SPINS, None, in_play=False),
    case("G15 NL", "nobody knows whether they play", "NL", SPINS, "bonus-in-play", in_play=None),
    case("G15 NL", "a bonus for a loss", "NL", CASHBACK, "banned-reward"),
    case("G15 NL", "a bonus for a loss elsewhere", "MT", CASHBACK, None),
    case("G15 NL", "CRUKS", "NL", MAIL, "self-exclusion", exclusions=excluded("register", None, "national")),
    # G16: Germany.
    case("G16 DE GlüStV", "OASIS", "DE", MAIL, "self-exclusion", exclusions=excluded("register", None, "national")),
    case("G16 DE GlüStV", "not in OASIS", "DE", MAIL, None),
    case("G16 DE § 8b", "a block whose time is over, a mail", "DE", MAIL, "self-exclusion", exclusions=excluded("register", NOON - DAY, "national")),
    case("G16 DE § 8b", "a block whose time is over, a bonus", "DE", SPINS, "self-exclusion", exclusions=excluded("register", NOON - 400 * DAY, "national")),
    case("G16 DE § 8b", "a block that was lifted", "DE", MAIL, None, ended_exclusions=[NOON - TICK]),
    case("G16 DE § 8b", "a time-out ends by itself", "DE", MAIL, None, exclusions=excluded("time_out", NOON)),
    # G17: Ontario.
    case("G17 ON std 2.05", "eighteen", "CA-ON", MAIL, "age", age=18),
    case("G17 ON std 2.05", "nineteen", "CA-ON", MAIL, None, age=19),
    case("G17 ON std 2.05", "eighteen, province unknown", "CA", MAIL, "age", age=18),
    case("G17 ON std 2.05", "eighteen in Quebec", "CA-QC", MAIL, None, age=18),
    case("G17 ON std 2.05", "province unknown, then and now", "CA", MAIL, "consent-place", consent_places={"email/casino": "CA"}),
    case("G17 ON std 2.05", "province unknown now", "CA", MAIL, "consent-place", consent_places={"email/casino": "CA-ON"}),
    case("G17 ON std 2.05", "consent from before the province was known", "CA-ON", MAIL, "consent-place", consent_places={"email/casino": "CA"}),
    case("G17 ON std 2.05", "consent from Quebec", "CA-ON", MAIL, "consent-place", consent_places={"email/casino": "CA-QC"}),
    case("G17 ON std 2.05", "consent from before it was noted where", "CA-ON", MAIL, "consent-place", consent_places={}),
    case("G17 ON std 2.05", "consent given in Ontario", "CA-ON", MAIL, None, consent_places={"email/casino": "CA-ON"}),
    case("G17 ON std 2.05", "no consent", "CA-ON", MAIL, "consent", consents={}),
    # G18: Brazil.
    case("G18 BR 1.231/2024", "before the first deposit", "BR", SPINS, "welcome-bonus", deposits=0),
    case("G18 BR 1.231/2024", "on the first deposit", "BR", SPINS, "welcome-bonus", deposits=1),
    case("G18 BR 1.231/2024", "on the second deposit", "BR", SPINS, None, deposits=2),
    case("G18 BR 1.231/2024", "nobody knows how many", "BR", SPINS, "welcome-bonus", deposits=None),
    case("G18 BR 1.231/2024", "a welcome elsewhere", "SE", SPINS, None, deposits=0),
    case("G18 BR 1.231/2024", "a mail before the first deposit", "BR", MAIL, None, deposits=0),
    # G19: an objection ends marketing on the channel, and only marketing.
    case("G19 GDPR 21", "who objected", "DE", MAIL, "consent", consents=dict.fromkeys(CHANNELS, False)),
    case("G19 GDPR 21", "who objected to profiling", "FR", MAIL, "profiling", consents={"email": True, "profiling": False}),
    case("G19 GDPR 21", "who did not", "FR", MAIL, None, consents={"email": True, "profiling": True}),
    case("G19 GDPR 21", "who objected where no such law is", "UA", MAIL, "profiling", consents={"email": True, "profiling": False}),
    case("G19 GDPR 21", "who objected and whose country nobody knows", None, MAIL, "profiling", consents={"email": True, "profiling": False}),
    case("G19 GDPR 21", "service all the same", "DE", SERVICE, None, consents=dict.fromkeys(CHANNELS, False)),
    # G21: text messages in the United States.
    case("G21 TCPA", "at 20:59", "US", SMS, None, now=NOON.replace(hour=20, minute=59)),
    case("G21 TCPA", "at 21:00", "US", SMS, "quiet-hours", now=NOON.replace(hour=21)),
    case("G21 TCPA", "at 7:59", "US-NJ", SMS, "quiet-hours", now=NOON.replace(hour=7, minute=59)),
    case("G21 TCPA", "at 8:00", "US-NJ", SMS, None, now=NOON.replace(hour=8)),
    case("G21 TCPA", "a mail at 21:00", "US", MAIL, None, now=NOON.replace(hour=21)),
    case("G21 TCPA", "a text elsewhere at 21:00", "GB", SMS, None, now=NOON.replace(hour=21)),
    case("G21 TCPA", "no clock", "US", SMS, "quiet-hours", timezone=None),
]  # fmt: skip


@pytest.mark.parametrize("one", CASES, ids=str)
def test_the_law(one: Case) -> None:
    assert one.answer() == one.rule


EVERYWHERE = [
    ("nothing stands against a mail", MAIL, None, {}),
    ("nothing stands against a first bonus", SPINS, None, {}),
    ("an exclusion in force", MAIL, "self-exclusion", {"exclusions": excluded("self_exclusion", NOON + TICK)}),
    ("an exclusion for ever", SPINS, "self-exclusion", {"exclusions": excluded("operator")}),
    ("a time-out in force", SPINS, "time-out", {"exclusions": excluded("time_out", NOON + TICK)}),
    ("a time-out that has ended", SPINS, None, {"exclusions": excluded("time_out", NOON)}),
    ("unread exclusions", MAIL, "self-exclusion", {"exclusions": None}),
    ("a closed account", MAIL, "account-status", {"status": "closed"}),
    ("an unknown account", MAIL, "known-player", {"status": None}),
    ("strong signs of harm", MAIL, "harm", {"harm": "strong"}),
    ("help in spite of harm", HELP, None, {"harm": "strong"}),
    ("help in spite of an exclusion", HELP, None, {"exclusions": excluded("register")}),
    ("no consent", MAIL, "consent", {"consents": {}}),
    ("known to be seventeen", MAIL, "age", {"age": 17}),
    ("a bonus at seventeen", SPINS, "age", {"age": 17}),
    ("help at seventeen", HELP, None, {"age": 17}),
    (
        "an objection to profiling",
        MAIL,
        "profiling",
        {"consents": {"email": True, "email/casino": True, "profiling": False}},
    ),
    ("consent to another channel", MAIL, "consent", {"consents": {"sms": True, "sms/casino": True}}),
    ("wagering at the ceiling", SPIN_X[10], None, {}),
    ("wagering above the ceiling", SPIN_X[11], "wager-cap", {}),
    ("unread contacts", MAIL, "daily-cap", {"contacts": None}),
]


@pytest.mark.parametrize("where", JURISDICTIONS)
@pytest.mark.parametrize(("what", "asked", "rule", "player"), EVERYWHERE, ids=[one[0] for one in EVERYWHERE])
def test_what_protects_a_player_holds_in_every_jurisdiction(
    where: str | None, what: str, asked: Any, rule: str | None, player: Mapping[str, Any]
) -> None:
    assert case("house", what, where, asked, rule, **player).answer() == rule


@pytest.mark.parametrize("where", JURISDICTIONS)
def test_no_fact_at_all_means_no_in_every_jurisdiction(where: str | None) -> None:
    policy = BOOK.at("acme", where, NOON)
    for asked in (MAIL, SMS, SPINS, SERVICE, message(kind="survey")):
        assert rule_of(GateFacts(jurisdiction=where), asked, policy, NOON) == "known-player"


@pytest.mark.parametrize(
    ("served", "where", "rule"),
    [
        ({"GB", "MT"}, "GB", None),
        ({"GB", "MT"}, "MT", None),
        ({"GB", "MT"}, "SE", "jurisdiction"),
        ({"GB", "MT"}, None, "jurisdiction"),
        ({"CA-ON"}, "CA-ON", None),
        ({"CA-ON"}, "CA", "jurisdiction"),
        ({"US"}, "US-NJ", None),
        (set(), "GB", "jurisdiction"),
    ],
)
def test_where_a_policy_lists_jurisdictions_no_other_is_sold_to(
    served: set[str], where: str | None, rule: str | None
) -> None:
    policy = Policy(jurisdictions=frozenset(served))
    facts = replace(FREE, jurisdiction=where)
    assert rule_of(facts, MAIL, policy, NOON) == rule
    assert rule_of(facts, SPINS, policy, NOON) == rule
    assert rule_of(facts, HELP, policy, NOON) is None


@pytest.mark.parametrize(("days", "rule"), [(29, "new-customer"), (30, None), (None, "new-customer")])
def test_spains_thirty_days_hold_where_a_deployment_turns_them_on(days: int | None, rule: str | None) -> None:
    """G10 of loyalty: RD 958/2020 art. 13, annulled by 527/2024."""
    since = None if days is None else NOON - timedelta(days=days)
    policy = Policy(bonus_after=timedelta(days=30))
    assert rule_of(replace(FREE, registered_at=since), SPINS, policy, NOON) == rule
    assert rule_of(replace(FREE, registered_at=since), SPINS, BOOK.at("acme", "ES", NOON), NOON) is None


@pytest.mark.parametrize(
    ("limits", "rule"),
    [([], None), ([NOON], None), ([NOON + TICK], "limit"), ([NOON - DAY, NOON + DAY], "limit"), (None, "limit")],
)
def test_a_limit_that_is_reached_ends_offers_where_a_deployment_turns_that_on(
    limits: list[datetime] | None, rule: str | None
) -> None:
    """G12: GB RTS 12, which says nothing of offers."""
    policy = Policy(offers_at_limit=False)
    facts = replace(FREE, limits_until=limits)
    assert rule_of(facts, MAIL, policy, NOON) == rule
    assert rule_of(facts, SPINS, policy, NOON) == rule
    assert rule_of(facts, HELP, policy, NOON) is None
    assert rule_of(replace(facts, jurisdiction="GB"), SPINS, BOOK.at("acme", "GB", NOON), NOON) is None


@pytest.mark.parametrize(("checks", "rule"), [([], None), (["kyc pending"], "open-check"), (None, "open-check")])
def test_an_open_check_ends_bonuses_where_a_deployment_turns_that_on(
    checks: list[str] | None, rule: str | None
) -> None:
    """G9 and G11: GB SR 3.4.4 and the guidance on high value customers."""
    policy = Policy(bonus_with_open_check=False)
    facts = replace(FREE, open_checks=checks)
    assert rule_of(facts, SPINS, policy, NOON) == rule
    assert rule_of(facts, MAIL, policy, NOON) is None
    assert rule_of(facts, SPINS, BOOK.at("acme", "GB", NOON), NOON) is None


def test_every_rule_of_the_gate_that_a_law_gave_stands_in_a_case() -> None:
    spoken = (
        {one.rule for one in CASES}
        | {one[2] for one in EVERYWHERE}
        | {"jurisdiction", "new-customer", "limit", "open-check"}
    )
    assert {name for name, rule in RULES.items() if rule.sources} <= spoken
