"""Push to an iPhone over Apple's own service beside one to an Android over Firebase's, as the worker sends it."""

import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from activities.tables import messages, players
from local import stand_in_processes as services
from local.ports import free_port
from local.stand_ins.base import Record, read_journal
from tests.support.engine import Effects, done, effects, rows
from tests.support.servers import running
from workflows import DeviceRegistered, hours
from workflows.effects import Send, SendResult
from workflows.player_state.devices import devices_of

#: A template of the shipped ones that speaks on push, and may go at any hour.
WORD = "deposit-help"
TOPIC = "com.example.casino"


@pytest.fixture(scope="module")
async def parts(module_postgres_url: str, session_folder: Path) -> AsyncIterator[Effects]:
    apples, firebases = free_port(), free_port()
    signs = ECKey.generate_key("P-256")
    sender = {"key": signs.as_pem(private=False).decode(), "key_id": "ABC", "team_id": "DEF", "topic": TOPIC}
    url = f"http://127.0.0.1:{firebases}"
    key = RSAKey.generate_key(2048).as_pem(private=True).decode()
    account = json.dumps({"client_email": "crm@casino.example", "token_uri": f"{url}/token", "private_key": key})
    apple = services.apple_push(apples, session_folder / "apple.jsonl", json.dumps(sender))
    firebase = services.push_service(firebases, session_folder / "firebase.jsonl", account)
    async with (
        running(apple, session_folder),
        running(firebase, session_folder),
        effects(
            module_postgres_url,
            push_api_url=f"{url}/v1/projects/casino/messages:send",
            push_api_account=account,
            apns_url=f"http://127.0.0.1:{apples}",
            apns_key=signs.as_pem(private=True).decode(),
            apns_key_id="ABC",
            apns_team_id="DEF",
            apns_topic=TOPIC,
        ) as built,
    ):
        yield built


@pytest.fixture
def apple(parts: Effects, session_folder: Path) -> "Apple":
    return Apple(parts.messages.settings.apns_url, session_folder / "apple.jsonl")


class Apple:
    """Apple's service and what it was given."""

    def __init__(self, url: str, journal: Path) -> None:
        self.url = url
        self.journal = journal

    async def uninstalls(self, token: str, at: datetime) -> None:
        since = int(at.timestamp() * 1000)
        async with httpx.AsyncClient(http1=False, http2=True) as http:
            (await http.delete(f"{self.url}/devices/{token}?since={since}")).raise_for_status()

    def told(self, token: str) -> list[Record]:
        """What it was asked to send to a token, refused or not."""
        return [one for one in read_journal(self.journal) if token in (one.get("token"), one.get("refused"))]


async def player_with(parts: Effects, name: str, *tokens: str) -> str:
    """A player with these devices, who is in a journey."""
    player = parts.casino.player(name)
    await parts.casino.registers(player)
    for token in tokens:
        await parts.casino.happens(player, DeviceRegistered, token=token)
    return player


async def pushed(parts: Effects, player: str, number: int = 1) -> SendResult:
    run = await parts.enters(player, entry=number)
    asked = parts.given(Send, run, f"send:{WORD}#{number}", template=WORD, via=["push"])
    return done(await parts.messages.send(asked))


async def tokens_of(parts: Effects, player: str) -> list[str]:
    (row,) = await rows(parts.database, players, id=player)
    return devices_of(row["profile"])


async def test_each_device_is_told_by_the_service_that_its_token_is_of(
    parts: Effects, apple: Apple, session_folder: Path
) -> None:
    phone, android = "a1" * 32, "fMEp8rT3R0a:APA91bH-one"
    player = await player_with(parts, "both", phone, android)
    assert (await pushed(parts, player)).sent == ["push"]
    (record,) = apple.told(phone)
    (row,) = await rows(parts.database, messages, player_id=player)
    assert (record["payload"]["key"], record["payload"]["aps"]["alert"]["body"]) == (row["id"], row["body"])
    assert [one["token"] for one in read_journal(session_folder / "firebase.jsonl")] == [android]


async def test_a_phone_without_the_app_is_taken_away_and_stays_so_until_it_registers_again(
    parts: Effects, apple: Apple
) -> None:
    phone = "b2" * 32
    player = await player_with(parts, "leaver", phone)
    await apple.uninstalls(phone, parts.casino.clock())
    assert (await pushed(parts, player)).suppressed == {"push": "devices_gone"}
    assert await tokens_of(parts, player) == []
    assert (await pushed(parts, player, 2)).suppressed == {"push": "no_address"}
    assert len(apple.told(phone)) == 1
    parts.casino.clock.later(hours(1))
    await parts.casino.happens(player, DeviceRegistered, token=phone)
    # What Apple says is as of a moment before that: it takes nothing away that was told since.
    assert (await pushed(parts, player, 3)).suppressed == {"push": "devices_gone"}
    assert await tokens_of(parts, player) == [phone]


async def test_apple_is_told_until_when_a_message_is_good(parts: Effects, apple: Apple) -> None:
    phone = "c3" * 32
    player = await player_with(parts, "timely", phone)
    run = await parts.enters(player)
    by = parts.casino.clock() + hours(2)
    asked = parts.given(Send, run, f"send:{WORD}#1", template=WORD, via=["push"], by=by)
    begun = time.time()
    assert done(await parts.messages.send(asked)).sent == ["push"]
    (record,) = apple.told(phone)
    ends, taken = int(record["headers"]["apns-expiration"]), datetime.fromisoformat(record["at"]).timestamp()
    # By the wall's clock, which is Apple's, though ours stands still.
    assert int(begun) + 7_200 <= ends <= taken + 7_200
