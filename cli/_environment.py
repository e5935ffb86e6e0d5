"""What commands find around them: settings, the database, the journeys of this deployment, the local stack."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli._console import fail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from activities.database import Database
    from activities.engine import Deployment
    from activities.settings import Settings
    from cli._api_client import BlockingApi

T = TypeVar("T")

#: What Postgres calls it when a role may not do something.
INSUFFICIENT_PRIVILEGE = "42501"
#: Where the local stack of this folder keeps its data, logs and addresses.
LOCAL = Path(".local")

#: The options of commands that manage journeys over HTTP.
Url = Annotated[str | None, typer.Option(envvar="JOURNEYS_URL", help="The API; the local stack's if unset.")]
Key = Annotated[
    str | None,
    typer.Option("--key", envvar="JOURNEYS_KEY", help="A key with journeys:manage; the local stack's if unset."),
]


def settings() -> Settings:
    """Settings from the environment; ends the command with the variables that are missing or wrong."""
    from pydantic import ValidationError

    from activities.settings import settings_from

    try:
        return settings_from()
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()]
        fail(f"The environment is not complete; set these variables. {'; '.join(faults)}.")


def settings_here() -> Settings:
    """The same; where DATABASE_URL is unset, for the servers of the stack that `journeys up` made in this folder."""
    if "DATABASE_URL" not in os.environ and (LOCAL / "stack.json").exists():
        os.environ.update(local_module("local.stack").servers_of(LOCAL))
    return settings()


def settings_without_database() -> Settings:
    """Settings for what needs no database."""
    from activities.settings import Settings

    return Settings(database_url=os.environ.get("DATABASE_URL", ""))


def deployment() -> Deployment:
    """The journeys and templates of this environment, checked against each other. Raises `DesignError`."""
    from activities.engine import load_deployment

    return load_deployment(settings_without_database())


@asynccontextmanager
async def open_database() -> AsyncIterator[Database]:
    """The database that DATABASE_URL names, else that of the local stack, closed at the end."""
    from activities.database import Database

    database = Database(settings_here())
    try:
        yield database
    finally:
        await database.close()


def run_on_database(work: Coroutine[Any, Any, T]) -> T:
    """Run something to its end; ends the command with a sentence when the database is away or refuses."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return asyncio.run(work)
    except SQLAlchemyError as error:
        refused = getattr(getattr(error, "orig", None), "sqlstate", None) == INSUFFICIENT_PRIVILEGE
        hint = ". Its role may not: run this with the DATABASE_URL of the tables' owner." if refused else ""
        fail(f"The database named by DATABASE_URL does not do this: {first_line(error)}{hint}")


def first_line(error: Exception) -> str:
    """What a database error says, without the statement it adds."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]


def local_module(name: str) -> Any:
    """A module of the development stack, which production does not install."""
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        fail(f"The local stack needs {missing.name}, which is not installed here; run `make setup` in a checkout.")


def api_address(url: str | None, key: str | None, *, role: str) -> tuple[str, str]:
    """The API's address and a key: those of the options, else of the stack that `journeys up` made in this folder."""
    if url is None or key is None:
        try:
            memory = json.loads((LOCAL / "stack.json").read_text())
            url, key = url or f"http://127.0.0.1:{memory['ports']['api']}", key or memory["keys"][role]
        except (OSError, ValueError, KeyError):
            fail("No local stack was found here; name the API with --url and a key of it with --key.")
    return url, key


def journeys_api(url: str | None, key: str | None) -> BlockingApi:
    """The API, with a key that may manage journeys."""
    from cli._api_client import BlockingApi

    return BlockingApi(*api_address(url, key, role="crm"))


def who_runs_this() -> str:
    """Who is logged in at this machine, for records of who did what; their number where they have no name."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
