"""Finds the API key of a request, before anything else of it is read, however many strangers knock.

Keys stand in Postgres, and what was found is remembered for less than a second, also that there is no such key. All who
ask meanwhile are answered by one query at a time, so that strangers take one connection at most. Whoever comes with
wrong keys again and again waits for each answer; whoever comes with a right one does not, from whatever address.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Final, TypeVar

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from activities.api_keys import hash_of, note_use, well_formed
from activities.audit.trail import unrecorded
from activities.database import Database, DatabaseUnreachable
from api.database import CONNECT_TIMEOUT, done_within, in_time
from api.permissions import CHALLENGE, Key
from api.problems import Problem

T = TypeVar("T")
logger = logging.getLogger("journeys.audit")

#: A revoked key is refused after this many seconds at the latest.
REMEMBERED: Final = 0.8
#: Keys, keys that are none, and addresses that a process remembers; some megabytes.
MOST: Final = 10_000
#: How long those who ask next may wait for a note of what others use; it is made all the same.
NOTING: Final = timedelta(seconds=0.3)
#: Keys that one query asks for.
ASKED_AT_ONCE: Final = 1_000
#: Refusals an address is told at once, and how many more of these it gets a second.
FREE_FAILURES: Final = 20
FAILURES_A_SECOND: Final = 1.0
#: Seconds by which each further one is told later than the one before, and the most it comes to.
DELAY: Final = 0.25
LONGEST_DELAY: Final = 5.0


class Keys:
    """The keys in Postgres, each remembered for less than a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: By hash: until when it is believed, and the key; None where there is none.
        self._known: dict[str, tuple[float, Key | None]] = {}
        self._asked: dict[str, asyncio.Future[Key | None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._failures = FailedKeys()
        #: Hashes of keys whose use is to be noted.
        self._unnoted = set[str]()

    async def find(self, authorization: str | None, now: datetime, address: str | None = None) -> Key:
        """The key behind an `Authorization` header that came from `address`.

        Raises `Problem` 401 with what is wrong, late where that address has been wrong too often.
        """
        try:
            return await self._find(authorization, now)
        except Problem:
            delay = self._failures.delay(address)
            if not delay:
                # Whoever goes on is slowed down and fills no log.
                logger.warning("Refused: no valid key came from %s (401).", address)
            await asyncio.sleep(delay)
            raise

    async def _find(self, authorization: str | None, now: datetime) -> Key:
        scheme, _, secret = (authorization or "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise _refused("Send an API key as `Authorization: Bearer jx_…`.", CHALLENGE)
        if not well_formed(secret):
            raise _refused("This is not an API key, or a character of it is wrong; copy it again.")
        hashed = hash_of(secret)
        until, key = self._known.get(hashed, (0.0, None))
        if until < time.monotonic():
            key = await self._ask(hashed)
        if key is None:
            raise _refused("The key is unknown or was revoked; ask for a new one.")
        if key.expires_at is not None and key.expires_at <= now:
            raise _refused("The key has expired; ask for a new one.")
        return key

    async def _ask(self, hashed: str) -> Key | None:
        """The key with this hash, by the next query that is made. Raises `DatabaseUnreachable`."""
        asked = self._asked.get(hashed)
        if asked is None:
            asked = self._asked[hashed] = asyncio.get_running_loop().create_future()
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read_all())
        if not await done_within(asked, CONNECT_TIMEOUT):
            raise DatabaseUnreachable
        return asked.result()

    async def _read_all(self) -> None:
        """Answer everybody who asks, those who come meanwhile too."""
        while self._asked:
            waiting = dict([*self._asked.items()][:ASKED_AT_ONCE])
            try:
                found = await in_time(self._read(waiting), CONNECT_TIMEOUT)
            except Exception as error:  # noqa: BLE001 - whatever it was, all who asked must hear of it
                for one in waiting.values():
                    one.set_exception(error)
                    one.exception()  # whoever asked may have gone
            else:
                for hashed, one in waiting.items():
                    one.set_result(found.get(hashed))
            for hashed in waiting:
                del self._asked[hashed]
            await self._note_use()

    async def _note_use(self) -> None:
        """Note which keys are used. Nobody waits for it: who asks meanwhile is answered by the next query."""
        unnoted, self._unnoted = self._unnoted, set()
        if not unnoted:
            return
        try:
            with unrecorded():
                await in_time(note_use(self._database, unnoted), NOTING)
        except Exception as error:  # noqa: BLE001 - a key that cannot be noted is as good as before
            logger.warning("The last use of %d keys could not be noted: %s", len(unnoted), type(error).__name__)

    async def _read(self, hashes: Iterable[str]) -> dict[str, Key]:
        until = time.monotonic() + REMEMBERED
        async with self._database.reading() as connection:
            rows = (await connection.execute(_READ, {"hashes": [*hashes]})).all()
            self._unnoted |= {row.hash for row in rows if row.is_unnoted}
            found = {
                row.hash: Key(
                    row.id,
                    row.brand,
                    row.name,
                    frozenset(row.scopes),
                    row.expires_at,
                    tuple(row.sources),
                    tuple(row.teams),
                    tuple(row.skills),
                )
                for row in rows
            }
        for hashed in hashes:
            _remember(self._known, hashed, (until, found.get(hashed)))
        return found


class FailedKeys:
    """How often each address was refused of late, as a bucket that leaks.

    An address is what the connection says, or what a proxy says that `journeys serve --behind` names; of IPv6 the
    network, because one caller has all the addresses in it.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        #: By address: when it was refused last, and how full its bucket was then.
        self._levels: dict[str, tuple[float, float]] = {}

    def delay(self, address: str | None) -> float:
        """Note a refusal; after how many seconds it may be told."""
        network, now = _network(address), self._timer()
        at, level = self._levels.get(network, (now, 0.0))
        level = max(0.0, level - (now - at) * FAILURES_A_SECOND) + 1
        # No fuller than this, so that who mends his ways is soon answered at once again.
        level = min(level, FREE_FAILURES + LONGEST_DELAY / DELAY)
        _remember(self._levels, network, (now, level))
        return max(0.0, level - FREE_FAILURES) * DELAY


def _remember(memory: dict[str, T], name: str, value: T) -> None:
    """Remember a value as the newest; the oldest is forgotten when there is no more room."""
    memory.pop(name, None)
    if len(memory) >= MOST:
        del memory[next(iter(memory))]
    memory[name] = value


def _network(address: str | None) -> str:
    try:
        ip = ip_address(address or "")
    except ValueError:
        return ""
    return str(IPv6Address(int(ip) >> 64 << 64)) if isinstance(ip, IPv6Address) else str(ip)


def _refused(detail: str, challenge: str = f'{CHALLENGE}, error="invalid_token"') -> Problem:
    return Problem("unauthenticated", detail, headers={"WWW-Authenticate": challenge})


_READ = text(
    """
    SELECT hash, id, brand, name, scopes, expires_at, sources, teams, skills,
           last_used_at IS NULL OR last_used_at < now() - interval '1 minute' AS is_unnoted
    FROM api_keys
    WHERE hash = ANY(:hashes) AND revoked_at IS NULL
    """
).bindparams(bindparam("hashes", type_=ARRAY(Text)))
