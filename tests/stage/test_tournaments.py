"""Tournaments on the stage: the rehearsed players beside made-up rivals, closed and paid by the world's own clock."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.world.world import World
from workflows import ExclusionSet, PlayerRegistered, RoundCompleted, days, hours, minutes
from workflows.source.journey_loading import load

#: A Monday.
MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)
REGISTRY = load(("tests.support.tournament_program",))
ROUND: dict[str, Any] = {"game_id": "g", "category": "slot", "currency": "EUR"}
RACE, CUP = "race:2026-03-09", "cup:2026-03-09"


class Casino(World):
    """A world with players in Denmark."""

    def __init__(self) -> None:
        super().__init__(REGISTRY, read_template_facts([SHIPPED_TEMPLATES]), MORNING)
        self.told = 0
        for player in ("p", "q"):
            self.happens(PlayerRegistered, player, timezone="Europe/Copenhagen", country="DK", birth_date="1980-01-01")

    def happens(self, kind: type[Any], player_id: str = "p", /, **data: Any) -> None:
        self.told += 1
        envelope = {"event_id": f"e{self.told}", "event_source": "/test", "occurred_at": self.now}
        self.happen(player_id, kind(**envelope, **data))

    def plays(self, player_id: str, stake: int, win: int = 0) -> None:
        self.happens(RoundCompleted, player_id, round_id=f"r{self.told}", stake_minor=stake, win_minor=win, **ROUND)

    def points(self, player: str) -> int:
        loyalty = self.player(player).loyalty
        return 0 if loyalty is None else sum(one.available for one in loyalty.points.values())


@pytest.fixture
def casino() -> Iterator[Casino]:
    with Casino() as opened:
        yield opened


def test_i33_a_race_is_closed_paid_and_told_as_in_production(casino: Casino) -> None:
    casino.plays("p", 3_000)
    casino.plays("q", 1_000)
    casino.rival("race", "rival", 2_000)
    casino.rival("race", "other", 1_500)
    casino.advance_to(MORNING + days(7))
    board = casino.boards.boards[RACE]
    assert board.places == {1: ("p", 3_000), 2: ("rival", 2_000), 3: ("other", 1_500), 4: ("q", 1_000)}
    assert (casino.points("p"), casino.points("q")) == (500, 0)
    assert [(one.player_id, one.kind, one.status) for one in casino.grants] == [("q", "free_spins", "confirmed")]
    assert board.outcomes == {"p": "paid", "q": "granted"}
    assert [one.player_id for one in casino.runs.values() if one.journey == "champion"] == ["p"]


def test_seats_are_taken_by_a_button_and_end(casino: Casino) -> None:
    casino.rival("cup", "a", 150)
    casino.rival("cup", "b", 140)
    assert casino.press("p", "register", "cup") is None
    assert casino.press("p", "register", "cup") is None
    assert casino.press("q", "register", "cup") == "full"
    assert casino.press("q", "register", "nothing") == "unknown"
    casino.plays("p", 100, win=500)
    casino.plays("q", 100, win=900)
    casino.advance_to(MORNING + days(7))
    assert casino.boards.boards[CUP].places == {1: ("p", 500), 2: ("a", 150), 3: ("b", 140)}
    assert casino.boards.boards[CUP].outcomes == {"p": "paid"}
    assert [one.amount for _, one in casino.transfers if one.ref.startswith(CUP)] == [100]


def test_case_20_an_excluded_leader_has_no_place_and_nothing_changes_after_the_close(casino: Casino) -> None:
    for player, stake in (("p", 3_000), ("q", 1_000)):
        casino.plays(player, stake)
    casino.rival("race", "rival", 500)
    casino.happens(ExclusionSet, "p", kind="self_exclusion", until=None)
    casino.advance_to(datetime(2026, 3, 16, tzinfo=UTC) + minutes(16))
    places = {1: ("q", 1_000), 2: ("rival", 500)}
    assert casino.boards.boards[RACE].places == places
    casino.plays("q", 1_000)
    casino.advance_to(casino.now + hours(1))
    assert casino.boards.boards[RACE].places == places
    assert casino.points("p") == 0
