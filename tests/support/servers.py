"""Servers of our own for tests: real processes, and what a test asks them."""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg

from local.postgres import SUPERUSER, Postgres
from local.slowness import slowness
from local.stand_ins.base import Record, read_journal
from local.supervisor import TRUSTS_NOBODY, Service, Supervised
from workflows.channels import WEBHOOK_CHANNELS

#: For an answer of a server of our own, which a machine may keep waiting.
PATIENCE_S = 60
MIGRATED = "migrated"
"""The database that others are copied from."""
OWNER, APPLICATION = "tests_owner", "tests_app"
"""As whom the tables are owned and used where APPLICATION_OWNS_NOTHING is set; else one role does both."""


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


def application_owns_nothing() -> bool:
    """Whether tests use their databases as production does, as a role without ownership. `make prove` says so."""
    return bool(os.environ.get("APPLICATION_OWNS_NOTHING"))


async def make_template(postgres: Postgres) -> None:
    """The migrated database that each test gets a copy of."""
    from activities.database import migrate

    url = await postgres.create_database(MIGRATED)
    if not application_owns_nothing():
        migrate(url)
        return
    for role in (OWNER, APPLICATION):
        await postgres.ensure_role(role)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {MIGRATED} OWNER TO {OWNER}".encode())
    migrate(postgres.url(MIGRATED, OWNER), application_role=APPLICATION)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        # Tests make keys for themselves, which in production the owner does.
        connection.execute(f"GRANT INSERT, UPDATE, DELETE ON api_keys TO {APPLICATION}".encode())


@asynccontextmanager
async def fresh_database(postgres: Postgres, *, as_owner: bool = False) -> AsyncIterator[str]:
    """A copy of the migrated database; `as_owner` its address is that of whoever owns the tables."""
    name = f"test_{secrets.token_hex(4)}"
    url = await postgres.create_database(name, template=MIGRATED)
    yield url if as_owner or not application_owns_nothing() else postgres.url(name, APPLICATION)
    await postgres.drop_database(name)


def owners(url: str) -> str:
    """The address of whoever may do anything, for what a test does behind the application's back."""
    return url.replace(f"//{APPLICATION}:", f"//{SUPERUSER}:")


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
        async with httpx.AsyncClient(base_url=self.url, verify=TRUSTS_NOBODY, timeout=PATIENCE_S) as client:
            (await client.post("/faults", json={"mode": mode, **how})).raise_for_status()

    async def claim(self, key: str) -> int:
        """The player takes a reward; the status of the answer."""
        async with httpx.AsyncClient(base_url=self.url, verify=TRUSTS_NOBODY, timeout=PATIENCE_S) as client:
            return (await client.post(f"/grants/{quote(key, safe='')}/claim")).status_code

    async def heal(self) -> None:
        """Take back every fault."""
        async with httpx.AsyncClient(base_url=self.url, verify=TRUSTS_NOBODY, timeout=PATIENCE_S) as client:
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
        async with httpx.AsyncClient(base_url=self.url, verify=TRUSTS_NOBODY, timeout=PATIENCE_S) as client:
            answer = await client.get(path, params={"limit": "10000", **query})
            items: list[Record] = answer.raise_for_status().json()["items"]
            return items
