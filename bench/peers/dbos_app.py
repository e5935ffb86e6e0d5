"""The three journeys on DBOS, as its documentation advises.

Each event is a workflow whose id is the event's own, which makes it happen once; what it does to the player is one
transaction of a datasource, committed with its checkpoint; a journey is a workflow named after the run, with `recv`
for its waits; every effect is a step that is tried again. All of it is asynchronous, so that a waiting journey holds
no thread. Effects are the engine's own, called with the engine's own arguments, so both leave the same rows. Events
come from this process itself and not over HTTP, each player's in order and as many players at a time as asked.

    python -m bench.peers.dbos_app EVENTS BRAND AT_ONCE

Says READY, waits for a line on stdin, plays the events of the file, says TAKEN when each is acknowledged and done, and
stays with its waiting journeys until told to stop.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, AsyncSQLAlchemyDatasource, SetWorkflowID

from activities.engine import worker_engine
from activities.settings import settings_from
from bench.log import by_player
from workflows.effects import End, Give, OpenTask, Send
from workflows.journeys.tier_up import PersonalNote
from workflows.player_facts import PlayerFacts
from workflows.rewards import free_spins, tier_upgrade

READY, TAKEN = "READY", "TAKEN"
REGISTERED, DEPOSITED = "igaming.player.registered.v1", "igaming.payment.deposit_approved.v1"
RETRIES: dict[str, Any] = {"retries_allowed": True, "interval_seconds": 0.5, "max_attempts": 100}

TABLES = """
CREATE TABLE IF NOT EXISTS dbos_events (
  brand text, id text, type text NOT NULL, player_id text NOT NULL, data jsonb NOT NULL, PRIMARY KEY (brand, id));
CREATE TABLE IF NOT EXISTS dbos_players (
  brand text, player_id text, deposits integer NOT NULL, treated text[] NOT NULL, PRIMARY KEY (brand, player_id));
"""
KEEP = sa.text(
    """
    INSERT INTO dbos_events (brand, id, type, player_id, data)
    VALUES (:brand, :id, :type, :player, CAST(:data AS jsonb))
    """
)
COUNT = sa.text(
    """
    UPDATE dbos_players SET deposits = deposits + :more WHERE brand = :brand AND player_id = :player
    RETURNING deposits, treated
    """
)


class App:
    """What the workflows below work with; set once, before DBOS begins."""

    effects: dict[str, Callable[[Any], Awaitable[Any]]]


def run_id(journey: str, brand: str, player: str) -> str:
    """The same as the engine's."""
    return f"{journey}:{brand}:{player}:1"


def common(journey: str, brand: str, player: str, step: str) -> dict[str, Any]:
    """What every effect is told."""
    run = run_id(journey, brand, player)
    return {"brand": brand, "player_id": player, "journey": journey, "run_id": run, "step": step}


# ---- effects ---------------------------------------------------------------------------------------


@DBOS.step(**RETRIES)
async def send(journey: str, brand: str, player: str, template: str, via: list[Any], variables: dict[str, Any]) -> None:
    given = common(journey, brand, player, f"send:{template}#1")
    await App.effects["send"](Send(**given, template=template, via=via, variables=variables))


@DBOS.step(**RETRIES)
async def grant(brand: str, player: str, kind: str) -> bool:
    reward = tier_upgrade("gold") if kind == "tier_upgrade" else free_spins(20, max_win=10_000)
    given = common("tier_up", brand, player, f"grant:{kind}#1")
    return bool((await App.effects["grant"](Give(**given, reward=reward))).status == "confirmed")


@DBOS.step(**RETRIES)
async def ask(brand: str, player: str) -> None:
    await App.effects["open_task"](
        OpenTask(
            **common("tier_up", brand, player, "ask:PersonalNote#1"),
            form="PersonalNote",
            question=(PersonalNote.__doc__ or "").strip(),
            form_schema=PersonalNote.model_json_schema(),
            team="vip",
            due_at=datetime.now(UTC) + timedelta(days=5),
            escalate_to="vip-head",
            reason="Reached Gold with deposit number 50.",
            forbidden=["no new offer"],
            facts=PlayerFacts(player_id=player, deposits=50),
        )
    )


@DBOS.step(**RETRIES)
async def end(journey: str, brand: str, player: str, outcome: str) -> None:
    await App.effects["end"](End(**common(journey, brand, player, "end"), outcome=outcome))


# ---- journeys --------------------------------------------------------------------------------------


@DBOS.workflow()
async def welcome(brand: str, player: str) -> None:
    await send("welcome", brand, player, "welcome", ["email", "in_app"], {})
    if await DBOS.recv_async(timeout_seconds=3_600) is not None:
        await end("welcome", brand, player, "completed")


@DBOS.workflow()
async def second_deposit(brand: str, player: str, amount: int) -> None:
    await send("second_deposit", brand, player, "deposit-thanks", ["email", "in_app"], {"amount": amount})
    if await DBOS.recv_async(timeout_seconds=3 * 3_600) is not None:
        await end("second_deposit", brand, player, "exit_on:payment.deposit_approved")


@DBOS.workflow()
async def tier_up(brand: str, player: str) -> None:
    if not await grant(brand, player, "tier_upgrade"):
        return
    await grant(brand, player, "free_spins")
    await send("tier_up", brand, player, "tier-gold", ["in_app", "push", "email"], {})
    await ask(brand, player)
    await DBOS.recv_async(timeout_seconds=2.5 * 86_400)


# ---- events ----------------------------------------------------------------------------------------


async def main(file: Path, brand: str, at_once: int) -> None:
    """Play the file."""
    settings = settings_from()
    url = settings.sqlalchemy_url
    datasource = await AsyncSQLAlchemyDatasource.create(url, engine_kwargs={"pool_size": 20})

    @datasource.transaction(isolation_level="READ COMMITTED")
    async def keep(brand: str, event: dict[str, Any]) -> tuple[int, list[str]]:
        """Keep the event and count it, together."""
        session = datasource.sql_session()
        player, kind = event["subject"], event["type"]
        given = {"brand": brand, "id": event["id"], "type": kind, "player": player, "data": json.dumps(event["data"])}
        await session.execute(KEEP, given)
        more = int(kind == DEPOSITED)
        row = (await session.execute(COUNT, {"brand": brand, "player": player, "more": more})).one()
        return row.deposits, list(row.treated)

    @DBOS.workflow()
    async def take(brand: str, event: dict[str, Any]) -> None:
        """One event: what it does to the player, and to the player's journeys."""
        player = event["subject"]
        deposits, treated = await keep(brand, event)
        if event["type"] == REGISTERED:
            if "welcome" in treated:
                with SetWorkflowID(run_id("welcome", brand, player)):
                    await DBOS.start_workflow_async(welcome, brand, player)
            return
        if deposits == 1:
            if "welcome" in treated:
                await DBOS.send_async(run_id("welcome", brand, player), event["id"])
            if "second_deposit" in treated:
                with SetWorkflowID(run_id("second_deposit", brand, player)):
                    await DBOS.start_workflow_async(second_deposit, brand, player, event["data"]["amount_minor"])
        elif deposits == 2 and "second_deposit" in treated:
            await DBOS.send_async(run_id("second_deposit", brand, player), event["id"])
        elif deposits == 50 and "tier_up" in treated:
            with SetWorkflowID(run_id("tier_up", brand, player)):
                await DBOS.start_workflow_async(tier_up, brand, player)

    async def feed(theirs: list[dict[str, Any]]) -> None:
        for event in theirs:
            with SetWorkflowID(f"{brand}:{event['id']}"):
                await take(brand, event)

    async with worker_engine(settings) as built:
        App.effects = {effect.__name__: effect for effect in built.activities}
        App.effects |= {"grant": App.effects["give"], "open_task": App.effects["open"]}
        DBOS(
            config={
                "name": "bench",
                "executor_id": file.stem,
                "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"],
                "sys_db_pool_size": 20,
                "log_level": "WARNING",
            }
        )
        DBOS.launch()
        lines = iter(by_player(json.loads(await asyncio.to_thread(file.read_bytes))))
        print(READY, flush=True)
        if not await asyncio.to_thread(sys.stdin.readline):
            os._exit(0)

        async def feeder() -> None:
            for theirs in lines:
                await feed(theirs)

        await asyncio.gather(*(feeder() for _ in range(at_once)))
        print(TAKEN, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    # Journeys still wait for days; they are durable, so the process may just go.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
