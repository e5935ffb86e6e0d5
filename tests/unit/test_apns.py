"""Push by Apple's own service, against a server that speaks HTTP/2 and refuses as Apple documents it."""

import json
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from activities.channel_adapters import channel_adapters
from activities.providers.adapter import ChannelUnavailable, DeadDevice, Delivered, OutgoingMessage, Rejected
from activities.providers.apns import ApnsAdapter, ProviderToken
from activities.providers.device_push import DevicePush
from activities.providers.push_api import PushApiAdapter
from activities.settings import Settings
from activities.ways_out import WaysOut
from local.stand_ins.apple_push import ApplePush, Sender, serving
from local.stand_ins.base import Journal
from tests.support.loopback_server import answer, scripted
from workflows.errors import DesignError

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
KEY = "welcome:demo:p-1:1/send:welcome#1/push"
EC = ECKey.generate_key("P-256")
SIGNS = EC.as_pem(private=True).decode()
TOPIC = "com.example.casino"
APNS = {"apns_key": SIGNS, "apns_key_id": "ABC123DEFG", "apns_team_id": "DEF123GHIJ", "apns_topic": TOPIC}
PHONE, TABLET = "a1" * 32, "b2" * 32


class Apple(ApplePush):
    """The stand-in, at a time of its own, and where it is."""

    now = NOW
    url = ""

    def tell_time(self) -> float:
        return self.now.timestamp()


@pytest.fixture
async def apple(tmp_path: Path) -> AsyncIterator[Apple]:
    sender = Sender(EC.as_pem(private=False).decode(), "ABC123DEFG", "DEF123GHIJ", TOPIC)
    service = Apple(sender, Journal(tmp_path / "apple.jsonl"))
    service.clock = service.tell_time
    with closing(service.journal):
        async with serving(service) as service.url:
            yield service


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        yield client


def adapter(apple: Apple, http: httpx.AsyncClient, topic: str = TOPIC) -> ApnsAdapter:
    return ApnsAdapter(apple.url, http, key=SIGNS, key_id="ABC123DEFG", team_id="DEF123GHIJ", topic=topic)


def a_push(
    *tokens: str, key: str = KEY, body: str = "Рахунок чекає.", until: datetime | None = None
) -> OutgoingMessage:
    return OutgoingMessage(
        key=key,
        brand="demo",
        brand_name="Northlight",
        channel="push",
        message_class="service",
        to="\n".join(tokens),
        title="Вітаємо",
        body=body,
        language="uk",
        good_until=until,
    )


async def test_a_push_is_asked_for_as_apple_documents_it(apple: Apple, http: httpx.AsyncClient) -> None:
    taken = await adapter(apple, http).deliver(a_push(PHONE, until=NOW + timedelta(hours=2)), NOW)
    (record,) = apple.journal.records
    assert isinstance(taken, Delivered)
    assert taken.reference == record["headers"]["apns-id"]
    assert record["token"] == PHONE
    assert record["payload"] == {
        "aps": {"alert": {"title": "Вітаємо", "body": "Рахунок чекає."}},
        "key": KEY,
        "language": "uk",
        "class": "service",
    }
    headers = record["headers"]
    assert (headers["apns-topic"], headers["apns-push-type"]) == (TOPIC, "alert")
    assert headers["apns-expiration"] == str(int(NOW.timestamp()) + 7_200)


async def test_apple_keeps_a_message_no_longer_than_until_it_is_too_late(apple: Apple, http: httpx.AsyncClient) -> None:
    phones = adapter(apple, http)
    for until in (None, NOW + timedelta(seconds=1), NOW):
        await phones.deliver(a_push(PHONE, until=until), NOW)
    told = [record["headers"].get("apns-expiration") for record in apple.journal.records]
    assert told == [None, str(int(NOW.timestamp()) + 1), "0"]


async def test_a_repetition_has_the_identity_of_the_first_and_each_device_and_message_its_own(
    apple: Apple, http: httpx.AsyncClient
) -> None:
    phones = adapter(apple, http)
    for message in (a_push(PHONE), a_push(PHONE), a_push(TABLET), a_push(PHONE, key="other")):
        await phones.deliver(message, NOW)
    first, again, tablet, other = (record["headers"] for record in apple.journal.records)
    assert again == first
    assert tablet["apns-collapse-id"] == first["apns-collapse-id"] != other["apns-collapse-id"]
    assert len({one["apns-id"] for one in (first, tablet, other)}) == 3


async def test_messages_travel_side_by_side_over_one_connection(apple: Apple, http: httpx.AsyncClient) -> None:
    many = [f"{number:064x}" for number in range(20)]
    assert isinstance(await adapter(apple, http).deliver(a_push(*many), NOW), Delivered)
    assert sorted(record["token"] for record in apple.journal.records) == many


@pytest.mark.parametrize(
    ("token", "said", "since"),
    [
        (PHONE, None, NOW - timedelta(days=1)),
        ("c3" * 32, None, None),
        ("d4" * 200, None, None),
        (TABLET, (410, "ExpiredToken"), None),
    ],
    ids=["unregistered", "of-another-app", "no-token", "expired"],
)
async def test_a_token_that_apple_calls_dead_is_told_and_since_when(
    apple: Apple, http: httpx.AsyncClient, token: str, said: tuple[int, str] | None, since: datetime | None
) -> None:
    apple.removed[PHONE] = int((NOW - timedelta(days=1)).timestamp() * 1000)
    apple.foreign.add("c3" * 32)
    if said is not None:
        apple.script.append(said)
    came = await adapter(apple, http).deliver(a_push(token), NOW)
    assert isinstance(came, Rejected)
    assert (came.reason, came.dead) == ("devices_gone", (DeadDevice(token, since),))
    assert token not in repr(came)


async def test_one_device_that_takes_it_is_enough_and_a_dead_one_beside_it_is_told(
    apple: Apple, http: httpx.AsyncClient
) -> None:
    apple.removed[PHONE] = int(NOW.timestamp() * 1000)
    came = await adapter(apple, http).deliver(a_push(PHONE, TABLET), NOW)
    assert isinstance(came, Delivered)
    assert came.dead == (DeadDevice(PHONE, NOW),)


@pytest.mark.parametrize(
    ("said", "may_have_arrived", "answered"),
    [
        ((429, "TooManyRequests"), False, True),
        ((429, "TooManyProviderTokenUpdates"), False, True),
        ((403, "ExpiredProviderToken"), False, True),
        ((403, "InvalidProviderToken"), False, True),
        ((400, "TopicDisallowed"), False, True),
        ((400, "IdleTimeout"), False, True),
        ((500, "InternalServerError"), False, False),
        ((503, "ServiceUnavailable"), False, False),
        ((503, "Shutdown"), False, False),
        ((502, ""), True, False),
        (None, True, False),
    ],
)
async def test_what_is_not_the_messages_fault_comes_again_and_kills_no_device(
    apple: Apple,
    http: httpx.AsyncClient,
    said: tuple[int, str] | None,
    *,
    may_have_arrived: bool,
    answered: bool,
) -> None:
    apple.script.append(said)
    phones = adapter(apple, http)
    with pytest.raises(ChannelUnavailable) as away:
        await phones.deliver(a_push(PHONE), NOW)
    assert (away.value.may_have_arrived, away.value.answered) == (may_have_arrived, answered)
    assert PHONE not in str(away.value)
    assert isinstance(await phones.deliver(a_push(PHONE), NOW), Delivered)


async def test_a_service_that_is_not_there_has_taken_nothing(http: httpx.AsyncClient) -> None:
    nowhere = ApnsAdapter("http://127.0.0.1:1", http, key=SIGNS, key_id="K", team_id="T", topic=TOPIC)
    with pytest.raises(ChannelUnavailable) as away:
        await nowhere.deliver(a_push(PHONE), NOW)
    assert not away.value.may_have_arrived


async def test_a_message_that_apple_finds_wrong_is_refused_for_good(apple: Apple, http: httpx.AsyncClient) -> None:
    phones = adapter(apple, http)
    assert await phones.deliver(a_push(PHONE, body="ї" * 4_000), NOW) == Rejected("refused", "413")
    apple.script.append((400, "BadMessageId"))
    assert await phones.deliver(a_push(PHONE), NOW) == Rejected("refused", "400")
    assert await phones.deliver(a_push(), NOW) == Rejected("address_invalid")


async def test_with_the_topic_of_another_app_the_message_waits(apple: Apple, http: httpx.AsyncClient) -> None:
    with pytest.raises(ChannelUnavailable, match="400 TopicDisallowed"):
        await adapter(apple, http, topic="com.example.poker").deliver(a_push(PHONE), NOW)


async def test_what_stands_for_us_is_renewed_before_it_is_an_hour_old_and_never_within_twenty_minutes(
    apple: Apple, http: httpx.AsyncClient
) -> None:
    phones = adapter(apple, http)
    for minute in range(0, 180, 5):
        apple.now = NOW + timedelta(minutes=minute)
        assert isinstance(await phones.deliver(a_push(PHONE), apple.now), Delivered), minute


def test_a_refused_token_is_signed_anew_only_where_that_is_not_too_often() -> None:
    shown = ProviderToken(SIGNS, "ABC123DEFG", "DEF123GHIJ")
    first = shown.at(NOW)
    assert shown.at(NOW + timedelta(minutes=39)) == first
    shown.refuse(NOW + timedelta(minutes=19))
    assert shown.at(NOW + timedelta(minutes=19)) == first
    shown.refuse(NOW + timedelta(minutes=20))
    assert shown.at(NOW + timedelta(minutes=20)) != first


async def test_a_token_that_apple_calls_expired_is_signed_anew(apple: Apple, http: httpx.AsyncClient) -> None:
    phones = adapter(apple, http)
    await phones.deliver(a_push(PHONE), NOW)
    apple.now, later = NOW + timedelta(minutes=65), NOW + timedelta(minutes=25)
    with pytest.raises(ChannelUnavailable, match="ExpiredProviderToken"):
        await phones.deliver(a_push(PHONE), later)
    assert isinstance(await phones.deliver(a_push(PHONE), later), Delivered)


def an_account(url: str) -> str:
    key = RSAKey.generate_key(2048).as_pem(private=True).decode()
    return json.dumps({"client_email": "crm@project.example", "token_uri": f"{url}/token", "private_key": key})


async def test_each_device_is_reached_over_the_service_that_its_token_is_of(
    apple: Apple, http: httpx.AsyncClient
) -> None:
    android = "fMEp8rT3R0a:APA91bH-example"
    let_in, taken = answer(200, {"access_token": "ya29", "expires_in": 3599}), answer(200, {"name": "m-1"})
    async with scripted(let_in, taken) as firebase, httpx.AsyncClient() as other:
        others = PushApiAdapter(f"{firebase.url}/send", an_account(firebase.url), other)
        both = DevicePush(adapter(apple, http), others)
        assert isinstance(await both.deliver(a_push(PHONE, android, TABLET), NOW), Delivered)
        asked = [json.loads(one.body)["message"]["token"] for one in firebase.asked[1:]]
    assert asked == [android]
    assert sorted(record["token"] for record in apple.journal.records) == [PHONE, TABLET]


async def test_where_one_service_is_away_the_others_device_is_enough(apple: Apple, http: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient() as other:
        away = PushApiAdapter("http://127.0.0.1:1/send", an_account("http://127.0.0.1:1"), other)
        both = DevicePush(adapter(apple, http), away)
        assert isinstance(await both.deliver(a_push(PHONE, "android:token"), NOW), Delivered)
        apple.removed[PHONE] = 1
        with pytest.raises(ChannelUnavailable):
            await both.deliver(a_push(PHONE, "android:token"), NOW)


async def test_apple_alone_is_given_no_other_devices(apple: Apple, http: httpx.AsyncClient) -> None:
    alone = DevicePush(adapter(apple, http), None)
    assert await alone.deliver(a_push("android:token"), NOW) == Rejected("address_invalid")
    assert apple.journal.records == []


async def test_settings_choose_apples_service_and_half_of_them_is_told(http: httpx.AsyncClient) -> None:
    def made(**given: str) -> object:
        settings = Settings(database_url="postgresql://x", webhook_secret="whsec_" + "c2VjcmV0" * 4, **given)  # type: ignore[arg-type]
        return channel_adapters(settings, http, http)["push"]

    assert isinstance(made(**APNS), DevicePush)
    for name in APNS:
        with pytest.raises(DesignError, match=f"set {name.upper()} too"):
            made(**APNS | {name: ""})
    wrong: list[RSAKey | ECKey] = [RSAKey.generate_key(2048), ECKey.generate_key("P-384")]
    keys = [one.as_pem(private=True).decode() for one in wrong] + [EC.as_pem(private=False).decode(), "no key"]
    for key in keys:
        with pytest.raises(DesignError, match="APNS_KEY is no signing key"):
            made(**APNS | {"apns_key": key})
    with pytest.raises(DesignError, match="correct APNS_URL"):
        made(**APNS, apns_url="api.push.apple.com")


def test_over_apple_alone_only_its_devices_are_in_reach() -> None:
    firebase = {"push_api_url": "https://fcm.googleapis.com/v1/projects/casino/messages:send"}

    def ways(**given: str) -> WaysOut:
        return WaysOut.of(Settings(database_url="postgresql://x", **given))  # type: ignore[arg-type]

    assert (ways(**APNS).by_device, ways(**APNS).apple_alone) == (True, True)
    assert (ways(**APNS, **firebase).by_device, ways(**APNS, **firebase).apple_alone) == (True, False)
    assert (ways(**firebase).by_device, ways(**firebase).apple_alone) == (True, False)
    assert (ways().by_device, ways().apple_alone) == (False, False)
