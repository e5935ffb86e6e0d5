"""A player who has died is left alone for good, whatever a feed says afterwards."""

import pytest

from tests.support.player_events import NOON, Life
from workflows import StatusChanged, days
from workflows.field_types import AccountStatus
from workflows.player_state.merging import is_shared, join


def died() -> Life:
    life = Life()
    life.happens(StatusChanged, to="deceased", until=None)
    return life


def test_who_has_died_is_left_alone() -> None:
    life = died()
    assert (life.state.status_at(NOON), life.state.protected(NOON)) == ("deceased", "account_not_active")


@pytest.mark.parametrize("status", ["active", "pending", "closed", "suspended", "self_excluded"])
@pytest.mark.parametrize("until", [None, NOON + days(30)])
def test_no_later_status_takes_the_place_of_a_death(status: AccountStatus, until: object) -> None:
    life = died()
    life.happens(StatusChanged, after=days(1), to=status, until=until)
    assert life.state.status_at(NOON + days(1)) == "deceased"


def test_a_death_takes_the_place_of_whatever_was_known_even_of_a_newer_word() -> None:
    life = Life()
    life.happens(StatusChanged, after=days(2), to="suspended", until=NOON + days(60))
    life.happens(StatusChanged, occurred_at=NOON, to="deceased", until=None)
    assert life.state.status_at(NOON + days(3)) == "deceased"


def test_a_death_ends_at_no_moment() -> None:
    life = Life()
    life.happens(StatusChanged, to="deceased", until=NOON + days(1))
    assert life.state.status_at(NOON + days(2)) == "deceased"


def test_a_correction_takes_a_death_back() -> None:
    life = died()
    life.happens(StatusChanged, after=days(1), to="active", reason="correction", until=None)
    assert (life.state.status_at(life.now), life.state.protected(life.now)) == ("active", None)


@pytest.mark.parametrize("other", ["active", "closed"])
def test_the_death_of_one_account_is_that_of_the_persons_others(other: AccountStatus) -> None:
    life, second = died(), Life()
    second.happens(StatusChanged, to=other, until=None)
    join([life.state, second.state], NOON)
    assert second.state.status_at(NOON) == life.state.status_at(NOON) == "deceased"
    assert is_shared(StatusChanged(event_id="1", event_source="/x", occurred_at=NOON, to="deceased"))
