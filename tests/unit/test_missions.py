"""Missions: begun by a word, counted within their window, completed once, and given when they are claimed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.unit.test_points import NOON, POINTS, Played, a_deposit, a_round, deposits, rounds
from workflows import (
    DepositApproved,
    ExclusionSet,
    MissionCompleted,
    Player,
    PlayerRegistered,
    RoundCompleted,
    Statistics,
    badge,
    cash,
    collection,
    count,
    day,
    days,
    distinct,
    journey,
    mission,
    on,
    per,
    piece,
    player_mission,
    points,
    step,
    total,
    week,
)
from workflows.effects import Award
from workflows.errors import DesignError
from workflows.events import Event
from workflows.loyalty.loyalty_state import LoyaltyState
from workflows.loyalty.merging_points import merge_loyalty
from workflows.loyalty.mission_progress import window_of
from workflows.loyalty.missions import PlayerMission
from workflows.loyalty.program import LoyaltyProgram
from workflows.player_state.decisions import Start
from workflows.player_state.prizes import why_not_awarded
from workflows.rules.index import RuleIndex
from workflows.rules.measures import Present

GAMES = step("games", distinct(RoundCompleted, "game_id"), 3)
STAKED = step("staked", total(RoundCompleted, "stake_minor"), 5_000)
spring = collection("spring", pieces=["bud", "leaf"], gives=badge("gardener"))


@player_mission(GAMES, STAKED, gives=points(200), into=POINTS, product="casino", budget=1_000, opt_in=True, again=week)
def tour(player: Statistics) -> bool:
    """Three games and fifty of stakes in a week."""
    return player.tier != "bronze"


@player_mission(step("bud", count(DepositApproved), 1), gives=piece(spring, "bud"), product="casino")
def first_bud(_player: Statistics) -> bool:
    """A deposit."""
    return True


@player_mission(
    step("leaf", count(DepositApproved), 2), gives=piece(spring, "leaf"), product="casino", after=[first_bud]
)
def then_leaf(_player: Statistics) -> bool:
    """Two more."""
    return True


@player_mission(step("one", count(RoundCompleted), 1), gives=badge("daily"), product="casino", again=day)
def every_day(_player: Statistics) -> bool:
    """A round a day."""
    return True


@player_mission(step("seven", count(RoundCompleted), 7), gives=badge("seven"), product="casino")
def seven_ever(_player: Statistics) -> bool:
    """Seven rounds."""
    return True


@journey(on(MissionCompleted), entry=per("event_id"), ends_after=days(1))
async def well_done(player: Player, done: MissionCompleted) -> None:
    """Somebody completed something."""
    await player.mark(done.entity_id)


class Busy(Played):
    """A player with missions."""

    def __init__(self, *missions: PlayerMission) -> None:
        program = LoyaltyProgram.of([POINTS, spring, *missions])
        super().__init__(rules=RuleIndex({"well_done": well_done.definition}, {}, program))
        self.done: list[str] = []

    def keep(self, decisions: Sequence[Any]) -> None:
        triggers = [one.trigger for one in decisions if isinstance(one, Start)]
        self.done += [one.entity_id for one in triggers if isinstance(one, MissionCompleted)]
        super().keep(decisions)

    def opts_in(self, mission: PlayerMission, now: datetime = NOON) -> str | None:
        program = self.rules.loyalty
        refusal = self.state.mission_refusal(mission, program, now, self.failures)
        return refusal or self.state.begin_mission(mission, now)

    def claims(self, mission: PlayerMission, now: datetime = NOON) -> str | None:
        if (refusal := self.state.claim_refusal(mission, now)) is None:
            self.keep(self.state.claim_mission(mission, f"mission {mission.name}", now))
        return refusal

    def progress(self, mission: PlayerMission) -> int:
        held = None if self.state.loyalty is None else self.state.loyalty.missions.get(mission.name)
        return 0 if held is None or held.current is None else held.current.progress(mission)


def games(*names: str, stake: int = 2_000, at: datetime = NOON) -> list[Event]:
    return [a_round(stake, at, number=n, game_id=name) for n, name in enumerate(names)]


class TestOnce:
    def test_i18_a_mission_counts_from_the_word_on_completes_once_and_pays_once(self) -> None:
        busy = Busy(tour).happens(*games("a", "b"))
        assert busy.progress(tour) == 0
        assert busy.opts_in(tour) is None
        assert busy.opts_in(tour) == "already_opted_in"
        busy.happens(*games("a", "b"))
        assert busy.progress(tour) == (100 * 2 // 3 + 80) // 2
        assert busy.claims(tour) == "not_completed"
        busy.happens(*games("c", "d", "e"))
        assert (busy.progress(tour), busy.done) == (100, ["tour"])
        assert busy.claims(tour) is None
        assert busy.claims(tour) == "claimed"
        assert (busy.available, [one.cause for one in busy.journal]) == (200, ["mission"])
        busy.agrees()

    @settings(max_examples=examples(50))
    @given(st.lists(rounds | deposits, max_size=25), st.data())
    def test_i6_i19_progress_is_the_same_in_any_order_and_100_only_when_completed(
        self, events: list[Event], data: st.DataObject
    ) -> None:
        reached = []
        for history in (events, data.draw(st.permutations(events))):
            busy = Busy(tour, first_bud)
            busy.opts_in(tour, NOON - days(4))
            busy.happens(*history)
            for one in (tour, first_bud):
                assert 0 <= busy.progress(one) <= 100
                assert (busy.progress(one) == 100) == (one.name in busy.done)
            reached.append((busy.progress(tour), busy.progress(first_bud), sorted(busy.done)))
        assert reached[0] == reached[1]

    def test_case_4_the_instant_of_the_word_counts_and_the_one_before_it_does_not(self) -> None:
        busy = Busy(tour)
        busy.opts_in(tour)
        busy.happens(*games("a", at=NOON - timedelta(seconds=1)), *games("b"))
        assert busy.state.loyalty is not None
        assert len(busy.state.loyalty.missions["tour"].occurrences[0].marks["games"]) == 1

    def test_a_mission_is_awarded_until_it_is_completed_and_again_when_it_can_begin_again(self) -> None:
        whose: dict[str, Any] = {"brand": "acme", "player_id": "p-1", "journey": "j", "run_id": "r", "step": "s#1"}
        award = Award(**whose, reward=mission("tour"))
        busy = Busy(tour)

        def why(now: datetime = NOON) -> str | None:
            return why_not_awarded(award, busy.state, busy.rules.loyalty, now)

        assert (why(), busy.opts_in(tour), why()) == (None, None, None), "one that is under way is theirs"
        busy.happens(*games("a", "b", "c", "d", "e"))
        assert (busy.done, why(), why(NOON + days(7))) == (["tour"], "mission_completed", None)
        assert busy.claims(tour) is None
        assert why() == "mission_completed"
        assert why_not_awarded(award, None, LoyaltyProgram(), NOON) == "not_declared"

    def test_a_mission_that_comes_once_is_awarded_to_nobody_who_has_completed_it(self) -> None:
        whose: dict[str, Any] = {"brand": "acme", "player_id": "p-1", "journey": "j", "run_id": "r", "step": "s#1"}
        award = Award(**whose, reward=mission("first_bud"))
        busy = Busy(first_bud)
        assert why_not_awarded(award, busy.state, busy.rules.loyalty, NOON) is None
        busy.happens(a_deposit(5_000))
        assert why_not_awarded(award, busy.state, busy.rules.loyalty, NOON + days(400)) == "mission_completed"

    def test_a_prize_that_nobody_claims_in_time_is_gone(self) -> None:
        busy = Busy(tour)
        busy.opts_in(tour)
        busy.happens(*games("a", "b", "c"))
        assert busy.claims(tour, NOON + days(7)) == "too_late"
        assert busy.available == 0


class TestWindows:
    @settings(max_examples=examples(50))
    @given(
        st.sampled_from(["Europe/Kyiv", "Pacific/Kiritimati", "America/New_York", "Australia/Lord_Howe", "UTC"]),
        st.integers(0, 365 * 24 * 60).map(lambda minute: NOON + timedelta(minutes=minute)),
    )
    def test_i20_the_windows_of_a_mission_tile_time_whatever_the_clock_does(self, zone: str, at: datetime) -> None:
        present = Present.at(at, zone, "p")
        opens, closes = window_of(every_day, at, present)
        assert closes is not None
        assert opens <= at < closes
        assert window_of(every_day, closes, present)[0] == closes
        assert timedelta(hours=22) < closes - opens < timedelta(hours=26)

    def test_there_is_one_a_period_and_the_next_begins_anew(self) -> None:
        busy = Busy(every_day).happens(a_round(1), a_round(1, number=1))
        busy.happens(a_round(1, NOON + days(1), number=2), now=NOON + days(1))
        assert busy.done == ["every_day", "every_day"]
        assert busy.state.loyalty is not None
        assert busy.state.loyalty.missions["every_day"].completed == 2

    def test_case_3_who_changes_zone_on_sunday_night_gains_no_second_week(self) -> None:
        busy = Busy(tour)
        sunday = datetime(2026, 1, 18, 23, 30, tzinfo=UTC)
        busy.opts_in(tour, sunday)
        assert busy.state.loyalty is not None
        before = busy.state.loyalty.missions["tour"].occurrences[0].closes
        moved = PlayerRegistered(event_id="x", event_source="s", occurred_at=sunday, timezone="America/New_York")
        busy.happens(moved, now=sunday)
        assert busy.state.loyalty is not None
        assert busy.state.loyalty.missions["tour"].occurrences[0].closes == before

    def test_case_5_what_comes_late_counts_while_the_window_is_open(self) -> None:
        busy = Busy(every_day)
        midnight = datetime(2026, 1, 16, tzinfo=UTC)
        busy.happens(a_round(1, midnight - timedelta(minutes=5)), now=midnight + timedelta(minutes=30))
        assert busy.done == ["every_day"]
        busy.happens(a_round(1, midnight + timedelta(hours=1)), now=midnight + days(1) + timedelta(hours=3))
        assert busy.done == ["every_day"]

    def test_case_30_what_happens_exactly_at_the_end_belongs_to_the_next(self) -> None:
        midnight = datetime(2026, 1, 16, tzinfo=UTC)
        busy = Busy(every_day).happens(a_round(1), a_round(1, midnight, number=1), now=midnight)
        assert busy.done == ["every_day", "every_day"]


class TestWho:
    def test_who_may_not_see_it_cannot_begin_it(self) -> None:
        busy = Busy(tour)
        busy.state.facts["tier"] = "bronze"
        assert busy.opts_in(tour) == "not_visible"

    def test_a_mission_behind_another_opens_when_that_is_completed(self) -> None:
        busy = Busy(first_bud, then_leaf).happens(a_deposit(1))
        assert busy.done == ["first_bud"]
        busy.happens(a_deposit(1, number=1), a_deposit(1, number=2))
        assert busy.done == ["first_bud", "then_leaf"]
        for one in (first_bud, then_leaf):
            assert busy.claims(one) is None
        assert busy.state.loyalty is not None
        assert busy.state.loyalty.pieces == {"spring": ["bud", "leaf"]}
        assert [*busy.state.loyalty.badges] == ["gardener"]

    def test_case_41_a_share_never_sees_it(self) -> None:
        @player_mission(step("a", count(DepositApproved), 1), gives=badge("b"), product="casino", control=50)
        def half(_player: Statistics) -> bool:
            """For half of them."""
            return True

        seen = []
        for number in range(200):
            busy = Busy(half)
            busy.state.player_id = f"p-{number}"
            seen.append(busy.state.mission_refusal(half, busy.rules.loyalty, NOON, []) is None)
        assert 60 < sum(seen) < 140

    def test_i29_a_protected_player_gets_no_further(self) -> None:
        busy = Busy(first_bud)
        out = ExclusionSet(event_id="x", event_source="s", occurred_at=NOON, kind="self_exclusion", until=None)
        busy.happens(out, a_deposit(1))
        assert (busy.progress(first_bud), busy.done) == (0, [])

    def test_case_35_an_import_moves_no_mission(self) -> None:
        assert Busy(first_bud).happens(a_deposit(1), mode="history").progress(first_bud) == 0

    def test_i34_what_a_row_keeps_of_missions_is_bounded(self) -> None:
        busy = Busy(tour, every_day, first_bud)
        for number in range(60):
            now = NOON + days(number)
            busy.opts_in(tour, now)
            busy.happens(*games(*(f"g{n}" for n in range(5)), at=now), now=now)
        assert busy.state.loyalty is not None
        assert all(len(one.occurrences) <= 3 for one in busy.state.loyalty.missions.values())


def _mission(**options: Any) -> Callable[[], PlayerMission]:
    def visible(_player: Statistics) -> bool:
        return True

    given: dict[str, Any] = {"gives": points(5), "into": POINTS, "product": "casino", "budget": 50, **options}
    return lambda: player_mission(step("a", count(DepositApproved), 1), **given)(visible)


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (_mission(product=None), "say product="),
        (_mission(budget=0), "say budget="),
        (_mission(into=None), "into which currency"),
        (_mission(gives=cash(500)), "money by a journey"),
        (_mission(lasts=days(3)), "add opt_in=True"),
        (_mission(control=100), "from 0 to 99"),
        (lambda: step("a", count(DepositApproved, per=week), 1), "drop last= and per="),
        (lambda: step("a", distinct(RoundCompleted, "game_id"), 200), "ask for 1 to 30"),
        (lambda: piece(spring, "root"), "none of spring"),
        (lambda: collection("x", pieces=["a", "a"], gives=badge("b")), "each of another name"),
    ],
)
def test_a_mission_that_would_not_be_fair_is_refused(declare: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(DesignError, match=sentence):
        declare()


def test_case_17_a_mission_of_two_accounts_that_become_one_is_paid_once() -> None:
    one, two = Busy(every_day).happens(a_round(1)), Busy(every_day).happens(a_round(1))
    assert one.claims(every_day) is None
    assert one.state.loyalty is not None
    assert two.state.loyalty is not None
    merge_loyalty(one.state.loyalty, two.state.loyalty, one.rules.loyalty, NOON, "merge")
    assert one.claims(every_day) == "claimed"
    assert ([*two.state.loyalty.missions], [*one.state.loyalty.badges]) == ([], ["daily"])


@pytest.mark.parametrize(("mine", "theirs"), [(5, 1), (1, 5), (0, 5), (5, 0)])
def test_of_two_accounts_that_become_one_who_got_further_goes_on_from_there(mine: int, theirs: int) -> None:
    one, two = (
        Busy(seven_ever).happens(*(a_round(1, number=number) for number in range(many))) for many in (mine, theirs)
    )
    kept, gone = (busy.state.loyalty or LoyaltyState() for busy in (one, two))
    merge_loyalty(kept, gone, one.rules.loyalty, NOON, "merge")
    current = kept.missions["seven_ever"].current
    assert current is not None
    assert current.counts == {"seven": 5}
