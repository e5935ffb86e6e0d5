"""Every answer of the gate is kept with the effect it is about, and can be read by player, effect, rule and time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from activities.tables import gate_decisions, messages, players
from tests.support.api_client import Api, serving
from tests.support.engine import BRAND, NOON, Effects, NobodyListed, Row, done, effects, rows
from workflows import ConsentChanged, Event, ExclusionSet, PlayerMerged, ProfileUpdated, points
from workflows.effects import Give, Send, SendResult
from workflows.gate.policies import HOUSE

NEWS = "content-news"
NIGHT = NOON.replace(hour=21)  # 23:00 where players live


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url) as parts:
        yield parts


@dataclass
class Asking:
    """A player's run that asks the gate; nothing it sends leaves the house."""

    parts: Effects
    player: str
    run: str

    async def send(self, *via: str, **more: Any) -> SendResult:
        asked = self.parts.given(Send, self.run, f"send:{NEWS}#1", template=NEWS, via=list(via), **more)
        return done(await self.parts.messages.send(asked))

    async def give(self) -> None:
        """As far as the gate goes; no bonus engine is asked."""
        await self.parts.grants._reserve(self.parts.given(Give, self.run, "grant:points#1", reward=points(5)))

    async def happens(self, event: type[Event], /, **data: Any) -> None:
        await self.parts.casino.happens(self.player, event, **data)

    async def heard_of(self, at: datetime) -> None:
        """We first heard of the player then, by the clock of the test."""
        mine = update(players).where(players.c.id == self.player).values(created_at=at)
        async with self.parts.database.transaction() as connection:
            await connection.execute(mine)

    async def decisions(self) -> list[Row]:
        found = await rows(self.parts.database, gate_decisions, run_id=self.run)
        return sorted(found, key=lambda row: (row["at"], row["subject"]))


@pytest.fixture
async def asking(shared: Effects) -> AsyncIterator[Asking]:
    with shared.for_one_test():
        player = shared.casino.player()
        await shared.casino.registers(player)
        yield Asking(shared, player, await shared.enters(player))


async def test_what_is_allowed_is_kept_with_every_rule_that_was_asked(asking: Asking) -> None:
    await asking.send("in_app")
    (kept,) = await asking.decisions()
    assert (kept["outcome"], kept["rule"], kept["reason"]) == ("allowed", None, None)
    assert kept["effect_id"] == f"{asking.run}/send:{NEWS}#1/in_app"
    assert kept["rules"][:3] == ["known-player", "deceased", "account-status"]
    assert {"consent", "profiling", "daily-cap"} <= {*kept["rules"]}
    assert {"address", "quiet-hours"}.isdisjoint(kept["rules"]), "in-app asks for none of them"
    assert (kept["policy"], kept["at"], kept["player_id"]) == (HOUSE.version, NOON, asking.player)
    assert kept["seen"]["consents"]["in_app"] is True
    assert (kept["seen"]["jurisdiction"], kept["journey"], kept["release"]) == ("UA", "tested", 0)


async def test_each_channel_of_a_message_has_a_decision_of_its_own(asking: Asking) -> None:
    await asking.happens(ConsentChanged, channel="email", opted_in=False)
    await asking.send("email", "in_app")
    told = {row["subject"]: (row["outcome"], row["rule"]) for row in await asking.decisions()}
    assert told == {"email": ("refused", "consent"), "in_app": ("allowed", None)}


async def test_a_law_that_refuses_is_named(asking: Asking) -> None:
    await asking.happens(ProfileUpdated, changed={"jurisdiction": "NL", "birth_date": None})
    await asking.send("in_app")
    (kept,) = await asking.decisions()
    assert (kept["outcome"], kept["rule"], kept["reason"]) == ("refused", "age", "unknown_age")
    assert kept["policy"].startswith("GDPR-NL+NL+house@")
    (message,) = await rows(asking.parts.database, messages, run_id=asking.run)
    assert (message["status"], message["reason"]) == ("suppressed", "unknown_age")


async def test_the_age_of_the_law_is_that_of_the_profile(asking: Asking) -> None:
    await asking.happens(ProfileUpdated, changed={"jurisdiction": "NL", "birth_date": "1990-05-17"})
    await asking.send("in_app")
    (kept,) = await asking.decisions()
    assert (kept["outcome"], kept["seen"]["age"]) == ("allowed", NOON.year - 1990 - ((NOON.month, NOON.day) < (5, 17)))


async def test_a_night_is_a_decision_and_the_morning_another(asking: Asking) -> None:
    clock = asking.parts.casino.clock
    clock.now = NIGHT
    waits = (await asking.send("push")).wait_until
    assert waits is not None
    clock.now = waits
    await asking.happens(ExclusionSet, kind="self_exclusion", until=None)
    await asking.send("push")
    told = [(row["outcome"], row["rule"]) for row in await asking.decisions()]
    assert told == [("waits", "quiet-hours"), ("refused", "self-exclusion")]


async def test_asking_again_about_what_is_settled_decides_nothing(asking: Asking) -> None:
    for _ in range(3):
        await asking.send("in_app")
    assert len(await asking.decisions()) == 1


async def test_a_refused_reward_is_a_decision(asking: Asking) -> None:
    await asking.happens(ExclusionSet, kind="time_out", until=NOON + timedelta(days=1))
    await asking.give()
    (kept,) = await asking.decisions()
    assert (kept["effect_id"], kept["subject"]) == (f"{asking.run}/grant:points#1", "points")
    assert (kept["outcome"], kept["rule"]) == ("refused", "time-out")


@pytest.fixture
def spelpaus_lists_nobody(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking.parts.grants.registers, "registers", {"spelpaus": NobodyListed()})


@pytest.mark.usefixtures("spelpaus_lists_nobody")
async def test_a_second_bonus_in_sweden_is_refused_by_what_was_granted_here(asking: Asking) -> None:
    await asking.happens(ProfileUpdated, changed={"jurisdiction": "SE"})
    await asking.heard_of(NOON)
    first = asking.parts.given(Give, asking.run, "grant:points#1", reward=points(5))
    await asking.parts.grants._reserve(first)
    second = asking.parts.given(Give, asking.run, "grant:points#2", reward=points(5))
    for _ in range(2):
        await asking.parts.grants.give(second)
    told = {row["effect_id"][-1]: (row["outcome"], row["rule"]) for row in await asking.decisions()}
    assert told == {"1": ("allowed", None), "2": ("refused", "first-bonus")}


async def test_who_registered_before_we_heard_of_them_may_have_had_a_bonus(asking: Asking) -> None:
    await asking.happens(ProfileUpdated, changed={"jurisdiction": "SE"})
    await asking.heard_of(NOON + timedelta(days=2))
    await asking.give()
    (kept,) = await asking.decisions()
    assert (kept["outcome"], kept["rule"], kept["reason"]) == ("refused", "first-bonus", "facts_unreadable")


async def test_a_bonus_of_an_account_that_was_merged_is_the_persons(asking: Asking) -> None:
    casino, elsewhere = asking.parts.casino, asking.parts.casino.player("elsewhere")
    await casino.registers(elsewhere)
    run = await asking.parts.enters(elsewhere)
    await asking.parts.grants._reserve(asking.parts.given(Give, run, "grant:points#1", reward=points(5)))
    await asking.happens(ProfileUpdated, changed={"jurisdiction": "SE"})
    await asking.heard_of(NOON)
    await asking.happens(PlayerMerged, survivor_id=asking.player, absorbed_id=elsewhere)
    await asking.give()
    (kept,) = await asking.decisions()
    assert (kept["outcome"], kept["rule"], kept["seen"]["had_bonus"]) == ("refused", "first-bonus", True)


# ---- over HTTP ------------------------------------------------------------------------------------------------


@pytest.fixture
async def api(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url) as served:
        yield served


async def read(client: httpx.AsyncClient, **filters: str) -> list[dict[str, Any]]:
    answer = await client.get("/v1/decisions", params=filters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_decisions_are_read_by_player_effect_rule_and_time(asking: Asking, api: Api) -> None:
    await asking.happens(ConsentChanged, channel="email", opted_in=False)
    await asking.send("email", "in_app")
    asking.parts.casino.clock.later(timedelta(hours=1))
    await asking.give()
    desk = await api.client("players:read", brand=BRAND)
    mine = {"player": asking.player}
    assert (await read(desk, **mine))[0]["subject"] == "points"
    (refused,) = await read(desk, **mine, rule="consent")
    assert (refused["effect_id"], refused["outcome"]) == (f"{asking.run}/send:{NEWS}#1/email", "refused")
    assert refused["told"]["en"] == "You have not agreed to hear from us this way."
    assert refused["told"].keys() == {"en", "ru", "uk"}
    (sent,) = await read(desk, effect=f"{asking.run}/send:{NEWS}#1/in_app")
    assert sent["told"]["en"].startswith("You had agreed to hear from us this way")
    later = (NOON + timedelta(minutes=30)).isoformat()
    assert [one["subject"] for one in await read(desk, **mine, since=later)] == ["points"]
    assert len(await read(desk, **mine, before=later)) == 2
    assert await read(desk, **mine, outcome="waits") == []


async def test_decisions_come_page_by_page_and_never_to_another_brand(asking: Asking, api: Api) -> None:
    await asking.send("in_app")
    await asking.give()
    desk, stranger = await api.client("players:read", brand=BRAND), await api.client("players:read")
    first = (await desk.get("/v1/decisions", params={"player": asking.player, "page_size": 1})).json()
    token = first["next_page_token"]
    query = {"player": asking.player, "page_size": 1, "page_token": token}
    second = (await desk.get("/v1/decisions", params=query)).json()
    assert {one["id"] for one in first["items"]}.isdisjoint(one["id"] for one in second["items"])
    assert len(second["items"]) == 1
    assert second["next_page_token"] is None
    assert await read(stranger, player=asking.player) == []


async def test_the_policy_of_a_player_says_where_each_number_comes_from(asking: Asking, api: Api) -> None:
    await asking.happens(ProfileUpdated, changed={"jurisdiction": "GB"})
    desk = await api.client("players:read", brand=BRAND)
    now = (await desk.get(f"/v1/players/{asking.player}/policy", params={"at": "2026-02-01T00:00:00Z"})).json()
    assert (now["jurisdiction"], [one["name"] for one in now["policies"]]) == ("GB", ["house", "GB", "GDPR-GB"])
    numbers = {one["number"]: (one["value"], one["policies"]) for one in now["numbers"]}
    assert numbers["one_product"] == (True, ["GB"])
    assert numbers["per_day"] == (1, ["house"])
    rules = {one["id"]: one for one in now["rules"]}
    assert rules["one-product"]["on"]
    assert not rules["new-customer"]["on"]
    assert rules["new-customer"]["needs_lawyer"]
    before = (await desk.get(f"/v1/players/{asking.player}/policy", params={"at": "2026-01-18T00:00:00Z"})).json()
    assert {one["number"]: one["value"] for one in before["numbers"]}["one_product"] is False
    assert (await desk.get("/v1/players/nobody/policy")).status_code == 404
