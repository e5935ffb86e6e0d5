"""`journeys keys`: API keys made, listed, revoked."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer

from cli._console import fail, out, say
from cli._environment import open_database, run_on_database, who_runs_this

#: What `keys --json` makes: a key for everyone who works with a development stack.
ROLES = {
    "backend": ("events:write", "protection:lift", "profiles:write", "inbox:read"),
    "vip-manager": ("tasks:work", "players:read"),
    "vip-head": ("tasks:work", "players:read"),
    "safer-play": ("tasks:work", "players:read", "harm:review"),
    "crm": ("journeys:manage", "players:read"),
    "site": ("events:write", "players:tokens"),
    "admin": ("admin",),
}
#: And the skills of those who answer tasks: nobody signs what they checked.
SKILLS = {"vip-manager": ("aml",), "vip-head": ("aml", "executive"), "safer-play": ("harm_review", "rg")}
DEMO_BRAND = "demo"

app = typer.Typer(help="API keys: make, list, revoke.")


@app.callback(invoke_without_command=True)
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
        async with open_database() as database:
            now = await database.now()
            made = {}
            for role, scopes in ROLES.items():
                skills = SKILLS.get(role, ())
                made[role] = (await create_key(database, DEMO_BRAND, role, scopes, now, skills=skills))[1]
            return made

    out.print_json(json.dumps(run_on_database(make())))


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who acts with the key; it stands in histories.")],
    scope: Annotated[list[str], typer.Option(help="What it may do, such as events:write; repeat it.")],
    brand: Annotated[str, typer.Option(help="The brand whose events, players and tasks it opens.")],
    source: Annotated[
        list[str] | None, typer.Option(help="A source it may send under, such as /cashier; repeat it. Any if unset.")
    ] = None,
    team: Annotated[
        list[str] | None, typer.Option(help="A team whose tasks it may work on; repeat it. Any if unset.")
    ] = None,
    skill: Annotated[
        list[str] | None, typer.Option(help="A skill of whoever works with it, such as aml; repeat it. None if unset.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; never by default.")] = None,
) -> None:
    """Make a key and print its secret, once."""
    from activities.api_keys import create_key

    async def make() -> tuple[str, str]:
        async with open_database() as database:
            now = await database.now()
            expires_at = None if days is None else now + timedelta(days=days)
            return await create_key(
                database,
                brand,
                name,
                scope,
                now,
                sources=source or (),
                teams=team or (),
                skills=skill or (),
                expires_at=expires_at,
                by=who_runs_this(),
            )

    try:
        key_id, secret = run_on_database(make())
    except ValueError as error:
        fail(error)
    say(f"Key {key_id} of {brand}. This is its secret; it is not shown again:")
    print(secret)  # noqa: T201  alone on stdout, so that a script can take it


@app.command("list")
def list_keys(brand: Annotated[str | None, typer.Option(help="Only this brand's keys.")] = None) -> None:
    """List keys, without their secrets."""
    from rich.table import Table
    from sqlalchemy import select

    from activities.tables import api_keys

    async def read() -> Sequence[Any]:
        query = select(api_keys).order_by(api_keys.c.brand, api_keys.c.created_at)
        async with open_database() as database, database.reading() as connection:
            return (await connection.execute(query if brand is None else query.where(api_keys.c.brand == brand))).all()

    found = run_on_database(read())
    # Most keys are bound to none, and eighty columns are few.
    bound = ["sources"] if any(row.sources for row in found) else []
    table = Table("id", "brand", "name", *bound, "scopes", "when", box=None)
    for column in table.columns:
        column.no_wrap, column.overflow = column.header not in {"brand", "name", "sources"}, "fold"
    for row in found:
        moments = {"made": row.created_at, "until": row.expires_at, "used": row.last_used_at, "revoked": row.revoked_at}
        when = "\n".join(f"{word} {at:%Y-%m-%d}" for word, at in moments.items() if at)
        sources = ["\n".join(row.sources)] if bound else []
        table.add_row(row.id, row.brand, row.name, *sources, "\n".join(row.scopes), when)
    out.print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The id that `journeys keys list` shows.")]) -> None:
    """Take a key back; the API refuses it within a second."""
    from activities.api_keys import revoke_key

    async def refuse_from_now_on() -> bool:
        async with open_database() as database:
            return await revoke_key(database, key_id, await database.now(), who_runs_this())

    if not run_on_database(refuse_from_now_on()):
        fail(f"There is no key {key_id}; `journeys keys list` shows them.")
    say(f"Key {key_id} is revoked.")
