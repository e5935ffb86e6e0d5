"""Temporal as every process of ours meets it: its own `TEMPORAL_*` variables, and the SDK's metrics."""

import asyncio
import logging
from typing import Any

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from activities.settings import Settings
from workflows.errors import JourneysError

logger = logging.getLogger(__name__)


class PortTaken(JourneysError):  # noqa: N818 - says what is wrong
    """The port of the SDK's metrics is taken; set SDK_METRICS_PORT to another."""


def client_options() -> dict[str, Any]:
    """What `Client.connect` is given in every process."""
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "localhost:7233")
    return {**config, "data_converter": pydantic_data_converter}


async def connect(runtime: Runtime | None = None) -> Client:
    """A client; waits until Temporal answers."""
    options = client_options()
    while True:
        try:
            return await Client.connect(**options, runtime=runtime)
        except RuntimeError as away:
            logger.warning("Temporal is away, trying again: %s", away)
            await asyncio.sleep(1)


def metered(settings: Settings) -> Runtime | None:
    """A runtime of the SDK that tells Prometheus how its workers and clients do; None where nobody asks.

    It listens from here on, so a process makes one. Raises PortTaken.
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
        raise PortTaken(f"The SDK's metrics cannot be served at {address}; set SDK_METRICS_PORT. ({error})") from None
