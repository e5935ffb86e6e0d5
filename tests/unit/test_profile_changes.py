"""A profile update is read as a registration is: the same values, refused where they stand, and nothing dropped."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from workflows.events import Event, PlayerRegistered, ProfileUpdated, parse_event
from workflows.events.base import ENVELOPE
from workflows.events.player import ProfileChanges

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def parse(kind: type[Event], data: dict[str, Any]) -> Any:
    return parse_event(kind.wire_type, data, event_id="e-1", event_source="/test", occurred_at=NOON)


#: What a registration refuses, by field, and what it reads.
NONSENSE: dict[str, list[Any]] = {
    "timezone": ["Mars/Phobos", "+03:00", "GMT+3"],
    "country": ["Ukraine", "ua"],
    "currency": ["euro"],
    "language": ["English language"],
    "birth_date": ["1990-02-30", "17.05.1990"],
    "email": [5],
    "phone": ["1" * 101],
    "device": ["fridge"],
    "affiliate_id": [""],
    "is_test": ["perhaps"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in NONSENSE.items() for value in values])
def test_a_profile_update_refuses_what_a_registration_refuses_and_points_at_it(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        parse(PlayerRegistered, {field: value})
    with pytest.raises(ValidationError) as error:
        parse(ProfileUpdated, {"changed": {"bio": "chess", field: value}})
    assert [fault["loc"][:2] for fault in error.value.errors()] == [("changed", field)]


def test_a_profile_update_may_change_all_that_a_registration_has_and_erase_it() -> None:
    fields = PlayerRegistered.model_fields.keys() - ENVELOPE
    assert ProfileChanges.model_fields.keys() == fields
    changed = {**PlayerRegistered.example_data, "bio": "chess", "opted_in": None}
    assert parse(ProfileUpdated, {"changed": changed}).changed == changed
    assert parse(ProfileUpdated, {"changed": dict.fromkeys(fields)}).changed == dict.fromkeys(fields)


def test_a_box_that_was_ticked_is_no_change_of_the_profile() -> None:
    with pytest.raises(ValidationError, match=r"consent\.changed") as error:
        parse(ProfileUpdated, {"changed": {"opted_in": ["email"]}})
    assert [fault["loc"] for fault in error.value.errors()] == [("changed", "opted_in")]
