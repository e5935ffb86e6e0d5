"""Push to devices: every one of a player's is tried, a dead one is never tried again, and a new one is."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import RSAKey

from activities.tables import messages, players
from local import stand_in_processes as services
from local.ports import free_port
from local.stand_ins.base import read_journal
from tests.support.engine import Effects, done, effects, rows
from tests.support.servers import running
from workflows import DeviceRegistered, DeviceRemoved, hours
from workflows.effects import Send, SendResult
from workflows.player_state.devices import DEVICE

#: A template of the shipped ones that speaks on push, and may go at any hour.
WORD = "deposit-help"


@dataclass(frozen=True)
class Service:
    """The push service and what it was given."""

    url: str
    journal: Path

    async def uninstalls(self, token: str) -> None:
        async with httpx.AsyncClient() as http:
            (await http.delete(f"{self.url}/devices/{token}")).raise_for_status()

    def tried(self) -> list[str]:
        """The tokens that messages were asked for, taken or not."""
        return [one.get("token") or one["refused"] for one in read_journal(self.journal)]


@pytest.fixture(scope="module")
async def given(session_folder: Path) -> AsyncIterator[tuple[Service, str]]:
    port, journal = free_port(), session_folder / "push-service.jsonl"
    url = f"http://127.0.0.1:{port}"
    key = RSAKey.generate_key(2048).as_pem(private=True).decode()
    account = json.dumps({"client_email": "crm@casino.example", "token_uri": f"{url}/token", "private_key": key})
    async with running(services.push_service(port, journal, account), session_folder):
        yield Service(url, journal), account


@pytest.fixture(scope="module")
async def parts(module_postgres_url: str, given: tuple[Service, str]) -> AsyncIterator[Effects]:
    service, account = given
    url = f"{service.url}/v1/projects/casino/messages:send"
    async with effects(module_postgres_url, push_api_url=url, push_api_account=account) as built:
        yield built


@pytest.fixture
def service(given: tuple[Service, str]) -> Service:
    return given[0]


async def player_with(parts: Effects, *tokens: str) -> str:
    """A player with these devices, who is in a journey."""
    player = parts.casino.player(tokens[0] if tokens else "nobody")
    await parts.casino.registers(player)
    for token in tokens:
        await parts.casino.happens(player, DeviceRegistered, token=token)
    return player


async def pushed(parts: Effects, player: str, number: int = 1) -> SendResult:
    run = await parts.enters(player, entry=number)
    asked = parts.given(Send, run, f"send:{WORD}#{number}", template=WORD, via=["push"])
    return done(await parts.messages.send(asked))


async def test_a_message_goes_to_every_device_and_a_dead_one_is_not_tried_again(
    parts: Effects, service: Service
) -> None:
    player = await player_with(parts, "phone-1", "tablet-1")
    await service.uninstalls("phone-1")
    assert (await pushed(parts, player)).sent == ["push"]
    parts.casino.clock.later(hours(1))
    assert (await pushed(parts, player, 2)).sent == ["push"]
    assert [sorted(one for one in service.tried() if one.endswith("-1"))] == [["phone-1", "tablet-1", "tablet-1"]]


async def test_with_its_last_device_push_is_out_of_reach_until_there_is_a_new_one(
    parts: Effects, service: Service
) -> None:
    player = await player_with(parts, "phone-2")
    await service.uninstalls("phone-2")
    assert (await pushed(parts, player)).suppressed == {"push": "devices_gone"}
    (row,) = await rows(parts.database, messages, player_id=player)
    assert (row["status"], row["reason"]) == ("failed", "devices_gone")
    assert (await pushed(parts, player, 2)).suppressed == {"push": "no_address"}
    assert service.tried().count("phone-2") == 1
    parts.casino.clock.later(hours(1))
    await parts.casino.happens(player, DeviceRegistered, token="phone-2-again")
    assert (await pushed(parts, player, 3)).sent == ["push"]


async def test_who_has_no_device_is_not_reached_by_push(parts: Effects) -> None:
    player = await player_with(parts)
    assert (await pushed(parts, player)).suppressed == {"push": "no_address"}


async def test_who_logs_out_gets_nothing_there(parts: Effects, service: Service) -> None:
    player = await player_with(parts, "phone-3")
    parts.casino.clock.later(hours(1))
    await parts.casino.happens(player, DeviceRemoved, token="phone-3")
    assert (await pushed(parts, player)).suppressed == {"push": "no_address"}
    assert "phone-3" not in service.tried()


async def test_of_devices_that_are_gone_no_name_is_left(parts: Effects) -> None:
    player = await player_with(parts, "phone-4", "phone-5", "phone-6")
    parts.casino.clock.later(hours(1))
    for token in ("phone-4", "phone-6"):
        await parts.casino.happens(player, DeviceRemoved, token=token)
    (row,) = await rows(parts.database, players, id=player)
    assert [token for name, token in row["profile"].items() if name.startswith(DEVICE)] == ["phone-5"]
    assert row["profile"]["email"] == f"{player}@synthetic.example"
