"""The release check: real histories on code that was changed on purpose."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from typer.testing import CliRunner

from cli.app import app
from stage.errors import StageError
from stage.flow.check_release import Broken, ReleaseCheck, histories_in_folder, replay
from tests.support.first_releases import first_source, is_of_first
from tests.support.outside_packages import released
from workflows.declaration import Journey
from workflows.source.journey_loading import load

HISTORIES = Path(__file__).parent.parent / "histories"
NOTE = "tier_up.a_note_nobody_writes_is_escalated_and_then_closed.of-v1"

Changed = Callable[..., dict[str, Journey]]


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Changed:
    """The journeys of a release in which one shipped journey was edited, as it was when it was first released."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def edit(name: str, *edits: tuple[str, str]) -> dict[str, Journey]:
        source = first_source(name)
        for old, new in edits:
            assert old in source
            source = source.replace(old, new)
        return released(tmp_path, source)

    return edit


async def stored(name: str, upto: int | None = None) -> AsyncIterator[WorkflowHistory]:
    """The stored histories of a journey from before it was released again.

    `upto` cuts them off after so many events, as a run in flight is.
    """
    for path in sorted(HISTORIES.glob(f"{name}.*json")):
        if not is_of_first(path.read_text()):
            continue
        history = json.loads(path.read_text())
        yield WorkflowHistory.from_json(path.stem, {"events": history["events"][:upto]})


async def broken(name: str, journeys: Mapping[str, Journey], upto: int | None = None) -> list[Broken]:
    return (await replay(stored(name, upto), journeys, ReleaseCheck())).broken


SPINS = "    await player.grant(free_spins(20, max_win=10000))\n"
TOLD = '    await player.send("tier-gold", via=["in_app", "push", "email"])\n'


async def test_what_is_shipped_breaks_no_stored_run() -> None:
    release = await replay(histories_in_folder(HISTORIES), load().journeys, ReleaseCheck())
    assert release.broken == []
    assert release.replayed["tier_up"] == 4


async def test_two_steps_swapped_leave_the_runs_stuck_at_the_first_of_them(changed: Changed) -> None:
    journeys = changed("tier_up", (SPINS + TOLD, TOLD + SPINS))
    release = await replay(stored("tier_up"), journeys, ReleaseCheck())
    assert {(one.how, one.step, one.now) for one in release.broken} == {
        ("stuck", "grant:free_spins#1", "the code now goes to send:tier-gold#1 there")
    }
    (sentence,) = release.sentences
    assert sentence == (
        "tier_up: 2 of 2 runs in flight would stand still at grant:free_spins#1: the code now goes to "
        "send:tier-gold#1 there. Put the code back, release it and move them to that release; then edit. "
        f"Such a run is {NOTE}."
    )


async def test_a_step_that_became_another_of_its_kind_is_found_though_temporal_does_not_mind(changed: Changed) -> None:
    journeys = changed("tier_up", ('"tier-gold"', '"welcome"'))
    assert {(one.how, one.step, one.now) for one in await broken("tier_up", journeys)} == {
        ("astray", "send:tier-gold#1", "the code now goes to send:welcome#1 there")
    }


async def test_a_patched_change_breaks_nothing(changed: Changed) -> None:
    old, new = (text.replace("    await", "        await") for text in (SPINS + TOLD, TOLD + SPINS))
    guarded = f'    if workflow.patched("told-first"):\n{new}    else:\n{old}'
    imported = ("from workflows import", "from temporalio import workflow\nfrom workflows import")
    assert await broken("tier_up", changed("tier_up", (SPINS + TOLD, guarded), imported)) == []


async def test_a_change_behind_where_the_runs_stand_breaks_nothing(changed: Changed) -> None:
    """The first ten events end in the grant of the tier; what comes later is changed."""
    journeys = changed("tier_up", (SPINS + TOLD, TOLD + SPINS))
    assert await broken("tier_up", journeys, upto=10) == []
    assert await broken("tier_up", journeys, upto=16) != []


async def test_a_wait_put_before_the_first_step_is_told_as_what_comes_there_now(changed: Changed) -> None:
    first = '    await player.send("welcome"'
    journeys = changed("welcome", (first, f"    await player.sleep(hours(1))\n{first}"))
    assert {(one.how, one.step, one.now) for one in await broken("welcome", journeys)} == {
        ("stuck", "send:welcome#1", "the code now goes to sleep#1 there")
    }


async def test_a_step_that_was_dropped_is_told_by_its_old_place(changed: Changed) -> None:
    journeys = changed("tier_up", (TOLD, ""))
    assert {(one.how, one.step, one.now) for one in await broken("tier_up", journeys)} == {
        ("stuck", "send:tier-gold#1", "the code now goes to ask:PersonalNote#1 there")
    }


@pytest.mark.parametrize(("old", "new"), [("days(2)", "days(20)"), ("hours(1)", "days(15)"), ("days(10)", "hours(1)")])
async def test_a_wait_of_another_length_moves_no_run_that_is_past_it(changed: Changed, old: str, new: str) -> None:
    """Longer than the run may live too: what ended a wait is what its timer says, which stands in the history."""
    assert await broken("welcome", changed("welcome", (f"within={old}", f"within={new}"))) == []


async def test_code_that_fails_is_told_with_its_own_words(changed: Changed) -> None:
    journeys = changed("tier_up", (TOLD, '    raise ValueError(f"no {player.deposits} for you")\n'))
    (one, _) = await broken("tier_up", journeys)
    assert (one.how, one.step) == ("stuck", "send:tier-gold#1")
    assert one.now == "the code does not come to it any more (no 50 for you)"


async def test_runs_of_a_journey_that_is_gone_are_told() -> None:
    journeys = {name: one for name, one in load().journeys.items() if name != "tier_up"}
    release = await replay(stored("tier_up", 10), journeys, ReleaseCheck())
    assert [(one.how, one.step) for one in release.broken] == [("gone", "grant:tier_upgrade#1")] * 2
    (sentence,) = release.sentences
    assert "there is no such journey now. Keep the journey until they have ended." in sentence


async def test_a_folder_without_histories_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="There are no histories in"):
        await replay(histories_in_folder(tmp_path), load().journeys, ReleaseCheck())
    for text in ("{", "[]", '{"events": []}', '{"events": [{"eventId": "1"}]}'):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(StageError, match="is no history"):
            await replay(histories_in_folder(tmp_path), load().journeys, ReleaseCheck())


def test_the_command_fails_when_a_release_would_break_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = first_source("tier_up")
    (tmp_path / "next_release.py").write_text(source.replace(SPINS + TOLD, TOLD + SPINS))
    histories = tmp_path / "histories"
    histories.mkdir()
    for path in HISTORIES.glob("tier_up.*.of-v1.json"):
        (histories / path.name).write_text(path.read_text())
    command = ["check", "tier_up", "--histories", str(histories)]
    assert CliRunner().invoke(app, command).exit_code == 0
    monkeypatch.setattr("workflows.source.journey_loading.SHIPPED", "next_release")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "tier_up: its code is no release" in result.stdout
    assert "tier_up: 2 of 2 runs in flight would stand still at grant:free_spins#1" in result.stdout
    assert "2 things to mend in 1 journey, 52 templates and 2 runs in flight." in result.stderr
