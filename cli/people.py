"""`journeys people`: who works here, and what they are given. For the first of them, who has nobody to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import fail, out, say
from cli._environment import open_database, run_on_database, who_runs_this

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from activities.people import GrantKind, Person, PersonGrant

app = typer.Typer(help="People: add, give, take back, list.", no_args_is_help=True)

Brand = Annotated[str, typer.Option(help="The brand they work in.")]
Who = Annotated[str, typer.Argument(help="The person's address or id.")]
Role = Annotated[list[str] | None, typer.Option(help="A role, such as manager; repeat it.")]
Team = Annotated[list[str] | None, typer.Option(help="A team, such as vip; repeat it.")]
Skill = Annotated[list[str] | None, typer.Option(help="A skill, such as aml; repeat it.")]


@app.command()
def add(
    email: Annotated[str, typer.Argument(help="Their address; it stands in histories.")],
    name: Annotated[str, typer.Option(help="How colleagues know them.")],
    brand: Brand,
    locale: Annotated[str, typer.Option(help="Their language.")] = "en",
    zone: Annotated[str, typer.Option(help="Their time zone.")] = "UTC",
    role: Role = None,
    team: Team = None,
    skill: Skill = None,
) -> None:
    """Have somebody work in a brand, with what they are given from the beginning."""
    from activities.actors import command_of
    from activities.audit.trail import Act, audit
    from activities.people import add_person

    async def made() -> Person:
        async with open_database() as database:
            now = await database.now()
            async with database.transaction() as connection:
                person = await add_person(connection, brand, email, name, now, locale=locale, zone=zone)
                audit(connection, Act(command_of(brand, who_runs_this()), "add_person", object=person.id))
                return person

    try:
        person = run_on_database(made())
    except ValueError as error:
        fail(error)
    _change(person.id, brand, role, team, skill, days=None, reason=None)
    say(f"{person.email} works in {brand} as {person.id}.")


@app.command()
def give(
    who: Who,
    brand: Brand,
    role: Role = None,
    team: Team = None,
    skill: Skill = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it ends; never by default.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, such as the certificate.")] = None,
) -> None:
    """Give a person roles, teams and skills."""
    _change(who, brand, role, team, skill, days=days, reason=reason)
    say("Given.")


@app.command()
def take(who: Who, brand: Brand, role: Role = None, team: Team = None, skill: Skill = None) -> None:
    """Take roles, teams and skills back; it holds within a second."""
    _change(who, brand, role, team, skill, days=None, reason=None, back=True)
    say("Taken back.")


@app.command("list")
def list_them(brand: Brand) -> None:
    """List the people of a brand, with what they have there."""
    from rich.table import Table

    from activities.people import grants_of, list_people

    async def read() -> tuple[list[Person], Sequence[PersonGrant]]:
        async with open_database() as database, database.reading() as connection:
            found = await list_people(connection, brand, limit=10_000)
            now = await database.now()
            return found, await grants_of(connection, brand, [person.id for person in found], now)

    found, grants = run_on_database(read())
    table = Table("id", "email", "name", "roles", "teams", "skills", box=None)
    for person in found:
        had = {
            kind: [_told(one) for one in grants if one.person_id == person.id and one.kind == kind] for kind in KINDS
        }
        left = "" if person.active else " (left)"
        table.add_row(person.id, person.email + left, person.name, *("\n".join(had[kind]) for kind in KINDS))
    out.print(table)


KINDS: tuple[GrantKind, ...] = ("role", "team", "skill")


def _told(grant: PersonGrant) -> str:
    return grant.name if grant.until is None else f"{grant.name} until {grant.until:%Y-%m-%d}"


def _change(
    who: str,
    brand: str,
    roles: list[str] | None,
    teams: list[str] | None,
    skills: list[str] | None,
    *,
    days: int | None,
    reason: str | None,
    back: bool = False,
) -> None:
    """Give it, or take it back, in the name of whoever is logged in at this machine."""
    from datetime import timedelta

    from activities import people
    from activities.actors import command_of
    from activities.audit.trail import Act, audit

    by = command_of(brand, who_runs_this())
    wanted = dict(zip(KINDS, (roles or [], teams or [], skills or []), strict=True))

    async def change() -> None:
        async with open_database() as database:
            now: datetime = await database.now()
            until = None if days is None else now + timedelta(days=days)
            async with database.transaction() as connection:
                person = await people.find_person(connection, brand, who)
                if person is None:
                    fail(f"Nobody called {who} works in {brand}; `journeys people list` shows who does.")
                for kind, name in ((kind, name) for kind, names in wanted.items() for name in names):
                    done = Act(by, "take_back" if back else "give", object=f"{person.id}/{kind}s/{name}")
                    audit(connection, done)
                    if back:
                        await people.take_back(connection, person, kind, name, by, now)
                    else:
                        await people.give(connection, person, kind, name, by, now, until=until, reason=reason)

    try:
        run_on_database(change())
    except ValueError as error:
        fail(error)
