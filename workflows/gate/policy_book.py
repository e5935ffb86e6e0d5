"""Which policies apply to a player, and what they say together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from workflows.errors import DesignError
from workflows.gate.facts import ADULT, GateFacts
from workflows.gate.policies import HOUSE, SHIPPED
from workflows.gate.policy import NUMBERS, Policy, complete, strictest, within
from workflows.player_state.brand_groups import BrandGroups

#: Every brand is a group of its own.
ALONE: Final = BrandGroups()
#: No clock is further from UTC.
WIDEST: Final = timedelta(hours=14)
#: Days, brands and jurisdictions whose joined policies are kept at hand.
REMEMBERED: Final = 2_000


#: What holds of a player whose age nobody told, where nobody vouches that all are adults.
_UNKNOWN_AGE: Final = Policy(name="unknown-age", min_age=ADULT)
#: What holds of a player of whom nobody knows which law is theirs, where no licence says it.
_UNKNOWN_PLACE: Final = Policy(name="unknown-jurisdiction", unknown_jurisdiction=False)
#: In place of a brand: every one that has no licence of its own.
EVERY_BRAND: Final = "*"
#: What of the law of another place stays with an exclusion.
_SET_ELSEWHERE: Final = Policy(name="set-elsewhere", exclusions_lapse=False)


@dataclass(frozen=True)
class PolicyBook:
    """Every policy of a deployment: the house's, those that are shipped, and its own.

    The house's says something about every number. Of the others those of the player's jurisdiction and brand apply,
    each in the wording of the day, and of each number the strictest holds. A wording begins as soon as its day has
    begun anywhere, and the one before it holds as long as there is anywhere where it has not.

    The trap: a book made here lets an unknown age and an unknown jurisdiction pass, as on the stage. That of a
    deployment is made by `of_deployment`, and takes both for a no unless somebody vouches.
    """

    house: Policy = HOUSE
    own: tuple[Policy, ...] = ()
    shipped: tuple[Policy, ...] = SHIPPED
    #: Whether somebody vouches that every player is an adult.
    adults_only: bool = True
    #: By brand: the jurisdiction of its licence, whose law holds for players of whom none is known. None: nobody says,
    #: and they are under the house's policy alone.
    licences: Mapping[str, str] | None = None
    #: Brands in which a player of one id is one person.
    groups: BrandGroups = ALONE
    _joined: dict[tuple[str, str | None, date, int], Policy] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if mistakes := clashes(self.own):
            raise DesignError("\n".join(mistakes))
        object.__setattr__(self, "house", complete(self.house))

    def applying(self, brand: str, jurisdiction: str | None, now: datetime) -> tuple[Policy, ...]:
        """The policies in force for such a player, the house's first."""
        last, first = _days(now)
        jurisdiction = jurisdiction or self.licensed_in(brand)
        unknown = () if self.adults_only else (_UNKNOWN_AGE,)
        if jurisdiction is None and self.licences is not None:
            unknown = (*unknown, _UNKNOWN_PLACE)
        known = [one for one in (*self.shipped, *self.own, *unknown) if one.since <= first]
        # The wording of where the day begins last, and every one that has begun elsewhere since.
        oldest: dict[str, date] = {}
        for one in known:
            if one.since <= last:
                oldest[one.name] = max(one.since, oldest.get(one.name, one.since))
        wordings = (one for one in known if one.since >= oldest.get(one.name, one.since))
        found = (one for one in wordings if one.brand in {None, brand} and concerns(one, jurisdiction))
        return (self.house, *sorted(found, key=lambda one: (one.name, one.since)))

    def licensed_in(self, brand: str) -> str | None:
        """The jurisdiction of a brand's licence, None where nobody says it."""
        licences = self.licences or {}
        return licences.get(brand, licences.get(EVERY_BRAND))

    def at(self, brand: str, jurisdiction: str | None, now: datetime) -> Policy:
        """What they say together."""
        utc = now.astimezone(UTC)
        # Within two hours from an even one on, the days where one begins last and first are the same.
        key = (brand, jurisdiction, utc.date(), utc.hour // 2)
        joined = self._joined.get(key)
        if joined is None:
            if len(self._joined) >= REMEMBERED:
                self._joined.clear()
            joined = self._joined[key] = strictest(self.applying(brand, jurisdiction, now))
        return joined

    def of(self, brand: str, facts: GateFacts | None, now: datetime) -> Policy:
        """What they say together about a player of whom this is known.

        An exclusion that was set where exclusions do not lapse does not lapse where the player has gone since.
        """
        if facts is None:
            return self.at(brand, None, now)
        joined = self.at(brand, facts.jurisdiction, now)
        if facts.excluded_in and joined.exclusions_lapse:
            set_in = (self.at(brand, place, now) for place in facts.excluded_in if place != facts.jurisdiction)
            if not all(one.exclusions_lapse for one in set_in):
                return strictest([joined, _SET_ELSEWHERE])
        return joined

    def registers(self, now: datetime) -> dict[str, list[str]]:
        """By national register that is asked: the names of the policies in force somewhere that ask it."""
        _, first = _days(now)
        newest: dict[str, Policy] = {}
        for one in sorted((self.house, *self.shipped, *self.own), key=lambda one: one.since):
            if one.since <= first:
                newest[one.name] = one
        found: dict[str, list[str]] = {}
        for name, one in sorted(newest.items()):
            for register in one.registers if "registers" in one.model_fields_set else ():
                found.setdefault(register, []).append(name)
        return found

    def drawn_as(self, brand: str) -> str:
        """The brand under whose name places in holdouts are drawn for a brand: one for all of a group."""
        return self.groups.drawn_as(brand)

    def origins(self, brand: str, jurisdiction: str | None, now: datetime) -> dict[str, tuple[Policy, ...]]:
        """By number: the policies whose word holds, those that say the very same among them."""
        applying, joined = self.applying(brand, jurisdiction, now), self.at(brand, jurisdiction, now)
        found: dict[str, tuple[Policy, ...]] = {}
        for number in NUMBERS:
            whole = joined.numbers[number]
            saying = [one for one in applying if number in one.numbers]
            exact = tuple(one for one in saying if one.numbers[number] == whole)
            # A union, or a map with a part from each, comes from all who speak of it.
            found[number] = exact or tuple(saying)
        return found


def of_deployment(
    own: tuple[Policy, ...], *, adults_only: bool, licences: Mapping[str, str], groups: BrandGroups = ALONE
) -> PolicyBook:
    """The book of a deployment: unknown means no, except for what its settings vouch for."""
    return PolicyBook(own=own, adults_only=adults_only, licences=licences, groups=groups)


def concerns(one: Policy, jurisdiction: str | None) -> bool:
    """Whether a policy is for players of this jurisdiction.

    A country's is for all its regions. Of a player whose region is not known that of every region is: any may be
    theirs.
    """
    if one.jurisdiction is None:
        return True
    return jurisdiction is not None and (
        within(jurisdiction, one.jurisdiction) or one.jurisdiction.startswith(f"{jurisdiction}-")
    )


def _days(now: datetime) -> tuple[date, date]:
    """The day where it begins last, and where it begins first."""
    utc = now.astimezone(UTC)
    return (utc - WIDEST).date(), (utc + WIDEST).date()


def clashes(own: Iterable[Policy]) -> list[str]:
    """What is wrong with a deployment's own policies, a sentence each."""
    taken = {HOUSE.name, *(one.name for one in SHIPPED)}
    mistakes, seen = [], set[tuple[str, date]]()
    meant = dict[str, tuple[str | None, str | None]]()
    for one in own:
        if one.name in taken:
            mistakes.append(f"policy({one.name!r}, …): the engine ships one of that name; name yours differently.")
        if (one.name, one.since) in seen:
            mistakes.append(f"policy({one.name!r}, since={one.since}): there are two of that day; remove one.")
        seen.add((one.name, one.since))
        if meant.setdefault(one.name, (one.brand, one.jurisdiction)) != (one.brand, one.jurisdiction):
            mistakes.append(
                f"policy({one.name!r}, since={one.since}): another of that name is for another brand or jurisdiction, "
                "and the later one would take its place; name them differently."
            )
    return mistakes
