"""The Temporal client of every process: its own `TEMPORAL_*` variables, one codec, the SDK's metrics."""

import asyncio
import logging
from dataclasses import replace
from importlib import import_module
from typing import Any

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import WorkerDeploymentConfig

from activities.deployment_names import DEFAULT, DeploymentNames
from activities.settings import Settings
from activities.temporal_credentials import WrongSetting, credentials, renewable
from activities.tracing import switch_on

logger = logging.getLogger(__name__)


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
    given = credentials(settings)
    names = [] if settings.deployment_name == DEFAULT else [DeploymentNames(settings.deployment_name)]
    traces = switch_on(settings.traces_endpoint, settings.deployment_name)
    return {
        **given.connection,
        "api_key": given.api_key,
        "tls": given.tls,
        "data_converter": data_converter(settings),
        "interceptors": [*traces, *names],
    }


async def connect(settings: Settings, runtime: Runtime | None = None) -> Client:
    """A client; waits until Temporal answers. Raises WrongSetting."""
    options = client_options(settings)
    while True:
        try:
            return renewable(await Client.connect(**options, runtime=runtime))
        except RuntimeError as away:
            logger.warning("Temporal is away, trying again: %s", away)
            await asyncio.sleep(1)
            given = credentials(settings)
            options |= {"api_key": given.api_key, "tls": given.tls}


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
