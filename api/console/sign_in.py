"""The way in and out: to the identity provider and back, and what the provider says about sign-outs elsewhere."""

import logging
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.console_sessions import (
    SIGN_IN_WITHIN,
    SignIn,
    begin_session,
    begin_sign_in,
    end_session,
    end_sessions_of,
    find_session,
    new_secret,
    take_sign_in,
)
from activities.group_provisioning import SignedInGroups, sign_in_with_groups
from activities.people import Person
from api.console.identity_provider import IdentityProvider, SignInFailed, VouchedFor
from api.console.pages import ConsoleRoute
from api.console.rendering import plain_page
from api.console.visitor import SESSION_COOKIE, own_form, safe_return, sent_form
from api.dependencies import ApiEngine, EngineOf
from api.problems import Problem

logger = logging.getLogger(__name__)

router = APIRouter(route_class=ConsoleRoute, include_in_schema=False)

BROWSER_COOKIE: Final = "__Host-sign-in"


@router.get("/sign-in")
async def begin(request: Request, engine: EngineOf, to: str = "", *, again: bool = False) -> Response:
    """Send somebody to the identity provider, and remember where they wanted to go.

    `again` has them prove who they are although they are signed in.
    """
    provider = _provider(engine)
    browser = request.cookies.get(BROWSER_COOKIE) or new_secret()
    state, remembered = new_secret(), SignIn(new_secret(), new_secret(), safe_return(to))
    try:
        where = await provider.authorization_url(
            state=state, nonce=remembered.nonce, verifier=remembered.verifier, again=again
        )
    except SignInFailed as failed:
        return _failed(request, failed)
    async with engine.database.transaction() as connection:
        await begin_sign_in(connection, state, browser, remembered, engine.clock())
    answer = RedirectResponse(where, 303)
    _set(answer, BROWSER_COOKIE, browser, int(SIGN_IN_WITHIN.total_seconds()))
    return answer


@router.get("/sign-in/callback")
async def finish(
    request: Request,
    engine: EngineOf,
    state: str = "",
    code: str = "",
    iss: str | None = None,
    error: str | None = None,
) -> Response:
    """Take somebody back from the identity provider: a new session, whoever they were here before."""
    provider, now = _provider(engine), engine.clock()
    async with engine.database.transaction() as connection:
        begun = await take_sign_in(connection, state, request.cookies.get(BROWSER_COOKIE, ""), now)
    if begun is None:
        return plain_page(request, "expired", status=400)
    try:
        await provider.check_issuer(iss)
        identity = await provider.identity(code, verifier=begun.verifier, nonce=begun.nonce, now=now, error=error)
    except SignInFailed as failed:
        return _failed(request, failed)
    secret = await _new_session(engine, identity, request.cookies.get(SESSION_COOKIE, ""))
    if secret is None:
        return plain_page(request, "stranger", status=403, name=identity.name)
    answer = RedirectResponse(begun.return_to, 303)
    _set(answer, SESSION_COOKIE, secret, None)
    return answer


@router.post("/sign-out")
async def leave(request: Request, engine: EngineOf) -> Response:
    """Sign somebody out here and at the provider."""
    secret = request.cookies.get(SESSION_COOKIE, "")
    await own_form(request, engine)
    async with engine.database.transaction() as connection:
        session = await find_session(connection, secret)
        if session is not None:
            await end_session(connection, session.id_hash, engine.clock())
    try:
        where = await _provider(engine).sign_out_url() or "/sign-out/done"
    except SignInFailed:
        where = "/sign-out/done"
    answer = RedirectResponse(where, 303)
    _set(answer, SESSION_COOKIE, "", 0)
    # Drafts that a tab kept for itself go with the session.
    answer.headers["Clear-Site-Data"] = '"storage"'
    return answer


@router.get("/sign-out/done")
async def left(request: Request) -> Response:
    """Say that somebody is signed out."""
    return plain_page(request, "signed_out")


@router.post("/sign-out/back-channel")
async def told(request: Request, engine: EngineOf) -> Response:
    """End the sessions that the identity provider says are over."""
    provider, now = _provider(engine), engine.clock()
    try:
        subject, sid = await provider.signed_out((await sent_form(request)).get("logout_token", ""), now)
    except SignInFailed as failed:
        logger.warning("A sign-out elsewhere was not believed: %s", failed)
        raise Problem("malformed", str(failed)) from None
    async with engine.database.transaction() as connection:
        await end_sessions_of(connection, provider.issuer, None if sid else subject, sid, now)
    return Response(status_code=200, headers={"Cache-Control": "no-store"})


async def _new_session(engine: ApiEngine, identity: VouchedFor, before: str) -> str | None:
    """A session for somebody who works here; None for a stranger. The session of before, if any, ends."""
    now = engine.clock()
    async with engine.database.transaction() as connection:
        person = await _worker(engine, connection, identity, now)
        if person is None:
            return None
        if before and (old := await find_session(connection, before)) is not None:
            await end_session(connection, old.id_hash, now)
        return await begin_session(
            connection,
            person_id=person.id,
            issuer=identity.issuer,
            subject=identity.subject,
            sid=identity.sid,
            authenticated_at=identity.authenticated_at,
            now=now,
        )


async def _worker(engine: ApiEngine, connection: AsyncConnection, identity: VouchedFor, now: datetime) -> Person | None:
    """Who works here as this identity, with what their groups give them; None for a stranger."""
    who = SignedInGroups(identity.verified_email or "", identity.name, identity.groups)
    given = engine.settings.oidc_groups
    return await sign_in_with_groups(connection, who, identity.issuer, identity.subject, given, now)


def _provider(engine: ApiEngine) -> IdentityProvider:
    if engine.identities is None:
        raise Problem("not-found", "Nobody can sign in here yet: set OIDC_ISSUER and OIDC_CLIENT_ID (docs/console.md).")
    return engine.identities


def _failed(request: Request, failed: SignInFailed) -> Response:
    logger.warning("Nobody was signed in: %s", failed)
    return plain_page(request, "failed", status=502, detail=str(failed))


def _set(answer: Response, name: str, value: str, seconds: int | None) -> None:
    # Lax, not Strict: who comes from a link in a mail or from the provider stays signed in.
    answer.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")
