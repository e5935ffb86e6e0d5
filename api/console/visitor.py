"""Who looks at a page: a person who is signed in, in the brand that stands in the path, with what they may do there.

Rights are read with every page and every form that is sent, never kept in a session: what is taken back is gone at
once. API keys open no page, and the cookie of a session opens nothing under `/v1/`.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from fastapi import Depends, Request

from activities.actors import Actor
from activities.audit.trail import current_act, unrecorded
from activities.console_sessions import IDLE, IDLE_OF_POWERFUL, NOTED_EVERY, Session, note_use
from activities.people import Person, actor_from, signed_in
from api.dependencies import ApiEngine, EngineOf
from api.permissions import Key
from api.problems import Problem
from workflows.local_time import zone

SESSION_COOKIE: Final = "__Host-console"
#: Set by whoever refreshes a part of a page by itself: nobody looks, so it keeps no session alive.
POLLING: Final = "x-console-poll"
#: Set by a script that saves what is typed.
DRAFTING: Final = "x-console-draft"
#: Scopes whose holders are signed out sooner when they do nothing.
POWERFUL: Final = ("admin", "people:manage", "audit:read")
#: For how long proof of who somebody is opens what needs it.
PROOF_HOLDS: Final = timedelta(minutes=5)
#: Fields that one form may have; the largest of ours has some twenty.
MOST_FIELDS: Final = 200


class SignInNeeded(Exception):
    """Nobody is signed in here, or not any more; `session` is the one that is over, if there was one."""

    def __init__(self, session: Session | None = None) -> None:
        super().__init__("Sign in.")
        self.session = session


class ProofNeeded(Exception):
    """What was sent takes proof of who somebody is, given a moment ago at the identity provider."""


@dataclass(frozen=True)
class Visitor:
    """A person at a page, or at work with it."""

    person: Person
    actor: Actor
    session: Session
    #: What every form that changes something carries.
    csrf: str
    now: datetime
    #: What was sent, by the names of the fields; of two with one name the last.
    form: dict[str, str] = field(default_factory=dict)

    @property
    def brand(self) -> str:
        """The brand of the page."""
        return self.actor.brand

    @property
    def key(self) -> Key:
        """Their rights, as the functions of the endpoints ask for them."""
        return Key(self.person.id, self.brand, self.person.email, self.actor.scopes, None)

    @property
    def zone(self) -> ZoneInfo:
        """In which clocks are shown."""
        return zone(self.person.zone)

    def may(self, *scopes: str) -> bool:
        """Whether they have any of `scopes`."""
        return self.actor.may(*scopes)

    @property
    def is_proven(self) -> bool:
        """Whether they proved who they are a moment ago."""
        return self.now - self.session.authenticated_at <= PROOF_HOLDS

    def proves_themselves(self) -> None:
        """Raise `ProofNeeded` unless they proved who they are a moment ago; a session left open is no proof."""
        if not self.is_proven:
            raise ProofNeeded

    def needs(self, *scopes: str) -> None:
        """Raise `Problem` 404 unless they have one of `scopes`: what is forbidden looks like what is not there."""
        if not self.may(*scopes):
            raise Problem("not-found", "There is no such page, or it is not yours to see.")


async def visitor_of(brand: str, request: Request, engine: EngineOf) -> Visitor:
    """Who looks. Raises `SignInNeeded`, and `Problem` where the form was not sent by a page of ours."""
    secret = request.cookies.get(SESSION_COOKIE, "")
    now = engine.clock()
    async with engine.database.reading() as connection:
        known = await signed_in(connection, brand, secret, now) if secret else None
    session, found = known or (None, None)
    if session is None or not session.holds(now):
        raise SignInNeeded(session)
    if found is None or not found[0].active:
        raise Problem("not-found", "There is no such page, or it is not yours to see.")
    person, grants = found
    actor = actor_from(person, brand, grants)
    if not session.holds(now, IDLE_OF_POWERFUL if actor.may(*POWERFUL) else IDLE):
        raise SignInNeeded(session)
    form = {} if request.method in {"GET", "HEAD"} else await own_form(request, engine)
    if POLLING not in request.headers and now - session.seen_at >= NOTED_EVERY:
        await _note(engine, session, now)
    if (act := current_act()) is not None:
        act.actor = actor
    visitor = Visitor(person, actor, session, csrf_of(secret), now, form)
    request.state.visitor = visitor
    return visitor


VisitorOf = Annotated[Visitor, Depends(visitor_of)]


def csrf_of(secret: str) -> str:
    """What a form of this session must carry: only who holds its secret, or reads its pages, can tell it."""
    return hmac.new(secret.encode(), b"a form of the console", hashlib.sha256).hexdigest()


async def own_form(request: Request, engine: ApiEngine) -> dict[str, str]:
    """The fields of a form that a page of this session sent. Raises `Problem` for any other."""
    form = await sent_form(request)
    check_origin(request, engine.settings.console_origin)
    expected = csrf_of(request.cookies.get(SESSION_COOKIE, ""))
    if not hmac.compare_digest(form.pop("csrf", "").encode(), expected.encode()):
        raise Problem("forged", "This form is older than your sign-in; go back, reload the page and send it again.")
    return form


async def sent_form(request: Request) -> dict[str, str]:
    """The fields of a form. Raises `Problem` for one that cannot be read."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise Problem("media-type", "Send the form as application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Problem("malformed", "The form cannot be read; reload the page and send it again.") from None
    # Browsers send line ends as CRLF; what is stored has one kind.
    return {name: value.replace("\r\n", "\n").replace("\x00", "") for name, value in pairs}


def check_origin(request: Request, own: str) -> None:
    """Raise `Problem` unless the browser says that a page of ours sends this, or no browser says anything."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site not in {None, "same-origin"} or (site is None and origin is not None and origin != own):
        raise Problem("forged", "This form was sent by another site; open the console and do it there.")


def safe_return(path: str | None) -> str:
    """Where somebody goes after signing in: the page of the console they wanted, and nowhere else."""
    wanted = path or ""
    parts = urlsplit(wanted)
    plain = wanted.isprintable() and "\\" not in wanted and not parts.scheme and not parts.netloc
    return wanted if plain and wanted.startswith("/console/") and len(wanted) < 2_000 else "/console/"


def moment_of(typed: str, visitor: Visitor) -> datetime | None:
    """A moment as a browser sends it, in the visitor's zone; None for nothing. Raises `Problem` for what is none."""
    if not typed:
        return None
    try:
        at = datetime.fromisoformat(typed)
    except ValueError:
        raise Problem("invalid", "Write the moment as 2026-01-31T10:00.") from None
    return at if at.tzinfo else at.replace(tzinfo=visitor.zone)


async def _note(engine: ApiEngine, session: Session, now: datetime) -> None:
    with unrecorded():
        async with engine.database.transaction() as connection:
            await note_use(connection, session, now)
