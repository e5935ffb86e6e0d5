"""Case 45: a player who wants no part of loyalty, and one who comes back."""

from collections.abc import Iterator

import pytest

from stage.testing.rehearsal import Rehearse
from tests.stage.test_programs import MORNING, Place
from workflows import DepositApproved, PlayerMerged, RoundCompleted, RoundVoided, days
from workflows.journeys.feedback import feedback
from workflows.loyalty.loyalty_state import LoyaltyState
from workflows.loyalty.merging_points import merge_loyalty
from workflows.loyalty.program import NO_PROGRAM
from workflows.loyalty.tournament_scores import StandingsLost
from workflows.player_state.merging import merge
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex

PROGRAMS = ("workflows.programs.casino", "workflows.programs.weekly_race")


class Choosing(Place):
    """A player at the casino, who may choose."""

    @property
    def me(self) -> PlayerState:
        return self.player("p")

    def chooses(self, *, out: bool) -> None:
        self.carry_out(self.me, [*self.me.take_part(self.now, out=out)])


@pytest.fixture
def casino() -> Iterator[Choosing]:
    with Choosing(PROGRAMS[0]) as opened:
        yield opened


def test_nothing_accrues_and_what_there_is_stays(casino: Choosing) -> None:
    casino.plays("a")
    casino.chooses(out=True)
    casino.plays("b", "c")
    casino.happens(DepositApproved, 12)
    assert (casino.available, casino.me.facts.get("tier")) == (10, None)


def test_missions_do_not_move_and_no_button_does_anything(casino: Choosing) -> None:
    assert casino.press("p", "opt_in", "three_games") is None
    casino.chooses(out=True)
    casino.plays("a", "b", "c")
    casino.happens(RoundCompleted, category="slot")
    for button, name in (("claim", "first_bud"), ("spin", "daily_wheel"), ("opt_in", "five_slots")):
        assert casino.press("p", button, name) == "opted_out"  # type: ignore[arg-type]  # each of them is a button
    casino.chooses(out=False)
    assert casino.press("p", "claim", "three_games") == "not_completed"
    assert casino.press("p", "claim", "first_bud") == "not_completed"


def test_who_comes_back_earns_and_rises_again(casino: Choosing) -> None:
    casino.chooses(out=True)
    casino.plays("a")
    casino.happens(DepositApproved, 9)
    casino.chooses(out=False)
    casino.plays("b")
    casino.happens(DepositApproved)
    assert (casino.available, casino.me.facts.get("tier")) == (10, "silver")
    assert casino.press("p", "spin", "daily_wheel") is None


def test_a_tier_is_kept_while_nobody_looks(casino: Choosing) -> None:
    casino.happens(DepositApproved, 50)
    casino.chooses(out=True)
    casino.advance_to(casino.now + days(400))
    assert casino.me.facts["tier"] == "gold"


def test_what_is_voided_is_taken_back_all_the_same(casino: Choosing) -> None:
    casino.happens(RoundCompleted, round_id="r", category="slot", stake_minor=10_000, win_minor=0)
    played_at = casino.now
    casino.advance_to(casino.now + days(1))
    casino.chooses(out=True)
    casino.happens(RoundVoided, round_id="r", played_at=played_at, category="slot", stake_minor=10_000)
    assert casino.available == 0


def test_points_end_when_they_would_have_ended(casino: Choosing) -> None:
    casino.plays("a")
    casino.chooses(out=True)
    casino.advance_to(casino.now + days(400))
    assert casino.available == 0


async def test_a_journey_gives_nothing_and_nothing_instead(rehearse: Rehearse) -> None:
    run = await rehearse(feedback, programs=PROGRAMS)
    state = run.world.player(run.cast.player_id)
    state.take_part(run.now, out=True)
    await run.player_answers("nps", score=9)
    withheld = [line.detail["reason"] for line in run.world.story if line.step == "award:points#1"]
    assert (withheld, run.granted) == (["opted_out"], [])


@pytest.mark.parametrize("who", ["stays", "goes"])
def test_a_person_is_out_if_either_account_was(who: str) -> None:
    stays, goes = LoyaltyState(opted_out=who == "stays"), LoyaltyState(opted_out=who == "goes")
    merge_loyalty(stays, goes, NO_PROGRAM, MORNING, "m-1")
    assert stays.opted_out


@pytest.mark.parametrize("out", [True, False])
def test_who_is_out_by_a_merge_loses_their_places_on_boards(*, out: bool) -> None:
    accounts = {name: PlayerState("acme", name) for name in ("stays", "goes")}
    accounts["stays"].loyalty = LoyaltyState(ranked=True)
    accounts["goes"].loyalty = LoyaltyState(opted_out=out)
    merged = PlayerMerged.example().model_copy(update={"survivor_id": "stays", "absorbed_id": "goes"})
    decided = merge(merged, accounts, RuleIndex({}), MORNING, [], mode="live")
    assert (("stays", StandingsLost()) in decided) is out
