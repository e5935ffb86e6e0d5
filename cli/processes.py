"""`journeys serve`, `worker`, `dispatcher` and `migrate`: the processes of a deployment."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli._console import fail, say
from cli._environment import first_line, settings

if TYPE_CHECKING:
    from workflows.declaration import Journey


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    behind: Annotated[
        str, typer.Option(help="Addresses of proxies that say whom they call for (X-Forwarded-For); * is all.")
    ] = "127.0.0.1",
) -> None:
    """Serve the HTTP API. Run as many processes as the load needs, behind one address."""
    import uvicorn

    from activities.engine import unsubscribe_links
    from activities.gc_tuning import collect_rarely, freeze_gc
    from activities.log_output import log_to_stderr
    from activities.temporal_client import data_converter
    from api.app import create_app
    from api.bounded_protocol import BoundedProtocol, most_connections
    from workflows.source.journey_loading import load

    log_to_stderr()
    around = settings()
    # Here mistakes are sentences, in the server they would be a traceback.
    load(around.packages)
    unsubscribe_links(around)
    data_converter(around)
    api = create_app(around, draw=drawn)
    freeze_gc()
    collect_rarely()
    uvicorn.run(
        api,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        limit_concurrency=most_connections(),
        access_log=False,
        forwarded_allow_ips=behind,
        server_header=False,
        timeout_graceful_shutdown=10,
        log_config=None,
    )


def drawn(journey: "Journey", counts: Mapping[str, int]) -> str | None:
    """A journey as SVG with counts on its cards; None where nothing is installed that draws, or for what cannot be."""
    from stage.errors import StageError
    from stage.flow.diagram import picture
    from stage.flow.diagram_svg import svg
    from workflows.errors import DesignError
    from workflows.source.flow_reader import read_flow

    try:
        return svg(picture(read_flow(journey), counts))
    except (StageError, DesignError):
        return None


def worker(
    role: Annotated[
        Literal["all", "worker", "dispatcher", "retention"], typer.Option(help="What this process does.")
    ] = "all",
) -> None:
    """Run journeys, their effects, the dispatcher and the sweep; or alone what forgets, as the tables' owner."""
    import uvloop

    import worker as process
    from activities.log_output import log_to_stderr

    log_to_stderr()
    uvloop.run(process.main(role, settings()))


def dispatcher() -> None:
    """Run the dispatcher and the sweep alone: the same as `journeys worker --role dispatcher`."""
    worker("dispatcher")


def migrate() -> None:
    """Bring the database's schema up to date. Safe to run twice, also at once.

    DATABASE_URL must be that of the tables' owner. APPLICATION_ROLE is granted what the other processes need.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from activities.database import migrate as bring_up_to_date

    around = settings()
    try:
        bring_up_to_date(around.sqlalchemy_url, application_role=around.application_role)
    except SQLAlchemyError as error:
        fail(f"The database was not migrated: {first_line(error)}")
    say("The database is up to date.")
