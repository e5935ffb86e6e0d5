"""How every page of the console answers when something is wrong: with a page, never with JSON or a trace."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from api.console.rendering import problem_page
from api.console.visitor import DRAFTING, POLLING, ProofNeeded, SignInNeeded
from api.database import AWAY
from api.problems import Problem, away, from_http, from_validation, sentence

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ConsoleRoute(APIRoute):
    """A route whose refusals are pages. Who is not signed in is sent to sign in, and comes back to where they were."""

    def get_route_handler(self) -> Handler:
        """The handler of the route, with an answer to whatever it raises."""
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except SignInNeeded as needed:
                await self.keep_for_later(request, needed)
                return sign_in_answer(request)
            except ProofNeeded:
                return RedirectResponse(f"/sign-in?again=true&to={quote(_page_of(request), safe='')}", 303)
            except Exception as error:  # noqa: BLE001 - whatever it is, a page says so
                return problem_page(request, _problem_of(error))

        return answered

    @staticmethod
    async def keep_for_later(request: Request, needed: SignInNeeded) -> None:
        """Keep what somebody sent whose session is over, where a kind of page has something worth keeping."""


def sign_in_answer(request: Request) -> Response:
    """To sign in; a script is told so with 401, so that it does not follow and lose what stands in its page."""
    if POLLING in request.headers or DRAFTING in request.headers:
        return Response(status_code=401)
    return RedirectResponse(f"/sign-in?to={quote(_page_of(request), safe='')}", 303)


def _page_of(request: Request) -> str:
    """The page that somebody is on: the one they asked for, or the one whose form they sent."""
    if request.method != "GET":
        return request.headers.get("referer", "").partition(request.url.netloc)[2] or "/console/"
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, RequestValidationError):
        return from_validation(error)
    if isinstance(error, HTTPException):
        return from_http(error)
    if isinstance(error, ValidationError):
        return Problem("invalid", sentence(error.errors()[0]["msg"]))
    if isinstance(error, AWAY):
        return away("Postgres does not answer. Nothing was changed; try again.")
    logger.error("A page failed by our own fault.", exc_info=error)
    return Problem("fault", "This is a mistake of the console, not yours; it is in the log of the API.")
