"""A release that is played beside the live one on the stage: what it would have done, and that nothing is done."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.testing.players import make
from stage.world.world import World
from tests.support.examples import examples
from tests.support.outside_packages import Write
from tests.support.shadowed_package import shadowed
from workflows import (
    ContactVerified,
    DepositApproved,
    DepositFailed,
    Event,
    ExclusionSet,
    PlayerRegistered,
    RoundCompleted,
    SessionEnded,
    SessionLogin,
    TierChanged,
    days,
    hours,
)
from workflows.player_state.identities import run_id_of
from workflows.shadows import shadow_run_id
from workflows.source.journey_loading import Registry, load

MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)
TEMPLATES = read_template_facts([SHIPPED_TEMPLATES])
REACHABLE: dict[str, Any] = {"timezone": "Europe/London", "opted_in": ["email", "sms", "push", "in_app"]}
#: The second thing that happens to the player is the login that begins a run.
LOGIN = make(SessionLogin, {}, event_id="e2", occurred_at=MORNING)
CAUSE = {"type": LOGIN.type, "source": LOGIN.event_source, "id": LOGIN.event_id}
LIVE = run_id_of("hello", "stage", "p", CAUSE, timedelta(0), 0)
SHADOW = shadow_run_id(1, LIVE)


class Casino(World):
    """A world with one player in London, who may be told everything."""

    def __init__(self, registry: Registry, *, percent: float = 100, **options: Any) -> None:
        super().__init__(registry, TEMPLATES, MORNING, **options)
        self.told = 0
        if percent:
            self.shadow("hello", 2, percent)
        self.happens(PlayerRegistered, **REACHABLE)

    def happens(self, kind: type[Event], player_id: str = "p", **data: Any) -> None:
        self.told += 1
        self.happen(player_id, make(kind, data, event_id=f"e{self.told}", occurred_at=self.now))
        self.advance_to(self.now)

    def passes(self, **duration: int) -> None:
        self.advance_to(self.now + days(duration.get("days", 0)) + hours(duration.get("hours", 0)))

    def would(self, run_id: str = SHADOW) -> list[str]:
        """`step: outcome` of everything that a shadow run would have done, in order."""
        return [f"{one.step}: {one.outcome}" for one in self.withheld if one.run_id == run_id]

    def detail(self, step: str) -> Mapping[str, Any]:
        return next(one.detail for one in self.withheld if one.step == step)

    @property
    def lasting(self) -> tuple[Any, ...]:
        """Everything that a shadow may not touch: what was done, what was written, what is known of the player."""
        known = {name: value for name, value in self.player("p").to_json().items() if name != "shadows"}
        return self.messages, self.grants, self.tasks, self.story, self.runs, self.moves, known


@pytest.fixture
def registry(package: Write, tmp_path: Path) -> Registry:
    return shadowed(package, tmp_path)


@pytest.fixture
def casino(registry: Registry) -> Iterator[Casino]:
    with Casino(registry) as made:
        yield made


def test_players_enter_on_the_release_before_one_that_is_for_a_shadow(casino: Casino) -> None:
    journey = casino.registry.journeys["hello"]
    assert (journey.version, journey.entered_on) == (2, 1)
    casino.happens(SessionLogin)
    casino.passes(days=4)
    assert [grant.kind for grant in casino.grants] == ["points"]


def test_a_shadow_says_what_its_release_would_have_done(casino: Casino) -> None:
    casino.happens(SessionLogin)
    casino.passes(days=9)
    assert casino.would() == [
        "send:guide#1: sent",
        "send:favourite-tip#1: suppressed",
        "event:DepositApproved#1: timed_out",
        "grant:free_spins#1: confirmed",
        "ask:Call#1: opened",
        "ask:Call#1: remind",
        "ask:Call#1: expire",
        "ask:Call#1: nobody_answered",
        "mark:called#1: marked",
        "send:verify-email#1: sent",
        "end: completed",
    ]
    assert casino.detail("grant:free_spins#1")["reward"]["max_win_minor"] == 500
    assert casino.shadow_runs[SHADOW].outcome == "completed"
    assert casino.player("p").shadows == {}


def test_nothing_is_done_and_nothing_is_counted(registry: Registry) -> None:
    told = []
    for percent in (0, 100):
        with Casino(registry, percent=percent) as casino:
            casino.happens(SessionLogin)
            casino.passes(days=2)
            casino.happens(DepositApproved)
            casino.happens(SessionLogin)
            casino.passes(days=9)
            assert bool(casino.withheld) is bool(percent)
            told.append(casino.lasting)
    assert told[0] == told[1]


def test_the_gate_counts_what_the_shadow_would_have_sent_and_not_what_the_live_run_did(casino: Casino) -> None:
    casino.happens(SessionLogin)
    casino.passes(hours=2)
    assert [message.template for message in casino.messages] == ["guide"]
    assert casino.detail("send:guide#1")["channels"] == {"email": "sent"}
    assert casino.detail("send:favourite-tip#1")["channels"] == {"email": "daily_cap"}


def test_the_gate_refuses_a_shadow_what_it_would_refuse_a_player(casino: Casino) -> None:
    casino.addresses["p"] = frozenset({"push"})
    casino.happens(SessionLogin)
    casino.passes(hours=2)
    assert casino.detail("send:guide#1")["channels"] == {"email": "no_address"}


def test_an_event_reaches_the_live_run_and_its_shadow(casino: Casino) -> None:
    casino.happens(SessionLogin)
    casino.passes(hours=3)
    casino.happens(DepositApproved)
    casino.passes(days=9)
    assert "event:DepositApproved#1: DepositApproved" in casino.would()
    assert "grant:free_spins#1: confirmed" not in casino.would()


def test_what_a_person_answers_the_live_run_is_answered_to_its_shadow(casino: Casino) -> None:
    casino.happens(SessionLogin)
    casino.passes(days=3)
    (task,) = casino.tasks.values()
    casino.answer(task, {"mood": "tired"})
    casino.passes(days=1)
    assert casino.detail("mark:called#1") == {"mood": "tired"}
    assert "ask:Call#1: answered" in casino.would()


def test_an_exclusion_stops_a_shadow_at_once(casino: Casino) -> None:
    casino.happens(SessionLogin)
    casino.happens(ExclusionSet)
    assert (casino.runs[LIVE].outcome, casino.shadow_runs[SHADOW].outcome) == ("self_excluded", "self_excluded")


def test_an_exclusion_stops_a_shadow_whose_live_run_is_over(casino: Casino) -> None:
    casino.happens(SessionLogin)
    casino.passes(days=6)
    assert (casino.runs[LIVE].outcome, casino.shadow_runs[SHADOW].outcome) == ("completed", None)
    casino.happens(ExclusionSet)
    assert casino.shadow_runs[SHADOW].outcome == "self_excluded"


def test_what_ends_a_run_ends_its_shadow(casino: Casino) -> None:
    casino.happens(SessionLogin)
    casino.happens(SessionEnded)
    assert casino.shadow_runs[SHADOW].outcome == casino.runs[LIVE].outcome == f"exit_on:{SessionEnded.type}"


def test_a_shadow_that_is_stopped_ends_and_none_begins(casino: Casino) -> None:
    casino.happens(SessionLogin)
    casino.stop_shadow("hello")
    casino.passes(hours=1)
    assert casino.shadow_runs[SHADOW].outcome == "shadow_stopped"
    assert casino.player("p").shadows == {}
    assert casino.runs[LIVE].outcome is None
    casino.happens(SessionEnded)
    casino.happens(SessionLogin)
    assert len(casino.shadow_runs) == 1


def test_a_hold_is_the_live_runs_alone(casino: Casino) -> None:
    casino.hold("hello")
    casino.happens(SessionLogin)
    casino.passes(hours=2)
    assert casino.messages == []
    assert "send:guide#1: sent" in casino.would()


def test_players_outside_of_the_percentage_have_none(registry: Registry) -> None:
    with Casino(registry, percent=20) as casino:
        for number in range(40):
            casino.happens(PlayerRegistered, f"p-{number}", timezone="Europe/London")
            casino.happens(SessionLogin, f"p-{number}")
        assert 2 <= len(casino.shadow_runs) <= 16


def test_a_shadow_waits_for_the_morning_and_asks_again(registry: Registry) -> None:
    with Casino(registry) as casino:
        casino.passes(hours=14)
        casino.happens(SessionLogin)
        assert casino.would() == ["send:guide#1: waiting"]
        casino.passes(hours=10)
        assert casino.would()[:3] == ["send:guide#1: waiting", "send:guide#1: quiet_hours", "send:guide#1: sent"]
        assert casino.messages[0].at == casino.withheld[2].at


# ---- the shadow of the live release itself ----------------------------------------------------------

SHIPPED = load()
LIVES = st.lists(
    st.tuples(
        st.sampled_from(
            [SessionLogin, DepositApproved, DepositFailed, RoundCompleted, TierChanged, ContactVerified, ExclusionSet]
        ),
        st.sampled_from([hours(1), hours(9), days(1), days(5), days(20)]),
        st.integers(1, 3),
    ),
    max_size=8,
)


@settings(max_examples=examples(25))
@given(LIVES)
def test_the_shadow_of_the_live_release_would_do_what_that_does(
    life: list[tuple[type[Event], timedelta, int]],
) -> None:
    with World(SHIPPED, TEMPLATES, MORNING, control=0) as world:
        for name, journey in SHIPPED.journeys.items():
            world.shadow(name, journey.version)
        world.happen("p", make(PlayerRegistered, REACHABLE, event_id="e", occurred_at=world.now))
        for number, (kind, pause, times) in enumerate(life):
            world.advance_to(world.now + pause)
            for time in range(times):
                world.happen("p", make(kind, {}, event_id=f"e{number}-{time}", occurred_at=world.now))
        world.advance_to(world.now + days(70))
        for run in world.shadow_runs.values():
            live = world.runs[run.beside]
            assert (run.outcome, run.ended_at) == (live.outcome, live.ended_at)
            did = [(line.at, line.step, line.outcome) for line in world.story if line.run_id == run.beside]
            would = [(line.at, line.step, line.outcome) for line in world.withheld if line.run_id == run.run_id]
            assert sorted(would) == sorted(did)
        begun = {name for name, run in world.runs.items() if not str(run.outcome).startswith("refused:")}
        assert {run.beside for run in world.shadow_runs.values()} == begun
