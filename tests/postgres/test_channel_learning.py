"""Channels learned from the messages of a brand: judged before they are used, then used, and given up when worse."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from activities.database import Database
from activities.loops.channel_learning import FAILED, ChannelLearning, choices_of, messages_of
from activities.score_models import champion, newest_versions
from activities.tables import score_models
from learning.channel_learning import LearnedChannels
from tests.support.channel_casino import ChannelCasino
from tests.support.engine import BRAND, Effects, effects, execute, rows
from workflows import PlayerRegistered
from workflows.channels import Channel
from workflows.events import ConsentChanged
from workflows.gate.channel_rates import CHANNELS_LEARNED
from workflows.send_choices import Choice, Choose, Chosen

CLEAR: dict[Channel, float] = {"email": 0.05, "push": 0.3}
AGREED = {"consents": {"profiling": [True, "2026-01-01T00:00:00+00:00"]}}


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, shipped_journeys="none") as built:
        yield built


@pytest.fixture
async def parts(shared: Effects) -> AsyncIterator[Effects]:
    with shared.for_one_test():
        for table in ("score_models", "messages"):
            await execute(shared.database, f"DELETE FROM {table}")
        yield shared


async def store(database: Database, casino: ChannelCasino, state: dict[str, Any]) -> None:
    """The messages of a casino as the engine keeps them, of players of whom this is known."""
    messages = []
    for number, one in enumerate(casino.choices):
        options = {str(name): chance for name, chance in one.chances.items()}
        choice = Choice(chosen=one.chosen, chance=options[one.chosen], options=options, why="drawn")
        by = "house_rates" if one.by_house else "own_history"
        kept = Chosen(channel=choice, by=by, declared=[*one.chances]).model_dump(mode="json")
        messages.append(
            {
                "id": f"run-{number}/send:news#1/{one.chosen}",
                "run_id": f"run-{number}",
                "player_id": one.player_id,
                "channel": one.chosen,
                "decision": {"choice": kept},
                "at": one.at.isoformat(),
                "clicked_at": None if one.followed_at is None else one.followed_at.isoformat(),
            }
        )
    players = [{"id": player, "state": state} for player in casino.heard]
    await execute(database, _PLAYERS, brand=BRAND, rows=orjson.dumps(players).decode())
    await execute(database, _MESSAGES, brand=BRAND, rows=orjson.dumps(messages).decode())


_PLAYERS = """
    INSERT INTO players (brand, id, state) SELECT :brand, id, state
    FROM json_to_recordset(CAST(:rows AS json)) AS t (id text, state jsonb)
    ON CONFLICT (brand, id) DO UPDATE SET state = excluded.state
"""
_MESSAGES = """
    INSERT INTO messages (id, brand, player_id, run_id, step, journey, channel, template, message_class, status,
                          decision, created_at, handed_over_at, clicked_at)
    SELECT id, :brand, player_id, run_id, 'send:news#1', 'before', channel, 'news', 'marketing', 'sent', decision, at,
           at, clicked_at
    FROM json_to_recordset(CAST(:rows AS json)) AS t (id text, run_id text, player_id text, channel text,
         decision jsonb, at timestamptz, clicked_at timestamptz)
"""


@pytest.fixture
def small_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs of a casino that a test can afford; what they must tell in production is `learning/off_policy.py`'s."""
    monkeypatch.setattr("learning.off_policy.LEAST_EFFECTIVE", 100)


def played(weeks: int = 6, players: int = 600, rates: dict[Channel, float] = CLEAR) -> ChannelCasino:
    casino = ChannelCasino(players, rates)
    for _ in range(weeks):
        casino.week()
    return casino


async def learned_at(parts: Effects, casino: ChannelCasino) -> ChannelLearning:
    parts.casino.clock.now = casino.now
    return ChannelLearning(parts.database, parts.casino.clock, in_process=True)


async def chosen_for(parts: Effects, name: str = "p", *, profiling: bool = True) -> Chosen:
    """The choice for a player nothing was sent to yet."""
    player = parts.casino.player(name)
    reachable: dict[str, Any] = {"opted_in": ("email", "push"), "opted_in_for": ("casino",)}
    await parts.casino.happens(player, PlayerRegistered, email="p@synthetic.example", **reachable)
    if profiling:
        await parts.casino.happens(player, ConsentChanged, channel="profiling", opted_in=True)
    run = await parts.enters(player)
    given = {"template": "content-news", "channels": ["email", "push"]}
    return await parts.choices.choose(parts.given(Choose, run, "choose:content-news#1", **given))


@pytest.mark.usefixtures("small_logs")
async def test_what_the_log_shows_to_be_better_is_used_with_its_version_and_for_nobody_else(parts: Effects) -> None:
    casino = played()
    await store(parts.database, casino, AGREED)
    learning = await learned_at(parts, casino)
    assert (await chosen_for(parts)).by == "own_history"
    found = await learning.learn_due()
    assert (found.champions, found.shadows) == (1, 0)
    async with parts.database.reading() as connection:
        model = await champion(connection, BRAND, CHANNELS_LEARNED)
    assert model is not None
    assert "by each player's own history, a gain between +" in model.why
    assert LearnedChannels.model_validate(model.artifact).worth.passes
    choice = await chosen_for(parts, "later")
    assert (choice.by, choice.model, choice.declared) == ("house_rates", 1, ["email", "push"])
    assert choice.channel is not None
    assert choice.channel.options["push"] > 0.9
    assert (await chosen_for(parts, "silent", profiling=False)).by == "own_history"
    assert (await learning.learn_due()).champions == 0, "A week has not passed."


@pytest.mark.usefixtures("small_logs")
async def test_a_brand_whose_log_cannot_be_read_keeps_no_later_one_from_its_rates(parts: Effects) -> None:
    casino = played()
    await store(parts.database, casino, AGREED)
    await execute(parts.database, _PLAYERS, brand="aaa", rows=orjson.dumps([{"id": "p", "state": AGREED}]).decode())
    broken = {"id": "aaa/1", "run_id": "r", "player_id": "p", "channel": "email", "at": casino.now.isoformat()}
    told = [broken | {"decision": {"choice": {"by": 7}}, "clicked_at": None}]
    await execute(parts.database, _MESSAGES, brand="aaa", rows=orjson.dumps(told).decode())
    learning = await learned_at(parts, casino)
    before = FAILED.labels("aaa")._value.get()
    assert (await learning.learn_due()).champions == 1
    assert FAILED.labels("aaa")._value.get() == before + 1


async def test_what_is_not_shown_to_be_better_is_kept_and_not_used(parts: Effects) -> None:
    casino = played(rates={"email": 0.1, "push": 0.1})
    await store(parts.database, casino, AGREED)
    found = await (await learned_at(parts, casino)).learn_due()
    assert (found.champions, found.shadows) == (0, 1)
    (row,) = await rows(parts.database, score_models, name=CHANNELS_LEARNED)
    assert row["why"].startswith("not shown to be better: ")
    assert (await chosen_for(parts)).by == "own_history"


@pytest.mark.usefixtures("small_logs")
async def test_newer_rates_take_the_place_of_older(parts: Effects) -> None:
    casino = played()
    await store(parts.database, casino, AGREED)
    learning = await learned_at(parts, casino)
    await learning.learn_due()
    parts.casino.clock.now += timedelta(days=7)
    assert (await learning.learn_due()).champions == 1
    async with parts.database.reading() as connection:
        assert [one.state for one in await newest_versions(connection, BRAND, 12)] == ["champion", "retired"]


@pytest.mark.usefixtures("small_logs")
async def test_rates_that_have_become_worse_than_what_was_before_are_given_up(parts: Effects) -> None:
    casino = played()
    await store(parts.database, casino, AGREED)
    learning = await learned_at(parts, casino)
    await learning.learn_due()
    # From here on who was drawn to what the rates hold to be worse followed, and nobody else.
    turned = "UPDATE messages SET clicked_at = CASE WHEN channel = 'email' THEN handed_over_at END"
    await execute(parts.database, f"{turned} WHERE handed_over_at >= :since", since=casino.now - timedelta(days=22))
    parts.casino.clock.now += timedelta(days=7)
    found = await learning.learn_due()
    assert (found.champions, found.shadows) == (0, 1)
    assert (await chosen_for(parts)).by == "own_history"


@pytest.mark.usefixtures("small_logs")
async def test_rates_that_cannot_be_read_or_are_old_hold_up_no_message(parts: Effects) -> None:
    casino = played()
    await store(parts.database, casino, AGREED)
    await (await learned_at(parts, casino)).learn_due()
    assert (await chosen_for(parts, "fresh")).by == "house_rates"
    now = parts.casino.clock.now
    parts.casino.clock.now = now + timedelta(days=57)
    assert (await chosen_for(parts, "old")).by == "own_history"
    parts.casino.clock.now = now
    newer = "UPDATE score_models SET artifact = artifact || '{\"of_a_later_release\"\\: 1}'"
    await execute(parts.database, newer)
    assert (await chosen_for(parts, "rolling")).by == "own_history"


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"consents": {"profiling": [False, "2026-01-01T00:00:00+00:00"]}},
        AGREED | {"watch": {"signs": {"chasing/weak": "2026-01-01T00:00:00+00:00"}}},
        AGREED | {"exclusions": [["self_exclusion", "all", None, None]]},
    ],
)
async def test_nothing_is_learned_from_who_did_not_agree_or_is_to_be_looked_after(
    parts: Effects, state: dict[str, Any]
) -> None:
    casino = played(weeks=1, players=5)
    await store(parts.database, casino, state)
    async with parts.database.reading() as connection:
        assert await choices_of(connection, BRAND, casino.now) == []


async def test_what_is_read_is_what_was_logged(parts: Effects) -> None:
    casino = played(weeks=3, players=40)
    await store(parts.database, casino, AGREED)
    async with parts.database.reading() as connection:
        choices = await choices_of(connection, BRAND, casino.now)
        messages = await messages_of(connection, BRAND, sorted(casino.heard), casino.now)
    assert sorted(choices, key=lambda one: (one.at, one.player_id)) == choices
    logged = sorted(casino.choices, key=lambda one: (one.at, one.player_id))
    assert choices == logged
    assert [[*one.chances] for one in choices] == [[*one.chances] for one in logged], "in the order declared"
    assert messages == casino.messages


async def test_what_still_waits_says_nothing_and_what_went_nowhere_came_to_nothing(parts: Effects) -> None:
    casino = played(weeks=1, players=3)
    await store(parts.database, casino, AGREED)
    for number, status in enumerate(("waiting", "suppressed")):
        change = "UPDATE messages SET handed_over_at = NULL, clicked_at = NULL, status = :status WHERE run_id = :run"
        await execute(parts.database, change, status=status, run=f"run-{number}")
    async with parts.database.reading() as connection:
        choices = await choices_of(connection, BRAND, casino.now)
    assert [one.player_id for one in choices] == ["p-00001", "p-00002"]
    assert choices[0].worth == 0
