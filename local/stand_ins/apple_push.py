"""Apple's push service (APNs) for development and tests: HTTP/2 without TLS, refusals as Apple documents them.

    python -m local.stand_ins.apple_push --port 7506 --journal apple.jsonl

`POST /3/device/{token}` takes a message. `DELETE /devices/{token}` is what a player does who removes the app: from then
on the token is `Unregistered`, as of that moment, or of `?since=` in milliseconds. What it knows its sender by comes
from APPLE_SENDER, as JSON, so that it does not show in the list of processes.

Unlike Apple's it lets as many requests run side by side as come before the first that is authenticated.
"""

import asyncio
import json
import os
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

import typer
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from local.stand_ins.base import Journal

#: Bytes of a message; more is refused.
LARGEST: Final = 4_096
#: Seconds for which a sender's token is good, and how soon after one another may come.
GOOD_FOR, RENEWED_AFTER = 3_600, 1_200
_TOKEN: Final = re.compile(r"([0-9a-fA-F]{2}){32,100}\Z")
_PUSH_TYPES: Final = frozenset({"alert", "background", "location", "voip", "complication", "fileprovider", "mdm"})
_SENT: Final = ("apns-topic", "apns-push-type", "apns-id", "apns-collapse-id", "apns-expiration", "apns-priority")


class Refused(Exception):
    """A refusal with one of Apple's reasons."""

    def __init__(self, status: int, reason: str, **more: int) -> None:
        super().__init__(reason)
        self.status = status
        self.answer: dict[str, Any] = {"reason": reason, **more}


@dataclass(frozen=True)
class Sender:
    """Who may send: the public key, in PEM, its id, the team's, and the topic."""

    key: str
    key_id: str
    team_id: str
    topic: str


@dataclass
class AppleAnswer:
    """What goes back; `headers` beside the status."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class ApplePush:
    """The service: one sender may send, to every token that was not removed and is no other app's."""

    sender: Sender
    journal: Journal
    clock: Callable[[], float] = time.time
    #: Tokens that lead nowhere any more, and since when, in milliseconds.
    removed: dict[str, int] = field(default_factory=dict)
    #: Tokens of other apps.
    foreign: set[str] = field(default_factory=set)
    #: What it does with the next requests instead: a status and a reason, or None to hang up.
    script: deque[tuple[int, str] | None] = field(default_factory=deque)

    def answer(self, headers: dict[str, str], body: bytes, shown: dict[str, int]) -> AppleAnswer | None:
        """What a request comes to; None hangs up. `shown` has the tokens of its connection and their times."""
        method, path = headers[":method"], headers[":path"]
        if path == "/livez":
            return AppleAnswer(200)
        if method == "DELETE" and path.startswith("/devices/"):
            token, _, since = path.removeprefix("/devices/").partition("?since=")
            self.removed[token] = int(since or self.clock() * 1000)
            return AppleAnswer(200)
        told = {"apns-id": headers.get("apns-id") or str(uuid4()).upper()}
        try:
            if self._hangs_up():
                return None
            self._take(method, path, headers, body, shown)
        except Refused as refused:
            self.journal.append({"refused": path.rpartition("/")[2], **refused.answer})
            return AppleAnswer(refused.status, told, json.dumps(refused.answer).encode())
        return AppleAnswer(200, told)

    def _hangs_up(self) -> bool:
        """Whether the script says so; raises what else it says."""
        if not self.script:
            return False
        if (said := self.script.popleft()) is not None:
            raise Refused(*said)
        return True

    def _take(self, method: str, path: str, headers: dict[str, str], body: bytes, shown: dict[str, int]) -> None:
        if method != "POST":
            raise Refused(405, "MethodNotAllowed")
        if not path.startswith("/3/device/"):
            raise Refused(404, "BadPath")
        self._let_in(headers.get("authorization", ""), shown)
        _check_headers(headers, self.sender.topic)
        if not body:
            raise Refused(400, "PayloadEmpty")
        if len(body) > LARGEST:
            raise Refused(413, "PayloadTooLarge")
        token = path.removeprefix("/3/device/")
        if not _TOKEN.match(token):
            raise Refused(400, "BadDeviceToken")
        if token in self.foreign:
            raise Refused(400, "DeviceTokenNotForTopic")
        if (since := self.removed.get(token)) is not None:
            raise Refused(410, "Unregistered", timestamp=since)
        sent = {name: headers[name] for name in _SENT if name in headers}
        self.journal.append({"token": token, "headers": sent, "payload": json.loads(body)})

    def _let_in(self, authorization: str, shown: dict[str, int]) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(403, "MissingProviderToken")
        try:
            read = jwt.decode(token, ECKey.import_key(self.sender.key), algorithms=["ES256"])
        except (JoseError, ValueError):
            raise Refused(403, "InvalidProviderToken") from None
        issued = read.claims.get("iat")
        known = (read.header.get("kid"), read.claims.get("iss")) == (self.sender.key_id, self.sender.team_id)
        if not known or not isinstance(issued, int):
            raise Refused(403, "InvalidProviderToken")
        if abs(self.clock() - issued) > GOOD_FOR:
            raise Refused(403, "ExpiredProviderToken")
        if token not in shown and shown and issued - max(shown.values()) < RENEWED_AFTER:
            raise Refused(429, "TooManyProviderTokenUpdates")
        shown[token] = issued


def _check_headers(headers: dict[str, str], topic: str) -> None:
    if "apns-topic" not in headers:
        raise Refused(400, "MissingTopic")
    if headers["apns-topic"] != topic:
        raise Refused(400, "TopicDisallowed")
    if headers.get("apns-push-type", "alert") not in _PUSH_TYPES:
        raise Refused(400, "InvalidPushType")
    if len(headers.get("apns-collapse-id", "").encode()) > 64:
        raise Refused(400, "BadCollapseId")
    if not headers.get("apns-expiration", "0").isdecimal():
        raise Refused(400, "BadExpirationDate")
    try:
        UUID(headers.get("apns-id", str(uuid4())))
    except ValueError:
        raise Refused(400, "BadMessageId") from None


class _Connection(asyncio.Protocol):
    """One connection: frames in, answers out. Whoever does not speak HTTP/2 is hung up on."""

    def __init__(self, service: ApplePush) -> None:
        self._service = service
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._asked: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._shown: dict[str, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._h2.initiate_connection()
        self._transport.write(self._h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Read frames and answer the requests that are whole."""
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:
            self._transport.close()
            return
        for event in events:
            match event:
                case RequestReceived(stream_id=int(stream), headers=headers):
                    self._asked[stream] = ({str(name): str(value) for name, value in headers or ()}, bytearray())
                case DataReceived(stream_id=int(stream)) if stream in self._asked:
                    self._asked[stream][1].extend(event.data or b"")
                    self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                case StreamEnded(stream_id=int(stream)) if stream in self._asked:
                    self._reply(stream, *self._asked.pop(stream))
                case StreamReset(stream_id=int(stream)):
                    self._asked.pop(stream, None)
                case ConnectionTerminated():
                    self._transport.close()
        self._transport.write(self._h2.data_to_send())

    def _reply(self, stream: int, headers: dict[str, str], body: bytearray) -> None:
        answer = self._service.answer(headers, bytes(body), self._shown)
        if answer is None:
            self._transport.abort()
            return
        told = [(":status", str(answer.status)), *answer.headers.items()]
        self._h2.send_headers(stream, told, end_stream=not answer.body)
        if answer.body:
            self._h2.send_data(stream, answer.body, end_stream=True)


@asynccontextmanager
async def serving(service: ApplePush, port: int = 0) -> AsyncIterator[str]:
    """The service on 127.0.0.1 for as long as the block lasts, and its address."""
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(service), "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _serve(service: ApplePush, port: int) -> None:
    async with serving(service, port):
        await asyncio.Event().wait()


def main(port: Annotated[int, typer.Option()], journal: Annotated[Path, typer.Option()]) -> None:
    """Serve it on 127.0.0.1."""
    sender = Sender(**json.loads(os.environ["APPLE_SENDER"]))
    asyncio.run(_serve(ApplePush(sender, Journal(journal)), port))


if __name__ == "__main__":
    typer.run(main)
