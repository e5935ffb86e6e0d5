"""Scores in journeys and segments: told by an event, estimated where none was told."""

from datetime import timedelta

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.testing.players import make
from stage.world.world import World
from tests.support.outside_packages import Write
from tests.support.year_on_stage import BEGIN
from workflows import DepositApproved, PlayerRegistered, ScoreChanged, SessionLogin, days, minutes
from workflows.player_state.ordering import Word
from workflows.player_state.state import PlayerState
from workflows.scores import BELIEVED_FOR, BY_SILENCE, CHURN, SCORES, SOURCE, VALUE, VIP, read_score
from workflows.source.journey_loading import load

REGISTRY = load(("tests.support.scored_journeys",))

DECLARING = """from typing import Any

from workflows import *

churn = score_percent("churn")


@journey(on(SessionLogin), entry=always, ends_after=days(1))
async def one(player: Player, _: Any) -> None:
"""
READING = """@segment
def leaving(player: Statistics) -> bool:
    '''Leaving.'''
    return player[churn] >= 60
"""


@pytest.fixture
def world() -> World:
    return World(REGISTRY, read_template_facts([SHIPPED_TEMPLATES]), BEGIN + timedelta(hours=10))


def tell(world: World, before: int, now: int, *, score: str = "churn", why: tuple[str, ...] = ("silent",)) -> None:
    moved = {"score": score, "from_percent": before, "to_percent": now, "why": [*why]}
    world.happen("p1", make(ScoreChanged, moved, event_id=f"{score}-{world.now.isoformat()}", occurred_at=world.now))
    world.advance_to(world.now + minutes(1))


def marks(world: World) -> list[tuple[str, dict[str, object]]]:
    return [(one.step, dict(one.detail)) for one in world.story if one.step.startswith("mark:")]


def test_a_journey_reads_what_was_told_last_with_its_reasons(world: World) -> None:
    tell(world, 0, 30)
    tell(world, 30, 72)
    world.happen("p1", make(SessionLogin, {}, event_id="l-1", occurred_at=world.now))
    world.advance_to(world.now + minutes(1))
    assert marks(world)[-1] == ("mark:asked#1", {"percent": 72, "why": ["silent"], "estimated": False})


def test_a_segment_holds_who_stands_above_its_bound(world: World) -> None:
    world.happen("p1", make(PlayerRegistered, {}, event_id="r-1", occurred_at=world.now))
    tell(world, 0, 45)
    assert "likely_to_leave" not in world.player("p1").segments
    tell(world, 45, 70)
    assert "likely_to_leave" in world.player("p1").segments
    assert [step for step, _ in marks(world)] == ["mark:leaving#1"]
    tell(world, 70, 55)
    assert "likely_to_leave" not in world.player("p1").segments


def test_each_score_stands_by_itself(world: World) -> None:
    world.happen("p1", make(PlayerRegistered, {}, event_id="r-1", occurred_at=world.now))
    tell(world, 0, 95, score="value", why=("large sums deposited of late", "a deposit only lately"))
    assert {"brings_most", "rising", "likely_to_leave"} & {*world.player("p1").segments} == {"brings_most"}
    tell(world, 0, 60, score="vip")
    assert {"brings_most", "rising", "likely_to_leave"} & {*world.player("p1").segments} == {"brings_most", "rising"}
    world.happen("p1", make(DepositApproved, {}, event_id="d-1", occurred_at=world.now))
    world.advance_to(world.now + minutes(1))
    why = "large sums deposited of late; a deposit only lately"
    assert marks(world)[-1] == ("mark:worth#1", {"value": 95, "vip": 60, "why": why})


def test_without_a_score_silence_alone_is_told_as_an_estimate(world: World) -> None:
    world.happen("p1", make(DepositApproved, {}, event_id="d-1", occurred_at=world.now))
    world.advance_to(world.now + days(15))
    world.happen("p1", make(SessionLogin, {}, event_id="l-1", occurred_at=world.now))
    world.advance_to(world.now + minutes(1))
    said = {"percent": 65, "why": ["15 days since the last deposit"], "estimated": True}
    assert marks(world)[-1] == ("mark:asked#1", said)


def test_a_score_of_more_than_a_week_ago_is_not_believed() -> None:
    told = ScoreChanged.example()
    state = PlayerState("acme", "p1")
    assert read_score(told.score, told, state, told.occurred_at + BELIEVED_FOR).percent == told.to_percent
    later = read_score(told.score, told, state, told.occurred_at + BELIEVED_FOR + timedelta(seconds=1))
    assert (later.percent, later.as_of) == (BY_SILENCE[CHURN][-1][1], None)
    assert read_score(CHURN, None, None, told.occurred_at).why == ["no deposit so far"]


def test_who_objects_to_profiling_is_not_believed_to_have_a_score_from_then_on() -> None:
    told, state = ScoreChanged.example(), PlayerState("acme", "p1")
    word = Word(told.occurred_at, live=True)
    state.set_consent("profiling", word, opted_in=False)
    assert read_score(told.score, told, state, told.occurred_at).as_of is None
    state.set_consent("profiling", Word(told.occurred_at + minutes(1), live=True), opted_in=True)
    assert read_score(told.score, told, state, told.occurred_at).percent == told.to_percent


def test_a_score_that_is_over_is_an_estimate_and_no_zero() -> None:
    told = ScoreChanged.example().model_copy(update={"event_source": SOURCE, "to_percent": 0})
    over = told.model_copy(update={"model": 0})
    state = PlayerState("acme", "p1")
    assert read_score(told.score, told, state, told.occurred_at).percent == 0
    assert read_score(over.score, over, state, told.occurred_at).percent == BY_SILENCE[CHURN][-1][1]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('    """Asks."""\n    await player.score("churn")\n', {CHURN}),
        ('    """Asks."""\n    await player.score(name="vip")\n    await player.score("value")\n', {VIP, VALUE}),
        ('    """Asks."""\n    for one in ("vip",):\n        await player.score(one)\n', {*SCORES}),
        ('    """Is there."""\n    await player.mark("came")\n\n\n' + READING, {CHURN}),
        ('    """Is there."""\n    await player.mark("came")\n', set()),
    ],
    ids=["a journey asks", "for two", "for one it does not name plainly", "a segment reads", "neither"],
)
def test_it_is_known_which_scores_anything_that_is_deployed_reads(package: Write, written: str, read: set[str]) -> None:
    assert load((package(one=DECLARING + written),)).reads_scores == read


@pytest.mark.parametrize("score", SCORES)
def test_longer_silence_is_never_a_better_estimate(score: str) -> None:
    estimates = BY_SILENCE[score]
    assert [*estimates] == sorted(estimates)
    percents = [percent for _, percent in estimates]
    assert percents == sorted(percents, reverse=score != CHURN)
    state = PlayerState("acme", "p1")
    never = read_score(score, None, state, BEGIN)
    assert (never.percent, never.as_of) == (90 if score == CHURN else 0, None)
