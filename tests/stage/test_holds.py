"""Journeys that somebody holds or closes, rehearsed on the stage."""

from datetime import timedelta

from stage.rehearsal import Rehearse, player
from workflows import DepositApproved, Form, Player, PlayerRegistered, days, hours, journey, on, points
from workflows.effects import EFFECTS
from workflows.events import ExclusionSet
from workflows.run import HOLD_ASKED_AFTER, HOLD_ASKED_AT_LEAST


class Host(Form):
    """Who looks after this player?"""

    name: str


@journey(on(PlayerRegistered), ends_after=days(14))
async def held_offer(player: Player, _registered: PlayerRegistered) -> None:
    """A word a day, then points, then a host."""
    await player.send("welcome", via="email")
    await player.sleep(days(1))
    await player.send("guide", via="email")
    await player.grant(points(5))
    await player.ask(Host, team="vip", due=days(2))


@journey(on(PlayerRegistered), ends_after=days(14))
async def held_help(player: Player, _registered: PlayerRegistered) -> None:
    """Help with gambling, then a gift."""
    await player.sleep(hours(1))
    await player.send("limit-info", via="in_app")
    await player.grant(points(5))


@journey(on(DepositApproved), ends_after=days(14))
async def held_second(player: Player, _deposit: DepositApproved) -> None:
    """Begins another journey."""
    await player.sleep(hours(1))
    begun = await player.start(held_help)
    await player.mark("begun", run=begun.run_id, refused=begun.refused)


async def test_a_held_run_waits_at_its_next_effect_and_goes_on_when_it_is_resumed(rehearse: Rehearse) -> None:
    run = await rehearse(held_offer, player())
    await run.hold()
    await run.advance(days(1) + hours(6))  # the guide is not too late yet
    assert (run.sent, run.granted, run.asked) == (["welcome"], [], [])
    assert run.waiting is not None
    assert run.waiting.step == "send:guide#1"
    await run.resume()
    assert (run.sent, run.granted, run.asked) == (["welcome", "guide"], ["points"], ["Host"])


async def test_a_hold_costs_a_question_now_and_then_and_no_attempts(rehearse: Rehearse) -> None:
    run = await rehearse(held_offer, player())
    await run.hold()
    await run.advance(days(1))
    await run.advance(days(2))
    asked = [line for line in run.story if "send:guide#1  held" in line]
    assert len(asked) <= 2 + timedelta(days=2) / HOLD_ASKED_AT_LEAST
    assert len(asked) >= 4
    assert timedelta(minutes=30) < HOLD_ASKED_AFTER


async def test_a_task_that_is_open_is_looked_after_while_the_journey_is_held(rehearse: Rehearse) -> None:
    run = await rehearse(held_offer, player())
    await run.advance(days(1))
    assert run.asked == ["Host"]
    await run.hold()
    await run.advance(days(2))
    assert [task.state for task in run.tasks] == ["expired"]
    assert run.ended == "completed", "the end of a run is not held"


async def test_a_held_run_is_over_when_its_time_is_up(rehearse: Rehearse) -> None:
    run = await rehearse(held_offer, player())
    await run.hold()
    await run.advance(days(14))
    assert (run.sent, run.ended) == (["welcome"], "ended")


async def test_a_held_run_is_stopped_at_once(rehearse: Rehearse) -> None:
    run = await rehearse(held_offer, player())
    await run.hold()
    await run.advance(days(2))
    await run.happens(ExclusionSet, kind="self_exclusion", until=None)
    assert run.ended == "self_excluded"


async def test_what_protects_a_player_is_sent_while_the_journey_is_held(rehearse: Rehearse) -> None:
    run = await rehearse(held_help, player())
    await run.hold()
    await run.advance(days(1))
    assert (run.sent, run.granted) == (["limit-info"], [])


async def test_nobody_enters_a_journey_that_is_closed_and_who_is_in_it_goes_on(rehearse: Rehearse) -> None:
    run = await rehearse(held_offer, player(), begins=False)
    await run.close()
    await run.happens(PlayerRegistered)
    assert run.entries == 0
    inside = await rehearse(held_offer, player())
    await inside.close()
    await inside.advance(days(1))
    assert inside.sent == ["welcome", "guide"]


async def test_no_journey_begins_another_one_that_is_closed(rehearse: Rehearse) -> None:
    run = await rehearse(held_second, player())
    run.world.close_journey("held_help")
    await run.advance(days(1))
    assert [line.detail["refused"] for line in run.world.story if line.step.startswith("start:")] == [
        "held_help is closed: nobody enters it now."
    ]


def test_every_effect_is_held_but_those_that_keep_the_books_look_after_a_task_or_protect() -> None:
    kept = {"choose", "mark", "move_task", "close_spin", "end", "withhold"}
    assert {effect.name for effect in EFFECTS if not effect.holdable} == kept | {"pause_promotions"}
    assert not [effect.name for effect in EFFECTS if "held" in effect.output.model_fields], "Held is told apart by it"
