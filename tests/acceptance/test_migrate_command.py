"""`journeys release --migrate`, `--to` and `--stop`, and `journeys migrations`, against a served API and a worker."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import httpx
import pytest

from activities.api_keys import create_key
from activities.database import Database
from activities.settings import Settings
from local.ports import free_port
from tests.support.command_line import Terminal, environment, rows, serving
from tests.support.commands import ROOT, command
from tests.support.engine import SECRET
from tests.support.machine import eventually, within
from tests.support.outside_packages import Write, importable
from tests.support.releases import release
from workflows.events import SessionLogin

PLAYERS, MANY = 6, 60
JOURNEY = """
from workflows import DepositApproved, Player, SessionLogin, always, days, journey, on


@journey(on(SessionLogin), entry=always, ends_after=days(90))
async def hello(player: Player, login: SessionLogin) -> None:
    '''Waits for a deposit.'''
    await player.event(DepositApproved, within=days(9))
"""
EDITED = JOURNEY.replace("days(9)", "days(5)")


class Lobby(Terminal):
    """Players of a brand of its own who are in the journey."""

    async def enters(self, *players: str) -> None:
        events = [
            {**SessionLogin.example().to_wire(), "specversion": "1.0", "id": token_hex(8), "subject": player}
            for player in players
        ]
        headers = {"Authorization": f"Bearer {self.variables['JOURNEYS_KEY']}"}
        async with httpx.AsyncClient(base_url=self.variables["JOURNEYS_URL"], headers=headers, timeout=30) as api:
            for event in events:
                event["time"] = datetime.now(UTC).isoformat()
            answer = await api.post(
                "/v1/events",
                json=events,
                headers={"Content-Type": "application/cloudevents-batch+json"},
            )
            assert answer.json()["accepted"] == len(players), answer.text

    def played(self) -> dict[int, int]:
        """How many runs play which version, wherever they were told to go."""
        counted = rows(
            self.database_url,
            "SELECT coalesce(moving_from, version), count(*) FROM runs "
            "WHERE brand = %s AND state = 'active' GROUP BY 1",
            self.brand,
        )
        return {int(str(version)): int(str(count)) for version, count in counted}

    async def play(self, counts: dict[int, int]) -> None:
        """Return when so many runs play each version."""

        async def so() -> bool:
            return self.played() == counts

        await eventually(so, within=60)

    def told(self) -> int:
        """How many runs were told to move, ever."""
        query = "SELECT count(*) FROM steps WHERE brand = %s AND step LIKE 'migrate#%%' AND outcome = 'told'"
        ((count,),) = rows(self.database_url, query, self.brand)
        return int(str(count))


@asynccontextmanager
async def working(folder: Path, **variables: str) -> AsyncIterator[None]:
    """`journeys worker`, from when it is ready to its clean end."""
    process = await asyncio.create_subprocess_exec(
        *command("worker"), cwd=folder, env=environment(**variables), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said = b""
    try:
        async with within(60):
            while b"Ready as all" not in said:
                line = await process.stderr.readline()
                said += line
                assert line, said.decode()
        # What it says from here on is read, so that it never waits for somebody to read it.
        draining = asyncio.create_task(process.stderr.read())
        yield
        process.send_signal(signal.SIGTERM)
        async with within(60):
            await draining
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def released(write: Write, folder: Path, *sources: str) -> str:
    """A package with one journey, of which each source was released in its turn; the last is its present code."""
    name = write(hello=sources[0])
    for source in sources:
        (folder / name / "hello.py").write_text(source)
        release(name)
    return name


def variables_of(name: str, folder: Path, database_url: str, temporal_address: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "DEPLOYMENT_NAME": name.replace("_", "-"),
        "JOURNEYS": name,
        "WEBHOOK_SECRET": SECRET,
        "PYTHONPATH": f"{ROOT}:{folder}",
    }


async def lobby_of(url: str, variables: dict[str, str], folder: Path) -> Lobby:
    brand, database = f"acme-{token_hex(4)}", Database(Settings(database_url=variables["DATABASE_URL"]))
    scopes = ["journeys:manage", "events:write"]
    _, key = await create_key(database, brand, "crm", scopes, datetime.now(UTC))
    await database.close()
    return Lobby(brand, variables["DATABASE_URL"], {**variables, "JOURNEYS_URL": url, "JOURNEYS_KEY": key}, folder)


@pytest.fixture(scope="module")
def outside(session_folder: Path) -> Iterator[tuple[Path, Write]]:
    folder = session_folder / "migrating"
    folder.mkdir()
    with importable(folder) as write:
        yield folder, write


@pytest.fixture(scope="module")
async def deployed(
    outside: tuple[Path, Write], module_postgres_url: str, temporal_address: str, session_folder: Path
) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Where a journey with two releases is served and played, and the variables that say so."""
    folder, write = outside
    name = released(write, folder, JOURNEY, EDITED)
    variables = variables_of(name, folder, module_postgres_url, temporal_address)
    others = {one: text for one, text in variables.items() if one != "DATABASE_URL"}
    async with working(session_folder, **variables):
        with serving(module_postgres_url, session_folder, **others) as url:
            yield url, variables


@pytest.fixture
async def lobby(deployed: tuple[str, dict[str, str]], tmp_path: Path) -> Lobby:
    """Six players who have entered on v2 and stand in its wait."""
    entered = await lobby_of(*deployed, tmp_path)
    await entered.enters(*(f"p{number}" for number in range(PLAYERS)))
    await entered.play({2: PLAYERS})
    return entered


async def test_code_is_frozen_first_and_nobody_moves_before_it_is_deployed(
    outside: tuple[Path, Write], module_postgres_url: str, session_folder: Path
) -> None:
    folder, write = outside
    name = released(write, folder, JOURNEY)
    nowhere = f"127.0.0.1:{free_port()}"
    variables = variables_of(name, folder, module_postgres_url, nowhere)
    others = {one: text for one, text in variables.items() if one != "DATABASE_URL"}
    with serving(module_postgres_url, session_folder, **others) as url:
        crm = await lobby_of(url, variables, session_folder)
        (folder / name / "hello.py").write_text(EDITED)
        code, said = await crm.journeys("release", "hello", "--migrate")
        assert (code, "hello is v2 now" in said) == (0, True), said
        assert "When it is deployed, `journeys release hello --migrate` again moves the runs in flight." in said
        index = (folder / name / "releases" / "index.toml").read_text()
        assert 'in_flight = "migrate"' in index
        code, said = await crm.journeys("release", "hello", "--migrate", "--yes")
        assert (code, "hello is v2 already" in said) == (1, True), said
        assert "v2 of hello is deployed nowhere; deployed are v1. Deploy it, then ask again." in said
        assert (folder / name / "releases" / "index.toml").read_text() == index
        assert await crm.journeys("migrations") == (0, "migration state runs journey to by")


async def test_runs_move_after_a_look_and_a_yes_and_move_back(lobby: Lobby) -> None:
    code, said = await lobby.journeys("release", "hello", "--migrate", "--to", "1", typed="n\n")
    assert (code, lobby.played()) == (1, {2: PLAYERS})
    assert f"hello: 6 runs of {lobby.brand} would move to v1 at the next wait of each: 6 from v2, the oldest of" in said
    assert said.endswith("Nothing was moved.")
    code, said = await lobby.journeys("release", "hello", "--migrate", "--to", "1", typed="y\n")
    assert (code, "is done after 6 of 6: 6 runs told to move, 0 were there or ending." in said) == (0, True), said
    await lobby.play({1: PLAYERS})
    code, said = await lobby.journeys("release", "hello", "--migrate", "--to", "1")
    assert (code, said) == (0, f"No run of hello in {lobby.brand} is on another version than v1.")
    code, said = await lobby.journeys("release", "hello", "--migrate", "--yes", "--reason", "Five days will do.")
    assert (code, "hello is v2 already" in said, "6 from v1" in said) == (0, True, True), said
    await lobby.play({2: PLAYERS})
    told = rows(
        lobby.database_url,
        "SELECT detail->>'reason', detail->>'by', count(*) FROM steps "
        "WHERE brand = %s AND outcome = 'told' GROUP BY 1, 2",
        lobby.brand,
    )
    assert sorted(told) == [("Five days will do.", "crm", PLAYERS), ("Release of v1.", "crm", PLAYERS)]


async def test_a_step_that_the_release_does_not_have_moves_nobody(lobby: Lobby) -> None:
    code, said = await lobby.journeys("release", "hello", "--migrate", "--to", "1", "--do", "send:hi", "--yes")
    assert (code, "v1 of hello has no step send:hi." in said) == (1, True), said
    assert lobby.played() == {2: PLAYERS}


async def test_a_migration_goes_on_without_its_window_and_is_paused_resumed_and_cancelled(lobby: Lobby) -> None:
    # So many that none of them is the last while the commands are typed.
    await lobby.enters(*(f"more{number}" for number in range(MANY)))
    async with lobby.running("release", "hello", "--migrate", "--to", "1", "--per-second", "1", "--yes") as process:
        await eventually(lambda: lobby.told() > 1, within=60)
        process.send_signal(signal.SIGINT)
        async with within(60):
            said = " ".join((await process.communicate())[0].decode().split())
    assert process.returncode == 130, said
    found = re.search(r"`journeys migrations pause (\w+)`", said)
    assert found, said
    job = found[1]
    code, said = await lobby.journeys("migrations", "pause", job)
    assert (code, f"Migration {job} is paused after" in said) == (0, True), said
    assert f"{job} paused" in (await lobby.journeys("migrations"))[1]
    code, said = await lobby.journeys("migrations", "resume", job)
    assert (code, f"Migration {job} is running after" in said) == (0, True), said
    code, said = await lobby.journeys("migrations", "cancel", job)
    assert (code, f"Migration {job} is cancelled after" in said) == (0, True), said
    code, said = await lobby.journeys("migrations", "resume", job)
    assert (code, "The migration is cancelled; there is nothing to resume." in said) == (1, True), said
    code, said = await lobby.journeys("migrations", "watch", job)
    assert code == 1, said
    # Those that were told arrive, and the others are where they were.
    told = lobby.told()
    assert 1 < told < PLAYERS + MANY
    await lobby.play({1: told, 2: PLAYERS + MANY - told})


async def test_runs_on_other_versions_end_and_players_still_enter(lobby: Lobby) -> None:
    code, said = await lobby.journeys("release", "hello", "--stop", "--yes")
    assert (code, said.endswith("No run of hello is on another version than v2.")) == (0, True), said
    assert (await lobby.journeys("release", "hello", "--migrate", "--to", "1", "--yes"))[0] == 0
    await lobby.play({1: PLAYERS})
    await lobby.enters("late")
    await lobby.play({1: PLAYERS, 2: 1})
    code, said = await lobby.journeys("release", "hello", "--stop", typed="n\n")
    assert (code, lobby.played()) == (1, {1: PLAYERS, 2: 1})
    assert "hello: 6 runs on other versions than v2 would end" in said
    assert said.endswith("Nothing was ended.")
    code, said = await lobby.journeys("release", "hello", "--stop", typed="y\n")
    assert (code, "after 6 of 6" in said) == (0, True), said
    await lobby.play({2: 1})
    await lobby.enters("later")
    await lobby.play({2: 2})
