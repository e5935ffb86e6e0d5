"""Brands of one group: a player of one id is one person in all of them, and some exclusions hold in every one.

What lifts is not shared: the end of an exclusion is told to each brand, for a returning player comes back to one.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from workflows.errors import DesignError
from workflows.events import Event, ExclusionSet, PlayerMerged, StatusChanged
from workflows.player_state.account_status import DECEASED
from workflows.player_state.exclusion_blocks import Block, kept
from workflows.player_state.merging import note_places
from workflows.player_state.state import PlayerState

#: Under which source the other brands of a group keep an exclusion that one of them was told. Nobody posts under it.
GROUP_SOURCE: Final = "engine:group"
#: Exclusions of this kind come from a register of a whole country, whatever scope they are told with.
REGISTER: Final = "register"
#: An account of a brand: the brand and the player's id there.
Account = tuple[str, str]
#: By brand and player: what is known, as far as it is at hand.
BrandStates = Mapping[str, Mapping[str, PlayerState]]


def reaches_group(event: Event) -> bool:
    """Whether an event protects the player in every brand of the group (GB LCCP SR 3.5.3: all databases of it)."""
    if isinstance(event, StatusChanged):
        return event.to == DECEASED
    return isinstance(event, ExclusionSet) and is_of_group(event.kind, event.scope)


def is_of_group(kind: str, scope: str) -> bool:
    """Whether an exclusion holds in every brand of the group."""
    return scope in {"group", "national"} or kind == REGISTER


@dataclass(frozen=True)
class BrandGroups:
    """Which brands belong together. Raises DesignError where a brand stands in two groups, or twice in one."""

    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = sorted(brand for brands in self.groups.values() for brand in brands)
        if twice := {one for one, other in pairwise(named) if one == other}:
            raise DesignError(
                f"BRAND_GROUPS names {', '.join(sorted(twice))} more than once; a brand belongs to one group."
            )

    def others(self, brand: str) -> tuple[str, ...]:
        """The other brands of its group."""
        group = next((brands for brands in self.groups.values() if brand in brands), ())
        return tuple(sorted(one for one in group if one != brand))

    def drawn_as(self, brand: str) -> str:
        """The brand under whose name a player's place in a holdout is drawn: the first that was named of the group.

        So a brand that others join keeps its places, as long as it stays the first.
        """
        return next((brands[0] for brands in self.groups.values() if brand in brands), brand)

    def accounts_of(self, brand: str, events: Iterable[tuple[str, Event]]) -> dict[Account, str]:
        """The accounts in other brands that these events surely reach, each with the player it is reached from."""
        others = self.others(brand)
        if not others:
            return {}
        reaching = [player_id for player_id, event in events if reaches_group(event)]
        return {(other, player_id): player_id for other in others for player_id in reaching}

    def accounts_needed(self, brand: str, new: Sequence[tuple[str, Event]], states: BrandStates) -> dict[Account, str]:
        """The accounts of these persons in any brand of the group that are not among `states`, each with the player."""
        others = self.others(brand)
        if not others:
            return {}
        merges = [event for _, event in new if isinstance(event, PlayerMerged)]
        excluding = any(reaches_group(event) for _, event in new)
        needed: dict[Account, str] = {}
        for player_id, event in new:
            if reaches_group(event) or (event in merges and (excluding or _blocks(brand, event, states))):
                person = _person({player_id, *_ends_of(event)}, states, merges)
                accounts = [(one, account) for one in (brand, *others) for account in person]
                needed |= {one: player_id for one in accounts if one[1] not in states.get(one[0], {})}
        return needed

    def reached(
        self, brand: str, player_id: str, event: Event, states: BrandStates
    ) -> tuple[list[Block], list[tuple[str, PlayerState]]]:
        """The exclusions that an event makes hold in the whole group, and the further accounts it reaches so.

        To be asked after the event was applied where it was told, which reaches the player's accounts there. A merge
        makes those hold that any of its accounts has; an exclusion speaks for itself.
        """
        others = self.others(brand)
        blocks = [] if not others or reaches_group(event) else _blocks(brand, event, states)
        if not blocks and not (others and reaches_group(event)):
            return [], []
        person = _person({player_id, *_ends_of(event)}, states, ())
        alone = {player_id, *states[brand][player_id].accounts, *_ends_of(event)}
        found = [(one, account) for one in (brand, *others) for account in person]
        return blocks, [(one, states[one][account]) for one, account in found if one != brand or account not in alone]


def _ends_of(event: Event) -> set[str]:
    return {event.survivor_id, event.absorbed_id} if isinstance(event, PlayerMerged) else set()


def _blocks(brand: str, event: Event, states: BrandStates) -> list[Block]:
    """The exclusions of the accounts of a merge that hold in the whole group."""
    accounts = _person(_ends_of(event), {brand: states[brand]}, ())
    known = (states[brand][one] for one in accounts if one in states[brand])
    return [block for state in known for block in state.exclusions if is_of_group(block.kind, block.scope)]


def _person(ids: set[str], states: BrandStates, merges: Iterable[PlayerMerged]) -> list[str]:
    """The ids of a person: these, and those of accounts that were merged with one of them in any brand at hand."""
    person, ends = set(ids), [_ends_of(merge) for merge in merges]
    while True:
        joined = [{*of_brand[one].accounts} for of_brand in states.values() for one in person if one in of_brand]
        more = set[str]().union(*joined, *(both for both in ends if not both.isdisjoint(person))) - person
        if not more:
            return sorted(person)
        person |= more


def copy_for_group(brand: str, player_id: str, event: Event) -> Event:
    """The event as the other brands keep it: without the words of a person, under an identity of its own."""
    said = f"{brand}\x00{event.event_source}\x00{event.event_id}\x00{player_id}"
    digest = hashlib.sha256(said.encode()).hexdigest()
    words = {"reason": None} if isinstance(event, ExclusionSet) else {}
    return event.model_copy(update={"event_id": digest, "event_source": GROUP_SOURCE, **words})


def hold(blocks: Iterable[Block], places: Iterable[str], state: PlayerState) -> None:
    """Have exclusions that were set in these places hold for an account, beside those it has."""
    for block in blocks:
        state.exclusions = kept(state.exclusions, block)
    note_places(state, places)
