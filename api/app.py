"""The application: every noun's routes behind one edge, and the OpenAPI document that describes them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from activities.clock import Clock
from activities.settings import Settings, settings_from
from api import (
    answers,
    audiences,
    audit,
    dead_letters,
    enrolments,
    erasure,
    event_types,
    events,
    experiments,
    export,
    failed_events,
    figures,
    gate_decisions,
    grants,
    harm,
    health,
    journey_controls,
    journey_figures,
    journeys,
    keys,
    loyalty_economy,
    manager_figures,
    messages,
    migrations,
    people,
    people_at_work,
    player_list,
    player_notes,
    player_policy,
    player_raffles,
    player_reach,
    player_shop,
    player_site,
    player_stream,
    player_tournaments,
    player_wheels,
    players,
    point_corrections,
    points,
    popups,
    runs,
    scores,
    segments,
    shadows,
    step_counts,
    stops,
    task_actions,
    task_counts,
    task_drafts,
    tasks,
    tasks_by_hand,
    templates,
    timeline,
    tournaments,
    unsubscribe,
    webhooks,
)
from api import dev_catch_all as dev
from api.allowed_methods import allowed_methods
from api.bounds import ITEM, batch_bounds
from api.console.console import Draw, add_console
from api.dependencies import api_engine
from api.integrations.fasttrack import routes as fasttrack
from api.integrations.message_providers import routes as message_providers
from api.integrations.segment import routes as segment
from api.middleware import add_middleware
from api.openapi import add_docs
from api.permissions import PLAYER, PLAYER_SCHEME, SCHEME, scopes_asked
from api.problems import SCHEMA, from_http, from_validation
from workflows.json_object import JsonObject

VERSION = "0.1.0"
#: Seconds that saying goodbye to the other processes may take.
LEAVE_S = 2.0
#: Seconds that a start waits for the database's clock.
FIRST_BEAT_S = 1.0

_ROUTERS = (
    events.router,
    event_types.router,
    segment.router,
    fasttrack.router,
    task_counts.router,
    tasks_by_hand.router,
    tasks.router,
    task_actions.router,
    task_drafts.router,
    audit.router,
    people_at_work.router,
    people.router,
    people.me,
    keys.router,
    player_list.router,
    players.router,
    points.router,
    player_site.tokens,
    player_site.router,
    player_tournaments.router,
    tournaments.router,
    player_stream.router,
    player_shop.router,
    player_shop.operator,
    loyalty_economy.router,
    player_wheels.router,
    player_raffles.router,
    point_corrections.router,
    erasure.router,
    player_notes.router,
    export.router,
    player_policy.router,
    player_reach.router,
    harm.router,
    timeline.router,
    segments.router,
    audiences.router,
    audiences.files,
    journeys.router,
    step_counts.router,
    journey_figures.router,
    figures.router,
    manager_figures.router,
    journey_controls.router,
    shadows.router,
    experiments.router,
    scores.router,
    stops.router,
    stops.stops,
    migrations.router,
    migrations.migrations,
    runs.router,
    enrolments.router,
    messages.router,
    popups.mine,
    popups.router,
    grants.router,
    gate_decisions.router,
    dead_letters.router,
    failed_events.router,
    webhooks.router,
    templates.router,
    message_providers.router,
    unsubscribe.router,
    answers.router,
    health.router,
)

_DESCRIPTION = """\
Player events in; journeys, messages, rewards and human tasks out.

Every path under `/v1/` needs an API key, `Authorization: Bearer jx_…`. A key belongs to one brand, and another
brand's data does not exist for it: the answer is 404. Each operation names the scopes of which the key needs one;
`admin` has them all.

Errors are `application/problem+json` (RFC 9457). Lists come in pages: pass `next_page_token` back as `page_token`
until it is absent. Instants are RFC 3339, money is integer minor units with an ISO 4217 code.

Limits: {batch_limit} events in a batch, {body_limit} bytes in a body that holds events; {line_limit} bytes and
{item_values} values in one event, in a line of a stream, and in every other body. More is answered with 413, or of one
event with `rejected`.
"""


def create_app(settings: Settings | None = None, *, clock: Clock | None = None, draw: Draw | None = None) -> FastAPI:
    """The API for one deployment, with its console. It starts, and takes events, while Temporal is away.

    `draw` makes the pictures of journeys; without it pages show their numbers alone.

    Nothing is connected before the lifespan begins; serve it without the `Server` header.
    """
    chosen = settings or settings_from()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with api_engine(chosen, clock) as built:
            app.state.engine = built
            stop = asyncio.Event()
            living = asyncio.create_task(built.processes.run(stop))
            await built.processes.begun(FIRST_BEAT_S)
            try:
                yield
            finally:
                stop.set()
                # A server that is frozen keeps nobody from ending: silence tells the others the same.
                await asyncio.wait({living}, timeout=LEAVE_S)

    app = FastAPI(
        title="Player journeys",
        version=VERSION,
        description=_DESCRIPTION.format(
            batch_limit=chosen.batch_limit,
            body_limit=chosen.body_limit,
            line_limit=ITEM.size,
            item_values=ITEM.nodes,
        ),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    add_docs(app)
    add_middleware(app, batch_bounds(chosen.body_limit, chosen.batch_limit))
    app.add_exception_handler(HTTPException, _problem_response)
    app.add_exception_handler(RequestValidationError, _problem_response)
    routers = [*_ROUTERS, *([dev.router] if chosen.catch_all_url is not None else [])]
    for router in routers:
        app.include_router(router)
    add_console(app, draw)
    app.openapi = lambda: _openapi(app, routers)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


async def _problem_response(request: Request, error: Exception) -> Response:
    """What the framework or an endpoint refused, as a problem."""
    if isinstance(error, RequestValidationError):
        return from_validation(error).response()
    if isinstance(error, HTTPException):
        refused = from_http(error)
        if refused.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            refused.headers = {"Allow": allowed_methods(request.app.openapi(), request.url.path)}
        return refused.response()
    raise error


def _openapi(app: FastAPI, routers: Sequence[APIRouter]) -> JsonObject:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = document.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = SCHEMA
        components["securitySchemes"] = {
            SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "jx_<30 characters>_<6 characters>"},
            PLAYER_SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "jp_<token of POST /v1/player-tokens>"},
        }
        for route, scopes in _secured_routes(routers):
            for method in route.methods or ():
                operation = document["paths"][route.path_format][method.lower()]
                if scopes == (PLAYER,):
                    operation["security"] = [{PLAYER_SCHEME: []}]
                    continue
                operation["security"] = [{SCHEME: [scope]} for scope in scopes] or [{SCHEME: []}]
        app.openapi_schema = document
    return app.openapi_schema


def _secured_routes(routers: Sequence[APIRouter]) -> Iterator[tuple[APIRoute, tuple[str, ...]]]:
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, APIRoute):
            for asked in scopes_asked(route):
                yield route, asked.scopes
