"""What Temporal knows a process by, an API key or certificates: read again when it changes, without a restart.

The SDK takes a new key into a connection that stands, and certificates into a new one only; so a client of ours calls
through `RenewableService`, whose connection another one may take the place of.
"""

import asyncio
import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import Message
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import ServiceClient, TLSConfig
from temporalio.worker import Worker

from activities.clock import sleep_or_stop
from activities.settings import Settings
from workflows.errors import JourneysError

logger = logging.getLogger(__name__)

#: Seconds between two looks at the files.
LOOK_EVERY: Final = 5.0


class WrongSetting(JourneysError):
    """A variable of the environment cannot be used; correct it and start again."""


@dataclass(frozen=True)
class Credentials:
    """How Temporal is called: its address and namespace as the SDK names them, and what may change while we run."""

    connection: Mapping[str, Any]
    api_key: str | None
    tls: TLSConfig | bool | None


def credentials(settings: Settings) -> Credentials:
    """What the `TEMPORAL_*` variables, and the files they name, say at this moment. Raises WrongSetting.

    A variable that is empty counts as not set, as with all settings.
    """
    try:
        config = ClientConfig.load_client_connect_config(
            override_env_vars={name: value for name, value in os.environ.items() if value}
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise WrongSetting(f"What the TEMPORAL_… variables say of Temporal cannot be read: {error}") from None
    given: dict[str, Any] = {"target_host": "localhost:7233", **config}
    api_key, tls = given.pop("api_key", None), given.pop("tls", None)
    if settings.temporal_api_key_file:
        api_key = _api_key(settings)
    return Credentials(given, api_key, tls)


def _api_key(settings: Settings) -> str:
    """The key in the file of TEMPORAL_API_KEY_FILE. Raises WrongSetting."""
    try:
        key = Path(settings.temporal_api_key_file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSetting(
            f"TEMPORAL_API_KEY_FILE cannot be read; name the file with the key in it. ({error})"
        ) from None
    if not key:
        raise WrongSetting("TEMPORAL_API_KEY_FILE names an empty file; write the key into it.")
    return key


class RenewableService(ServiceClient):
    """A connection to Temporal in whose place another one may be put, with other certificates."""

    def __init__(self, connection: ServiceClient) -> None:
        super().__init__(connection.config)
        self._connection = connection

    @property
    def worker_service_client(self) -> Any:
        """What a worker polls through; a worker must be told when it is another one."""
        return self._connection.worker_service_client

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        """Send these headers from now on."""
        self._connection.update_rpc_metadata(metadata)

    def update_api_key(self, api_key: str | None) -> None:
        """Send this key from now on."""
        self._connection.update_api_key(api_key)

    async def renew(self, given: Credentials) -> None:
        """Connect with other certificates, and call through that connection. Raises RuntimeError where it cannot."""
        config = replace(self.config, tls=given.tls, api_key=given.api_key, lazy=False)
        self._connection = await ServiceClient.connect(config)
        self.config = config

    async def _rpc_call(
        self,
        rpc: str,
        req: Message,
        resp_type: Any,
        *,
        service: str,
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,  # noqa: ASYNC109 - the SDK's signature
    ) -> Any:
        # A service client is made of this one call, which the SDK names as it names what only subclasses use.
        return await self._connection._rpc_call(  # noqa: SLF001
            rpc, req, resp_type, service=service, retry=retry, metadata=metadata, timeout=timeout
        )


def renewable(client: Client) -> Client:
    """The client, calling through a connection that may be renewed."""
    config = client.config()
    config["service_client"] = RenewableService(client.service_client)
    return Client(**config)


async def keep_credentials(
    client: Client,
    settings: Settings,
    stop: asyncio.Event,
    workers: Collection[Worker] = (),
    *,
    every: float = LOOK_EVERY,
) -> None:
    """Use the key and the certificates that stand in the files, whenever they are others, until told to stop.

    Whoever rotates them writes the new ones before the old ones are refused; no process needs a restart. What cannot be
    read or used at this moment changes nothing, and is looked at again. `workers` are those that poll by this client.
    """
    while not stop.is_set():
        try:
            given = credentials(settings)
            await _use(client, given, workers)
        except (WrongSetting, RuntimeError, ValueError) as unusable:
            logger.error("What Temporal knew us by is used on: %s", unusable)  # noqa: TRY400 - the sentence says it all
        await sleep_or_stop(stop, every)


async def _use(client: Client, given: Credentials, workers: Collection[Worker]) -> None:
    if given.api_key != client.api_key:
        client.api_key = given.api_key
        logger.info("Temporal is told a new API key from now on.")
    service = client.service_client
    if given.tls != service.config.tls and isinstance(service, RenewableService):
        await service.renew(given)
        for worker in workers:
            worker.client = client
        logger.info("Temporal is called with new certificates from now on.")
