"""Real journeys over made-up history: what is played, who answers, what is counted."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stage.backtest.backtest import back_test, plan_of, play
from stage.backtest.counts import BacktestCounts
from stage.backtest.event_log import read_log
from stage.backtest.metrics import BacktestMetrics, TaskWorkload
from stage.backtest.report import report
from stage.errors import StageError
from stage.testing.answer_files import APPROVE, approving, read_answers
from tests.support.logs import NOON, PACKAGES, happened, rehearse, several, synthetic, table, templates, told
from workflows import days, free_spins, hours, reload, tier_upgrade
from workflows.events import DepositApproved, ExclusionSet, PlayerRegistered, SessionLogin
from workflows.rewards import Cashback
from workflows.source.journey_loading import load

ALL = set(load().journeys)
SEVEN = ("entered", "control", "messages", "suppressed", "grants", "tasks", "conversions")


@cache
def invented(**options: Any) -> BacktestMetrics:
    """The figures of the made-up casino, played once for all tests that read them."""
    return rehearse(synthetic(), **options)


class TestPlaying:
    def test_it_counts_what_the_journeys_do(self, tmp_path: Path) -> None:
        log = read_log(
            table(tmp_path / "d.csv", ("ann", NOON, "40"), ("bob", NOON, "40"), ("bob", NOON + days(1), "60"))
        )
        figures = rehearse(log, "second_deposit", control=0)
        # Ann hears of everything; Bob leaves on the second day, after thanks and the first offer.
        assert figures.messages == {"second_deposit": (2 + 2 + 1 + 2 + 2 + 1) + (2 + 2)}
        assert figures.grants == {"second_deposit": 2 + 1}
        assert figures.conversions == {"second_deposit": 1}
        assert figures.arms["second_deposit"]["treated"].by_day == [0, *[1] * 13]
        assert figures.outcomes["second_deposit"] == {"completed": 1, "exit_on:payment.deposit_approved": 1}

    def test_it_says_which_effect_so_many_players_could_show(self) -> None:
        figures, alone = rehearse(synthetic(), control=10), invented(control=0)
        found = figures.detectable["welcome"]
        assert found.points is not None
        assert found.points > found.equal_arms > 0
        assert alone.detectable["welcome"].points is None
        assert "points with two equal arms" in report(figures)

    def test_history_starts_nothing_and_is_known(self, tmp_path: Path) -> None:
        log = read_log(table(tmp_path / "d.csv", *several("ann", 50), *several("bob", 1, since=NOON + hours(48))))
        figures = rehearse(log, "tier_up", "second_deposit", "welcome", live_from=NOON + hours(40), control=0)
        assert figures.entered == {"tier_up": 1, "second_deposit": 1, "welcome": 1}

    def test_nothing_at_its_end_or_later_is_played(self, tmp_path: Path) -> None:
        log = read_log(table(tmp_path / "d.csv", *several("ann", 2), *several("bob", 1, since=NOON + hours(1))))
        figures = rehearse(log, "second_deposit", to=NOON + hours(1), control=0)
        assert figures.entered == {"second_deposit": 1}
        assert figures.outcomes == {"second_deposit": {"under way": 1}}
        assert figures.period.end == NOON + hours(1)

    def test_nobody_enters_after_the_last_event(self, tmp_path: Path) -> None:
        logins = [("ann", happened(SessionLogin, NOON)), ("bob", happened(SessionLogin, NOON + days(15), 2))]
        figures = rehearse(read_log(told(tmp_path / "log", *logins)), "win_back", control=0)
        assert figures.entered == {"win_back": 1}
        assert figures.period.end == NOON + days(45)

    def test_control_can_be_nobody_or_everybody(self) -> None:
        nobody, everybody = invented(control=0), rehearse(synthetic(), control=100)
        assert set(nobody.control.values()) == {0}
        assert everybody.control == everybody.entered
        # What is no offer arrives in both arms.
        assert 0 < sum(everybody.messages.values()) < sum(nobody.messages.values())
        assert everybody.conversions["welcome"] == nobody.conversions["welcome"] > 0

    def test_an_excluded_player_is_left_alone(self, tmp_path: Path) -> None:
        excluded = happened(ExclusionSet, NOON + hours(4), kind="self_exclusion")
        deposit = happened(DepositApproved, NOON)
        events = [("ann", happened(PlayerRegistered, NOON - days(1))), ("ann", deposit), ("ann", excluded)]
        figures = rehearse(read_log(told(tmp_path / "log", *events)), "second_deposit", control=0)
        assert figures.outcomes == {"second_deposit": {"self_excluded": 1}}
        assert set(figures.templates["second_deposit"]) == {
            "deposit-thanks/email",
            "deposit-thanks/in_app",
            "reload-offer/email",
            "reload-offer/in_app",
        }

    @pytest.mark.parametrize("shards", [2, 7])
    def test_the_sum_of_shards_is_the_whole(self, shards: int) -> None:
        plan, log = plan_of(synthetic(), packages=PACKAGES, journeys=(), templates=templates(), answers=APPROVE)
        parts = log.shards(shards)
        assert sum(part.players for part in parts) == log.players
        total = BacktestCounts()
        for part in reversed(parts):
            total.add(play(plan, part))
        assert total.to_json() == play(plan, log).to_json()
        assert BacktestCounts.from_json(total.to_json()) == total

    def test_the_figures_do_not_depend_on_the_number_of_processes(self) -> None:
        assert rehearse(synthetic(), jobs=2).model_dump_json() == invented().model_dump_json()

    def test_every_event_is_heard_of_by_the_bar(self) -> None:
        plan, log = plan_of(synthetic(), packages=PACKAGES, journeys=("welcome",), templates=templates())
        heard: list[int] = []
        back_test(plan, log, on_progress=heard.append)
        assert sum(heard) == log.events.height

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"journeys": ("welcom",)}, "There is no journey welcom; there are abandoned_cashier"),
            ({"live_from": NOON, "to": NOON}, "--to 2026-03-10 12:00 is not after --from"),
            ({"to": NOON - days(1)}, "begins at 2026-03-10 12:00; give a --to after that"),
            ({"live_from": NOON + days(9)}, "ends at 2026-03-10 13:00; give a --from before that"),
        ],
    )
    def test_a_plan_that_plays_nothing_is_refused_with_a_sentence(
        self, tmp_path: Path, options: dict[str, Any], sentence: str
    ) -> None:
        log = read_log(table(tmp_path / "d.csv", *several("ann", 2)))
        with pytest.raises(StageError, match=sentence):
            plan_of(log, **{"packages": PACKAGES, "journeys": (), "templates": {}, **options})


class TestAnswers:
    def test_nobody_answers_and_the_next_team_gets_the_task_too(self, tmp_path: Path) -> None:
        log = read_log(table(tmp_path / "d.csv", *several("ann", 50)))
        figures = rehearse(log, "tier_up", control=0)
        assert figures.task_states == {"tier_up": {"PersonalNote": {"expired": 1}}}
        assert {team: found.tasks for team, found in figures.teams.items()} == {"vip": 1, "vip-head": 1}
        assert figures.teams["vip-head"].busiest_day == "2026-03-17"

    def test_approving_takes_every_journey_to_its_good_end(self, tmp_path: Path) -> None:
        log = read_log(table(tmp_path / "d.csv", *several("ann", 100)))
        figures = rehearse(log, "vip_onboarding", answers=APPROVE, to=NOON + days(60))
        assert figures.tasks == {"vip_onboarding": 7}
        assert figures.outcomes == {"vip_onboarding": {"completed": 1}}
        assert figures.templates["vip_onboarding"] == {"vip-letter/email": {"sent": 1}}

    def test_a_file_answers_as_its_function_says(self, tmp_path: Path) -> None:
        file = tmp_path / "answers.py"
        file.write_text(
            'def answer(task, asked):\n    return timedelta(hours=5), {"outcome": "reject", "note": task.player_id}\n'
        )
        log = read_log(table(tmp_path / "d.csv", *several("ann", 100)))
        figures = rehearse(log, "vip_onboarding", answers=read_answers(str(file)))
        assert figures.task_states == {"vip_onboarding": {"Affordability": {"completed": 1}}}

    @pytest.mark.parametrize(
        ("source", "sentence"),
        [
            (None, "--answers takes nobody, approve or a Python file"),
            ("def answers(): ...", "has no function `answer`"),
            ("answer = nobody", "does not run: NameError"),
        ],
    )
    def test_a_file_that_cannot_answer_is_refused_with_a_sentence(
        self, tmp_path: Path, source: str | None, sentence: str
    ) -> None:
        file = tmp_path / "answers.py"
        if source is not None:
            file.write_text(source)
        with pytest.raises(StageError, match=sentence):
            read_answers(str(file))

    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            ('timedelta(0), {"outcome": "maybe"}', "does not fit PersonalNote: outcome: Input should be 'written'"),
            ('"written"', r"The answer to PersonalNote is 'written'; return \(timedelta"),
            ('timedelta(hours=-1), {"outcome": "written"}', "The answer to PersonalNote is"),
        ],
    )
    def test_an_answer_that_fits_no_form_ends_the_rehearsal_with_a_sentence(
        self, tmp_path: Path, answer: str, sentence: str
    ) -> None:
        log = read_log(table(tmp_path / "d.csv", *several("ann", 50)))
        with pytest.raises(StageError, match=sentence):
            rehearse(log, "tier_up", control=0, answers=f"def answer(task, asked): return {answer}")

    def test_approving_fills_in_whatever_a_form_must_have(self) -> None:
        schema = {
            "required": ["choice", "sure", "count", "day", "why", "part", "some"],
            "properties": {
                "choice": {"enum": ["yes", "no"]},
                "sure": {"type": "boolean"},
                "count": {"type": "integer", "minimum": 3},
                "day": {"type": "string", "format": "date"},
                "why": {"type": "string", "minLength": 12},
                "part": {"$ref": "#/$defs/Part"},
                "some": {"anyOf": [{"const": "this"}, {"type": "null"}]},
                "note": {"type": "string"},
            },
            "$defs": {"Part": {"type": "object", "required": ["n"], "properties": {"n": {"type": "number"}}}},
        }
        assert approving(schema, NOON.date()) == {
            "choice": "yes",
            "sure": True,
            "count": 3,
            "day": "2026-03-10",
            "why": "rehearsed...",
            "part": {"n": 0},
            "some": "this",
        }


class TestFigures:
    def test_a_reload_costs_what_the_first_deposit_within_its_validity_earns(self) -> None:
        offer = reload(50, 5000, valid=hours(72), wager=0)
        times, amounts = [NOON, NOON + days(1), NOON + days(2)], [4_000, 3_000, 90_000]
        assert offer.cost(NOON, (times, amounts)).expected == 1_500
        assert offer.cost(NOON + days(1), (times, amounts)).expected == 5_000
        assert offer.cost(NOON + days(2), (times, amounts)).expected == 0
        assert offer.cost(NOON - days(4), (times, amounts)).expected == 0
        assert offer.cost(NOON, (times, amounts)).most == 5_000

    def test_wagering_takes_its_edge_off_a_bonus(self) -> None:
        assert reload(50, 5000, wager=10).cost(NOON, ([NOON + hours(1)], [4_000])).expected == 1_200

    def test_spins_cost_their_stakes_less_the_edge_and_at_most_their_cap(self) -> None:
        assert free_spins(10, bet_value=50).cost(NOON, ([], [])).expected == 480
        assert free_spins(10, bet_value=50, max_win=300).cost(NOON, ([], [])).expected == 300
        assert free_spins(10, bet_value=50).cost(NOON, ([], [])).most is None

    def test_what_needs_rounds_has_no_expected_cost_and_a_tier_costs_no_money(self) -> None:
        assert Cashback(pct=10, cap_minor=900).cost(NOON, ([], [])).expected is None
        assert tier_upgrade("gold").cost(NOON, ([], [])).most == 0

    def test_nobody_is_contacted_beyond_the_caps(self) -> None:
        caps = invented(control=0).caps
        assert max(caps.capped_in_a_day) <= caps.per_day
        assert max(caps.capped_in_a_week) <= caps.per_week
        assert sum(caps.capped_in_a_day.values()) == sum(caps.all_in_a_week.values()) > 0

    def test_every_run_leaves_after_one_step(self) -> None:
        figures = rehearse(synthetic(), control=0, answers=APPROVE)
        for name in ("second_deposit", "welcome", "win_back"):
            steps = figures.steps[name]
            assert sum(sum(step.left.values()) for step in steps) == figures.entered[name]
            assert all(sum(step.outcomes.values()) == step.runs for step in steps)

    def test_the_line_has_the_seven_figures_of_every_journey(self) -> None:
        line = json.loads(invented().line())
        assert all(set(line[key]) == ALL for key in SEVEN)
        assert line["entered"]["welcome"] == 30
        assert line["entered"] == {
            name: sum(arm["entered"] for arm in arms.values()) for name, arms in line["arms"].items()
        }
        assert line["suppressed"]["win_back"] == sum(line["suppressed_why"]["win_back"].values())

    def test_people_are_measured_against_their_day(self, tmp_path: Path) -> None:
        log = read_log(table(tmp_path / "d.csv", *(one for n in range(5) for one in several(f"p{n}", 50))))
        team = rehearse(log, "tier_up", control=0, desk=TaskWorkload(minutes_a_day=60, minutes_a_task=30)).teams["vip"]
        assert (team.tasks_on_busiest_day, team.people_on_busiest_day, team.days_over_one_person) == (5, 3, 1)

    def test_it_says_what_the_log_cannot_show(self, tmp_path: Path) -> None:
        figures = rehearse(read_log(table(tmp_path / "d.csv", *several("ann", 1))))
        known = {"failed_deposit": ["payment.deposit_failed"], "win_back": ["session.login"]}
        assert {name: figures.never_starts.get(name) for name in known} == known
        assert "second_deposit" not in figures.never_starts
        assert figures.unseen["tier_up"] == ["reward.activated"]
        assert "derived.loss_streak" in figures.unseen["welcome"]
