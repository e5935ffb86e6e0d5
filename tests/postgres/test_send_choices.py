"""The effect `choose` on Postgres: from what people opened and followed, once a step, kept with the message."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from activities.tables import messages, steps
from tests.support.engine import BRAND, NOON, ZONE, Effects, effects, execute, rows
from workflows import PlayerRegistered, SessionLogin
from workflows.effects import Send
from workflows.events import ConsentChanged, MessageStatus
from workflows.send_choices import Choose, Chosen

CHANNELS = ["email", "push"]


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, shipped_journeys="none") as built:
        yield built


@pytest.fixture
async def parts(shared: Effects) -> AsyncIterator[Effects]:
    with shared.for_one_test():
        yield shared


async def reachable(parts: Effects, *, profiling: bool = True) -> str:
    """A player who agreed to be written to and, unless said, to profiling."""
    casino, player = parts.casino, parts.casino.player()
    await casino.happens(
        player,
        PlayerRegistered,
        timezone=ZONE,
        email="p@synthetic.example",
        opted_in=("email", "push"),
        opted_in_for=("casino",),
        occurred_at=NOON - timedelta(days=400),
    )
    if profiling:
        await casino.happens(player, ConsentChanged, channel="profiling", opted_in=True)
    return player


async def went_out(parts: Effects, player: str, channel: str, times: int, told: str, *, machine: bool = False) -> None:
    """Messages of three weeks ago, and what their provider told of each."""
    for number in range(times):
        key = f"before:{BRAND}:{player}:{number}/send:news#1/{channel}"
        await execute(
            parts.database,
            "INSERT INTO messages (id, brand, player_id, run_id, step, journey, channel, template, message_class, "
            "status, decision, handed_over_at) VALUES (:id, :brand, :player, :id, 'send:news#1', 'before', :channel, "
            "'news', 'marketing', 'sent', '{}', :at)",
            id=key,
            brand=BRAND,
            player=player,
            channel=channel,
            at=NOON - timedelta(days=21),
        )
        data: dict[str, Any] = {"message_id": key, "channel": channel, "status": told, "machine": machine}
        await parts.casino.happens(player, MessageStatus, **data)


async def chosen(parts: Effects, player: str, journey: str = "tested", **more: Any) -> Chosen:
    run = await parts.enters(player, journey=journey)
    given = {"template": "content-news", "channels": CHANNELS, "otherwise": "18:00", **more}
    return await parts.choices.choose(parts.given(Choose, run, "choose:content-news#1", **given))


async def test_what_people_followed_is_taken_and_what_machines_opened_is_not(parts: Effects) -> None:
    player = await reachable(parts)
    await went_out(parts, player, "email", 6, "opened", machine=True)
    await went_out(parts, player, "push", 6, "clicked")
    choice = (await chosen(parts, player)).channel
    assert choice is not None
    assert choice.options == {"email": 0.05, "push": 0.95}
    assert "email: of 6 messages 0 opened and 0 followed; push: of 6 messages 6 opened and 6 followed" in choice.why


async def test_without_a_yes_to_profiling_nothing_is_chosen(parts: Effects) -> None:
    player = await reachable(parts, profiling=False)
    await went_out(parts, player, "push", 6, "clicked")
    answer = await chosen(parts, player)
    assert answer.channel is not None
    assert answer.hour is not None
    assert (answer.channel.chosen, answer.channel.chance, answer.hour.chosen) == ("email", 1.0, "18:00")
    assert "has not agreed to profiling" in answer.channel.why


async def test_an_attempt_that_is_made_again_reads_the_first_ones_answer(parts: Effects) -> None:
    player = await reachable(parts)
    run = await parts.enters(player)
    given = {"template": "content-news", "channels": CHANNELS, "otherwise": "18:00"}
    first = await parts.choices.choose(parts.given(Choose, run, "choose:content-news#1", **given))
    for number in range(12):
        at = NOON - timedelta(days=number, hours=1)
        await parts.casino.happens(player, SessionLogin, occurred_at=at)
    again = await parts.choices.choose(parts.given(Choose, run, "choose:content-news#1", **given))
    assert again == first
    (step,) = await rows(parts.database, steps, run_id=run)
    assert (step["outcome"], Chosen.model_validate(step["detail"])) == ("chosen", first)


async def test_the_hour_is_that_of_the_visits(parts: Effects) -> None:
    player = await reachable(parts)
    for number in range(12):
        at = NOON - timedelta(days=number, hours=1)
        await parts.casino.happens(player, SessionLogin, occurred_at=at)
    hour = (await chosen(parts, player, channels=[])).hour
    assert hour is not None
    # It is noon where the player lives.
    assert max(hour.options, key=lambda one: hour.options[one]) == "11:00"


async def test_the_choice_is_kept_with_the_message(parts: Effects) -> None:
    player = await reachable(parts)
    answer = await chosen(parts, player)
    run = await parts.enters(player, journey="other")
    send = {"template": "deposit-help", "via": ["in_app"], "choice": answer}
    await parts.messages.send(parts.given(Send, run, "send:deposit-help#1", **send))
    (row,) = await rows(parts.database, messages, run_id=run)
    assert Chosen.model_validate(row["decision"]["choice"]) == answer


async def test_a_channel_that_the_deployment_has_no_gateway_for_is_never_chosen(parts: Effects) -> None:
    player = await reachable(parts)
    await parts.casino.happens(player, ConsentChanged, channel="telegram", opted_in=True)
    choice = (await chosen(parts, player, channels=["telegram", "email"])).channel
    assert choice is not None
    assert (choice.chosen, choice.options) == ("email", {"email": 1.0})
