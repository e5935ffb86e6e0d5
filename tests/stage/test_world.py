# ruff: noqa: ARG001, ARG005 - a function given to the world takes all it is told
"""The world in memory: what providers and people do, and what becomes of a run then."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.errors import RuleWarning, StageError
from stage.testing.answer_policies import Share, by_form, either
from stage.virtual_temporal.runs import Call
from stage.world.faults import Away, Declines, TimedOut, away, both
from stage.world.world import World
from tests.support.stage_journeys import Called, Opinion
from workflows import (
    DepositApproved,
    ExclusionSet,
    PlayerRegistered,
    SessionLogin,
    Statistics,
    days,
    hours,
    minutes,
    segment,
)
from workflows.effects import EffectInput
from workflows.local_time import jitter
from workflows.rules.index import RuleIndex
from workflows.source.journey_loading import load

MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)
REGISTRY = load(("tests.support.stage_journeys",))
TEMPLATES = read_template_facts([SHIPPED_TEMPLATES])


class Casino(World):
    """A world with one player in London, registered and reachable."""

    def __init__(self, **options: Any) -> None:
        super().__init__(REGISTRY, TEMPLATES, MORNING, **options)
        self.told = 0
        self.comes("p")

    def comes(self, player_id: str) -> None:
        self.happens(
            PlayerRegistered,
            player_id,
            timezone="Europe/London",
            opted_in=["email", "sms", "push", "in_app"],
        )

    def event(self, kind: type[Any], /, **data: Any) -> Any:
        self.told += 1
        envelope = {"event_id": f"e{self.told}", "event_source": "/test", "occurred_at": self.now}
        return kind(**envelope, **data)

    def happens(self, kind: type[Any], player_id: str = "p", /, **data: Any) -> None:
        self.happen(player_id, self.event(kind, **data))

    def calls(self, what: str, player_id: str = "p") -> str:
        """Start a journey; the run."""
        self.happens(Called, player_id, what=what)
        self.advance_to(self.now)
        return next(reversed(self.runs))

    def passes(self, duration: timedelta) -> None:
        self.advance_to(self.now + duration)

    def marks(self, name: str) -> dict[str, Any]:
        return next(dict(line.detail) for line in self.story if line.step == f"mark:{name}#1")

    def sent(self) -> list[tuple[str, str, timedelta]]:
        return [(m.template, m.channel, m.at - MORNING) for m in self.messages if m.suppressed is None]


@pytest.fixture
def casino() -> Iterator[Casino]:
    with Casino() as opened:
        yield opened


AT_ONCE = timedelta(0)


class TestProviders:
    def test_a_channel_that_is_away_delays_its_own_message_only(self) -> None:
        with Casino(faults=away("email", until=MORNING + minutes(2))) as casino:
            casino.calls("messages")
            casino.passes(minutes(10))
            pauses = [0.5 * 2**n for n in range(6)]  # then half a minute each
            assert casino.sent() == [
                ("welcome", "push", AT_ONCE),
                ("welcome", "in_app", AT_ONCE),
                ("welcome", "email", timedelta(seconds=sum(pauses) + 30 * 3)),
            ]
            told = [line.outcome for line in casino.story if line.step == "send:welcome#1"]
            assert told == ["sent"]

    def test_a_message_that_a_channel_declines_has_failed_there(self) -> None:
        def faults(call: Call, given: EffectInput) -> None:
            raise Declines("push", "email", reason="no such address")

        with Casino(faults=faults) as casino:
            casino.calls("messages")
            casino.passes(hours(2))
            assert casino.sent() == [("welcome", "in_app", AT_ONCE)]
            assert "Suppressed" in casino.marks("second")["told"]
            assert {m.suppressed for m in casino.messages if m.template == "guide"} == {"no such address"}

    def test_a_fallback_is_tried_where_the_first_channel_declines(self) -> None:
        def faults(call: Call, given: EffectInput) -> None:
            raise Declines("email")

        with Casino(faults=faults) as casino:
            casino.calls("messages")
            casino.passes(hours(2))
            assert casino.sent()[-1] == ("guide", "push", hours(1))

    def test_channels_are_named_in_the_order_of_their_rows(self, casino: Casino) -> None:
        casino.calls("messages")
        assert casino.marks("first")["told"] == "Sent(channels=('email', 'in_app', 'push'))"

    def test_an_attempt_that_never_answers_costs_its_time_limit(self) -> None:
        def faults(call: Call, given: EffectInput) -> None:
            if call.attempt == 1 and call.name == "send":
                raise TimedOut

        with Casino(faults=faults) as casino:
            casino.calls("messages")
            casino.passes(minutes(1))
            assert {at for _, _, at in casino.sent()} == {timedelta(seconds=30.5)}

    def test_an_engine_that_is_away_for_long_leaves_the_reward_unknown(self) -> None:
        faults = both(away("bonus_engine", until=MORNING + hours(1)))
        with Casino(faults=faults) as casino:
            casino.calls("rewards")
            casino.passes(minutes(14))
            assert casino.grants == []
            casino.passes(hours(2))
            assert casino.marks("first") == {"status": "unknown", "reason": "the bonus engine never answered"}
            assert [(grant.kind, grant.status) for grant in casino.grants] == [
                ("free_spins", "unknown"),
                ("points", "unknown"),
            ]

    def test_a_reward_that_was_asked_for_is_not_given_to_whom_it_may_not_any_more(self) -> None:
        with Casino(faults=away("bonus_engine", until=MORNING + minutes(5))) as casino:
            casino.calls("rewards")
            casino.passes(minutes(1))
            casino.happens(ExclusionSet, kind="self_exclusion", scope="brand")
            casino.passes(minutes(10))
            assert [(grant.status, grant.reason) for grant in casino.grants] == [("refused", "protected_meanwhile")]
            assert [run.outcome for run in casino.runs.values()] == ["self_excluded"]

    def test_an_engine_that_declines_refuses_the_reward(self) -> None:
        def faults(call: Call, given: EffectInput) -> None:
            raise Declines("bonus_engine", reason="budget")

        with Casino(faults=faults) as casino:
            casino.calls("rewards")
            assert casino.marks("first") == {"status": "refused", "reason": "budget"}

    def test_effects_take_the_time_they_are_given(self) -> None:
        def latency(call: Call) -> timedelta:
            return timedelta(seconds={"send": 20, "mark": 3}.get(call.name, 0))

        with Casino(latency=latency) as casino:
            casino.calls("messages")
            casino.passes(hours(2))
            # The message goes when its attempt begins; the run hears of it later. Two channels take two attempts.
            assert casino.sent()[-1] == ("guide", "email", hours(1) + timedelta(seconds=43))

    def test_a_message_that_cannot_go_in_time_is_not_sent_and_the_journey_goes_on(self) -> None:
        with Casino(faults=away("email", until=MORNING + days(2))) as casino:
            casino.calls("hurry")
            casino.passes(hours(3))
            assert casino.marks("first") == {"told": "Suppressed(reasons={'email': 'too_late'})"}
            # Looked at again once every ten minutes by then.
            (told,) = [line for line in casino.story if line.step == "mark:first#1"]
            assert MORNING + hours(2) < told.at <= MORNING + hours(2) + minutes(10)
            assert casino.marks("second") == {"told": "Sent(channels=('push',))"}

    def test_after_an_hour_an_effect_is_tried_every_ten_minutes(self) -> None:
        attempts: list[timedelta] = []

        def faults(call: Call, given: EffectInput) -> None:
            if call.name == "grant":
                attempts.append(call.now - MORNING)
                raise ConnectionError("the database is away")

        with Casino(faults=faults) as casino:
            casino.calls("rewards")
            casino.passes(hours(3))
        gaps = [(later - one, one) for one, later in pairwise(attempts)]
        assert all(gap <= timedelta(seconds=30) for gap, at in gaps if at < hours(1))
        assert {gap for gap, at in gaps if at >= hours(1)} == {minutes(10)}

    def test_a_channel_that_fails_lets_the_others_of_its_message_pass(self) -> None:
        with Casino(faults=away("push", until=MORNING + minutes(5))) as casino:
            casino.calls("messages")
            casino.passes(minutes(30))
            assert [entry for entry in casino.sent() if entry[2] == AT_ONCE] == [
                ("welcome", "in_app", AT_ONCE),
                ("welcome", "email", AT_ONCE),
            ]
            (late,) = [at for _, channel, at in casino.sent() if channel == "push"]
            assert minutes(5) <= late <= minutes(6)

    def test_a_run_that_is_over_begins_no_effect_however_long_the_last_one_took(self) -> None:
        with Casino(faults=away("email", until=MORNING + hours(4))) as casino:
            run_id = casino.calls("brief")
            casino.passes(hours(6))
            assert casino.runs[run_id].outcome == "ended"
            assert casino.sent()[-1][:2] == ("welcome", "email")
            assert not casino.grants

    def test_everything_away_delays_and_loses_nothing(self) -> None:
        def faults(call: Call, given: EffectInput) -> None:
            if call.now < MORNING + hours(3):
                raise ConnectionError("the database is away")

        with Casino(faults=faults) as casino:
            run_id = casino.calls("messages")
            casino.passes(hours(6))
            assert casino.runs[run_id].outcome == "completed"
            assert [template for template, *_ in casino.sent()] == ["welcome"] * 3 + ["guide"]


def test_a_moment_that_comes_for_many_comes_for_each_a_little_later_and_to_the_minute_where_it_is_asked_for() -> None:
    with Casino() as casino:
        casino.comes("q")
        for player in ("p", "q"):
            casino.calls("appointment", player)
        casino.passes(hours(12))
        at = {(line.run_id, line.step): line.at for line in casino.story}
        runs = [run_id for run_id in casino.runs if run_id.startswith("appointment")]
        about = [at[run_id, "mark:about#1"] for run_id in runs]
        assert about == [MORNING.replace(hour=15) + jitter(run_id, minutes(15)) for run_id in runs]
        assert about[0] != about[1]
        assert {at[run_id, "mark:sharp#1"] for run_id in runs} == {MORNING.replace(hour=18)}


class TestStartingAnotherJourney:
    def test_a_journey_that_nobody_deployed_is_refused_and_leaves_a_line_in_the_story(self, casino: Casino) -> None:
        casino.calls("starts nothing")
        (line,) = (line for line in casino.story if line.step == "start:gone#1")
        refused = {"new_run_id": None, "refused": "No journey is called gone."}
        assert (line.outcome, line.detail) == ("refused", refused)
        assert casino.marks("started") == {"run_id": None, "refused": "No journey is called gone."}

    def test_a_journey_that_is_started_is_named_by_its_run(self, casino: Casino) -> None:
        run_id = casino.calls("starts")
        (line,) = (line for line in casino.story if line.step == "start:waits#1")
        assert (line.outcome, line.detail) == ("started", {"new_run_id": run_id, "refused": None})
        assert casino.runs[run_id].journey == "waits"

    def test_a_protected_players_entry_is_refused_without_a_run(self) -> None:
        def faults(call: Call, given: EffectInput) -> None:
            if call.name == "start" and call.now < MORNING + minutes(5):
                raise ConnectionError("the database is away")

        with Casino(faults=faults) as casino:
            casino.calls("starts")
            casino.happens(ExclusionSet, kind="self_exclusion", scope="brand")
            casino.passes(minutes(10))
            (line,) = (line for line in casino.story if line.step == "start:waits#1")
            assert (line.outcome, line.detail) == ("refused", {"new_run_id": None, "refused": "self_excluded"})
            assert [(run.journey, run.outcome) for run in casino.runs.values()] == [
                ("starts", "self_excluded"),
                ("waits", "refused:self_excluded"),
            ]


class TestGate:
    def test_a_message_that_must_wait_for_the_morning_does_not_fall_back(self, casino: Casino) -> None:
        casino.passes(hours(14))
        run_id = casino.calls("night")
        assert casino.sent() == []
        casino.passes(hours(12))
        assert casino.sent() == [("reload-offer", "email", hours(23) + jitter(run_id, minutes(15)))]

    def test_contacts_are_remembered_for_a_week(self, casino: Casino) -> None:
        casino.calls("daily")
        casino.passes(days(10))
        assert [at.days for _, _, at in casino.sent()] == [0, 1, 2, 3, 7, 8]
        assert {m.suppressed for m in casino.messages} == {None, "weekly_cap"}

    def test_contacts_of_one_journey_count_for_another(self, casino: Casino) -> None:
        casino.calls("daily")
        casino.passes(hours(1))
        casino.calls("night")
        assert casino.messages[-1].suppressed == "daily_cap"


class TestPeople:
    def answered(self, answers: Any, players: int = 1) -> Counter[Any]:
        with Casino(answers=answers) as casino:
            for number in range(players):
                casino.comes(f"p{number}")
                casino.calls("opinions", f"p{number}")
            casino.passes(days(1))
            return Counter(line.detail["opinion"] for line in casino.story if line.step == "mark:answered#1")

    def test_nobody_answers_unless_told_to(self, casino: Casino) -> None:
        casino.calls("opinions")
        casino.passes(hours(4))
        assert casino.marks("answered") == {"opinion": None}

    def test_a_share_of_the_tasks_is_answered(self) -> None:
        share = Share(0.7, after=hours(3), answer=Opinion(opinion="good"))
        found = self.answered(share, players=200)
        assert 125 <= found["good"] <= 155
        assert found == self.answered(share, players=200)
        assert found != self.answered(Share(0.7, after=hours(3), answer=Opinion(opinion="good"), seed=1), players=200)

    def test_shares_of_one_whole(self) -> None:
        policy = either(
            Share(0.5, after=hours(1), answer={"opinion": "good"}),
            Share(0.25, after=hours(1), answer=lambda task, asked: Opinion(opinion="bad")),
        )
        found = self.answered(policy, players=200)
        assert 80 <= found["good"] <= 120
        assert 35 <= found["bad"] <= 65
        assert found[None] == 200 - found["good"] - found["bad"]

    def test_each_form_has_its_own_people(self) -> None:
        good = Share(1, after=minutes(1), answer={"opinion": "good"})
        assert self.answered(by_form({Opinion: good})) == Counter({"good": 1})
        assert self.answered(by_form({"Another": good})) == Counter({None: 1})

    def test_an_answer_too_late_is_not_heard(self) -> None:
        assert self.answered(Share(1, after=hours(5), answer={"opinion": "good"})) == Counter({None: 1})

    def test_shares_that_are_more_than_everybody_are_refused(self) -> None:
        with pytest.raises(StageError, match="between 0 and 1"):
            Share(7, after=hours(1), answer={})
        with pytest.raises(StageError, match="more than the whole"):
            either(Share(0.7, after=hours(1), answer={}), Share(0.7, after=hours(1), answer={}))
        with pytest.raises(StageError, match="before being asked"):
            Share(0.7, after=-hours(1), answer={})

    def test_an_answer_that_does_not_fit_its_form_is_told(self) -> None:
        with pytest.raises(StageError, match=r"The answer .*excellent.* does not fit Opinion: opinion: Input should"):
            self.answered(Share(1, after=hours(1), answer={"opinion": "excellent"}))


class TestMistakes:
    def test_a_bug_names_journey_run_step_and_moment_and_keeps_its_traceback(self, casino: Casino) -> None:
        run_id = casino.calls("bug")
        with pytest.raises(StageError) as raised:
            casino.passes(days(3))
        message = str(raised.value)
        assert message.startswith(f"broken broke in run {run_id} at 2026-03-11T09:00:00+00:00 after step event:Sess")
        assert "stage_journeys.py line" in message
        assert "LookupError: bug" in message
        assert isinstance(raised.value.__cause__, LookupError)

    def test_a_bug_before_the_first_wait_names_the_last_effect(self) -> None:
        with Casino() as casino, pytest.raises(StageError, match=r"careless failed in run .* after step mark:here#1"):
            casino.calls("careless")

    def test_a_template_nobody_wrote_is_named(self) -> None:
        with World(REGISTRY, {}, MORNING) as world:
            event = Called(event_id="1", event_source="/test", occurred_at=MORNING, what="waits")
            world.happen("p", event)
            with pytest.raises(StageError, match="waits sends welcome, which is no template here"):
                world.advance_to(MORNING)


class TestIntake:
    def test_a_run_that_starts_and_stops_in_one_batch_does_nothing(self, casino: Casino) -> None:
        gone = {"kind": "self_exclusion", "scope": "brand"}
        casino.happen("p", casino.event(Called, what="waits"), casino.event(ExclusionSet, **gone))
        casino.passes(days(1))
        assert [run.outcome for run in casino.runs.values()] == ["self_excluded"]
        assert casino.messages == []

    def test_an_event_of_the_same_batch_is_heard_by_the_run_it_starts(self, casino: Casino) -> None:
        casino.happen("p", casino.event(Called, what="waits"), casino.event(SessionLogin))
        casino.passes(minutes(1))
        assert [template for template, *_ in casino.sent()] == ["welcome", "verify-email"]

    def test_a_wait_as_long_as_the_run_may_last_is_its_end(self, casino: Casino) -> None:
        run_id = casino.calls("exact")
        casino.passes(days(2))
        assert casino.runs[run_id].outcome == "ended"
        assert casino.runs[run_id].ended_at == MORNING + days(1)

    def test_the_brand_is_a_part_of_every_id(self) -> None:
        with Casino(brand="acme") as casino:
            assert casino.calls("waits").startswith("waits:acme:p:")

    def test_effects_are_heard_with_what_came_of_them(self) -> None:
        heard: list[tuple[str, str]] = []
        with Casino(on_effect=lambda at, name, given, result: heard.append((name, given.step))) as casino:
            casino.calls("waits")
            casino.happens(DepositApproved, payment_id="1", amount_minor=1, currency="EUR")
            casino.happens(SessionLogin)
            casino.passes(minutes(1))
        assert heard == [("send", "send:welcome#1"), ("send", "send:verify-email#1"), ("end", "end")]

    def test_providers_that_stay_away_hold_a_run_up_for_ever(self) -> None:
        def faults(call: Call, given: EffectInput) -> None:
            raise Away("email", "push")

        with Casino(faults=faults) as casino:
            run_id = casino.calls("messages")
            casino.passes(hours(3))
            assert casino.runs[run_id].outcome is None


def test_a_rule_that_raises_is_warned_of_and_the_play_goes_on(casino: Casino) -> None:
    @segment
    def doomed(player: Statistics) -> bool:
        """Divides by nothing."""
        return player.deposits > 1 // 0

    casino.rules = RuleIndex(REGISTRY.journeys, {"doomed": doomed})
    with pytest.warns(RuleWarning, match="Segment doomed raised ZeroDivisionError"):
        casino.happens(DepositApproved, amount_minor=100, currency="EUR", payment_id="1")
    assert casino.players["p"].deposited_minor == 100
