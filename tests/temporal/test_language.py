"""What the language promises a designer, on a Temporal that skips waits."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from activities.messages import Messages
from activities.tables import runs, steps
from tests.support.designs.facts import Ping, Pong
from tests.support.history_recording import record
from tests.support.machine import eventually
from tests.support.player_events import started
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from tests.support.temporal_engine import BRAND, Theatre, theatre
from workflows import days, hours, minutes
from workflows.run_protocol import Delivery, DeliveryBatch


@pytest.fixture
async def stage(
    request: pytest.FixtureRequest,
    time_skipping: WorkflowEnvironment,
    postgres_url: str,
    bonus_engine: LocalBonusEngine,
    catch_all: LocalCatchAll,
) -> AsyncIterator[Theatre]:
    """A registered player in Johannesburg, at ten on the morning of a Wednesday, and the designer's own journeys."""
    variables = {
        "DATABASE_URL": postgres_url,
        "BONUS_ENGINE_URL": bonus_engine.url,
        "JOURNEYS": "tests.support.designs",
        "SHIPPED_JOURNEYS": "none",
        **catch_all.environment,
    }
    here = await time_skipping.get_current_time()
    wednesday = here.date() + timedelta(days=(2 - here.weekday()) % 7 + 7)
    morning = datetime.combine(wednesday, time(8), UTC)
    async with theatre(time_skipping, f"p-{postgres_url[-6:]}", variables, morning) as opened:
        await opened.registers(mode="history")
        yield opened
        await record(request, opened)


async def marks(stage: Theatre, name: str) -> list[dict[str, Any]]:
    """What was marked under this name, oldest first."""
    found = await stage.rows(steps, order="seq")
    return [s["detail"] for s in found if s["step"].startswith(f"mark:{name}#")]


async def failing(stage: Theatre, journey: str) -> bool:
    """Whether an attempt of the effect under way has failed."""
    pending = (await stage.handle(journey).describe()).raw_description.pending_activities
    return any(effect.HasField("last_failure") for effect in pending)


async def cancelling(stage: Theatre, journey: str) -> bool:
    """Whether the run has taken the cancellation in."""
    told = [event.event_type async for event in stage.handle(journey).fetch_history_events()]
    return EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED in told


class TestWaits:
    async def test_an_event_before_the_wait_is_not_lost_and_the_oldest_is_used_first(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="buffer")
        await stage.happens(Pong, name="one")
        await stage.happens(Pong, name="two")
        await stage.ends("buffering")
        assert await marks(stage, "seen") == [{"older": "one", "forward": None, "newer": "two"}]

    async def test_a_fresh_wait_takes_what_arrives_after_it_began(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="buffer")
        await stage.happens(Pong, name="one")
        await stage.happens(Pong, name="two")
        await stage.advance(hours(1) + minutes(10))
        await stage.happens(Pong, name="three")
        await stage.ends("buffering")
        assert await marks(stage, "seen") == [{"older": "one", "forward": "three", "newer": "two"}]

    async def test_a_wait_takes_only_what_passes_its_filter(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="filter")
        await stage.happens(Pong, name="wrong")
        await stage.advance(minutes(1))
        await stage.happens(Pong, name="right")
        await stage.ends("choosy")
        assert await marks(stage, "seen") == [{"fitting": "right", "either": "Pong"}]

    async def test_a_run_ends_where_it_stands_when_its_time_is_up(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="long")
        assert await stage.ends("outlived") == "ended"
        assert await marks(stage, "never") == []

    async def test_until_waits_for_the_players_own_clock(self, stage: Theatre) -> None:
        began = stage.now
        await stage.happens(Ping, name="monday")
        await stage.ends("punctual")
        moment = datetime.fromisoformat((await marks(stage, "moment"))[0]["at"])
        assert moment.weekday() == 0
        assert moment.hour == 7  # nine in Johannesburg
        assert moment - began < days(7)

    async def test_a_gate_whose_clock_is_behind_is_not_asked_without_a_pause(self, stage: Theatre) -> None:
        [messages] = {effect.__self__ for effect in stage.engine.activities if isinstance(effect.__self__, Messages)}  # type: ignore[attr-defined]  # they are bound methods
        messages.clock = lambda: stage.clock() - minutes(2)
        await stage.happens(Ping, name="night")
        assert await stage.ends("nightly") == "completed"
        waits = [line for line in await stage.story("nightly") if line.endswith(": quiet_hours")]
        assert 1 < len(waits) < 20

    async def test_a_parked_run_says_what_it_waits_for(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="long")
        await stage.advance(minutes(1))
        position = await stage.position("outlived")
        assert position.step == "event:Pong#1"
        assert position.waiting_until is not None
        assert days(2) < position.waiting_until - stage.now < days(3)


class TestBounds:
    async def test_a_run_keeps_the_newest_thousand_events_and_says_so(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="hoard")
        batch = [
            Delivery(
                seq=number,
                kind="event",
                event=Pong(event_id=str(number), event_source="/t", occurred_at=stage.now, name=str(number)).to_wire(),
            )
            for number in range(1, 1_004)
        ]
        await stage.handle("hoarding").signal("deliver", DeliveryBatch(items=batch))
        await stage.ends("hoarding")
        assert await marks(stage, "seen") == [{"oldest": "4"}]
        assert (await stage.story("hoarding")).count("inbox#1: full") == 1

    async def test_a_story_without_effects_is_kept_now_and_then(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="tell")
        await stage.ends("talkative")
        story = await stage.story("talkative")
        assert sum(line.endswith(": timed_out") for line in story) == 250
        assert "kept:story#1: marked" in story


class TestDeliveries:
    async def test_a_delivery_that_comes_twice_is_heard_once(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="buffer")
        pong = Pong(event_id="x", event_source="/test", occurred_at=stage.now, name="one").to_wire()
        batch = DeliveryBatch(items=[Delivery(seq=1, kind="event", event=pong)])
        for _ in range(3):
            await stage.handle("buffering").signal("deliver", batch)
        await stage.ends("buffering")
        assert await marks(stage, "seen") == [{"older": "one", "forward": None, "newer": None}]

    async def test_an_event_type_that_no_longer_exists_does_not_wedge_a_run(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="rest")
        gone = {"type": "igaming.tests.gone.v1", "id": "x", "source": "/test", "time": "2026-01-01T00:00:00Z"}
        batch = DeliveryBatch(items=[Delivery(seq=1, kind="event", event={**gone, "data": {}})])
        await stage.handle("resting").signal("deliver", batch)
        assert await stage.ends("resting") == "completed"

    async def test_an_event_that_cannot_be_read_any_more_does_not_hide_the_stop_behind_it(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="rest")
        changed = Pong(event_id="x", event_source="/test", occurred_at=stage.now).to_wire() | {"data": {"name": 7}}
        batch = DeliveryBatch(
            items=[Delivery(seq=1, kind="event", event=changed), Delivery(seq=2, kind="stop", reason="by_hand")]
        )
        await stage.handle("resting").signal("deliver", batch)
        assert await stage.ends("resting") == "by_hand"

    async def test_a_delivery_of_a_later_release_is_passed_over_and_what_follows_is_heard(
        self, stage: Theatre, caplog: pytest.LogCaptureFixture
    ) -> None:
        await stage.happens(Ping, name="rest")
        later = {"seq": 1, "kind": "nudge", "nudge": {"until": "2026-01-01T00:00:00Z"}}
        stop = {"seq": 2, "kind": "stop", "reason": "by_hand"}
        await stage.handle("resting").signal("deliver", {"items": [later, stop]})
        assert await stage.ends("resting") == "by_hand"
        assert "a delivery of kind nudge that this release does not know" in caplog.text


class TestLives:
    @pytest.mark.recorded
    async def test_chapters_carry_the_events_not_yet_used_and_never_repeat_a_step(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="chapters")
        for name in ("one", "two", "three"):
            await stage.happens(Pong, name=name)
        assert await stage.ends("chaptered") == "completed"
        assert [m["heard"] for m in await marks(stage, "chapter")] == ["one", "two", "three"]
        assert [m["number"] for m in await marks(stage, "chapter")] == [1, 2, 3]
        story = await stage.story("chaptered")
        assert len(set(story)) == len(story)

    async def test_a_delivery_repeated_into_the_next_chapter_is_still_heard_once(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="chapters")
        await stage.happens(Pong, name="one")
        await stage.advance(minutes(1))
        pong = Pong(event_id="again", event_source="/test", occurred_at=stage.now, name="again").to_wire()
        await stage.handle("chaptered").signal(
            "deliver", DeliveryBatch(items=[Delivery(seq=1, kind="event", event=pong)])
        )
        await stage.happens(Pong, name="two")
        await stage.advance(minutes(1))
        assert [m["heard"] for m in await marks(stage, "chapter")] == ["one", "two"]

    async def test_a_journey_starts_another_within_its_entry_rule(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="fork")
        # The other run is over a day after it was entered, so it must hear of that before a day has passed.
        await stage.advance(minutes(1))
        await stage.ends("forking")
        await stage.ends("other")
        [forked] = await marks(stage, "forked")
        assert forked["part"] in {"a", "b"}
        assert forked["first"] is True
        assert forked["second"].startswith("The entry rule")
        assert forked["language"] == "uk"
        assert await marks(stage, "played") == [{"trigger": True}]

    async def test_a_question_with_nobody_to_escalate_to_ends_at_its_due(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="ask")
        await stage.advance(hours(4) + minutes(1))
        await stage.ends("asking")
        assert await marks(stage, "answered") == [{"opinion": None}]
        assert await stage.asked() == [("Question", "desk", "expired")]

    async def test_an_answer_reaches_the_run(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="ask")
        await stage.advance(hours(3))
        await stage.answers("Question", {"opinion": "Splendid."})
        await stage.ends("asking")
        assert await marks(stage, "answered") == [{"opinion": "Splendid."}]


class TestStops:
    @pytest.mark.recorded
    async def test_a_cancelled_workflow_still_records_its_end_and_frees_the_player(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="rest")
        await stage.advance(minutes(1))
        await stage.handle("resting").cancel()
        assert await stage.ends("resting") == "cancelled"
        assert [r["outcome"] for r in await stage.rows(runs)] == ["cancelled"]
        await stage.happens(Ping, name="rest")
        assert await stage.ends("resting", entry=2) == "completed"

    @pytest.mark.recorded
    async def test_a_run_that_is_over_in_the_books_does_nothing_when_it_wakes(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="rest")
        async with stage.engine.database.transaction() as connection:
            await connection.execute(sa.text("UPDATE runs SET state = 'ended', outcome = 'lost'"))
        assert await stage.ends("resting") == "run_over"
        assert await stage.sent() == []
        assert [r["outcome"] for r in await stage.rows(runs)] == ["lost"]
        await stage.happens(Ping, name="rest")
        assert await stage.ends("resting", entry=2) == "completed"

    @pytest.mark.recorded
    async def test_an_end_that_meets_a_cancellation_is_recorded_all_the_same(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="rest")
        async with stage.engine.database.transaction() as connection:
            await connection.execute(sa.text("ALTER TABLE tasks RENAME TO tasks_away"))
        stop = DeliveryBatch(items=[Delivery(seq=1, kind="stop", reason="by_hand")])
        await stage.handle("resting").signal("deliver", stop)
        await eventually(lambda: failing(stage, "resting"))
        await stage.handle("resting").cancel()
        await eventually(lambda: cancelling(stage, "resting"))
        async with stage.engine.database.transaction() as connection:
            await connection.execute(sa.text("ALTER TABLE tasks_away RENAME TO tasks"))
        assert await stage.ends("resting") == "by_hand"
        assert [r["outcome"] for r in await stage.rows(runs)] == ["by_hand"]

    @pytest.mark.recorded
    async def test_a_run_that_fails_is_over_in_the_books_too(self, stage: Theatre) -> None:
        await stage.happens(Ping, name="fail")
        with pytest.raises(WorkflowFailureError):
            await stage.ends("failing")
        assert [(r["state"], r["outcome"]) for r in await stage.rows(runs)] == [("ended", "failed")]

    async def test_a_run_stopped_before_it_began_does_nothing(self, stage: Theatre) -> None:
        async with stage.engine.database.transaction() as connection:
            journey = stage.engine.registry.journeys["resting"]
            async with stage.engine.intake.locked(connection, BRAND, [stage.player_id], stage.now) as players:
                state = players.states[stage.player_id]
                entered = state.enter(journey, None, stage.now)
                players.record(stage.player_id, entered)
                (run_id,) = started(entered)
                players.record(stage.player_id, state.stop(run_id, "by_hand", stage.now))
        await stage.deliver()
        assert await stage.ends("resting") == "by_hand"
        assert await stage.sent() == []
