"""The Temporal client of every process: its own `TEMPORAL_*` variables, one codec, the SDK's metrics."""

import asyncio
import logging
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import WorkerDeploymentConfig

from activities.clock import sleep_or_stop
from activities.deployment import DEFAULT, DeploymentNames
from activities.settings import Settings
from activities.tracing import switch_on
from workflows.errors import JourneysError

logger = logging.getLogger(__name__)


class WrongSetting(JourneysError):
    """A variable of the environment cannot be used; correct it and start again."""


def data_converter(settings: Settings) -> DataConverter:
    """How values become the payloads that Temporal keeps: as JSON, and as PAYLOAD_CODEC then makes of it.

    With a codec the texts of errors are encoded too, for they may quote the input of an effect. Raises WrongSetting.
    """
    if not settings.payload_codec:
        return pydantic_data_converter
    return replace(
        pydantic_data_converter,
        payload_codec=_codec(settings.payload_codec),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def _codec(name: str) -> PayloadCodec:
    module, _, attribute = name.partition(":")
    try:
        named = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        sentence = f"PAYLOAD_CODEC is {name!r}, which cannot be imported: write module:attribute. ({error})"
        raise WrongSetting(sentence) from error
    codec = named() if callable(named) else named
    if not isinstance(codec, PayloadCodec):
        raise WrongSetting(f"PAYLOAD_CODEC is {name!r}, which is no codec: name a temporalio PayloadCodec.")
    return codec


def client_options(settings: Settings) -> dict[str, Any]:
    """The arguments of `Client.connect` in every process. Raises WrongSetting."""
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "localhost:7233")
    if settings.temporal_api_key_file:
        config["api_key"] = _api_key(settings)
    names = [] if settings.deployment_name == DEFAULT else [DeploymentNames(settings.deployment_name)]
    traces = switch_on(settings.traces_endpoint, settings.deployment_name)
    return {**config, "data_converter": data_converter(settings), "interceptors": [*traces, *names]}


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


async def keep_api_key(client: Client, settings: Settings, stop: asyncio.Event, *, every: float = 5.0) -> None:
    """Give the client the key that stands in the file, whenever it is another one, until told to stop.

    Whoever rotates keys writes the new one into the file before the old one is revoked; no process needs a restart. A
    file that cannot be read at this moment changes nothing.
    """
    while settings.temporal_api_key_file and not stop.is_set():
        try:
            key = _api_key(settings)
        except WrongSetting as unread:
            logger.error("The key that was read last is used on: %s", unread)  # noqa: TRY400 - the sentence says it all
        else:
            if key != client.api_key:
                client.api_key = key
                logger.info("Temporal is told a new API key from now on.")
        await sleep_or_stop(stop, every)


async def connect(settings: Settings, runtime: Runtime | None = None) -> Client:
    """A client; waits until Temporal answers. Raises WrongSetting."""
    options = client_options(settings)
    while True:
        try:
            return await Client.connect(**options, runtime=runtime)
        except RuntimeError as away:
            logger.warning("Temporal is away, trying again: %s", away)
            await asyncio.sleep(1)


def worker_deployment(settings: Settings) -> WorkerDeploymentConfig | None:
    """What workers tell Temporal of their build; None where it is not to route by builds. Raises WrongSetting.

    Runs go on with the build that is current when they next wake up: which code a *journey* is played by is the run's
    own version and not the build's.
    """
    if not settings.worker_versioning:
        return None
    if not settings.build_id:
        raise WrongSetting("WORKER_VERSIONING is on and BUILD_ID is empty: set it to the commit this build is made of.")
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(settings.deployment_name, settings.build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


def metrics_runtime(settings: Settings) -> Runtime | None:
    """A runtime of the SDK that serves its own metrics to Prometheus; None where the setting turns them off.

    It listens from here on, so a process makes one. Raises WrongSetting.
    """
    if not settings.sdk_metrics_port:
        return None
    host = f"[{settings.metrics_host}]" if ":" in settings.metrics_host else settings.metrics_host
    address = f"{host}:{settings.sdk_metrics_port}"
    metrics = PrometheusConfig(
        bind_address=address, counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
    )
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=metrics))
    except ValueError as error:
        raise WrongSetting(f"The SDK's metrics cannot be served at {address}: set SDK_METRICS_PORT. {error}") from None
