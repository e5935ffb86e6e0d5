"""What every endpoint works with, built once a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final, cast

import httpx
from fastapi import Depends, Request
from temporalio.client import Client

from activities.clock import Clock
from activities.engine import Engine, build, signing_secrets, unsubscribe_links
from activities.leaderboards import BoardAliases, BoardRulers, EntryCounts
from activities.outgoing.signing_secrets import SigningSecrets
from activities.player_commands import PlayerCommands
from activities.player_tokens import PlayerTokens
from activities.player_watch import PlayerWatch
from activities.raffle_totals import TicketTotals
from activities.registers import Registers
from activities.settings import Settings
from activities.temporal_client import client_options
from activities.temporal_credentials import keep_credentials, renewable
from activities.unsubscribe_links import UnsubscribeLinks
from api.console.identity_provider import IdentityProvider
from api.database import Pools
from api.key_lookup import Keys
from api.player_pace import PlayerPace
from content.scripts import TaskScripts, load_scripts
from workflows.source.journey_loading import load

#: Buttons that a player presses in a process: thirty at once, two a second from then on.
PRESSES_AT_ONCE: Final = 30
PRESSES_A_SECOND: Final = 2.0
#: How long a player who presses a button waits for a national register; then it has not answered.
REGISTER_PATIENCE: Final = timedelta(seconds=3)
#: Streams that a player opens: as many at once as there may be, for pages in several tabs, then one a second.
STREAMS_AT_ONCE: Final = 5
STREAMS_A_SECOND: Final = 1.0


@dataclass(frozen=True)
class ApiEngine(Engine):
    """The engine with what only the API has: keys, pools, links to read, clients of Temporal and of the local stack."""

    keys: Keys
    pools: Pools
    links: UnsubscribeLinks
    player_tokens: PlayerTokens
    commands: PlayerCommands
    rulers: BoardRulers
    ticket_totals: TicketTotals
    board_aliases: BoardAliases
    entry_counts: EntryCounts
    watch: PlayerWatch
    #: How fast a player may press buttons, and open streams.
    presses: PlayerPace
    streams: PlayerPace
    webhook_secrets: SigningSecrets
    temporal: Client
    http: httpx.AsyncClient
    #: Who vouches for people; None where nobody signs in.
    identities: IdentityProvider | None
    #: What people may say in the conversations that tasks ask for.
    scripts: TaskScripts


@asynccontextmanager
async def api_engine(settings: Settings, clock: Clock | None) -> AsyncIterator[ApiEngine]:
    """Build it; nothing is connected yet, so neither Postgres nor Temporal need be there. Raises DesignError."""
    registry, links = load(settings.packages), unsubscribe_links(settings)
    async with AsyncExitStack() as stack:
        pools = Pools.of(settings)
        stack.push_async_callback(pools.close)
        core = build(settings, registry, pools.ordinary, clock, pools.protection, pools.keys, role="api")
        if core.intake.held is not None:
            stack.push_async_callback(core.intake.held.close)
        temporal = renewable(await Client.connect(**client_options(settings), lazy=True))
        stop = asyncio.Event()
        keeping = asyncio.create_task(keep_credentials(temporal, settings, stop))
        stack.push_async_callback(_end, keeping)
        watch = PlayerWatch(core.database)
        watching = asyncio.create_task(watch.run())
        stack.push_async_callback(_end, watching)
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=5))
        registers = Registers.over(http, settings, core.intake, core.clock, patience=REGISTER_PATIENCE)
        yield ApiEngine(
            **vars(core),
            keys=Keys(pools.keys),
            pools=pools,
            links=links,
            player_tokens=PlayerTokens(settings.link_secrets),
            watch=watch,
            presses=PlayerPace(PRESSES_AT_ONCE, PRESSES_A_SECOND),
            streams=PlayerPace(STREAMS_AT_ONCE, STREAMS_A_SECOND),
            commands=PlayerCommands(core.database, core.intake, core.policies, registers, core.clock),
            rulers=BoardRulers(core.database),
            ticket_totals=TicketTotals(),
            board_aliases=BoardAliases(settings.link_secrets),
            entry_counts=EntryCounts(),
            webhook_secrets=signing_secrets(settings),
            temporal=temporal,
            http=http,
            scripts=load_scripts(*settings.script_folders),
            identities=IdentityProvider(settings, http) if settings.oidc_issuer else None,
        )


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has let go of what it holds."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _engine_of(request: Request) -> ApiEngine:
    return cast(ApiEngine, request.app.state.engine)


EngineOf = Annotated[ApiEngine, Depends(_engine_of)]
