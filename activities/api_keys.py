"""API keys: made once, shown once, kept only as a hash.

A key reads `jx_` + 30 base62 characters + `_` + a check of six. The prefix lets scanners of leaked
secrets find it, the check lets everybody refuse a mistyped one without asking Postgres.
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Collection
from datetime import datetime
from typing import Final

from pydantic import JsonValue
from sqlalchemy import func, text, update

from activities.actors import ENGINE, command_of
from activities.audit.trail import Act, audit
from activities.database import Database
from activities.tables import api_keys
from workflows.field_types import BRAND
from workflows.task_rights import GIVEN

SCOPES: Final = (
    "events:write",
    "protection:lift",
    "harm:review",
    "profiles:write",
    "inbox:read",
    "tasks:work",
    "tasks:lead",
    "players:read",
    "players:tokens",
    "points:correct",
    "players:erase",
    "players:export",
    "audiences:read",
    "journeys:manage",
    "people:manage",
    "audit:read",
    "webhooks:manage",
    "admin",
)
ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
# 30 characters of 62 hold 178 bits; 128 are asked of a secret that is stored with a plain hash.
LENGTH: Final = 30
#: Who may act: the name of a key, or of a person that a desk tool acts for.
NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,63}"

_SHAPE = re.compile(r"jx_([0-9A-Za-z]{30})_([0-9A-Za-z]{6})")
_SOURCE = re.compile(r"[^\s\x00-\x1f\x7f]{1,255}")


async def create_key(
    database: Database,
    brand: str,
    name: str,
    scopes: Collection[str],
    now: datetime,
    *,
    sources: Collection[str] = (),
    teams: Collection[str] = (),
    skills: Collection[str] = (),
    expires_at: datetime | None = None,
    by: str | None = None,
) -> tuple[str, str]:
    """Make a key for one brand; its id, and the secret that is never shown again.

    `name` is who acts with it: it stands in histories. Two keys may share a name, which is how a
    key is replaced without a gap. With `sources` it may send events under these and what stands below them, and under
    no others; with `teams` it works on their tasks alone, and on those that ask for a skill only with `skills`. `by` is
    who makes it. Raises `ValueError` with a sentence for a malformed argument.
    """
    _check_arguments(brand, name, scopes, sources, (*teams, *skills))
    body = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    secret = f"jx_{body}_{_check(body)}"
    key_id = secrets.token_hex(8)
    async with database.transaction() as connection:
        if by is not None:
            given: dict[str, JsonValue] = {"name": name, "scopes": [*scopes], "skills": [*skills]}
            audit(connection, Act(command_of(brand, by), "create_key", object=key_id, detail=given))
        await connection.execute(
            api_keys.insert().values(
                id=key_id,
                brand=brand,
                name=name,
                hash=hash_of(secret),
                scopes=sorted(set(scopes)),
                sources=sorted(set(sources)),
                teams=sorted(set(teams)),
                skills=sorted(set(skills)),
                created_at=now,
                expires_at=expires_at,
                created_by=by,
            )
        )
    return key_id, secret


async def revoke_key(database: Database, key_id: str, now: datetime, by: str | None = None) -> bool:
    """Take a key back; every API process refuses it within a second. False for an unknown id.

    Revoking twice keeps the first moment.
    """
    async with database.transaction() as connection:
        revoked = await connection.execute(
            update(api_keys)
            .where(api_keys.c.id == key_id)
            .values(
                revoked_at=func.coalesce(api_keys.c.revoked_at, now),
                revoked_by=func.coalesce(api_keys.c.revoked_by, by),
            )
            .returning(api_keys.c.brand)
        )
        brand = revoked.scalar_one_or_none()
        if brand is not None and by is not None:
            audit(connection, Act(command_of(brand, by), "revoke_key", object=key_id))
        return brand is not None


async def note_use(database: Database, hashes: Collection[str]) -> None:
    """Note that keys with these hashes are used, if that was not noted within the last minute."""
    async with database.transaction() as connection:
        await connection.execute(_USED, {"hashes": [*hashes]})


_USED: Final = text(
    """
    UPDATE api_keys SET last_used_at = now()
    WHERE hash = ANY(CAST(:hashes AS text[])) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
    """
)


def well_formed(secret: str) -> bool:
    """Whether this can be a key at all: its shape and its check are right."""
    match = _SHAPE.fullmatch(secret)
    return match is not None and _check(match[1]) == match[2]


def hash_of(secret: str) -> str:
    """What is kept of a secret. A slow hash is for passwords; this has more than 128 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _check_arguments(
    brand: str, name: str, scopes: Collection[str], sources: Collection[str], given: Collection[str]
) -> None:
    """Raise `ValueError` for what a key cannot be made with; `given` are teams and skills."""
    if not re.fullmatch(BRAND, brand):
        raise ValueError(f"{brand!r} is no brand; use 1 to 32 of the characters a-z, 0-9 and '-'.")
    if not re.fullmatch(NAME, name):
        raise ValueError(
            f"{name!r} is no name for a key; use 1 to 64 letters, digits or any of . _ ~ : @ + -, the first of them a "
            "letter or a digit."
        )
    if name.casefold() == ENGINE:
        raise ValueError(f"In histories {ENGINE} is the engine itself; give the key another name.")
    if not scopes or (unknown := sorted(set(scopes) - set(SCOPES))):
        told = ", ".join(unknown) if scopes else "none"
        raise ValueError(f"A key needs one or more of the scopes {', '.join(SCOPES)}; given: {told}.")
    if wrong := [source for source in sources if not re.fullmatch(_SOURCE, source)]:
        raise ValueError(f"{wrong[0]!r} is no source; use 1 to 255 printable characters, such as /cashier.")
    if wrong := [one for one in given if not re.fullmatch(GIVEN, one)]:
        raise ValueError(f"{wrong[0]!r} names no team or skill; use 1 to 64 of a-z, 0-9, '.', '_' and '-'.")


def _check(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
