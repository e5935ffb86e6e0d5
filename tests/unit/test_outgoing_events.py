"""The types of outgoing events, the filters of subscriptions, and the secrets that sign."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.outgoing.signing_secrets import Generation, SecretLost, SigningSecrets
from workflows.errors import DesignError
from workflows.outgoing_events import FAMILIES, OUTGOING_TYPES, OutgoingEvent, filters_of, own_type, wrong_filters

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
OLD, NEW = "the old key of 24 bytes or more", "the new key of 24 bytes or more"


@pytest.mark.parametrize("kind", [*OUTGOING_TYPES, "journey.hello"])
def test_a_type_passes_by_its_name_its_family_and_everything(kind: str) -> None:
    family = kind.partition(".")[0]
    assert filters_of(kind) == [kind, f"{family}.*", "*"]
    assert wrong_filters(filters_of(kind)) == []
    assert family in FAMILIES


@pytest.mark.parametrize(
    "wrong", ["task.*.x", "task", "tsk.*", "task.opend", "journey.", "journey.Hello", "**", ".*", ""]
)
def test_a_filter_that_lets_nothing_pass_is_told_with_what_there_is(wrong: str) -> None:
    (sentence,) = wrong_filters([wrong])
    assert "task.*" in sentence


def test_an_event_has_its_types_fields_and_leaves_out_what_there_is_none_of() -> None:
    row = {"brand": "acme", "player_id": "p", "run_id": "r", "journey": "j", "outcome": None, "secret": "x"}
    event = OutgoingEvent.about("run.ended", row, NOW)
    assert (event.brand, event.player_id, event.data) == ("acme", "p", {"run_id": "r", "journey": "j"})


@pytest.mark.parametrize("name", ["", "Hello", "a b", "1st", "x" * 41, "a.b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of an outgoing event"):
        own_type(name)


def test_a_secret_is_made_of_a_key_a_subscription_and_a_number_and_of_nothing_else() -> None:
    keys = SigningSecrets((OLD,))
    (first,) = keys.first()
    assert keys.secret("wh_1", first) == SigningSecrets((OLD,)).secret("wh_1", first)
    others = [keys.secret("wh_2", first), keys.secret("wh_1", first._replace(number=2))]
    assert keys.secret("wh_1", first) not in others
    assert OLD not in keys.secret("wh_1", first)


def test_a_new_key_makes_new_secrets_and_known_ones_stay_until_the_old_key_goes() -> None:
    (first,) = SigningSecrets((OLD,)).first()
    both, alone = SigningSecrets((NEW, OLD)), SigningSecrets((NEW,))
    assert both.secret("wh_1", first) == SigningSecrets((OLD,)).secret("wh_1", first)
    assert both.first()[0].key != first.key
    with pytest.raises(SecretLost):
        alone.secret("wh_1", first)


def test_an_old_secret_signs_until_the_overlap_ends_and_no_later_rotation_makes_it_live_longer() -> None:
    keys = SigningSecrets((OLD,))
    soon, later = NOW + timedelta(hours=1), NOW + timedelta(days=5)
    once = keys.rotated(keys.first(), NOW, soon)
    twice = keys.rotated(once, NOW, later)
    assert [(one.number, one.until) for one in twice] == [(3, None), (2, later), (1, soon)]
    assert len(keys.signing("wh_1", twice, NOW)) == 3
    assert keys.signing("wh_1", twice, later) == [keys.secret("wh_1", twice[0])]
    assert [one.number for one in keys.rotated(twice, later, later)] == [4]
    assert [Generation.read(one.as_json()) for one in twice] == twice


@pytest.mark.parametrize("keys", [(), ("short",), (OLD, "short")])
def test_a_key_that_could_be_guessed_is_refused(keys: tuple[str, ...]) -> None:
    with pytest.raises(DesignError):
        SigningSecrets(keys)
