"""Every process of the compose file does its work with no more than it gets there.

A user who owns nothing and can become nobody else, a folder of secrets that is only read, and a role of Postgres that
owns nothing.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from local.ports import free_port
from local.postgres import Postgres, reachable
from local.slowness import slowness
from local.supervisor import Service, dying_with_parent, http_ok
from tests.support.command_line import rows
from tests.support.machine import eventually
from tests.support.owned_database import owned_database
from tests.support.servers import LocalBonusEngine, LocalCatchAll, running
from workflows.channels import WEBHOOK_CHANNELS

ROOT = Path(__file__).parent.parent.parent
CRASH = ROOT / "tests" / "crash"
USER = "nobody"
PLAYER = "p-1"
MAIL = f"{PLAYER}-{secrets.token_hex(4)}@least.example"
#: Whoever may make a mount namespace can give a process a file system as a container has it.
MAKES_NAMESPACES = not subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode

# In a namespace of its own: the file system is read-only, and of a folder that is closed to the user they see no more
# than the checkout and Python. Then they lose every right, and the way to get one.
CONFINED = """
set -eu
mount --make-rprivate /
[ -z "$1" ] || mount -t tmpfs -o mode=755 none "$2"
closed=$1 empty=$2 user=$3; shift 3
for place in $closed; do mkdir "$empty/$(basename "$place")"; mount --bind "$place" "$empty/$(basename "$place")"; done
for place in $closed; do top=/$(echo "$place" | cut -d/ -f2); mount -t tmpfs -o mode=755 none "$top"; done
for place in $closed; do mkdir -p "$place"; mount --bind "$empty/$(basename "$place")" "$place"; done
mount -o remount,bind,ro /
exec setpriv --reuid "$user" --regid nogroup --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs \
    --pdeathsig TERM "$@"
"""

pytestmark = [
    # Five processes begin from nothing, one after the other.
    pytest.mark.slow,
    pytest.mark.skipif(
        not (dying_with_parent(signal.SIGTERM) and MAKES_NAMESPACES),
        reason="needs root, and setpriv and unshare of util-linux",
    ),
]


def confined(*command: str) -> tuple[str, ...]:
    """A command as the user who may nothing runs it; `/mnt` is where what is closed to them is kept meanwhile."""
    closed = [str(place) for place in (ROOT, Path(sys.base_prefix)) if not reachable(place)]
    return ("unshare", "--mount", "sh", "-c", CONFINED, "sh", " ".join(closed), "/mnt", USER, *command)


@dataclass(frozen=True)
class House:
    """What runs, and what it was given."""

    api: str
    key: str
    owner: str
    deployment: str
    folder: Path
    pids: Mapping[str, int]


def secret_folders(folder: Path, owner: str, application: str, webhook_secret: str) -> None:
    """Two of the folders that compose/make-secrets.sh makes: open to be read, and closed to be changed."""
    kept = {"owner/database_url": owner, "app/database_url": application, "app/link_secrets": secrets.token_urlsafe(32)}
    kept |= {f"app/{channel}_webhook_secret": webhook_secret for channel in WEBHOOK_CHANNELS}
    for name, secret in kept.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{secret}\n")
        file.chmod(0o444)
    for place in (folder / "owner", folder / "app", folder):
        place.chmod(0o555)


def run_as_nobody(folder: Path, variables: Mapping[str, str], *words: str) -> str:
    """What `journeys WORDS` says, run to its end by the user who owns nothing."""
    done = subprocess.run(
        confined(sys.executable, "-m", "cli", *words),
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=100 * slowness(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def service(name: str, environment: Mapping[str, str], probe: str, *command: str) -> Service:
    """One of our processes, run by the user who owns nothing."""
    return Service(
        name=f"least-{name}",
        command=confined(sys.executable, "-m", *command),
        environment=environment,
        ready=lambda _: http_ok(probe),
        stop_within=timedelta(seconds=60),
    )


def services(api: str, owner: Mapping[str, str], app: Mapping[str, str]) -> Iterator[Service]:
    """What docker-compose.yml starts, the two halves of a worker apart."""
    yield service("api", app, f"{api}/readyz", "cli", "serve", "--port", api.rpartition(":")[2])
    for role, variables in (("worker", app), ("dispatcher", app), ("retention", owner)):
        port = str(free_port())
        probe = f"http://127.0.0.1:{port}/livez"
        yield service(role, {**variables, "METRICS_PORT": port}, probe, "worker", "--role", role)


@pytest.fixture(scope="module")
async def house(
    session_folder: Path,
    postgres: Postgres,
    temporal_address: str,
    bonus_engine_server: LocalBonusEngine,
    catch_all: LocalCatchAll,
) -> AsyncIterator[House]:
    folder, deployment = session_folder / "least-privilege", f"least-{secrets.token_hex(3)}"
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(owned_database(postgres, migrated=False))
        secret_folders(folder, database.owner, database.application, catch_all.secret)
        stack.callback(shutil.rmtree, folder)
        common = {
            **{name: catch_all.environment[name] for name in ("SMTP_URL", "MAIL_LOOKUP_URL")},
            **{f"{channel.upper()}_WEBHOOK_URL": f"{catch_all.url}/{channel}" for channel in WEBHOOK_CHANNELS},
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "APPLICATION_ROLE": database.application_role,
            "TEMPORAL_ADDRESS": temporal_address,
            "DEPLOYMENT_NAME": deployment,
            "BONUS_ENGINE_URL": bonus_engine_server.url,
            "JOURNEYS": "tests.crash.journeys",
            "TEMPLATES": str(CRASH / "templates"),
            "SHIPPED_JOURNEYS": "none",
        }
        owner, app = (common | {"SECRETS_FOLDER": str(folder / who)} for who in ("owner", "app"))
        run_as_nobody(folder, owner, "migrate")
        made = run_as_nobody(folder, owner, "keys", "create", "backend", "--brand", "demo", "--scope", "events:write")
        api = f"http://127.0.0.1:{free_port()}"
        pids = {}
        for one in services(api, owner, app):
            process = await stack.enter_async_context(running(one, session_folder))
            assert process.identity is not None
            pids[one.name] = process.identity.pid
        yield House(api, made.split()[-1], database.owner, deployment, folder, pids)


def event(kind: str, number: int, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"least-{number}",
        "source": "/least",
        "type": f"igaming.{kind}.v1",
        "subject": PLAYER,
        "time": datetime.now(UTC).isoformat(),
        "data": data,
    }


def test_every_process_is_a_user_who_can_become_nobody_else_and_write_nowhere(house: House) -> None:
    for name, pid in house.pids.items():
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert psutil.Process(pid).username() == USER, name
        [root] = [line for line in Path(f"/proc/{pid}/mounts").read_text().splitlines() if line.split()[1] == "/"]
        assert "ro" in root.split()[3].split(","), name
        assert status["NoNewPrivs"] == "1", name
        assert not any(int(status[f"Cap{kind}"], 16) for kind in ("Eff", "Prm", "Bnd", "Amb")), name


async def test_a_player_plays_a_journey_from_the_first_event_to_its_end(
    house: House, catch_all: LocalCatchAll, bonus_engine: LocalBonusEngine
) -> None:
    profile = {"email": MAIL, "phone": "+380501234567", "language": "en", "timezone": "Europe/Kyiv", "currency": "EUR"}
    told = [
        event("player.registered", 1, **profile, opted_in=["email", "sms", "push", "in_app"]),
        event("payment.deposit_approved", 2, payment_id="x-1", amount_minor=1900, currency="EUR"),
    ]
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {house.key}"}) as client:
        answer = await client.post(
            f"{house.api}/v1/events", json=told, headers={"Content-Type": "application/cloudevents-batch+json"}
        )
    assert answer.json()["accepted"] == 2, answer.text

    def ended() -> list[tuple[object, ...]]:
        return rows(house.owner, "SELECT id FROM runs WHERE journey = 'crash_deposit' AND outcome = 'completed'")

    [(run,)] = await eventually(ended)
    assert [mail["key"] for mail in await catch_all.mails(MAIL) if "crash-note" in mail["key"]] == [
        f"{run}/send:crash-note#1/email"
    ]
    for arrived in (await catch_all.sms(), await catch_all.push()):
        assert sum(hook["webhook_id"].startswith(f"{run}/") for hook in arrived) == 1
    assert [grant["key"] for grant in bonus_engine.granted() if grant["key"].startswith(f"{run}/")] == [
        f"{run}/grant:points#1"
    ]


async def test_what_is_due_is_forgotten_by_the_process_of_the_owner(house: House, temporal: Client) -> None:
    schedule = temporal.get_schedule_handle(f"{house.deployment}-retain")

    async def begun() -> bool:
        with suppress(RPCError):  # a worker makes it when it can
            await schedule.trigger()
            return True
        return False

    async def forgotten() -> bool:
        query = f"TaskQueue = '{house.deployment}-retention' AND ExecutionStatus = 'Completed'"
        return (await temporal.count_workflows(query)).count > 0

    assert await eventually(begun)
    assert await eventually(forgotten)


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM events", "UPDATE api_keys SET scopes = '{admin}'", "DROP TABLE runs", "CREATE TABLE mine (n int)"],
)
def test_the_application_cannot_do_what_it_never_does(house: House, statement: str) -> None:
    application = (house.folder / "app" / "database_url").read_text().strip()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(application, statement)
