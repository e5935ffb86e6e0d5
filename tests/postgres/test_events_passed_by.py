"""Events that a run is past wake it no more, and are told to it should it move to a release that waits for them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activities import gate_facts
from activities.loops.migration import RunMoves
from activities.run_effects import RunEffects
from activities.tables import deliveries, players
from local.ports import free_port
from tests.support.api_client import Api, serving
from tests.support.engine import Row, done, rows, runs_of
from tests.support.outside_packages import Write
from tests.support.releases import release_twice
from workflows.effects import EffectInput, Refresh
from workflows.events import DepositFailed, Event, SessionLogin

JOURNEY = """
from workflows import DepositFailed, Player, SessionLogin, always, days, journey, on


@journey(on(SessionLogin), entry=always, ends_after=days(90))
async def hello(player: Player, login: SessionLogin) -> None:
    '''Waits for a failed deposit, then for nothing.'''
    await player.event(DepositFailed, within=days(9))
    await player.send("welcome", via=["email"])
    await player.refresh()
    await player.sleep(days(30))
    REST
"""
FIRST, SECOND = "pass", 'await player.event(DepositFailed, within=days(9), where=lambda one: one.failure == "limit")'


@pytest.fixture
async def api(postgres_url: str, package: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
    name = package(hello=JOURNEY.replace("REST", FIRST))
    release_twice(name, tmp_path / name / "hello.py", FIRST, SECOND)
    async with serving(postgres_url, journeys=name) as served:
        yield served


class Lobby:
    """One player and their run."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.engine = api.engine
        self.events = 0

    async def happens(self, kind: type[Event], **data: Any) -> None:
        self.events += 1
        now = self.engine.clock()
        own = {kind.unique_field: f"{self.events}"} if kind.unique_field else {}
        envelope = {"event_id": f"e{self.events}", "event_source": "/t", "occurred_at": now}
        event = kind(**{**kind.example_data, **envelope, **own, **data})
        await self.engine.intake.ingest(self.api.brand, [("p1", event)], now)

    async def run(self) -> str:
        return (await runs_of(self.engine.database, "p1", "hello"))[0]

    async def asked(self, kind: type[EffectInput], step: str, **asked: Any) -> Any:
        whose: Row = {"brand": self.api.brand, "player_id": "p1", "journey": "hello", "run_id": await self.run()}
        return kind(**whose, step=step, **asked)

    async def told(self) -> list[str]:
        found = await rows(self.engine.database, deliveries, run_id=await self.run())
        ordered = sorted(found, key=lambda row: row["seq"])
        return [row["payload"]["event"]["id"] if row["kind"] == "event" else row["kind"] for row in ordered[1:]]

    async def known(self) -> Row:
        [found] = await rows(self.engine.database, players, id="p1")
        known: Row = found["state"]["runs"][await self.run()]
        return known


@pytest.mark.parametrize("step", ["send:welcome", "refresh", "send:another"])
async def test_an_event_that_a_run_is_past_is_not_delivered(api: Api, step: str) -> None:
    lobby, effects = Lobby(api), RunEffects(api.engine.database, api.engine.intake, api.engine.clock)
    await lobby.happens(SessionLogin)
    await lobby.happens(DepositFailed)
    assert await lobby.told() == ["e2"]
    if step == "refresh":
        done(await effects.refresh(await lobby.asked(Refresh, "refresh#1")))
    else:
        async with api.engine.database.transaction() as connection:
            asked = await lobby.asked(EffectInput, f"{step}#1")
            await gate_facts.read(connection, asked, api.engine.registry.journeys, api.engine.clock())
    past = step != "send:another"
    assert (await lobby.known()).get("place") == (step if past else None)
    await lobby.happens(DepositFailed)
    assert await lobby.told() == (["e2"] if past else ["e2", "e3"])


async def test_what_a_run_was_past_is_told_to_it_once_when_it_moves_to_a_release_that_waits_for_it(api: Api) -> None:
    lobby, effects = Lobby(api), RunEffects(api.engine.database, api.engine.intake, api.engine.clock)
    await lobby.happens(SessionLogin)
    await lobby.happens(DepositFailed, failure="limit")
    done(await effects.refresh(await lobby.asked(Refresh, "refresh#1")))
    await lobby.happens(DepositFailed, failure="technical")
    await lobby.happens(DepositFailed, failure="limit")
    assert await lobby.told() == ["e2"]
    crm = await api.client("journeys:manage", name="crm")
    asked = {"version": 2, "reason": "It waits once more."}
    begun = (await crm.post("/v1/journeys/hello/migrate", json=asked)).json()
    built = api.engine
    at_work = RunMoves(built.database, built.intake, built.pressure, built.clock, processes=built.processes)
    while await at_work.batch(begun["id"]) is not None:
        pass
    assert await lobby.told() == ["e2", "migrate", "e3", "e4"]
    await lobby.happens(DepositFailed, failure="technical")
    assert await lobby.told() == ["e2", "migrate", "e3", "e4", "e5"]
    assert "place" not in await lobby.known()
