"""`journeys`: everything done from a terminal, one command each.

A command reads its options, calls the part that does the work and says in one sentence what went wrong. Exit codes:
0 done, 1 not done, 2 the command was written wrongly, 130 stopped with Ctrl-C.
"""

# ruff: noqa: PLC0415  a command loads only what it needs; all of it takes seconds

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli._groups import missing_group
from cli.derive import add_derive
from cli.design import Surroundings, add_design
from cli.enrol import add_enrol
from cli.events import add_events
from cli.rehearse import House, add_rehearse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence

    from temporalio.client import Client
    from temporalio.converter import DataConverter

    from activities.database import Database
    from activities.settings import Settings
    from content.row_mapping import RowMapping
    from content.template_files import MessageTemplate
    from workflows.declaration import Journey
    from workflows.rules.triggers import Trigger

LOCAL = Path(".local")
#: What `keys --json` makes: a key for everyone who works with a development stack.
ROLES = {
    "backend": ("events:write",),
    "vip-manager": ("tasks:work", "players:read"),
    "crm": ("journeys:manage", "players:read"),
    "admin": ("admin",),
}
DEMO_BRAND = "demo"

app = typer.Typer(
    name="journeys",
    help="Durable player journeys: events in; messages, rewards and human tasks out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="API keys: make, list, revoke.")
app.add_typer(keys, name="keys")
out = Console()
err = Console(stderr=True)


# ---- processes ---------------------------------------------------------------------------------


@app.command()
def up(folder: Annotated[Path, typer.Option(help="Where data, logs and addresses are kept.")] = LOCAL) -> None:
    """Run the whole stack on this machine until Ctrl-C; the next start resumes every run."""
    from activities.engine import load_deployment
    from activities.settings import Settings

    # A mistake in a journey is a sentence here; in the parts of the stack it would be a row of restarts.
    load_deployment(Settings(database_url=""))
    stack = _local("local.stack")
    try:
        asyncio.run(stack.run(folder, console=out))
    except stack.StackError as error:
        _fail(str(error))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
) -> None:
    """Serve the HTTP API. Run as many processes as the load needs, behind one address."""
    import uvicorn

    from activities.gc_tuning import collect_rarely, freeze_gc
    from activities.temporal_client import converter
    from api.app import create_app
    from workflows.source.registry import load

    _log_to_stderr()
    settings = _settings()
    # Here mistakes are sentences, in the server they would be a traceback.
    load(settings.packages)
    converter(settings)
    api = create_app(settings)
    freeze_gc()
    collect_rarely()
    uvicorn.run(
        api,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        log_config=None,
    )


@app.command()
def worker(
    role: Annotated[Literal["all", "worker", "dispatcher"], typer.Option(help="What this process does.")] = "all",
) -> None:
    """Run journeys, their effects, the dispatcher and the sweep."""
    import uvloop

    import worker as process

    _log_to_stderr()
    uvloop.run(process.main(role, _settings()))


@app.command()
def dispatcher() -> None:
    """Run the dispatcher and the sweep alone: the same as `journeys worker --role dispatcher`."""
    worker("dispatcher")


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date. Safe to run twice, also at once."""
    from sqlalchemy.exc import SQLAlchemyError

    from activities.database import migrate as bring_up_to_date

    settings = _settings()
    try:
        bring_up_to_date(settings.sqlalchemy_url)
    except SQLAlchemyError as error:
        _fail(f"The database was not migrated: {_first_line(error)}")
    err.print("The database is up to date.")


# ---- keys --------------------------------------------------------------------------------------


@keys.callback(invoke_without_command=True)
def keys_of_every_role(
    context: typer.Context,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Make a key of the brand `demo` for each role and print them as JSON.")
    ] = False,
) -> None:
    """API keys: make, list, revoke."""
    if context.invoked_subcommand is not None:
        return
    if not as_json:
        out.print(context.get_help())
        raise typer.Exit(2)

    from activities.api_keys import create_key

    async def make() -> dict[str, str]:
        async with _database() as database:
            now = datetime.now(UTC)
            return {role: (await create_key(database, DEMO_BRAND, role, s, now))[1] for role, s in ROLES.items()}

    out.print_json(json.dumps(_run(make())))


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="Who acts with the key; it stands in histories.")],
    scope: Annotated[list[str], typer.Option(help="What it may do, such as events:write; repeat it.")],
    brand: Annotated[str, typer.Option(help="The brand whose events, players and tasks it opens.")],
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; never by default.")] = None,
) -> None:
    """Make a key and print its secret, once."""
    from activities.api_keys import create_key

    async def make() -> tuple[str, str]:
        async with _database() as database:
            now = datetime.now(UTC)
            expires_at = None if days is None else now + timedelta(days=days)
            return await create_key(database, brand, name, scope, now, expires_at=expires_at)

    try:
        key_id, secret = _run(make())
    except ValueError as error:
        _fail(str(error))
    err.print(f"Key {key_id} of {brand}. This is its secret; it is not shown again:")
    print(secret)  # noqa: T201  alone on stdout, so that a script can take it


@keys.command("list")
def keys_list(brand: Annotated[str | None, typer.Option(help="Only this brand's keys.")] = None) -> None:
    """List keys, without their secrets."""
    from sqlalchemy import select

    from activities.tables import api_keys

    async def read() -> list[Any]:
        query = select(api_keys).order_by(api_keys.c.brand, api_keys.c.created_at)
        async with _database() as database, database.reading() as connection:
            return list(await connection.execute(query if brand is None else query.where(api_keys.c.brand == brand)))

    table = Table("id", "brand", "name", "scopes", "when", box=None)
    for column in table.columns:
        column.no_wrap, column.overflow = column.header not in {"brand", "name"}, "fold"
    for row in _run(read()):
        moments = {"made": row.created_at, "until": row.expires_at, "revoked": row.revoked_at}
        when = "\n".join(f"{word} {at:%Y-%m-%d}" for word, at in moments.items() if at)
        table.add_row(row.id, row.brand, row.name, "\n".join(row.scopes), when)
    out.print(table)


@keys.command("revoke")
def keys_revoke(key_id: Annotated[str, typer.Argument(help="The id that `journeys keys list` shows.")]) -> None:
    """Take a key back; the API refuses it within a second."""
    from activities.api_keys import revoke_key

    async def revoke() -> bool:
        async with _database() as database:
            return await revoke_key(database, key_id, datetime.now(UTC))

    if not _run(revoke()):
        _fail(f"There is no key {key_id}; `journeys keys list` shows them.")
    err.print(f"Key {key_id} is revoked.")


# ---- events ------------------------------------------------------------------------------------


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV with a header, NDJSON, or NDJSON of CloudEvents.")],
    *,
    url: Annotated[str | None, typer.Option(envvar="JOURNEYS_URL", help="The API; the local stack's if unset.")] = None,
    key: Annotated[
        str | None, typer.Option(envvar="JOURNEYS_KEY", help="A key with events:write; the local stack's if unset.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Event type, such as payment.deposit_approved.")] = None,
    maps: Annotated[
        list[str] | None, typer.Option("--map", help="PART=COLUMN or PART=COLUMN:CONVERSION; repeat it.")
    ] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="PART=TEXT, the same in all rows; repeat it.")] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="A TOML file with type, source and the tables map and set.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="CloudEvents source of every row; /import if unset.")] = None,
    zone: Annotated[str | None, typer.Option(help="Zone of times without an offset; UTC if unset.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Let journeys start; history starts nothing.")] = False,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Events in one request.")] = 500,
    rejected: Annotated[Path | None, typer.Option(help="Where refused rows go; FILE.rejected.ndjson if unset.")] = None,
) -> None:
    """Send a file of events, by default as history, which starts nothing.

    PART is subject, time, type, id, source or data.<field>. Conversions: minor (amounts to minor units), unix, list,
    json, lower, upper. The column @id is the row's own identity. Stop it with Ctrl-C and repeat it as often as you
    like: what was kept is not counted twice.
    """
    from activities.importing.source_file import SourceFile
    from cli.import_terminal import import_on_terminal
    from content.row_mapping import mapping_of

    read = SourceFile(file, mapping_of(maps or (), sets or (), kind=kind, source=source, file=mapping, zone=zone))
    found_url, found_key = _local_api() if url is None or key is None else (None, None)
    url, key = url or found_url, key or found_key
    if url is None or key is None:
        _fail("No local stack was found here; name the API with --url and a key of it with --key.")
    rejections = rejected or Path(f"{file.name}.rejected.ndjson")
    sending = import_on_terminal(read, url, key, "live" if live else "history", rejections, batch=batch)
    raise typer.Exit(asyncio.run(sending))


@app.command()
def demo(
    log: Annotated[Path | None, typer.Option(help="A real log of deposits: player_id, ts_utc, amount_usd.")] = None,
    folder: Annotated[Path, typer.Option(help="Made anew each time.")] = LOCAL / "demo",
    players: Annotated[int, typer.Option(min=12, help="Players with a past, without --log.")] = 300,
    seed: Annotated[int, typer.Option(help="The same seed makes the same synthetic casino.")] = 1,
) -> None:
    """Show the main job: history in, then live players, messages, rewards, tasks, and a check that nothing was lost."""
    shown = _local("local.demo.demo")
    try:
        raise typer.Exit(asyncio.run(shown.run(folder, log=log, players=players, seed=seed)))
    except shown.DemoError as error:
        _fail(str(error))


# ---- journeys ----------------------------------------------------------------------------------


@app.command()
def show() -> None:
    """List the journeys this environment loads, or the mistakes in them."""
    from activities.engine import load_deployment

    registry = load_deployment(_offline_settings()).registry
    if not registry.journeys:
        out.print("There are no journeys; name a package of them in JOURNEYS.")
    for journey in registry.journeys.values():
        _print_journey(journey)


def _print_journey(journey: Journey) -> None:
    entry = journey.entry
    rule = f"every {_span(entry.period)}" if entry.period else f"per {entry.field}" if entry.field else entry.kind
    facts = {
        "starts on": "\n".join(map(_told, journey.triggers)) or "nothing; by hand or from another journey",
        "entry": f"{rule}, {journey.control} % control, over after {_span(journey.ends_after)}",
        "goal": f"{journey.goal.kind.type} within {_span(journey.goal.within)}" if journey.goal else "",
        "waits for": ", ".join(sorted(journey.listens_to)),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, fact in facts.items():
        if fact:
            table.add_row(f"  {name}", fact)
    out.print(f"[bold]{journey.name}[/bold]  {escape(journey.description)}", soft_wrap=True, highlight=False)
    out.print(table)


def _span(span: timedelta) -> str:
    """A duration in its largest whole unit."""
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, rest = divmod(span.total_seconds(), seconds)
        if count and not rest:
            return f"{count:.0f} {unit}{'s' if count > 1 else ''}"
    return str(span)


def _told(trigger: Trigger) -> str:
    from workflows.rules.triggers import InactiveRule, MilestoneRule, OfSegment, On, Streak

    match trigger:
        case On(where=OfSegment(segment)):
            return f"{trigger.kind.type} {segment}"
        case On():
            return trigger.kind.type + (" where …" if trigger.where else "")
        case MilestoneRule():
            return f"{trigger.kind.type} number {trigger.count}"
        case Streak():
            return f"{trigger.kind.type} {trigger.length} times in a row"
        case InactiveRule():
            return f"no {trigger.kind.type} for {_span(trigger.duration)}"
        case _:
            return trigger.words


# ---- what the stage may not import -------------------------------------------------------------


def _packages() -> Sequence[str]:
    return _offline_settings().packages


def _templates() -> Mapping[str, MessageTemplate]:
    from activities.engine import load_deployment

    catalogue = load_deployment(_offline_settings()).templates
    return {name: catalogue[name] for name in catalogue}


def _mapping(*given: Any, **options: Any) -> RowMapping | None:
    from content.row_mapping import mapping_of

    return mapping_of(*given, **options)


async def _kept(brand: str) -> AsyncIterator[dict[str, Any]]:
    from activities.intake.event_log import stored_events

    async with _database() as database:
        async for event in stored_events(database, brand):
            yield event


async def _temporal() -> Client:
    from activities.temporal_client import connect

    return await connect(_offline_settings())


def _converter() -> DataConverter:
    from activities.temporal_client import converter

    return converter(_offline_settings())


add_rehearse(app, House(packages=_packages, templates=_templates, mapping=_mapping, kept=_kept))
add_design(app, Surroundings(packages=_packages, templates=_templates, temporal=_temporal, converter=_converter))


# ---- what they share ---------------------------------------------------------------------------


def _fail(sentence: str, code: int = 1) -> NoReturn:
    err.print(sentence, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def _settings() -> Settings:
    from pydantic import ValidationError

    from activities.settings import settings_from

    try:
        return settings_from()
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()]
        _fail(f"The environment is not complete; set these variables. {'; '.join(faults)}.")


def _offline_settings() -> Settings:
    """Settings for what needs no database."""
    from activities.settings import Settings

    return Settings(database_url=os.environ.get("DATABASE_URL", ""))


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    from activities.database import Database

    database = Database(_settings())
    try:
        yield database
    finally:
        await database.close()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return asyncio.run(work)
    except SQLAlchemyError as error:
        _fail(f"The database named by DATABASE_URL does not do this: {_first_line(error)}")


def _local(module: str) -> Any:
    """A module of the development stack, which production does not install."""
    try:
        return __import__(module, fromlist=["_"])
    except ModuleNotFoundError as missing:
        _fail(f"The local stack needs {missing.name}, which is not installed here; run `make setup` in a checkout.")


def _local_api(role: str = "backend") -> tuple[str | None, str | None]:
    """Address, and a role's key, of the stack that `journeys up` made in this folder."""
    try:
        memory = json.loads((LOCAL / "stack.json").read_text())
        return f"http://127.0.0.1:{memory['ports']['api']}", memory["keys"][role]
    except (OSError, ValueError, KeyError):
        return None, None


def _log_to_stderr() -> None:
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]


add_events(app, _packages)
add_derive(app, packages=_packages, database=_database, run=_run)
add_enrol(app, _local_api)


def main() -> None:
    """The console script."""
    try:
        app()
    except Exception as error:
        from workflows.errors import JourneysError

        sentence = missing_group(error)
        if sentence is None and not isinstance(error, JourneysError):
            raise
        err.print(sentence or str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
