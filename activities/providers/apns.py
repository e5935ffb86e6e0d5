"""Push by Apple's own service (APNs): `POST /3/device/{token}` over HTTP/2, under a token that we sign.

A message is told by `apns-id`, made of its key and the device, and collapses with its own repetition on a device. Apple
promises to drop none, so what is in doubt is not repeated. What Apple refuses with a reason it has not taken, whatever
the status.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import httpx
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from activities.providers.adapter import Delivered, OutgoingMessage, Rejected
from activities.providers.bounded_answer import ask
from activities.providers.device_push import DeviceAnswer, judge
from activities.providers.webhook import retry_after

#: Apple takes a token for an hour, and a new one at most every 20 minutes.
RENEWED_AFTER, OLD_ENOUGH = timedelta(minutes=40), timedelta(minutes=20)
#: For how long a connection that nothing travels over is kept: Apple takes quick coming and going for an attack.
KEPT_OPEN: Final = timedelta(minutes=1)
_NAMES: Final = UUID("6b3b6a0e-5f0c-5d0f-9a53-0d2c1e7a4f21")
_DEAD: Final = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "ExpiredToken", "Unregistered"})
#: Refusals with 400 that no message is to blame for: our topic, and a connection that was idle.
_NOT_THE_MESSAGE: Final = frozenset({"BadTopic", "IdleTimeout", "MissingTopic", "TopicDisallowed"})
_NOT_ITS_STATUS: Final = frozenset({401, 403, 404, 405, 408, 429})


class ProviderToken:
    """What we show Apple for who we are. Raises ValueError for a key that is none."""

    def __init__(self, key: str, key_id: str, team_id: str) -> None:
        self._key = _signing_key(key)
        self._header = {"alg": "ES256", "kid": key_id}
        self._team_id = team_id
        self._signed: tuple[str, datetime] | None = None

    def at(self, now: datetime) -> str:
        """The token, signed anew when it is forty minutes old."""
        if self._signed is None or now - self._signed[1] >= RENEWED_AFTER:
            claims = {"iss": self._team_id, "iat": int(now.timestamp())}
            self._signed = (jwt.encode(self._header, claims, self._key), now)
        return self._signed[0]

    def refuse(self, now: datetime) -> None:
        """Sign anew next time, where that would not be too often: a clock that is wrong makes no token better."""
        if self._signed is not None and now - self._signed[1] >= OLD_ENOUGH:
            self._signed = None


def _signing_key(key: str) -> ECKey:
    read: ECKey | None = None
    with suppress(ValueError, TypeError, JoseError):
        read = ECKey.import_key(key)
    if read is None or read.curve_name != "P-256" or not read.is_private:
        raise ValueError("APNS_KEY is no signing key; give it what is in the .p8 file that Apple's console makes.")
    return read


class ApnsAdapter:
    """Push to the devices of one app, `topic`. `client` must speak HTTP/2.

    The trap: with the topic of another app, or at the sandbox with tokens of the shop's app, Apple calls every device
    dead that is tried, and it is taken from its player until the app registers it again.
    """

    keeps_keys = False

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        *,
        key: str,
        key_id: str,
        team_id: str,
        topic: str,
        timeout: timedelta = timedelta(seconds=20),
    ) -> None:
        given = {"APNS_KEY": key, "APNS_KEY_ID": key_id, "APNS_TEAM_ID": team_id, "APNS_TOPIC": topic}
        if missing := [name for name, value in given.items() if not value.strip()]:
            raise ValueError(f"Apple's push service needs {', '.join(given)}; set {', '.join(missing)} too.")
        if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("Apple's push service is at an address like https://api.push.apple.com; correct APNS_URL.")
        self._token = ProviderToken(key, key_id.strip(), team_id.strip())
        self._url = url.rstrip("/")
        self._client = client
        self._topic = topic.strip()
        self._timeout = timeout

    async def deliver(self, message: OutgoingMessage, now: datetime) -> Delivered | Rejected:
        """Hand a message to every device of the player; see `Adapter.deliver`."""
        tokens = message.to.split()
        return judge(message, tokens, await self.send_each(message, tokens, now))

    async def send_each(self, message: OutgoingMessage, tokens: Sequence[str], now: datetime) -> list[DeviceAnswer]:
        """What became of a message on each device; see `DeviceService.send_each`."""
        return list(await asyncio.gather(*(self._send(message, token, now) for token in tokens)))

    async def _send(self, message: OutgoingMessage, token: str, now: datetime) -> DeviceAnswer:
        headers = _headers(message, token, now) | {
            "authorization": f"bearer {self._token.at(now)}",
            "apns-topic": self._topic,
        }
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                response = await ask(
                    self._client,
                    "POST",
                    f"{self._url}/3/device/{token}",
                    json=_payload(message),
                    headers=headers,
                    timeout=self._timeout.total_seconds(),
                )
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            began = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            says = f"Apple's push service could not be reached or broke off ({type(error).__name__}); try again."
            return DeviceAnswer("away", may_have_arrived=began, says=says)
        answer = _read(response)
        if answer.get("reason") == "ExpiredProviderToken":
            self._token.refuse(now)
        return _told(response, answer, now)


def _headers(message: OutgoingMessage, token: str, now: datetime) -> dict[str, str]:
    headers = {
        "apns-id": str(uuid5(_NAMES, f"{message.key}\n{token}")),
        "apns-collapse-id": str(uuid5(_NAMES, message.key)),
        "apns-push-type": "alert",
    }
    if message.good_until is not None:
        # 0 is at once or never.
        ends = int(message.good_until.timestamp())
        headers["apns-expiration"] = str(ends if ends > now.timestamp() else 0)
    return headers


def _payload(message: OutgoingMessage) -> dict[str, Any]:
    return {
        "aps": {"alert": {"title": message.title, "body": message.body}},
        # By which the app tells what became of it.
        "key": message.key,
        "language": message.language,
        "class": message.message_class,
    }


def _told(response: httpx.Response, answer: Mapping[str, Any], now: datetime) -> DeviceAnswer:
    status, reason = response.status_code, str(answer.get("reason") or "")
    if response.is_success:
        return DeviceAnswer("taken", status, response.headers.get("apns-id", ""))
    if status == 410 or reason in _DEAD:
        at = answer.get("timestamp")
        since = datetime.fromtimestamp(at / 1000, UTC) if isinstance(at, int) and 0 < at < 2**43 else None
        return DeviceAnswer("dead", status, since=since)
    if 400 <= status < 500 and status not in _NOT_ITS_STATUS and reason not in _NOT_THE_MESSAGE:
        return DeviceAnswer("refused", status)
    pause = retry_after(response.headers.get("retry-after"), now)
    # Without a reason it was not Apple who answered, but something on the way.
    in_doubt = status >= 500 and not reason
    said = f" {reason}" if reason.isalpha() else ""
    says = f"Apple's push service answered {status}{said}; try again."
    return DeviceAnswer("away", status, pause=pause, may_have_arrived=in_doubt, says=says)


def _read(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = orjson.loads(response.content)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
