"""Fixtures of all floors. Servers are real: one of each a session, started when the first test asks for it."""

import faulthandler
import os
import secrets
import shutil
import sys
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from local import stand_in_processes as services
from local.ports import free_port, port_range
from local.postgres import Postgres
from local.slowness import slowness
from local.temporal import TemporalServer
from tests.support.examples import THOROUGH, examples
from tests.support.machine import FOLDER, remove_left_behind
from tests.support.outside_packages import Write, importable
from tests.support.servers import LocalBonusEngine, LocalCatchAll, fresh_database, make_template, ready, running
from tests.support.stage_servers import skipping
from workflows.channels import WEBHOOK_CHANNELS

# What the account service of a test vouches for, unless the test says otherwise: all are adults, and under no law that
# is stricter than the house.
os.environ.setdefault("ADULTS_ONLY", "true")
os.environ.setdefault("BRAND_LICENCES", '{"*": "UA"}')

# How long one example takes says something of the machine and its other work, and nothing of what is tested.
settings.register_profile(
    "house", max_examples=examples(100, quick=50), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")

TESTS = Path(__file__).parent
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
IN_MEMORY, ROOM = Path("/dev/shm"), (4 << 30) * WORKERS
pytest_plugins = ["pytester"]

#: Beside each other the floors of minutes go first, so that no worker is left alone with one at the end.
LONGEST_FIRST = ("acceptance", "crash", "soak", "temporal", "seeds", "postgres", "stage", "unit")


def pytest_configure(config: pytest.Config) -> None:
    """Limits of time grow with the machine's slowness; each worker draws its ports from a range of its own."""
    if config.option.timeout is None and "PYTEST_TIMEOUT" not in os.environ:
        config.option.timeout = float(config.getini("timeout")) * slowness() * THOROUGH
    if "PYTEST_XDIST_WORKER" in os.environ:
        number, ports = int(os.environ["PYTEST_XDIST_WORKER"].lstrip("gw")), port_range()
        share = len(ports) // WORKERS
        first = ports.start + number * share
        # In the environment, so that the processes a test starts keep to the range too.
        os.environ["LOCAL_PORTS"] = f"{first}-{first + share}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a test says of its own limit of time grows as the others do."""
    for item in items:
        for mark in item.iter_markers("timeout"):
            seconds = mark.args[0] * slowness() * THOROUGH
            item.add_marker(pytest.mark.timeout(seconds, *mark.args[1:], **mark.kwargs), append=False)
            break
    if "PYTEST_XDIST_WORKER" in os.environ:
        floors = {item: item.path.relative_to(TESTS).parts[0] for item in items}
        items.sort(key=lambda item: LONGEST_FIRST.index(floors[item]) if floors[item] in LONGEST_FIRST else 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Ends the process of a test that its limit of time could not end; the run says which it was, and goes on.

    The limit is an exception in whatever the loop does at that moment, and a task may take it for its own.
    """
    mark = item.get_closest_marker("timeout")
    limit = float(mark.args[0] if mark is not None else item.config.option.timeout or 0)
    if not limit:
        return (yield)
    faulthandler.dump_traceback_later(2 * limit, exit=True, file=2)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_collection_finish() -> None:
    """From here on nothing is compiled for later: what a test writes twice in a second would be run as it was first."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Write]:
    """A function that writes a package of journeys and returns its name; it can be imported while the test lasts."""
    with importable(tmp_path) as write:
        yield write


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A folder for the servers' files that the server's own account may enter too, unlike pytest's.

    It is in memory where there is room for every worker's: copying a database for each test then costs a fifth.
    """
    places = [Path(tempfile.gettempdir())]
    if IN_MEMORY.is_dir() and min(shutil.disk_usage(IN_MEMORY).free, psutil.virtual_memory().available) > ROOM:
        places.insert(0, IN_MEMORY)
    for place in places:
        remove_left_behind(place)
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-", dir=places[0]))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def postgres(session_folder: Path) -> AsyncIterator[Postgres]:
    """A running PostgreSQL with one migrated database, the template of the others."""
    from activities.database import Database

    server = Postgres(
        home=session_folder / "postgres", port=free_port(), password=secrets.token_urlsafe(), durable=False
    )
    server.prepare()
    async with running(server.service(), session_folder):
        await make_template(server)
        with pytest.MonkeyPatch.context() as patch:
            # A machine that stands still for the two seconds of production would have calls fail that no test fails.
            patch.setattr(Database, "CONNECT_WITHIN_S", round(60 * slowness()))
            yield server


@pytest.fixture
async def postgres_url(postgres: Postgres, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A fresh migrated database for one test; one marked `owner` does what only the owner of the tables may."""
    async with fresh_database(postgres, as_owner=request.node.get_closest_marker("owner") is not None) as url:
        yield url


@pytest.fixture(scope="module")
async def module_postgres_url(postgres: Postgres, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A migrated database that the tests of one module share; a module marked `owner` owns its tables."""
    async with fresh_database(postgres, as_owner=request.node.get_closest_marker("owner") is not None) as url:
        yield url


@pytest.fixture(scope="session")
async def temporal_address(session_folder: Path) -> AsyncIterator[str]:
    """A running Temporal development server, in memory. Use a task queue of your own."""
    server = TemporalServer(port=free_port(), ui_port=None, database=None)
    async with running(server.service(), session_folder):
        yield server.address


@pytest.fixture(scope="session")
async def temporal(temporal_address: str) -> Client:
    """A client of the development server that speaks pydantic."""
    return await Client.connect(temporal_address, data_converter=pydantic_data_converter)


@pytest.fixture
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal whose clock jumps over waits. Its clock is one for all runs, so each test has its own."""
    async with await skipping() as environment:
        yield environment


@pytest.fixture(scope="session")
async def bonus_engine_server(session_folder: Path) -> AsyncIterator[LocalBonusEngine]:
    port, ledger = free_port(), session_folder / "bonus-engine.jsonl"
    async with running(services.bonus_engine(port, ledger), session_folder) as process:
        yield LocalBonusEngine(f"http://127.0.0.1:{port}", ledger, process)


@pytest.fixture
async def bonus_engine(bonus_engine_server: LocalBonusEngine) -> AsyncIterator[LocalBonusEngine]:
    """The session's bonus engine, without faults left by an earlier test. Its ledger holds other tests' grants too."""
    yield bonus_engine_server
    await ready(bonus_engine_server.process)
    await bonus_engine_server.heal()


@pytest.fixture(scope="session")
async def catch_all(session_folder: Path) -> AsyncIterator[LocalCatchAll]:
    """The catch-all for mail, SMS and push, shared by the session: use addresses of your own."""
    port, smtp_port = free_port(), free_port()
    secret = "whsec_" + b64encode(secrets.token_bytes(24)).decode()
    gateways = dict.fromkeys(WEBHOOK_CHANNELS, secret)
    service = services.catch_all(port, smtp_port, session_folder / "messages", gateways)
    async with running(service, session_folder) as process:
        yield LocalCatchAll(f"http://127.0.0.1:{port}", f"smtp://127.0.0.1:{smtp_port}", secret, process)
