"""Servers of our own for tests: real processes, and what a test asks them."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from local.postgres import Postgres
from local.slowness import slowness
from local.stand_ins.base import Record, read_journal
from local.supervisor import Service, Supervised
from workflows.channels import WEBHOOK_CHANNELS

MIGRATED = "migrated"
"""The database that others are copied from."""


@asynccontextmanager
async def running(service: Service, folder: Path) -> AsyncIterator[Supervised]:
    """The service, ready, for as long as the block lasts."""
    supervised = Supervised(service, log=folder / f"{service.name}.log")
    supervised.start()
    try:
        await ready(supervised)
        yield supervised
    finally:
        await supervised.stop()


async def ready(process: Supervised) -> None:
    """Return when it answers, also after a fault that stopped it. Raises StackError."""
    await process.ready(within=timedelta(seconds=60 * slowness()))


@asynccontextmanager
async def fresh_database(postgres: Postgres) -> AsyncIterator[str]:
    name = f"test_{secrets.token_hex(4)}"
    yield await postgres.create_database(name, template=MIGRATED)
    await postgres.drop_database(name)


@dataclass(frozen=True)
class LocalBonusEngine:
    """The bonus engine's process, seen from a test."""

    url: str
    ledger: Path
    process: Supervised

    def granted(self) -> list[Record]:
        """Every grant the engine paid, from its own file."""
        return [record for record in read_journal(self.ledger) if record["kind"] == "grant"]

    def asked(self) -> list[Record]:
        """Every request it got, from its own file."""
        return read_journal(self.ledger.with_suffix(".requests.jsonl"))

    async def fail(self, mode: str, **how: Any) -> None:
        """Let the next grants go wrong: see `local.stand_ins.bonus_engine.Fault`."""
        async with httpx.AsyncClient(base_url=self.url) as client:
            (await client.post("/faults", json={"mode": mode, **how})).raise_for_status()

    async def heal(self) -> None:
        """Take back every fault."""
        async with httpx.AsyncClient(base_url=self.url) as client:
            (await client.delete("/faults")).raise_for_status()


@dataclass(frozen=True)
class LocalCatchAll:
    """The catch-all's process, seen from a test."""

    url: str
    smtp_url: str
    secret: str
    process: Supervised

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point our own processes at it."""
        return {
            "SMTP_URL": self.smtp_url,
            "MAIL_LOOKUP_URL": f"{self.url}/mails?key={{key}}",
            **{f"{channel.upper()}_WEBHOOK_URL": f"{self.url}/{channel}" for channel in WEBHOOK_CHANNELS},
            "WEBHOOK_SECRET": self.secret,
            "LINK_SECRETS": self.secret,
            "CATCH_ALL_URL": self.url,
        }

    async def mails(self, to: str) -> list[Record]:
        """What one address received, oldest first."""
        return await self._items("/mails", to=to)

    async def sms(self) -> list[Record]:
        """Every SMS of the session."""
        return await self._items("/sms")

    async def push(self) -> list[Record]:
        """Every push message of the session."""
        return await self._items("/push")

    async def _items(self, path: str, **query: str) -> list[Record]:
        async with httpx.AsyncClient(base_url=self.url) as client:
            answer = await client.get(path, params={"limit": "10000", **query})
            items: list[Record] = answer.raise_for_status().json()["items"]
            return items
