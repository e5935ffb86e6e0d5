"""The whole stack on one machine: servers, providers and our own processes, as children of one supervisor.

Everything lives in one folder (`.local/`): data, logs, and `stack.json` with the ports and secrets, so that the next
start finds the same addresses and every run in flight.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from activities.database import Database, migrate
from activities.deployment_names import DEFAULT, queue_in
from activities.erasures import erase_due
from activities.retention import retain
from activities.settings import TASK_QUEUE, Settings
from local.development_people import add_people, at_the_provider
from local.ports import free_port, port_is_free
from local.postgres import Postgres
from local.slowness import slowness
from local.stand_in_processes import ad_network, bonus_engine, catch_all, identity_provider, registers
from local.supervisor import Identity, Service, StackError, Supervised, end_orphan, http_ok
from local.temporal import TemporalServer
from workflows.channels import WEBHOOK_CHANNELS

PORTS = (
    "api",
    "postgres",
    "temporal",
    "temporal-ui",
    "bonus-engine",
    "catch-all",
    "smtp",
    "registers",
    "ad-network",
    "worker-metrics",
    "dispatcher-metrics",
    "worker-sdk-metrics",
    "dispatcher-sdk-metrics",
    "identity-provider",
    "casino-site",
)
#: National registers that have a stand-in; which of them are asked, policies say.
STAND_IN_REGISTERS: Final = ("spelpaus", "gamstop", "oasis", "cruks")
#: What the stand-in of an ad network is told of: whoever logged in lately, agreed to ads and is not protected.
TOLD_AUDIENCE: Final = {"name": "here", "brand": "demo", "use": "seed", "segment": "here_lately", "there": "here"}
#: How the identity provider knows the console.
CONSOLE_CLIENT = "journeys-console"
#: On a usual machine.
START_WITHIN = timedelta(seconds=90)
# Seconds between two looks for players to be erased.
ERASE_EVERY_S = 2
#: As whom our own processes log in: it owns nothing, here as in production.
APPLICATION_ROLE = "journeys_app"


@dataclass
class StackMemory:
    """What must be the same after a restart."""

    ports: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)  # API key by role
    keys_of: str = ""  # the database they were made in


class Stack:
    """The running stack; an asynchronous context manager.

    Servers named by DATABASE_URL or TEMPORAL_ADDRESS in `servers_from` are used instead of local ones and are never
    stopped. `extra` are further variables for our own processes; with `servers_only` these do not run. With `tells_ads`
    a stand-in of an ad network runs too, and is told of `TOLD_AUDIENCE`.

    Only one supervisor may use a folder. If the last one was killed, its children are found by pid and start time and
    are ended first; nothing else ever is.
    """

    def __init__(
        self,
        folder: Path,
        *,
        servers_from: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
        servers_only: bool = False,
        tells_ads: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder = folder.absolute()
        self.memory = StackMemory()
        named = {"DATABASE_URL", "TEMPORAL_ADDRESS"}
        self._other_servers = {name: url for name, url in (servers_from or {}).items() if name in named}
        self._extra = dict(extra or {})
        self._servers_only = servers_only
        self._tells_ads = tells_ads
        self._say = say
        self._children: dict[str, Supervised] = {}
        self._lock: IO[str] | None = None
        self._erasing: asyncio.Task[None] | None = None

    # ---- what it is made of ----------------------------------------------------------------

    @property
    def postgres(self) -> Postgres:
        """The database server, whether or not it runs."""
        return Postgres(
            home=self.folder / "postgres",
            port=self.memory.ports["postgres"],
            password=self.memory.secrets["postgres"],
        )

    def servers(self) -> list[Service]:
        """The parts that are not ours."""
        ports = self.memory.ports
        temporal = TemporalServer(
            port=ports["temporal"], ui_port=ports["temporal-ui"], database=self.folder / "temporal.db"
        )
        messages = self.folder / "messages"
        gateways = {channel: self.memory.secrets[f"{channel}-webhook"] for channel in WEBHOOK_CHANNELS}
        return [
            *([] if "DATABASE_URL" in self._other_servers else [self.postgres.service()]),
            *([] if "TEMPORAL_ADDRESS" in self._other_servers else [temporal.service()]),
            bonus_engine(ports["bonus-engine"], self.folder / "bonus-engine.jsonl"),
            catch_all(ports["catch-all"], ports["smtp"], messages, gateways),
            registers(ports["registers"], self.folder / "registers.jsonl", self.memory.secrets["registers"]),
            *([ad_network(ports["ad-network"], self.folder / "ads.jsonl", self._ad_token)] if self._tells_ads else []),
        ]

    def app(self) -> list[Service]:
        """Our own processes, as production runs them."""
        environment = self.application_environment()
        ports = self.memory.ports
        return [
            identity_provider(
                ports["identity-provider"],
                client=CONSOLE_CLIENT,
                secret=self.memory.secrets["identity-provider"],
                console_url=self.api_url,
                people=at_the_provider(),
            ),
            Service(
                name="api",
                command=(sys.executable, "-m", "cli", "serve", "--host", "127.0.0.1", "--port", str(ports["api"])),
                environment=environment,
                ready=lambda _: http_ok(f"{self.api_url}/readyz"),
            ),
            self._worker("worker", _polls_for_workflow_tasks(environment)),
            self._worker("dispatcher", lambda _: http_ok(f"http://127.0.0.1:{ports['dispatcher-metrics']}/metrics")),
        ]

    def _worker(self, role: str, ready: Callable[[int], Awaitable[bool]]) -> Service:
        """One half of the worker: apart, each can be killed and watched alone."""
        ports = self.memory.ports
        metrics = {"METRICS_PORT": ports[f"{role}-metrics"], "SDK_METRICS_PORT": ports[f"{role}-sdk-metrics"]}
        return Service(
            name=role,
            command=(sys.executable, "-m", "worker", "--role", role),
            environment=self.application_environment() | {name: str(port) for name, port in metrics.items()},
            ready=ready,
            stop_within=timedelta(seconds=45),
        )

    def environment(self) -> dict[str, str]:
        """The variables that point a process at this stack, as the owner of its tables."""
        ports = self.memory.ports
        return {
            "DATABASE_URL": self.postgres.url(),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{ports['temporal']}",
            "TEMPORAL_NAMESPACE": "default",
            "BONUS_ENGINE_URL": f"http://127.0.0.1:{ports['bonus-engine']}",
            "SMTP_URL": f"smtp://127.0.0.1:{ports['smtp']}",
            "MAIL_LOOKUP_URL": f"http://127.0.0.1:{ports['catch-all']}/mails?key={{key}}",
            **{f"{c.upper()}_WEBHOOK_URL": f"http://127.0.0.1:{ports['catch-all']}/{c}" for c in WEBHOOK_CHANNELS},
            **{f"{c.upper()}_WEBHOOK_SECRET": self.memory.secrets[f"{c}-webhook"] for c in WEBHOOK_CHANNELS},
            # Who plays at the casino of a laptop is an adult, and under no law that is stricter than the house.
            "ADULTS_ONLY": "true",
            "BRAND_LICENCES": json.dumps({"*": "UA"}),
            "REGISTER_URLS": json.dumps(
                {name: f"http://127.0.0.1:{ports['registers']}/{name}" for name in STAND_IN_REGISTERS}
            ),
            "REGISTER_TOKEN": self.memory.secrets.get("registers", ""),
            "REGISTER_HASH_KEY": self.memory.secrets.get("register-hashes", ""),
            # It signed the links of a stack that is older than LINK_SECRETS, and reads them still.
            "WEBHOOK_SECRET": self.memory.secrets["webhook"],
            "LINK_SECRETS": self.memory.secrets["links"],
            "CATCH_ALL_URL": f"http://127.0.0.1:{ports['catch-all']}",
            "PUBLIC_URL": f"http://127.0.0.1:{ports['api']}",
            "OIDC_ISSUER": f"http://127.0.0.1:{ports['identity-provider']}",
            "OIDC_CLIENT_ID": CONSOLE_CLIENT,
            "OIDC_CLIENT_SECRET": self.memory.secrets.get("identity-provider", ""),
            **(self._audiences if self._tells_ads else {}),
            **self._other_servers,
            **self._extra,
        }

    @property
    def _ad_token(self) -> str:
        return self.memory.secrets["ad-network"]

    @property
    def _audiences(self) -> dict[str, str]:
        """What has audiences pushed, and soon: on a laptop nobody waits for the hour."""
        return {
            "AD_NETWORK_URL": f"http://127.0.0.1:{self.memory.ports['ad-network']}/v25.0",
            "AD_NETWORK_TOKEN": self._ad_token,
            "AD_AUDIENCES": json.dumps([TOLD_AUDIENCE]),
            "AUDIENCES_COMPARED_EVERY": "PT10S",
        }

    def application_environment(self) -> dict[str, str]:
        """The variables of our own processes, who own nothing; in a database named by DATABASE_URL we make no role."""
        if "DATABASE_URL" in self._other_servers:
            return self.environment()
        return self.environment() | {"DATABASE_URL": self.postgres.url(role=APPLICATION_ROLE)}

    @property
    def keys(self) -> dict[str, str]:
        """An API key by role, as `journeys keys --json` makes them."""
        return self.memory.keys

    @property
    def api_url(self) -> str:
        """Where the API listens."""
        return f"http://127.0.0.1:{self.memory.ports['api']}"

    def addresses(self) -> dict[str, str]:
        """What a person opens or points a client at, by name."""
        ports = self.memory.ports
        return {
            "Console": f"{self.api_url}/console/",
            "API": self.api_url,
            "API documentation": f"{self.api_url}/docs",
            "Temporal UI": f"http://127.0.0.1:{ports['temporal-ui']}",
            "Messages sent": f"http://127.0.0.1:{ports['catch-all']}/mails",
            "Registers": f"http://127.0.0.1:{ports['registers']}/docs",
            "Bonus engine": f"http://127.0.0.1:{ports['bonus-engine']}",
            **({"Ad network": f"http://127.0.0.1:{ports['ad-network']}/v25.0/here"} if self._tells_ads else {}),
            "Postgres": self.environment()["DATABASE_URL"].replace("+psycopg", ""),
            "Temporal": self.environment()["TEMPORAL_ADDRESS"],
        }

    # ---- living ----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def kill(self, name: str) -> None:
        """SIGKILL a part, as a power cut would. It is started again by itself; await `ready(name)`."""
        await self._child(name).kill()

    async def ready(self, *names: str) -> None:
        """Return when these parts, or all, answer."""
        children = [self._child(name) for name in names] or list(self._children.values())
        within = START_WITHIN * slowness()
        await asyncio.gather(*(child.ready(within=within) for child in children))

    async def stop(self, name: str) -> None:
        """Stop a part cleanly and leave it stopped until `start(name)`."""
        await self._child(name).stop()

    def start(self, name: str) -> None:
        """Start a part that was stopped. Await `ready(name)`."""
        self._child(name).start()

    def restarts(self, name: str) -> int:
        """How often a part has died and been started again."""
        return self._child(name).restarts

    def pid(self, name: str) -> int | None:
        """The process id of a part; None while it is down."""
        identity = self._child(name).identity
        return None if identity is None else identity.pid

    def _child(self, name: str) -> Supervised:
        try:
            return self._children[name]
        except KeyError:
            parts = ", ".join(self._children)
            raise StackError(f"The stack has no part named {name}. Its parts are {parts}.") from None

    async def _start(self) -> None:
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self._take_lock()
        self._end_orphans()
        self._load_memory()
        database = self.environment()["DATABASE_URL"]
        if "DATABASE_URL" not in self._other_servers:
            if not self.postgres.home.exists():
                self._say("Making the database.")
                self.memory.keys_of = ""
            await asyncio.to_thread(self.postgres.prepare)
        self._say("Starting the servers.")
        await self._start_all(self.servers())
        self._say("Migrating.")
        role = "" if "DATABASE_URL" in self._other_servers else APPLICATION_ROLE
        if role:
            await self.postgres.ensure_database()
            await self.postgres.ensure_role(role)
        await asyncio.to_thread(migrate, database, application_role=role)
        await _forget_what_is_due(database)
        if self._servers_only:
            return
        self._erasing = asyncio.create_task(_erase_players(database))
        if self.memory.keys_of != database:
            self.memory.keys, self.memory.keys_of = await self._make_keys(), database
            self._write_memory()
        await _add_people(database)
        self._say("Starting the API and the worker.")
        await self._start_all(self.app())

    async def _start_all(self, services: Sequence[Service]) -> None:
        for service in services:
            child = Supervised(
                service,
                log=self.folder / "logs" / f"{service.name}.log",
                changed=self._write_processes,
                say=self._say,
            )
            self._children[service.name] = child
            child.start()
        await self.ready(*(service.name for service in services))

    async def _stop(self) -> None:
        if self._erasing is not None:
            self._erasing.cancel()
            await asyncio.wait({self._erasing})
        # Ours need the servers to end cleanly; of one kind nobody waits for another.
        servers = {service.name for service in self.servers()} if self.memory.ports else set()
        for ours in (True, False):
            ending = [child for name, child in self._children.items() if (name not in servers) is ours]
            await asyncio.gather(*(child.stop() for child in ending))
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _make_keys(self) -> dict[str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", "keys", "--json"),
            env=os.environ | self.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        if process.returncode != 0:
            raise StackError(f"The API keys could not be made. `journeys keys --json` said:\n{error.decode()}")
        keys: dict[str, str] = json.loads(out)
        return keys

    # ---- memory ----------------------------------------------------------------------------

    def _take_lock(self) -> None:
        lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise StackError(
                f"A stack already runs in {self.folder} (process {owner}). Use it, or stop it first."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _load_memory(self) -> None:
        path = self.folder / "stack.json"
        if path.exists():
            self.memory = StackMemory(**json.loads(path.read_text()))
        taken = set(self.memory.ports.values())
        for name in PORTS:
            port = self.memory.ports.get(name)
            if port is None or not port_is_free(port):
                self.memory.ports[name] = _other_port(taken)
                taken.add(self.memory.ports[name])
        for name in ("postgres", "identity-provider", "links", "registers", "register-hashes", "ad-network"):
            self.memory.secrets.setdefault(name, secrets.token_urlsafe(24))
        for name in ("webhook", *(f"{channel}-webhook" for channel in WEBHOOK_CHANNELS)):
            self.memory.secrets.setdefault(name, "whsec_" + b64encode(secrets.token_bytes(24)).decode())
        self._write_memory()

    def _write_memory(self) -> None:
        self._write("stack.json", asdict(self.memory))

    def _write_processes(self) -> None:
        alive = {name: child.identity for name, child in self._children.items()}
        self._write("processes.json", {name: asdict(one) for name, one in alive.items() if one is not None})

    def _write(self, name: str, content: object) -> None:
        unfinished = self.folder / f"{name}.new"
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(content, indent=2))
        unfinished.replace(self.folder / name)

    def _end_orphans(self) -> None:
        path = self.folder / "processes.json"
        left = json.loads(path.read_text()) if path.exists() else {}
        for name, identity in reversed(left.items()):
            if end_orphan(Identity(**identity)):
                self._say(f"Ended {name}, which an earlier run had left behind.")


def servers_of(folder: Path) -> dict[str, str]:
    """The variables that name the servers of the stack in a folder; none where no stack was ever made there."""
    kept = folder / "stack.json"
    if not kept.exists():
        return {}
    stack = Stack(folder)
    stack.memory = StackMemory(**json.loads(kept.read_text()))
    named = stack.environment()
    return {name: named[name] for name in ("DATABASE_URL", "TEMPORAL_ADDRESS")}


async def _erase_players(url: str) -> None:
    """Do erasures that were asked for, as the owner of the tables: here, because the stack's worker owns none."""
    database = Database(Settings(database_url=url), connections=1)
    try:
        while True:
            # Postgres may be killed at any time here; then it is done later.
            with contextlib.suppress(SQLAlchemyError, OSError):
                async for _ in erase_due(database):
                    pass
            await asyncio.sleep(ERASE_EVERY_S)
    finally:
        await database.close()


async def _forget_what_is_due(url: str) -> None:
    """Here when the stack starts: its worker owns nothing, and a process of its own would do nothing all day."""
    settings = Settings(database_url=url)
    database = Database(settings, connections=1)
    try:
        async for _ in retain(database, settings, await database.now()):
            pass
    finally:
        await database.close()


async def _add_people(url: str) -> None:
    database = Database(Settings(database_url=url), connections=1)
    try:
        await add_people(database, await database.now())
    finally:
        await database.close()


def _other_port(taken: set[int]) -> int:
    while (port := free_port()) in taken:
        pass
    return port


def _polls_for_workflow_tasks(environment: Mapping[str, str]) -> Callable[[int], Awaitable[bool]]:
    """Whether the process with this pid takes workflow tasks; Temporal's SDK names pollers `pid@host`."""
    queue = queue_in(environment.get("DEPLOYMENT_NAME", DEFAULT), TASK_QUEUE)

    async def ready(pid: int) -> bool:
        client = await Client.connect(environment["TEMPORAL_ADDRESS"])
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
        return any(poller.identity.startswith(f"{pid}@") for poller in answer.pollers)

    return ready
