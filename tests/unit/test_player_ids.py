"""Whose an event is: the ids other systems make, and what is said of one that is none."""

import pytest

from api.cloudevents import PLAYER_ID_IS, is_player_id, read_event
from api.integrations.fasttrack.to_events import read_login
from api.integrations.outcomes import MessageRefused, Outcome
from api.integrations.segment.to_events import read_message
from tests.support.integration_messages import BASE, NOON, TRACK, WORDS, cloud_event

NO_IDS = ["_k3", "-k3", "", " p", "p 1", "p\n", "a/b", "jürgen", "x" * 65, "auth0|abc", "..", "{0b1e}"]


def faults(outcome: Outcome) -> list[str]:
    assert isinstance(outcome, MessageRefused)
    return [fault["detail"] for fault in outcome.faults]


@pytest.mark.parametrize("player_id", ["p", "7", "p@x.example", "p:1", "p+1", "p=1", "p~", "p.a", "x" * 64])
def test_an_id_of_letters_digits_and_some_marks_is_taken(player_id: str) -> None:
    assert is_player_id(player_id)


@pytest.mark.parametrize("player_id", NO_IDS)
def test_an_id_that_is_none_is_refused_with_a_sentence_that_is_true_of_it(player_id: str) -> None:
    event = cloud_event("session.login", {}) | {"subject": player_id}
    native = read_event(event, "acme", NOON)
    assert isinstance(native, list)
    said = [
        native[0]["detail"],
        *faults(read_message(TRACK | {"userId": player_id}, None, WORDS, NOON)),
        *(faults(read_login(BASE | {"user_id": player_id}, WORDS)) if player_id else []),
    ]
    assert all(sentence.endswith(PLAYER_ID_IS) for sentence in said)
    assert "the first of them a letter or a digit" in PLAYER_ID_IS
