"""Finds players by what people know of them: a name, an address, a telephone number, an id. Read only.

What is looked up is written one way, here and in the indexes of `players`: small letters, and of a number its digits
from the end, because people leave out the country. So nothing personal is kept twice, and erasing needs no word here.
"""

import re
from calendar import isleap
from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, DateTime, Select, cast, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import EMAIL_KEY, FIRST_NAME_KEY, PHONE_KEY, USERNAME_KEY, api_keys, players
from workflows.events import SessionLogin

#: Players that one way of looking finds at most; who has more is asked for more letters.
MOST: Final = 1_000
#: Digits of the shortest end of a number that is looked up.
SHORTEST_NUMBER: Final = 4
_NUMBER: Final = re.compile(r"[\d\s().+/-]+\Z")


def found_by(brand: str, wanted: str) -> ColumnElement[bool]:
    """A condition: players of a brand whose name or address begins so, whose number ends so, or whose id it is."""
    typed = wanted.strip()
    ways = [players.c.id == typed]
    if "@" in typed:
        ways.append(_begins(EMAIL_KEY, typed.lower()))
    elif _NUMBER.match(typed) and len(digits := re.sub(r"\D", "", typed).lstrip("0")) >= SHORTEST_NUMBER:
        ways.append(_begins(PHONE_KEY, digits[::-1]))
    else:
        ways += [_begins(key, typed.lower()) for key in (FIRST_NAME_KEY, USERNAME_KEY, EMAIL_KEY)]
    return players.c.id.in_(union_all(*(_ids(brand, way) for way in ways)))


async def players_with_number(connection: AsyncConnection, number: str) -> list[tuple[str, str]]:
    """Every player, as brand and id, whose whole number this is, whatever stands between its digits.

    Without the country it is another number: an SMS goes only to one that can be dialled from abroad.
    """
    digits = re.sub(r"\D", "", number).removeprefix("00")
    if not digits:
        return []
    # Said again for the index, which holds only who has a number.
    has_one = players.c.profile["phone"].astext.is_not(None)
    return await _of_every_brand(connection, PHONE_KEY.in_([digits[::-1], f"{digits[::-1]}00"]), has_one)


async def players_with_mail(connection: AsyncConnection, address: str) -> list[tuple[str, str]]:
    """Every player, as brand and id, whose mail address this is, in capitals or not."""
    has_one = players.c.profile["email"].astext.is_not(None)
    return await _of_every_brand(connection, EMAIL_KEY.in_([address.strip().lower()]), has_one)


async def _of_every_brand(connection: AsyncConnection, *those: ColumnElement[bool]) -> list[tuple[str, str]]:
    brands = select(api_keys.c.brand).distinct().subquery()
    theirs = (
        select(players.c.brand, players.c.id)
        .join(brands, brands.c.brand == players.c.brand)
        .where(*those)
        .order_by(players.c.brand, players.c.id)
    )
    return [(brand, player_id) for brand, player_id in await connection.execute(theirs)]


def _ids(brand: str, way: ColumnElement[bool]) -> Select[Any]:
    found = select(players.c.id).where(players.c.brand == brand, way).order_by(players.c.id).limit(MOST)
    return select(found.subquery().c.id)


def _begins(key: ColumnElement[str], typed: str) -> ColumnElement[bool]:
    begins: ColumnElement[bool] = key.like(re.sub(r"([\\%_])", r"\\\1", typed) + "%")
    return begins


def silent_since(moment: datetime) -> ColumnElement[bool]:
    """A condition: players who have not logged in since a moment, or never did."""
    seen = cast(players.c.state["last"][SessionLogin.type].astext, DateTime(timezone=True))
    return or_(seen.is_(None), seen <= moment)


def born_on(days: Collection[str]) -> ColumnElement[bool]:
    """A condition: players whose birthday is one of these days, "MM-DD" each."""
    theirs: ColumnElement[bool] = players.c.state["born"].astext.in_(days)
    return theirs


def birthdays_between(first: date, days: int) -> list[str]:
    """The birthdays of so many days from a day on; who is born on 29 February has theirs on the 28th in other years."""
    found = []
    for number in range(days):
        day = first + timedelta(days=number)
        found.append(f"{day:%m-%d}")
        if (day.month, day.day) == (2, 28) and not isleap(day.year):
            found.append("02-29")
    return found
