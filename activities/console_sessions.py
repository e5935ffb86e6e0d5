"""Sign-ins under way and the sessions that come of them: the tables `sign_ins` and `sessions`.

A browser holds secrets of 256 random bits; here only their hashes stand, so whoever reads the tables can be nobody.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import sessions, sign_ins

#: How long somebody may take at the identity provider.
SIGN_IN_WITHIN: Final = timedelta(minutes=10)
#: Without a page opened or a form sent for so long, a session is over; a long call lasts less.
IDLE: Final = timedelta(minutes=60)
#: And for those who may see or change most.
IDLE_OF_POWERFUL: Final = timedelta(minutes=15)
#: A session is over after so long, whatever is done with it.
LONGEST: Final = timedelta(hours=12)
#: How often it is written down that a session is used.
NOTED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SignIn:
    """What was remembered of a sign-in while its person was away at the provider."""

    verifier: str
    nonce: str
    return_to: str


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in, or was."""

    id_hash: str
    person_id: str
    issuer: str
    subject: str
    sid: str | None
    authenticated_at: datetime
    created_at: datetime
    seen_at: datetime
    ended_at: datetime | None

    def holds(self, now: datetime, idle: timedelta = IDLE) -> bool:
        """Whether it still is one: not signed out, not left alone for too long, and not too old."""
        return self.ended_at is None and now - self.seen_at < idle and now - self.created_at < LONGEST


def new_secret() -> str:
    """256 random bits, as a cookie holds them."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def begin_sign_in(
    connection: AsyncConnection, state: str, browser: str, remembered: SignIn, now: datetime
) -> None:
    """Remember a sign-in, and forget those that nobody came back to."""
    await connection.execute(delete(sign_ins).where(sign_ins.c.created_at < now - SIGN_IN_WITHIN))
    await connection.execute(
        insert(sign_ins).values(
            state_hash=hash_of(state),
            browser_hash=hash_of(browser),
            verifier=remembered.verifier,
            nonce=remembered.nonce,
            return_to=remembered.return_to,
            created_at=now,
        )
    )


async def take_sign_in(connection: AsyncConnection, state: str, browser: str, now: datetime) -> SignIn | None:
    """The sign-in of this state, once, for the browser that began it, in time; None otherwise."""
    taken = await connection.execute(
        delete(sign_ins)
        .where(
            sign_ins.c.state_hash == hash_of(state),
            sign_ins.c.browser_hash == hash_of(browser),
            sign_ins.c.created_at >= now - SIGN_IN_WITHIN,
        )
        .returning(sign_ins.c.verifier, sign_ins.c.nonce, sign_ins.c.return_to)
    )
    row = taken.one_or_none()
    return None if row is None else SignIn(*row)


async def begin_session(
    connection: AsyncConnection,
    *,
    person_id: str,
    issuer: str,
    subject: str,
    sid: str | None,
    authenticated_at: datetime,
    now: datetime,
) -> str:
    """Make a session; its secret, for the browser alone. Always a new one, so that nobody can choose it beforehand."""
    secret = new_secret()
    await connection.execute(
        insert(sessions).values(
            id_hash=hash_of(secret),
            person_id=person_id,
            issuer=issuer,
            subject=subject,
            sid=sid,
            authenticated_at=authenticated_at,
            created_at=now,
            seen_at=now,
        )
    )
    return secret


async def find_session(connection: AsyncConnection, secret: str) -> Session | None:
    """The session behind a secret, one that is over too; None where there never was one."""
    columns = [sessions.c[name] for name in Session.__dataclass_fields__]
    row = (await connection.execute(select(*columns).where(sessions.c.id_hash == hash_of(secret)))).one_or_none()
    return None if row is None else Session(*row)


async def note_use(connection: AsyncConnection, session: Session, now: datetime) -> None:
    """Write down that a session is used."""
    await connection.execute(update(sessions).where(sessions.c.id_hash == session.id_hash).values(seen_at=now))


async def end_session(connection: AsyncConnection, id_hash: str, now: datetime) -> None:
    """Sign somebody out here."""
    await _end(connection, now, sessions.c.id_hash == id_hash)


async def end_sessions_of(
    connection: AsyncConnection, issuer: str, subject: str | None, sid: str | None, now: datetime
) -> int:
    """Sign out what an identity provider says is over: one session of its own, or all of a person. How many."""
    which = [sessions.c.issuer == issuer]
    if sid is not None:
        which.append(sessions.c.sid == sid)
    if subject is not None:
        which.append(sessions.c.subject == subject)
    return 0 if len(which) == 1 else await _end(connection, now, *which)


async def _end(connection: AsyncConnection, now: datetime, *which: object) -> int:
    ended = await connection.execute(
        update(sessions).where(*which, sessions.c.ended_at.is_(None)).values(ended_at=now)  # type: ignore[arg-type]  # conditions
    )
    return ended.rowcount


FORGET_SIGN_INS: Final = text(
    "DELETE FROM sign_ins WHERE state_hash = ANY(ARRAY("
    "SELECT state_hash FROM sign_ins WHERE created_at < :before ORDER BY created_at LIMIT :limit))"
)
FORGET_SESSIONS: Final = text(
    "DELETE FROM sessions WHERE id_hash = ANY(ARRAY("
    "SELECT id_hash FROM sessions WHERE created_at < :before ORDER BY created_at LIMIT :limit))"
)
