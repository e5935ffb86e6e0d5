"""The people of a development stack, one a role: who they are at its identity provider, and what they have here."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from activities.actors import Actor
from activities.database import Database
from activities.people import GrantKind, add_person, give, grants_of

#: The brand of a development stack; its keys are of the same.
BRAND = "demo"


@dataclass(frozen=True)
class DevelopmentPerson:
    """Somebody to sign in as."""

    sub: str
    name: str
    about: str
    zone: str
    role: tuple[str, ...]
    team: tuple[str, ...] = ()
    skill: tuple[str, ...] = ()
    locale: str = "en"

    @property
    def email(self) -> str:
        """Their address, by which the first sign-in finds them."""
        return f"{self.sub}@example.com"


PEOPLE = (
    DevelopmentPerson("olena", "Olena", "VIP manager", "Europe/Kyiv", ("manager",), ("vip",)),
    DevelopmentPerson("marta", "Marta", "head of the VIP managers", "Europe/London", ("head",), ("vip", "vip-head")),
    DevelopmentPerson("sam", "Sam", "support", "Europe/London", ("support",), ("support", "payments")),
    DevelopmentPerson(
        "clara",
        "Clara",
        "compliance",
        "Europe/London",
        ("compliance",),
        ("compliance", "safer-play", "vip"),
        ("aml", "harm_review", "rg"),
    ),
    DevelopmentPerson("edward", "Edward", "accountable executive", "Europe/London", ("executive",), ("vip-head",)),
    DevelopmentPerson("daria", "Daria", "designer of journeys", "Europe/Warsaw", ("designer",)),
    DevelopmentPerson("otto", "Otto", "operator", "Europe/Berlin", ("operator",)),
    DevelopmentPerson("ada", "Ada", "says who works here", "Europe/London", ("admin",)),
)


def at_the_provider() -> str:
    """The people as the identity provider reads them."""
    told = [
        {
            "sub": one.sub,
            "name": one.name,
            "about": one.about,
            "email": one.email,
            "email_verified": True,
            "zoneinfo": one.zone,
            "groups": [*one.role],
        }
        for one in PEOPLE
    ]
    return json.dumps(told)


async def add_people(database: Database, now: datetime) -> None:
    """Have them work here, each with what belongs to their role. Whoever is here already is left as they are."""
    maker = Actor(BRAND, "make-up", id="make-up")
    async with database.transaction() as connection:
        for one in PEOPLE:
            person = await add_person(connection, BRAND, one.email, one.name, now, locale=one.locale, zone=one.zone)
            if await grants_of(connection, BRAND, [person.id], now):
                continue
            given = asdict(one)
            kinds: tuple[GrantKind, ...] = ("role", "team", "skill")
            for kind in kinds:
                for name in given[kind]:
                    await give(connection, person, kind, name, maker, now)
