"""Accounts that are likely one person's: by mail, phone, or name and date of birth, however they are written."""

import secrets
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from activities import tables
from activities.database import Database
from activities.likely_doubles import MOST_OF_A_PERSON, find_doubles
from tests.support.engine import connected


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


async def players(database: Database, **profiles: dict[str, object]) -> str:
    """A brand with players of these profiles."""
    brand = f"brand-{secrets.token_hex(4)}"
    rows = [{"brand": brand, "id": name, "profile": profile} for name, profile in profiles.items()]
    async with database.transaction() as connection:
        await connection.execute(tables.players.insert(), rows)
    return brand


async def test_they_are_found_however_they_are_written_the_surest_first(database: Database) -> None:
    anna = {"first_name": "Anna", "birth_date": "1990-05-17"}
    brand = await players(
        database,
        a={"email": "Anna.B@gmail.com", "phone": "+380 44 123-45-67", **anna},
        b={"email": "annab+casino@GMAIL.com"},
        c={"phone": "00380441234567", "first_name": "ÁNNA ", "birth_date": "1990-05-17"},
        d={"email": "other@example.com", **anna},
        e={"email": "nobody@example.com", "first_name": "Anna", "birth_date": "1991-05-17"},
    )
    found = [(one.one, one.other, one.by, one.score) for one in await find_doubles(database, brand)]
    assert found == [
        ("a", "b", ("email",), 9_500),
        ("a", "c", ("person", "phone"), 9_000),
        ("a", "d", ("person",), 6_000),
        ("c", "d", ("person",), 6_000),
    ]


async def test_accounts_that_were_joined_and_addresses_of_many_are_none(database: Database) -> None:
    many: dict[str, dict[str, object]] = {
        f"shop{number}": {"email": "shop@example.com"} for number in range(MOST_OF_A_PERSON + 1)
    }
    brand = await players(database, a={"email": "x@example.com"}, b={"email": "x@example.com"}, **many)
    async with database.transaction() as connection:
        mine = tables.players.c.brand == brand
        for one, other in (("a", "b"), ("b", "a")):
            joined = sa.update(tables.players).where(mine, tables.players.c.id == one)
            await connection.execute(joined.values(state={"accounts": [other]}))
    assert await find_doubles(database, brand) == []
