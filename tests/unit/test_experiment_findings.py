"""What an experiment has found: who counts, who does not yet, and what follows."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.experiment_findings import (
    ArmFinding,
    ExperimentFindings,
    Participant,
    findings,
    planned_players,
    share_of_plan,
)
from learning.lasting_effects import with_past
from learning.shrinkage import PastEffect
from tests.support.examples import examples
from workflows import (
    DepositApproved,
    HarmSignal,
    WithdrawalRequested,
    days,
    experiment,
    goal,
    looks,
    no_more,
    on,
)
from workflows.errors import DesignError
from workflows.experiment_draw import CONTROL, ArmAssigned, DrawnArm, ExperimentStanding, draw
from workflows.experiments import Experiment

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LATER = BEGAN + timedelta(days=100)
HALVES = {"push": 50, CONTROL: 50}
DEPOSIT = goal(DepositApproved, within=days(30))


def tried(**settings: Any) -> Experiment:
    given: dict[str, Any] = {"arms": HALVES, "goal": DEPOSIT, "guardrails": [no_more(HarmSignal)]}
    return experiment("winback-channel", **{**given, **settings})


def crowd(
    players: int, rates: dict[str, float], harm: dict[str, float] | None = None, seed: int = 1
) -> list[Participant]:
    """Players drawn into arms in equal parts, with what they did."""
    drawn = random.Random(seed)
    shares = dict.fromkeys(rates, 100 // len(rates))
    found = []
    for _ in range(players):
        arm = drawn.choice([*rates])
        harmed = frozenset({HarmSignal.type}) if drawn.random() < (harm or {}).get(arm, 0) else frozenset[str]()
        found.append(Participant(arm, shares, BEGAN, drawn.random() < rates[arm], harmed))
    return found


def looked(people: Sequence[Participant], one: Experiment | None = None, **more: Any) -> ExperimentFindings:
    given: dict[str, Any] = {"looks": [], "stopped": [], "as_of": LATER}
    return findings(one or tried(), people, **{**given, **more})


def arm_of(found: ExperimentFindings, arm: str) -> ArmFinding:
    return next(one for one in found.arms if one.arm == arm)


class TestDrawing:
    def test_the_same_player_always_falls_into_the_same_arm(self) -> None:
        first = draw("acme", "p1", ("x", 1), HALVES, ExperimentStanding(), BEGAN)
        assert first == draw("acme", "p1", ("x", 1), HALVES, ExperimentStanding(), LATER)
        assert first.chance == 0.5

    def test_shares_are_those_that_were_asked_for_and_add_up(self) -> None:
        arms = {"email": 45, "push": 45, CONTROL: 10}
        drawn = [draw("acme", f"p{n}", ("x", 1), arms, ExperimentStanding(), BEGAN) for n in range(50_000)]
        for arm, share in arms.items():
            assert sum(one.arm == arm for one in drawn) / 50_000 == pytest.approx(share / 100, abs=0.007)
        assert {sum(one.shares.values()) for one in drawn} == {100}

    def test_arms_of_two_experiments_and_of_two_versions_have_nothing_to_do_with_each_other(self) -> None:
        alike = [0, 0]
        for n in range(20_000):
            one, version, other = (
                draw("acme", f"p{n}", salt, HALVES, ExperimentStanding(), BEGAN).arm
                for salt in (("x", 1), ("x", 2), ("y", 1))
            )
            alike[0] += one == version
            alike[1] += one == other
        assert [count / 20_000 for count in alike] == pytest.approx([0.5, 0.5], abs=0.012)

    @settings(max_examples=examples(100))
    @given(st.text(max_size=20))
    def test_what_a_stopped_arm_would_have_got_goes_to_control_and_nobody_else_moves(self, player: str) -> None:
        arms = {"email": 45, "push": 45, CONTROL: 10}
        before = draw("acme", player, ("x", 1), arms, ExperimentStanding(), BEGAN)
        after = draw("acme", player, ("x", 1), arms, ExperimentStanding(frozenset({"push"})), BEGAN)
        assert after.arm == (CONTROL if before.arm == "push" else before.arm)
        assert after.shares == {"email": 45, CONTROL: 55}

    @pytest.mark.parametrize(
        ("standing", "why"),
        [
            (ExperimentStanding(looked_at=BEGAN - timedelta(hours=25)), "not_watched"),
            (ExperimentStanding(closed="sample_ratio", looked_at=BEGAN), "sample_ratio"),
            (ExperimentStanding(stopped=frozenset({"push"}), looked_at=BEGAN), "stopped"),
        ],
    )
    def test_where_nobody_watches_or_nothing_is_left_everybody_gets_control(
        self, standing: ExperimentStanding, why: str
    ) -> None:
        drawn = {draw("acme", f"p{n}", ("x", 1), HALVES, standing, BEGAN).arm for n in range(50)}
        assert drawn == {CONTROL}
        assert draw("acme", "p", ("x", 1), HALVES, standing, BEGAN) == DrawnArm(CONTROL, 1.0, {CONTROL: 100}, why)
        before = DrawnArm("push", 0.5, HALVES)
        assert ArmAssigned.of(before, standing, BEGAN) == ArmAssigned(arm=CONTROL, chance=1.0, why=why)


class TestDeclaring:
    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"arms": {"a": 50, "b": 50}}, "one of them is 'control'"),
            ({"arms": {"a": 50, CONTROL: 40}}, "100 together, not 90"),
            ({"arms": {"held": 50, CONTROL: 50}}, "names 2 to 8 arms"),
            ({"version": 0}, "counts from 1"),
            ({"goal": goal(DepositApproved, within=days(1), same="payment_id")}, "takes no same="),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, settings: dict[str, Any], said: str) -> None:
        with pytest.raises(DesignError, match=said):
            tried(**settings)

    def test_a_name_is_plain_and_a_plan_is_possible(self) -> None:
        with pytest.raises(DesignError, match="begins with a letter"):
            experiment("Win Back", arms=HALVES, goal=DEPOSIT)
        with pytest.raises(DesignError, match="in percent"):
            looks(days(7), base=22, detect=80)
        with pytest.raises(DesignError, match="positive time"):
            looks(days(7), base=22, detect=5, at_most=days(1))

    def test_a_plan_says_how_many_players_it_takes(self) -> None:
        assert planned_players(HALVES, looks(days(7), base=24, detect=6)) == pytest.approx(1_720, abs=20)
        uneven = planned_players({"push": 90, CONTROL: 10}, looks(days(7), base=24, detect=6))
        assert uneven > 2.5 * planned_players(HALVES, looks(days(7), base=24, detect=6))


class TestFindings:
    def test_who_has_time_left_for_the_goal_counts_for_nobody(self) -> None:
        people = crowd(2_000, {"push": 0.3, CONTROL: 0.2})
        fresh = [replace(one, at=LATER - timedelta(days=31), reached=True) for one in people]
        before, after = looked(people), looked([*people, *fresh])
        assert before.counted == after.counted == 2_000
        assert arm_of(before, "push").difference == arm_of(after, "push").difference
        assert after.players == 4_000

    def test_an_effect_is_found_and_said_in_a_sentence(self) -> None:
        found = looked(crowd(4_000, {"push": 0.30, CONTROL: 0.20}))
        assert found.verdict == "better"
        assert "it brings more, between +" in found.sentence

    def test_harm_stops_an_arm_whatever_its_goal(self) -> None:
        people = crowd(4_000, {"push": 0.30, CONTROL: 0.20}, {"push": 0.06, CONTROL: 0.02})
        found = looked(people)
        assert arm_of(found, "push").verdict == "stopped"
        assert found.verdict == "stopped"
        assert found.sentence.startswith("push was stopped because of harm: compliance.harm_signal came to ")

    def test_wrong_shares_hide_every_result(self) -> None:
        people = crowd(4_000, {"push": 0.30, CONTROL: 0.20})
        lost = [one for n, one in enumerate(people) if one.arm == CONTROL or n % 5]
        found = looked(lost)
        assert found.verdict == "broken"
        assert arm_of(found, "push").difference is None
        assert "nothing here can be trusted" in found.sentence

    def test_wrong_shares_hide_no_harm(self) -> None:
        people = crowd(4_000, {"push": 0.30, CONTROL: 0.20}, {"push": 0.06, CONTROL: 0.02})
        found = looked([one for n, one in enumerate(people) if one.arm == CONTROL or n % 5])
        assert found.verdict == "broken"
        assert arm_of(found, "push").verdict == "stopped"
        assert arm_of(found, "push").difference is None
        assert "push was stopped because of harm" in found.sentence

    def test_without_a_plan_fewer_than_a_hundred_players_show_no_difference(self) -> None:
        people = crowd(300, {"push": 0.5, CONTROL: 0.5})
        few, enough = looked(people[:98]), looked(people[:102])
        assert arm_of(few, "push").difference is None
        assert arm_of(few, "push").no_number == "98 players, and 100 are needed"
        assert arm_of(enough, "push").difference_from is not None

    def test_with_a_plan_nothing_is_decided_before_its_look(self) -> None:
        planned = tried(plan=looks(days(7), base=20, detect=10))
        people = crowd(600, {"push": 0.35, CONTROL: 0.20})
        early = looked(people, planned)
        assert early.verdict == "too_early"
        assert arm_of(early, "push").difference_from is None
        share = share_of_plan(planned, people, LATER)
        at_look = looked(people, planned, looks=[share])
        assert arm_of(at_look, "push").verdict == "better"

    def test_a_plan_that_is_over_without_a_difference_says_so(self) -> None:
        planned = tried(plan=looks(days(7), base=20, detect=10))
        found = looked(crowd(2_000, {"push": 0.2, CONTROL: 0.2}), planned, looks=[0.5, 1.0])
        assert found.verdict == "no_difference"
        assert "no difference is shown" in found.sentence

    def test_a_handful_is_too_early(self) -> None:
        found = looked(crowd(30, {"push": 0.3, CONTROL: 0.2}))
        assert found.verdict == "too_early"
        assert "too early to tell" in found.sentence
        assert looked([]).players == 0

    def test_whom_nobody_drew_is_no_part_of_a_comparison(self) -> None:
        people = crowd(2_000, {"push": 0.3, CONTROL: 0.2})
        given = [Participant(CONTROL, {CONTROL: 100}, BEGAN, reached=True) for _ in range(500)]
        assert arm_of(looked([*people, *given]), CONTROL).share == arm_of(looked(people), CONTROL).share

    def test_players_are_compared_with_those_who_were_drawn_with_the_same_chances(self) -> None:
        # Half and half while everybody came easily, then nine of ten to push when nobody did: one mean over all of
        # them would take the change of players for an effect.
        drawn = random.Random(9)
        people = []
        for shares, rate, players in (({"push": 50, CONTROL: 50}, 0.6, 2_000), ({"push": 90, CONTROL: 10}, 0.1, 4_000)):
            for _ in range(players):
                arm = "push" if drawn.random() < shares["push"] / 100 else CONTROL
                people.append(Participant(arm, shares, BEGAN, drawn.random() < rate))
        found = arm_of(looked(people), "push")
        assert found.verdict == "running"
        assert found.difference == pytest.approx(0, abs=3)

    @settings(max_examples=examples(20))
    @given(st.randoms(use_true_random=False))
    def test_the_order_of_players_changes_nothing(self, shuffled: random.Random) -> None:
        people = crowd(800, {"push": 0.3, CONTROL: 0.2}, {"push": 0.02})
        other = list(people)
        shuffled.shuffle(other)
        one, two = looked(people), looked(other)
        assert one.sentence == two.sentence
        assert arm_of(one, "push").difference == pytest.approx(arm_of(two, "push").difference)

    def test_a_treated_player_who_excludes_themselves_never_makes_treatment_look_better(self) -> None:
        people = crowd(2_000, {"push": 0.3, CONTROL: 0.2})
        left = Participant("push", HALVES, BEGAN, reached=False, harmed=frozenset({HarmSignal.type}))
        before, after = arm_of(looked(people), "push"), arm_of(looked([*people, left]), "push")
        assert before.difference is not None
        assert after.difference is not None
        assert after.difference <= before.difference
        assert after.harm[0].evidence > before.harm[0].evidence


def test_a_guardrail_looks_at_its_where() -> None:
    strong = no_more(HarmSignal, where=lambda sign: sign.strength == "strong")
    weak, loud = (HarmSignal.example().model_copy(update={"strength": one}) for one in ("weak", "strong"))
    assert not strong.broken_by(weak, [])
    assert strong.broken_by(loud, [])
    assert not strong.broken_by(WithdrawalRequested.example(), [])
    assert on(HarmSignal) is not None


def scattered(by: float) -> list[PastEffect]:
    return [PastEffect(one, by / 10) for one in (by, -by)] * 5


class TestWhatStays:
    def planned(self) -> Experiment:
        return tried(plan=looks(days(7), base=22, detect=5))

    def won(self, seen: float = 1.0) -> ExperimentFindings:
        return looked(crowd(3_000, {"push": 0.32, CONTROL: 0.24}), self.planned(), looks=[0.5, seen])

    def test_of_a_winner_less_is_likely_to_stay_the_less_past_arms_have_brought(self) -> None:
        found = self.won()
        raw = arm_of(found, "push")
        assert raw.verdict == "better"
        assert raw.difference is not None
        much, little = (arm_of(with_past(found, scattered(by)), "push") for by in (8.0, 1.0))
        assert much.stays is not None
        assert little.stays is not None
        assert 0 < little.stays < much.stays < raw.difference
        assert little.stays_from is not None
        assert little.stays_to is not None
        assert little.stays_from < little.stays < little.stays_to
        said = with_past(found, scattered(8.0)).sentence
        assert f"Of what push brings about {much.stays:.1f} points are likely to stay" in said

    def test_without_ten_arms_of_others_it_is_not_said_and_why(self) -> None:
        one = with_past(self.won(), [PastEffect(1.0, 0.1)] * 9)
        assert arm_of(one, "push").stays is None
        assert "fewer than 10 arms" in (arm_of(one, "push").no_stays or "")
        assert one.sentence == self.won().sentence

    def test_nothing_is_said_before_the_plan_is_over_or_of_who_did_not_win(self) -> None:
        early = self.won(seen=0.9)
        assert with_past(early, [PastEffect(8.0, 0.1)] * 20) == early
        alike = looked(crowd(3_000, {"push": 0.24, CONTROL: 0.24}), self.planned(), looks=[0.5, 1.0])
        assert arm_of(with_past(alike, [PastEffect(8.0, 0.1)] * 20), "push").stays is None

    def test_winners_shrunk_by_what_was_found_before_are_right_on_average(self) -> None:
        """Of arms whose true effects scatter by two points the best say too much; shrunk they do not.

        Past arms are known as any are: with an error. What they truly brought nobody knows.
        """
        drawn, error = random.Random(6), 2.0
        true = [drawn.gauss(0, 2.0) for _ in range(4_000)]
        seen = [one + drawn.gauss(0, error) for one in true]
        won = [(one, other) for one, other in zip(true, seen, strict=True) if other > 1.96 * error]
        past = [PastEffect(one, error) for one in seen[-400:]]
        found = self.won()
        stays = []
        for _, other in won[:60]:
            arm = arm_of(found, "push").model_copy(update={"difference": other, "error": error})
            given = found.model_copy(update={"arms": [arm]})
            kept = with_past(given, past).arms[0].stays
            assert kept is not None
            stays.append(kept)
        truth = sum(one for one, _ in won[:60]) / 60
        assert sum(other for _, other in won[:60]) / 60 > truth + 1
        assert sum(stays) / 60 == pytest.approx(truth, abs=0.7)

    def test_where_past_arms_scatter_by_chance_alone_nothing_is_said_to_stay(self) -> None:
        one = with_past(self.won(), [PastEffect(by, 2.0) for by in (1.9, -1.9)] * 20)
        assert arm_of(one, "push").stays is None
        assert "expect little of it to stay" in (arm_of(one, "push").no_stays or "")
