"""Which country a player is of decides which law holds: a code that nobody knows is told, and two are read as ISO's."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.gate import NOON
from workflows import PlayerRegistered, ProfileUpdated, policy
from workflows.countries import COUNTRIES, in_iso, is_country
from workflows.events import Event, parse_event
from workflows.player_state.ordering import Word
from workflows.player_state.state import PlayerState


def read(kind: type[Event], *, stored: bool = False, **data: Any) -> Event:
    return parse_event(kind.wire_type, data, event_id="e", event_source="/t", occurred_at=NOON, stored=stored)


@pytest.mark.parametrize(
    ("told", "place"), [("GB", "GB"), ("UK", "GB"), ("EL", "GR"), ("CA-ON", "CA-ON"), ("XK", "XK"), ("UA", "UA")]
)
def test_a_country_is_read_as_iso_spells_it(told: str, place: str) -> None:
    state = PlayerState("acme", "p-1")
    for event in (read(PlayerRegistered, jurisdiction=told), read(ProfileUpdated, changed={"jurisdiction": told})):
        state.learn(event, Word(NOON, live=True))
        assert state.jurisdiction == place
    if "-" not in told:
        assert getattr(read(PlayerRegistered, country=told), "country") == place  # noqa: B009 - any event's


@pytest.mark.parametrize("told", ["XX", "ZZ", "AA", "EU", "QQ-ON"])
def test_a_country_that_nobody_knows_is_refused(told: str) -> None:
    for kind, data in (
        (PlayerRegistered, {"jurisdiction": told}),
        (ProfileUpdated, {"changed": {"jurisdiction": told}}),
    ):
        with pytest.raises(ValidationError, match="a country that ISO 3166-1 knows"):
            read(kind, **data)


@pytest.mark.parametrize("told", ["UK", "XX"])
def test_what_was_kept_before_is_still_read_as_it_was(told: str) -> None:
    assert getattr(read(PlayerRegistered, country=told, stored=True), "country") == told  # noqa: B009 - any event's
    changed = read(ProfileUpdated, changed={"country": told}, stored=True)
    assert isinstance(changed, ProfileUpdated)
    assert changed.changed["country"] == told


def test_a_player_who_was_kept_as_of_the_uk_is_under_the_law_of_gb() -> None:
    state = PlayerState.from_json("acme", "p-1", {"facts": {"country": "UK"}})
    assert state.jurisdiction == "GB"


def test_a_policy_is_for_the_country_that_is_meant() -> None:
    assert policy("mine", since=NOON.date(), jurisdiction="UK").jurisdiction == "GB"


def test_the_countries_are_those_of_the_standard_and_kosovo() -> None:
    assert len(COUNTRIES) == 249 + 1
    assert is_country("US-NJ")
    assert not is_country("UK")
    assert in_iso("UK-ENG") == "GB-ENG"
