"""Words that nothing here would act on are refused with a pointer and a sentence, by whatever entrance they come."""

from typing import Any

import pytest

from api.cloudevents import read_event
from api.integrations.outcomes import Mapped
from api.integrations.segment.to_events import read_message
from api.integrations.vocabulary import Words
from api.semantic_validation import ITSELF, NO_REASON, NOT_ABOUT, UNTIL
from tests.support.integration_messages import cloud_event
from tests.support.player_events import BRAND, NOON

ACCOUNT = "Set this to a player's id, as a subject is written."
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("compliance.exclusion_ended", {"kind": "time_out", "until": "2027-01-01T00:00:00Z"}, "/until", UNTIL),
    ("compliance.harm_reviewed", {"to": "none"}, "/reason", NO_REASON),
    ("compliance.harm_reviewed", {"to": "none", "reason": " "}, "/reason", NO_REASON),
    ("player.merged", {"survivor_id": "p-1", "absorbed_id": "p-1"}, "/absorbed_id", ITSELF),
    ("player.merged", {"survivor_id": "p-2", "absorbed_id": "p-3"}, "/survivor_id", NOT_ABOUT),
    ("player.merged", {"survivor_id": "p-1", "absorbed_id": "p 2"}, "/absorbed_id", ACCOUNT),
]
TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("consent.changed", {"channel": "email", "opted_in": False, "product": "sport"}),
    ("consent.changed", {"channel": "email", "opted_in": True, "product": "all"}),
    ("consent.changed", {"channel": "email", "opted_in": True, "product": "sport"}),
    ("compliance.exclusion_set", {"kind": "register", "scope": "national", "until": "2027-01-01T00:00:00Z"}),
    ("compliance.exclusion_ended", {"kind": "time_out", "scope": "group"}),
    ("player.merged", {"survivor_id": "p-1", "absorbed_id": "p-2"}),
    ("player.merged", {"survivor_id": "p-2", "absorbed_id": "p-1"}),
]


@pytest.mark.parametrize(("kind", "data", "where", "detail"), REFUSED)
def test_a_word_that_would_change_nothing_is_refused(kind: str, data: dict[str, Any], where: str, detail: str) -> None:
    assert read_event(cloud_event(kind, data), BRAND, NOON) == [{"pointer": f"/data{where}", "detail": detail}]


@pytest.mark.parametrize(("kind", "data", "where", "detail"), REFUSED)
def test_it_is_refused_in_the_words_of_another_system_too(
    kind: str, data: dict[str, Any], where: str, detail: str
) -> None:
    track = {"type": "track", "event": kind, "userId": "p-1", "messageId": "m-1", "properties": data}
    outcome = read_message(track, None, Words(), NOON)
    assert isinstance(outcome, Mapped)
    (fact,) = outcome.facts
    assert fact.read_event(BRAND, NOON) == [{"pointer": f"/properties{where}", "detail": detail}]


@pytest.mark.parametrize(("kind", "data"), TAKEN)
def test_what_protects_is_never_refused_for_what_it_says_besides(kind: str, data: dict[str, Any]) -> None:
    assert isinstance(read_event(cloud_event(kind, data), BRAND, NOON), tuple)


@pytest.mark.parametrize("field", ["timezone", "country", "currency", "language", "birth_date", "email"])
def test_a_profile_update_with_nonsense_is_refused_where_it_stands(field: str) -> None:
    update = cloud_event("player.profile_updated", {"changed": {field: 5 if field == "email" else "no such"}})
    faults = read_event(update, BRAND, NOON)
    assert isinstance(faults, list)
    assert [fault["pointer"] for fault in faults] == [f"/data/changed/{field}"]
    assert all(fault["detail"].endswith(".") for fault in faults)
