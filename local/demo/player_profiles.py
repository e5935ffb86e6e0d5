"""Made-up people for the demo: who a synthetic player is, decided by their id alone."""

# ruff: noqa: RUF001  names are written in the letters of their language

import random
from dataclasses import dataclass
from datetime import date

from workflows.channels import ConsentChannel

#: Language, first names, and where its speakers live: (weight, country, time zone, currency).
NATIONS: tuple[tuple[int, str, tuple[str, ...], tuple[tuple[int, str, str, str], ...]], ...] = (
    (
        45,
        "en",
        ("Alice", "Ben", "Chloe", "Daniel", "Emma", "Finn", "Grace", "Harry", "Isla", "Jack", "Kate", "Liam"),
        (
            (5, "GB", "Europe/London", "GBP"),
            (2, "IE", "Europe/Dublin", "EUR"),
            (3, "CA", "America/Toronto", "CAD"),
            (2, "NZ", "Pacific/Auckland", "NZD"),
        ),
    ),
    (
        25,
        "ru",
        ("Алина", "Борис", "Вера", "Глеб", "Дарья", "Егор", "Жанна", "Игорь", "Кира", "Лев", "Мария", "Никита"),
        (
            (5, "KZ", "Asia/Almaty", "KZT"),
            (2, "LV", "Europe/Riga", "EUR"),
            (2, "EE", "Europe/Tallinn", "EUR"),
        ),
    ),
    (
        30,
        "uk",
        ("Андрій", "Богдана", "Василь", "Ганна", "Дмитро", "Євген", "Зоряна", "Ірина", "Катерина", "Лесь", "Оксана"),
        (
            (7, "UA", "Europe/Kyiv", "UAH"),
            (2, "PL", "Europe/Warsaw", "PLN"),
            (1, "CA", "America/Vancouver", "CAD"),
        ),
    ),
)

#: How many in a hundred tick the marketing box of a channel.
OPT_IN: tuple[tuple[ConsentChannel, int], ...] = (
    ("email", 75),
    ("in_app", 90),
    ("push", 50),
    ("sms", 35),
    ("phone", 20),
)


@dataclass(frozen=True)
class InventedPerson:
    """What a registration form tells. Every address leads nowhere: `.example` and +999 are never given to anyone."""

    username: str
    email: str
    phone: str
    first_name: str
    birth_date: date
    language: str
    country: str
    timezone: str
    currency: str
    opted_in: tuple[ConsentChannel, ...]


def person(player_id: str) -> InventedPerson:
    """The person behind a player id; the same id is always the same person."""
    rng = random.Random(f"person:{player_id}")
    _, language, names, homes = rng.choices(NATIONS, [weight for weight, *_ in NATIONS])[0]
    _, country, timezone, currency = rng.choices(homes, [weight for weight, *_ in homes])[0]
    digits = "".join(filter(str.isdigit, player_id))[-8:] or "0"
    return InventedPerson(
        username=player_id,
        email=f"{player_id.replace('syn-', 'player-')}@synthetic.example",
        phone=f"+999{digits:0>8}",
        first_name=rng.choice(names),
        birth_date=date(rng.randint(1955, 2003), rng.randint(1, 12), rng.randint(1, 28)),
        language=language,
        country=country,
        timezone=timezone,
        currency=currency,
        opted_in=tuple(channel for channel, share in OPT_IN if rng.randrange(100) < share),
    )
