"""A database as production has it: one role owns the tables, and the application is another, which owns nothing."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg

from activities.database import migrate
from local.postgres import Postgres


@dataclass(frozen=True)
class OwnedDatabase:
    """Its addresses as each of the three would write them in DATABASE_URL."""

    name: str
    owner: str
    application: str
    superuser: str

    @property
    def owner_role(self) -> str:
        return f"{self.name}_owner"

    @property
    def application_role(self) -> str:
        return f"{self.name}_app"

    def migrate(self) -> None:
        """As `journeys migrate` does it, run by the owner."""
        migrate(self.owner, application_role=self.application_role)


@asynccontextmanager
async def owned_database(postgres: Postgres, *, migrated: bool = True) -> AsyncIterator[OwnedDatabase]:
    """A fresh one of this server, whose owner is no superuser."""
    name = f"owned_{secrets.token_hex(4)}"
    url = await postgres.create_database(name)
    made = OwnedDatabase(name, postgres.url(name, f"{name}_owner"), postgres.url(name, f"{name}_app"), url)
    await postgres.ensure_role(made.owner_role)
    await postgres.ensure_role(made.application_role)
    await as_superuser(made, f"ALTER DATABASE {name} OWNER TO {made.owner_role}")
    if migrated:
        made.migrate()
    yield made
    await as_superuser(made, f"DROP OWNED BY {made.application_role}")
    await postgres.drop_database(name)


async def as_superuser(database: OwnedDatabase, statement: str) -> None:
    """What only a superuser may do."""
    async with await psycopg.AsyncConnection.connect(database.superuser.replace("+psycopg", "")) as connection:
        await connection.execute(statement.encode())
