"""A run that moves to another release, as a designer rehearses it."""

import importlib
from pathlib import Path

import pytest

from stage.errors import StageError
from stage.testing.rehearsal import Rehearse
from tests.support.outside_packages import Write
from tests.support.releases import release, reloaded
from workflows import DepositFailed, ExclusionSet, days
from workflows.run import JourneyRun

JOURNEY = """
from workflows import DepositFailed, Player, SessionLogin, days, journey, on


@journey(on(SessionLogin), ends_after=days(60))
async def hello(player: Player, login: SessionLogin) -> None:
    '''Waits for a failed deposit.'''
    await player.send("welcome", via=["email"])
    WAIT
    await player.mark("over", heard=failed is not None)
"""
FIRST = 'failed = await player.event(DepositFailed, within=days(10), where=lambda one: one.failure == "limit")'
SECOND = """await player.send("guide", via=["email"])
    failed = await player.event(DepositFailed, within=days(5))"""


@pytest.fixture
def hello(package: Write, tmp_path: Path) -> type[JourneyRun]:
    """A journey with one release; its present code has a message more, waits less long and for more."""
    name = package(hello=JOURNEY.replace("WAIT", FIRST))
    release(name)
    path = tmp_path / name / "hello.py"
    path.write_text(path.read_text().replace(FIRST, SECOND))
    reloaded(name)
    journey: type[JourneyRun] = importlib.import_module(f"{name}.hello").hello
    return journey


async def test_a_move_is_rehearsed_before_the_code_is_released(rehearse: Rehearse, hello: type[JourneyRun]) -> None:
    run = await rehearse(hello, version=1)
    await run.advance(days(2))
    await run.moves_to()
    assert (run.sent, run.version) == (["welcome"], 0)
    await run.advance(days(4))
    assert run.ended == "completed"
    assert any("the run is told to move to v0" in line for line in run.story)


async def test_what_was_inserted_is_done_where_it_is_named(rehearse: Rehearse, hello: type[JourneyRun]) -> None:
    run = await rehearse(hello, version=1)
    await run.moves_to(0, "send:guide")
    assert run.sent == ["welcome", "guide"]
    await run.moves_to(1)
    assert (run.version, run.sent) == (1, ["welcome", "guide"])


async def test_a_run_that_moves_has_heard_what_its_new_release_waits_for(
    rehearse: Rehearse, hello: type[JourneyRun]
) -> None:
    run = await rehearse(hello, version=1)
    await run.advance(days(1))
    await run.happens(DepositFailed, failure="technical")
    assert run.ended is None
    await run.moves_to()
    assert run.ended == "completed"
    assert any("mark:over#1  marked (heard=True)" in line for line in run.story)


async def test_an_exclusion_ends_a_run_that_has_moved(rehearse: Rehearse, hello: type[JourneyRun]) -> None:
    run = await rehearse(hello, version=1)
    await run.moves_to()
    await run.happens(ExclusionSet, kind="self_exclusion")
    assert run.ended == "self_excluded"
    with pytest.raises(StageError, match="The run is over"):
        await run.moves_to(1)


async def test_a_run_moves_only_where_there_is_something_to_move_to(
    rehearse: Rehearse, hello: type[JourneyRun]
) -> None:
    with pytest.raises(StageError, match="There is no v3 of hello to play; there are v0, v1"):
        await rehearse(hello, version=3)
    run = await rehearse(hello, version=1)
    with pytest.raises(StageError, match="There is no v3 of hello"):
        await run.moves_to(3)
    with pytest.raises(StageError, match="The run is on v1 already"):
        await run.moves_to(1)
