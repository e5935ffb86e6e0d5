"""The numbers of the gate as values, and how several policies that apply together become one: the strictest of each.

A policy is a value: the same facts under the same policy at the same moment get the same answer, and a decision keeps
the policy's version. `workflows/gate/decide.py` applies it; `workflows/gate/policy_book.py` finds those that apply.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from workflows.channels import CHANNELS, channel_name
from workflows.errors import DesignError
from workflows.field_types import BRAND, Jurisdiction
from workflows.gate.bonus_fit import BonusFit
from workflows.gate.quiet_hours import Night
from workflows.player_state.harm_markers import MARKERS

__all__ = ["BonusFit", "Night", "policy"]

#: Classes a player must get even without marketing consent: they inform or protect and never carry an offer.
NECESSARY: Final = frozenset({"service", "rg", "security"})
#: Classes that reach even a self-excluded player: help with gambling, and the safety of the account.
PROTECTIVE: Final = frozenset({"rg", "security"})
#: Strengths of a signal of gambling harm that a policy may refuse from, the strictest first.
HARM_STRENGTHS: Final = ("weak", "medium", "strong")
_PER_WEEK: Final = {name: spec.per_week for name, spec in CHANNELS.items() if spec.per_week is not None}
_TOO_LATE_AFTER: Final = {"marketing": timedelta(hours=12), "survey": timedelta(hours=12), "service": timedelta(days=3)}
_HARM_FADES_AFTER: Final[Mapping[Literal["weak", "medium"], timedelta]] = {
    "weak": timedelta(days=30),
    "medium": timedelta(days=90),
}
_NIGHT: Final = Night(time(22), time(8))
#: In place of the value that says nothing, where every value says something.
ALWAYS: Final = object()


@dataclass(frozen=True, slots=True)
class Strictness:
    """How two policies' words on one number become one.

    `stricter` is commutative, associative and idempotent, so neither order nor repetition of policies matters.
    `nothing` is the value with which a policy says nothing: the rule is off.
    """

    stricter: Callable[[Any, Any], Any]
    nothing: object


def _smaller(one: Any, other: Any) -> Any:
    return min((value for value in (one, other) if value is not None), default=None)


def _larger(one: Any, other: Any) -> Any:
    return max((value for value in (one, other) if value is not None), default=None)


def _smaller_of_each(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _smaller(one.get(name), other.get(name)) for name in sorted({*one, *other})}


def _smaller_ceilings(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    """Of a currency that either leaves out there is nothing; without any currency there is no ceiling."""
    if not one or not other:
        return one or other
    return {name: min(one.get(name, 0), other.get(name, 0)) for name in sorted({*one, *other})}


def _larger_of_each(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _larger(one.get(name), other.get(name)) for name in sorted({*one, *other})}


def _common(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return other if one is None else one if other is None else one & other


_LEAST: Final = Strictness(_smaller, None)
_MOST: Final = Strictness(_larger, None)
_EVERY: Final = Strictness(lambda one, other: one | other, frozenset())
_IF_ALL_ALLOW: Final = Strictness(lambda one, other: one and other, nothing=True)
_IF_ANY_ASKS: Final = Strictness(lambda one, other: one or other, nothing=False)
_EACH_LEAST: Final = Strictness(_smaller_of_each, ALWAYS)
_COMMON: Final = Strictness(_common, None)
_EACH_LEAST_IF_ANY: Final = Strictness(_smaller_of_each, MappingProxyType({}))
_CEILINGS: Final = Strictness(_smaller_ceilings, MappingProxyType({}))
_EACH_MOST: Final = Strictness(_larger_of_each, MappingProxyType({}))
_LONGEST: Final = Strictness(_larger_of_each, ALWAYS)
_WEAKEST: Final = Strictness(lambda one, other: min(one, other, key=HARM_STRENGTHS.index), ALWAYS)


class Policy(BaseModel):
    """What one law, licence or house says, from a day on. What it does not set, it says nothing about.

    All caps roll: "a day" is any 24 hours and "a week" any 7 days, not a calendar day, so that midnight never
    lets two messages follow each other. A contact exactly that old no longer counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9+-]*$")] = (
        "house"
    )
    #: The first day (UTC) it is in force; the next of its name ends it.
    since: date = date.min
    #: Whose players it is for; None: every jurisdiction's, every brand's.
    jurisdiction: Jurisdiction | None = None
    brand: Annotated[str, StringConstraints(pattern=rf"^{BRAND}$")] | None = None

    per_day: Annotated[int, Field(ge=0), _LEAST] = 1
    per_week: Annotated[int, Field(ge=0), _LEAST] = 4
    channel_per_week: Annotated[Mapping[str, Annotated[int, Field(ge=0)]], _EACH_LEAST] = Field(
        default_factory=lambda: dict(_PER_WEEK), validate_default=True
    )
    #: How old a message of a class may grow, from the step that sends it on; other classes are never too old. Keep
    #: marketing's longer than the quiet hours: what waits for a morning after that is not sent.
    too_late_after: Annotated[Mapping[str, timedelta], _EACH_LEAST] = Field(
        default_factory=lambda: dict(_TOO_LATE_AFTER)
    )
    #: Quiet hours on the player's clock.
    nights: Annotated[frozenset[Night], _EVERY] = frozenset({_NIGHT})
    #: From which strength of harm signal on nothing is sold or given.
    harm_refuses_from: Annotated[Literal["weak", "medium", "strong"], _WEAKEST] = "strong"
    #: How long a weak or a medium sign of harm counts; in the second half a medium one weighs like a weak one.
    harm_fades_after: Annotated[Mapping[Literal["weak", "medium"], timedelta], _LONGEST] = Field(
        default_factory=lambda: _HARM_FADES_AFTER
    )
    #: Markers of harm that the engine derives from play and payments (`player_state/harm_markers.py`).
    harm_markers: Annotated[frozenset[str], _EVERY] = frozenset()
    #: For how long a new sign pauses promotions, by the strength of all signs together.
    harm_pauses: Annotated[Mapping[Literal["weak", "medium", "strong"], timedelta], _EACH_MOST] = Field(
        default_factory=dict
    )
    #: Whether a self-excluded player hears of a payout or a document; off until a lawyer says on.
    service_to_excluded: Annotated[bool, _IF_ALL_ALLOW] = False
    #: Whether an exclusion is over when its time is; else only somebody's word ends it.
    exclusions_lapse: Annotated[bool, _IF_ALL_ALLOW] = True
    #: How long a self-exclusion lasts at least: nothing ends it sooner, neither a word nor its time.
    self_exclusion_least: Annotated[timedelta, Field(ge=timedelta(0)), Strictness(max, timedelta(0))] = timedelta(0)
    #: The longest time-out there is; a longer one holds as it was told, and its sender is told; None: any length.
    time_out_most: Annotated[timedelta, Field(gt=timedelta(0))] | None = Field(None)
    #: By national register (`spelpaus`, `gamstop`, `oasis`, `cruks`): how old its answer may be when something is sold
    #: or given. One that cannot be asked, or does not answer, is a no.
    registers: Annotated[
        Mapping[
            Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")],
            Annotated[timedelta, Field(gt=timedelta(0))],
        ],
        _EACH_LEAST_IF_ANY,
    ] = Field(default_factory=dict)
    #: How long after the end of an exclusion nothing is sold or given yet.
    cooling_off: Annotated[timedelta, Field(ge=timedelta(0)), Strictness(max, timedelta(0))] = timedelta(0)
    #: The jurisdictions whose players are sold to, a country with all its regions; None: any, known or not.
    jurisdictions: Annotated[frozenset[Jurisdiction] | None, _COMMON] = None
    #: Whether a player is sold to of whom nobody knows which law holds for them.
    unknown_jurisdiction: Annotated[bool, _IF_ALL_ALLOW] = True
    #: The age in years from which a player is sold to, and an unknown one is none; None: whoever is not known to be
    #: under 18.
    min_age: Annotated[int, Field(ge=0)] | None = Field(None)
    #: Channels on which a consent must name the product it is for.
    product_consent: Annotated[frozenset[str], _EVERY] = frozenset()
    #: Whether a consent must have been given in the player's own jurisdiction.
    consent_given_here: Annotated[bool, _IF_ANY_ASKS] = False
    #: The jurisdictions in one of which a consent must have been given, a country with all its regions; None: anywhere.
    consent_given_in: Annotated[frozenset[Jurisdiction] | None, _COMMON] = None
    #: Whether an objection to profiling (a No to the channel `profiling`) ends marketing.
    profiling_objection: Annotated[bool, _IF_ANY_ASKS] = True
    #: Whether a player who stands at a limit of their own is sold to.
    offers_at_limit: Annotated[bool, _IF_ALL_ALLOW] = True
    #: Whether a player may get a bonus while a check of them is open: identity, affordability, source of funds.
    bonus_with_open_check: Annotated[bool, _IF_ALL_ALLOW] = True
    #: What a VIP reward needs of its player: checks that were passed and are good now (`kyc`, `affordability`, `sof`),
    #: and `no_harm`, that no sign of harm is in force. A check that is open is in the way of it too.
    vip_needs: Annotated[frozenset[Literal["kyc", "affordability", "sof", "no_harm"]], _EVERY] = frozenset()
    #: The age from which on a player may get a VIP reward, and an unknown one is none.
    vip_min_age: Annotated[int, Field(ge=0)] | None = Field(None)
    #: By currency: what may be paid in, less what was paid out, within 30 days before a check of what the player can
    #: afford is opened; minor units.
    check_net_deposits: Annotated[
        Mapping[Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")], Annotated[int, Field(ge=0)]],
        _EACH_LEAST_IF_ANY,
    ] = Field(default_factory=dict)
    #: The highest wagering a granted bonus may carry; None: no ceiling.
    wager_cap: Annotated[int, Field(ge=0)] | None = Field(10)
    #: Whether an incentive keeps to one product, in what it asks for and in what it gives.
    one_product: Annotated[bool, _IF_ANY_ASKS] = False
    #: Whether only a player who had no bonus yet may get one.
    first_bonus_only: Annotated[bool, _IF_ANY_ASKS] = False
    #: Whether a player with fewer than two deposits may get a bonus.
    welcome_bonus: Annotated[bool, _IF_ALL_ALLOW] = True
    #: Whether a player may get a bonus while they play.
    bonus_in_play: Annotated[bool, _IF_ALL_ALLOW] = True
    #: Kinds of reward that nobody gets.
    banned_rewards: Annotated[frozenset[str], _EVERY] = frozenset()
    #: By currency: the most bonus value that a player gets within 30 days; minor units. Of another currency: nothing.
    bonus_ceiling: Annotated[
        Mapping[Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")], Annotated[int, Field(ge=0)]],
        _CEILINGS,
    ] = Field(default_factory=dict)
    #: What of it fits a player by what they paid in, less what was paid out, in 31 days; each of these must hold.
    bonus_fit: Annotated[frozenset[BonusFit], _EVERY] = frozenset()
    #: By currency: the most bonus value that all players of a brand get together in a day (UTC); of another: nothing.
    bonus_per_day: Annotated[
        Mapping[Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")], Annotated[int, Field(ge=0)]],
        _CEILINGS,
    ] = Field(default_factory=dict)
    #: Percent of the players who never get marketing or a bonus, for good, so that what both change can be told. The
    #: lowest places are drawn: a larger share keeps who was in it.
    holdout: Annotated[int, Field(ge=0, le=100), Strictness(max, 0)] = 0
    #: How old an account must be for a bonus; None: no such rule.
    bonus_after: Annotated[timedelta, Field(ge=timedelta(0))] | None = Field(None)

    @field_validator("channel_per_week", mode="after")
    @classmethod
    def _one_name_a_channel(cls, named: dict[str, int]) -> dict[str, int]:
        return {channel_name(name): most for name, most in named.items()}

    @field_validator("harm_markers", mode="after")
    @classmethod
    def _known_markers(cls, named: frozenset[str]) -> frozenset[str]:
        if unknown := sorted(named - MARKERS.keys()):
            raise ValueError(f"no marker is called {', '.join(unknown)}; there are {', '.join(sorted(MARKERS))}")
        return named

    @model_validator(mode="after")
    def _day_of_all_players(self) -> "Policy":
        if self.bonus_per_day and self.jurisdiction is not None:
            raise ValueError("bonus_per_day is of all players of a brand, so its policy names no jurisdiction")
        return self

    @cached_property
    def counts_bonuses(self) -> bool:
        """Whether it asks how much bonus value a player got of late."""
        return bool(self.bonus_ceiling or self.bonus_fit)

    @cached_property
    def version(self) -> str:
        """The name and a fingerprint of every number, so that two policies never share a version."""
        numbers = json.dumps(self.model_dump(mode="json", include=set(NUMBERS)), sort_keys=True)
        return f"{self.name}@{hashlib.sha256(numbers.encode()).hexdigest()[:10]}"

    @cached_property
    def numbers(self) -> Mapping[str, Any]:
        """The numbers it says something about, as JSON."""
        return MappingProxyType(self.model_dump(mode="json", include=self.model_fields_set & NUMBERS.keys()))

    @cached_property
    def spoken(self) -> frozenset[str]:
        """The numbers whose rules are on: those that are not what says nothing, set here or by default."""
        return frozenset(name for name, how in NUMBERS.items() if getattr(self, name) != how.nothing)

    @field_serializer(
        "banned_rewards", "consent_given_in", "harm_markers", "jurisdictions", "product_consent", "vip_needs"
    )
    def _in_order(self, names: frozenset[str] | None) -> list[str] | None:
        # A set has no order, and the version must be the same in every process.
        return None if names is None else sorted(names)

    @field_serializer("nights", "bonus_fit")
    def _words_in_order(self, values: frozenset[Night] | frozenset[BonusFit]) -> list[str]:
        return sorted(map(str, values))


class Policies(Protocol):
    """Whoever knows which policies apply: `policy_book.PolicyBook`, or the house's alone."""

    def at(self, brand: str, jurisdiction: str | None, now: datetime) -> Policy:
        """What they say together."""

    def drawn_as(self, brand: str) -> str:
        """The brand under whose name places in holdouts are drawn for a brand."""


#: Of numbers that may be None, pydantic keeps no metadata of the whole.
_OPTIONAL: Final = {
    "min_age": _MOST,
    "vip_min_age": _MOST,
    "wager_cap": _LEAST,
    "bonus_after": _MOST,
    "time_out_most": _LEAST,
}
#: By number: how policies that apply together become one.
NUMBERS: Final[Mapping[str, Strictness]] = MappingProxyType(
    {
        name: found
        for name, info in Policy.model_fields.items()
        if (found := next((one for one in info.metadata if isinstance(one, Strictness)), _OPTIONAL.get(name)))
    }
)


def policy(
    name: str, *, since: date, jurisdiction: str | None = None, brand: str | None = None, **numbers: Any
) -> Policy:
    """What a law or a house says from `since` on, as a value beside the journeys: found at start-up like segments.

    `jurisdiction` is a country ("GB") or one of its regions ("CA-ON"), `brand` one of yours; without them it is for
    everybody. `numbers` are those of `Policy`. It can only make stricter what applies besides. The next one of the
    same name takes its place from its own day on.

    Raises:
        DesignError: no policy can say that; the sentence tells which number and what it may be.
    """
    if "+" in name:
        raise DesignError(
            f"policy({name!r}, …): the + joins names of policies that apply together; choose another name."
        )
    try:
        return Policy(name=name, since=since, jurisdiction=jurisdiction, brand=brand, **numbers)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())
        raise DesignError(f"policy({name!r}, …) cannot be meant: {wrong}. It knows {', '.join(NUMBERS)}.") from None


def complete(one: Policy) -> Policy:
    """The policy with a word on every number: those it does not set become the house's."""
    return Policy(**{name: getattr(one, name) for name in ("name", "since", "jurisdiction", "brand", *NUMBERS)})


def strictest(policies: Iterable[Policy]) -> Policy:
    """One policy that allows what every one of them allows: of each number the strictest that any of them says.

    Their order and repetition do not matter, nor how they are grouped.
    """
    said: dict[str, Any] = {}
    names: set[str] = set()
    for one in policies:
        names.update(one.name.split("+"))
        for number in one.model_fields_set & NUMBERS.keys():
            value = getattr(one, number)
            said[number] = NUMBERS[number].stricter(said[number], value) if number in said else value
    return Policy(name="+".join(sorted(names)), **said)


def within(jurisdiction: str, other: str) -> bool:
    """Whether a jurisdiction is the other one, or a region of it."""
    return jurisdiction == other or jurisdiction.startswith(f"{other}-")
