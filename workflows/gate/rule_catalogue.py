"""Every rule of the gate: what it protects, where it comes from, which numbers of a policy it goes by.

`decide.py` and `reward_rules.py` apply them; what they answer names the rule. A rule whose numbers say nothing is off.
Sources are as they were read in 2026; a rule of the house has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from workflows.gate.policy import Policy

#: What may be asked about: messages by what they are for, and rewards.
Subject = Literal["protective", "service", "marketing", "reward"]


@dataclass(frozen=True, slots=True)
class LegalSource:
    """Where a rule comes from: the law or code, its section, and a page that says so."""

    law: str
    section: str
    url: str

    def __str__(self) -> str:
        return f"{self.law}, {self.section} ({self.url})" if self.section else f"{self.law} ({self.url})"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """One rule. `needs_lawyer` says what is open; such a rule is off unless a policy of the deployment turns it on."""

    id: str
    says: str
    about: frozenset[Subject]
    sources: tuple[LegalSource, ...] = ()
    #: The fields of `Policy` it goes by; none: it holds whatever the policy says.
    numbers: tuple[str, ...] = ()
    #: Whether it is on even where its numbers say nothing; they only say how far it goes.
    always: bool = False
    needs_lawyer: str | None = None

    def is_on(self, policy: Policy) -> bool:
        """Whether the policy lets it speak."""
        return self.always or not self.numbers or not policy.spoken.isdisjoint(self.numbers)


_UKGC: Final = "gamblingcommission.gov.uk/licensees-and-businesses/lccp/condition"
_GB_EXCLUSION: Final = LegalSource("GB LCCP", "SR 3.5.3", f"{_UKGC}/3-5-8-non-remote-lottery-sr-code")
_GB_HARM: Final = LegalSource(
    "GB LCCP",
    "SR 3.4.3 requirement 10",
    "gamblingcommission.gov.uk/guidance/customer-interaction-guidance-for-remote-gambling-licensees-formal-guidance",
)
_GB_BONUS: Final = LegalSource("GB LCCP", "SR 5.1.1", "harrishagan.com/?p=3938")
_MGA: Final = LegalSource("Malta Player Protection Directive", "2023", "ambergaming.com; gvzh.mt")
_SE_MARKETING: Final = LegalSource(
    "Sweden, gambling act", "ch. 15 s. 2", "igamingbusiness.com/news/sweden-warns; vaken.se"
)
_NL: Final = LegalSource(
    "Netherlands, player protection rules", "", "igamingbusiness.com nl-regulator; gamblingholland.nl"
)

_ALL: Final[frozenset[Subject]] = frozenset({"protective", "service", "marketing", "reward"})
_MESSAGES: Final[frozenset[Subject]] = frozenset({"protective", "service", "marketing"})
_OFFERS: Final[frozenset[Subject]] = frozenset({"marketing", "reward"})
_MARKETING: Final[frozenset[Subject]] = frozenset({"marketing"})
_REWARDS: Final[frozenset[Subject]] = frozenset({"reward"})

_WHO: Final = (
    GateRule(
        id="known-player",
        says="Nobody we know nothing about is contacted or rewarded: no fail-open.",
        about=_ALL,
        sources=(LegalSource("OWASP ASVS", "16.5.3", "github.com/OWASP/ASVS"),),
    ),
    GateRule(
        id="deceased",
        says="Nothing of any class goes to a player who has died, and nothing is given.",
        about=_ALL,
        sources=(LegalSource("GDPR", "art. 5(1)(d)", "gdprhub.eu Article 5"),),
    ),
    GateRule(
        id="account-status",
        says="No contact after closure; offers only to active accounts.",
        about=_ALL,
        sources=(_GB_EXCLUSION, _GB_BONUS),
    ),
    GateRule(
        id="self-exclusion",
        says="No marketing and no bonus after self-exclusion, ours or a register's. Help and account security still "
        "arrive. Where a policy says so it ends only when somebody says that it has ended.",
        about=_OFFERS | {"service"},
        sources=(
            _GB_EXCLUSION,
            LegalSource("GB LCCP", "SR 3.5.4", f"{_UKGC}/3-5-4-remote-ordinary-code"),
            LegalSource("GAMSTOP", "terms", "help.mrq.com/en/articles/1866835"),
            _MGA,
            _SE_MARKETING,
            LegalSource("Germany, GlüStV 2021", "§ 8b(1), OASIS", "sportwelt.news"),
        ),
        numbers=("exclusions_lapse", "self_exclusion_least", "service_to_excluded"),
        always=True,
    ),
    GateRule(
        id="time-out",
        says="No marketing and no bonus during a time-out, which ends by itself: in Great Britain after six weeks at "
        "most. A longer one holds all the same.",
        about=_OFFERS,
        sources=(LegalSource("GB LCCP", "SR 3.3.4", "hartpury-publications.cld.bz"),),
        numbers=("time_out_most",),
        always=True,
    ),
    GateRule(
        id="cooling-off",
        says="Nothing is sold or given yet for some time after an exclusion has ended: a day in Great Britain, a week "
        "in Malta.",
        about=_OFFERS,
        sources=(LegalSource("GB LCCP", "SR 3.5.4", f"{_UKGC}/3-5-4-remote-ordinary-code"), _MGA),
        numbers=("cooling_off",),
    ),
    GateRule(
        id="harm",
        says="No direct marketing and no new bonus on strong indicators of harm, across all products, until a trained "
        "person has judged. Signs are told or derived from play; weak and medium ones fade.",
        about=_OFFERS,
        sources=(_GB_HARM,),
        numbers=("harm_refuses_from", "harm_fades_after", "harm_markers"),
    ),
    GateRule(
        id="test-account",
        says="Test accounts are counted nowhere, so nothing is sold to them.",
        about=_OFFERS,
    ),
    GateRule(
        id="paused",
        says="Nothing is sold or given while a person, a journey or a sign of harm has paused promotions.",
        about=_OFFERS,
        numbers=("harm_pauses",),
        always=True,
    ),
    GateRule(
        id="limit",
        says="Nothing is sold or given to a player who stands at a limit of their own.",
        about=_OFFERS,
        sources=(LegalSource("GB RTS", "12", "gamblingcommission.gov.uk, RTS effective 31 October 2025"),),
        numbers=("offers_at_limit",),
        needs_lawyer="RTS 12 asks for limits and says nothing of offers to a player who has reached one.",
    ),
    GateRule(
        id="jurisdiction",
        says="Nothing is sold to a player of whom nobody knows which law holds for them, unless a licence of the brand "
        "says it; where a policy lists jurisdictions, nothing to players of another either.",
        about=_OFFERS,
        sources=(LegalSource("OWASP ASVS", "16.5.3", "github.com/OWASP/ASVS"),),
        numbers=("jurisdictions", "unknown_jurisdiction"),
    ),
    GateRule(
        id="age",
        says="Nothing is sold to a player who is known to be under 18, nor to one of unknown age unless the account "
        "service vouches for adults. Where a law sets an age, 24 in the Netherlands "
        "and 19 in Ontario, nothing is sold below it nor to a player whose age is not known.",
        about=_OFFERS,
        sources=(_NL, LegalSource("Ontario, Registrar's standards", "3", "agco.ca/book/export/html/57766")),
        numbers=("min_age",),
        always=True,
    ),
)
_HOW_OFTEN: Final = (
    GateRule(
        id="consent",
        says="Marketing and surveys only on a channel the player opted in to, and not for a product they refused.",
        about=_MARKETING,
        sources=(
            LegalSource("GB LCCP", "SR 5.1.11", "yogonet.com 2022/03/09/61701"),
            LegalSource("GDPR", "art. 6, 21", "gdprhub.eu Article 21"),
        ),
    ),
    GateRule(
        id="product-consent",
        says="On some channels a consent must name the kind of gambling; one that names none, or another, does not do.",
        about=_MARKETING,
        sources=(LegalSource("GB LCCP", "SR 5.1.12", "wiggin.co.uk; cms-lawnow.com/en/ealerts/2024/10"),),
        numbers=("product_consent",),
    ),
    GateRule(
        id="consent-place",
        says="The consent was given where the player is: one from elsewhere, or from before, does not count.",
        about=_MARKETING,
        sources=(
            LegalSource("Ontario, Registrar's standards", "2.05", "canadiangamingbusiness.com/?p=12321; agco.ca"),
        ),
        numbers=("consent_given_here", "consent_given_in"),
    ),
    GateRule(
        id="profiling",
        says="Who objects to profiling gets no marketing from journeys, for all of them go by what players do.",
        about=_MARKETING,
        sources=(LegalSource("GDPR", "art. 21(2), 21(3)", "gdprhub.eu Article 21; dataprotection.ie right-to-object"),),
        numbers=("profiling_objection",),
    ),
    GateRule(
        id="address",
        says="A message needs somewhere to go, and an address that gave three in a row back, or one for good, is none.",
        about=_MESSAGES,
    ),
    GateRule(
        id="too-late",
        says="A message that is older than its designer, or else its class, allows is not sent.",
        about=_MESSAGES,
        numbers=("too_late_after",),
    ),
    GateRule(
        id="quiet-hours",
        says="No marketing at night on the player's own clock: the house's is from 22:00 to 8:00, for text messages in "
        "the United States from 21:00.",
        about=_MARKETING,
        sources=(LegalSource("US TCPA", "8:00-21:00", "natlawreview.com 14 Mar 2025; fedsoc.org"),),
        numbers=("nights",),
    ),
    GateRule(
        id="active-today",
        says="A text that misses the player goes to nobody seen within 24 hours.",
        about=_MARKETING,
    ),
    GateRule(
        id="sore",
        says="Nobody is asked how they like it who has lost or complained within 72 hours: it would be mockery.",
        about=_MARKETING,
    ),
    GateRule(
        id="daily-cap",
        says="At most so many marketing contacts in any 24 hours, all channels together.",
        about=_MARKETING,
        numbers=("per_day",),
    ),
    GateRule(
        id="weekly-cap",
        says="At most so many marketing contacts in any 7 days, all channels together.",
        about=_MARKETING,
        numbers=("per_week",),
    ),
    GateRule(
        id="channel-weekly-cap",
        says="At most so many marketing contacts on one channel in any 7 days.",
        about=_MARKETING,
        numbers=("channel_per_week",),
    ),
)
_ORDER: Final = (
    GateRule(
        id="outranked",
        says="Where the day has room for no more, a message waits for those of journeys with a higher priority that "
        "wait for the morning, and goes if they do not.",
        about=_MARKETING,
    ),
)
_WHAT: Final = (
    GateRule(
        id="loyalty-opt-out",
        says="No points, missions, tickets, tiers and turns of wheels go to who opted out of loyalty.",
        about=_REWARDS,
    ),
    GateRule(
        id="wager-cap",
        says="Wagering stays within the ceiling, reckoned on the bonus alone even where its terms reckon it on bonus "
        "and deposit: ten times in Great Britain.",
        about=_REWARDS,
        sources=(_GB_BONUS,),
        numbers=("wager_cap",),
    ),
    GateRule(
        id="one-product",
        says="An incentive keeps to one kind of gambling, in what it asks for and in what it gives.",
        about=_REWARDS,
        sources=(_GB_BONUS, LegalSource("Gambling Commission", "blog of 12 Dec 2025", "uppermatch.com/?p=74379")),
        numbers=("one_product",),
    ),
    GateRule(
        id="first-bonus",
        says="A bonus only at the first play with the licensee; a discount or cashback is one too.",
        about=_REWARDS,
        sources=(
            LegalSource("Sweden, gambling act", "ch. 14 s. 9", "igamingbusiness.com/news/sweden-warns; vaken.se"),
        ),
        numbers=("first_bonus_only",),
    ),
    GateRule(
        id="welcome-bonus",
        says="No bonus that draws somebody in: none before the second deposit.",
        about=_REWARDS,
        sources=(
            LegalSource("Brazil, Portaria SPA/MF 1.231/2024", "", "starspay.com/?p=1089; infoplay.info 2024-08-02"),
        ),
        numbers=("welcome_bonus",),
    ),
    GateRule(
        id="bonus-in-play",
        says="No bonus while the player plays.",
        about=_REWARDS,
        sources=(_NL,),
        numbers=("bonus_in_play",),
    ),
    GateRule(
        id="banned-reward",
        says="Kinds of reward that the law forbids: in the Netherlands whatever is given for a loss.",
        about=_REWARDS,
        sources=(LegalSource("Netherlands, bonuses based on loss", "", "playerprotectionhub.com 2024"),),
        numbers=("banned_rewards",),
    ),
    GateRule(
        id="open-check",
        says="No bonus while a check of the player's identity, affordability or source of funds is pending, has "
        "failed or is out of date.",
        about=_REWARDS,
        sources=(
            LegalSource("GB LCCP", "SR 3.4.4", f"{_UKGC}/3-4-4-financial-vulnerability-check"),
            LegalSource("GB high value customers guidance", "31 Oct 2020", "cms-lawnow.com 2020/10"),
        ),
        numbers=("bonus_with_open_check",),
        needs_lawyer="The code asks for the check and for action, and leaves open which; for VIP rewards it is clear: "
        "see vip-check.",
    ),
    GateRule(
        id="vip-check",
        says="No VIP reward while a check of the player is open, nor before identity, affordability and source of "
        "funds are known and no sign of harm is in force. A journey says vip=True.",
        about=_REWARDS,
        sources=(LegalSource("GB high value customers guidance", "31 Oct 2020", "cms-lawnow.com 2020/10"),),
        numbers=("check_net_deposits", "vip_needs"),
    ),
    GateRule(
        id="vip-age",
        says="No VIP reward for a player under 25 in Great Britain, nor for one whose age is not known.",
        about=_REWARDS,
        sources=(LegalSource("GB industry code on high value customers", "under 25", "plic; cms-lawnow.com 2020/10"),),
        numbers=("vip_min_age",),
    ),
    GateRule(
        id="new-customer",
        says="No bonus for an account younger than the law asks: thirty days in Spain, where it holds.",
        about=_REWARDS,
        sources=(
            LegalSource("Spain, RD 958/2020", "art. 13", "gaminginspain.com; mse.dlapiper.com; IMGL Magazine 9/2025"),
        ),
        numbers=("bonus_after",),
        needs_lawyer="The Supreme Court annulled art. 13.1 and 13.3 (527/2024), and a bill of 2025 would restore them.",
    ),
)
_HOW_MUCH: Final = (
    GateRule(
        id="bonus-value",
        says="What a player gets within 30 days stays within what the house gives anybody, and fits what they paid in.",
        about=_REWARDS,
        numbers=("bonus_ceiling", "bonus_fit"),
    ),
    GateRule(
        id="bonus-budget",
        says="What all players get in a day stays within the budgets of the journey and of the brand. It is asked "
        "behind every other rule.",
        about=_REWARDS,
        numbers=("bonus_per_day",),
    ),
)
_AT_LAST: Final = (
    GateRule(
        id="control-arm",
        says="Nothing is sold or given in the control group of a journey, which is played without it; what is earned, "
        "points and tiers, arrives.",
        about=_OFFERS,
    ),
    GateRule(
        id="holdout",
        says="Nothing is sold or given, by any journey, to the share of a brand's players who are held out for good; "
        "what is earned, points and tiers, arrives.",
        about=_OFFERS,
        numbers=("holdout",),
    ),
    GateRule(
        id="register",
        says="Nothing is sold or given before the national register of excluded players has said that it does not list "
        "the player: in Sweden before each send. One that does not answer is a no. It is asked last.",
        about=_OFFERS,
        sources=(
            _SE_MARKETING,
            LegalSource("GAMSTOP", "terms", "help.mrq.com/en/articles/1866835"),
            LegalSource("Germany, GlüStV 2021", "§ 8b(1), OASIS", "sportwelt.news"),
        ),
        numbers=("registers",),
    ),
)
#: By id, in the order in which they are asked.
RULES: Final[Mapping[str, GateRule]] = MappingProxyType(
    {rule.id: rule for rule in (*_WHO, *_HOW_OFTEN, *_ORDER, *_WHAT, *_HOW_MUCH, *_AT_LAST)}
)
