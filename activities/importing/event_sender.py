"""Events to the API, many at a time: batches, retries, a player's own in order.

Players are dealt out to a few lanes, and a lane has one request under way at a time. Sending again is always safe: an
event is kept once by its source and id.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import httpx

from activities.importing.api_client import ApiAway, ApiClient, ApiUnreachable, Stopped, retry_after
from workflows.errors import JourneysError

EVENTS_A_REQUEST = 500
REQUESTS_AT_ONCE = 2
#: How long an API that answered before may be away.
RETRY_FOR = timedelta(minutes=2)
BUSY = 429
MEDIA_TYPE = "application/cloudevents-batch+json"

Mode = Literal["live", "history"]
Status = Literal["accepted", "duplicate", "rejected"]


class ImportStopped(JourneysError):
    """The import could not go on; repeat the same command, what was kept is not counted twice."""


@dataclass(frozen=True)
class EventItem:
    """One event on its way: its bytes, whose it is, and the row of the file it came from."""

    body: bytes
    subject: str
    line: int = 0
    row: Any = None


@dataclass(frozen=True)
class Unreadable:
    """A row that never became an event, and why."""

    line: int
    row: Any
    reason: str


@dataclass(frozen=True)
class Receipt:
    """What the API said about one item."""

    status: Status
    reason: str = ""


#: Batches of the players of one lane; None ends it.
Lane = asyncio.Queue[list[EventItem] | None]


class Events:
    """`POST /v1/events` of one API with one key; waits while it is away and takes no for an answer otherwise."""

    def __init__(self, http: httpx.AsyncClient, url: str, key: str, *, retry_for: timedelta = RETRY_FOR) -> None:
        self._api = ApiClient(http, f"{url.rstrip('/')}/v1/events", key, self._wait_for, retry_for)
        #: Why nothing moves just now, in words; empty while the API takes events.
        self.waiting = ""

    async def post(self, items: Sequence[EventItem], mode: Mode, stop: asyncio.Event | None = None) -> list[Receipt]:
        """Send a batch until the API has taken it; one receipt an item, in their order.

        A batch the API calls too large is halved. An API that asks to wait (429) is waited for as long as it asks,
        however often. When `stop` is set meanwhile, the receipts are of the first items only, or none.

        Raises ImportStopped with a sentence when the API refuses the request as a whole or stays away for longer
        than `retry_for`. The batch may then have been kept.
        """
        body = b"[" + b",".join(item.body for item in items) + b"]"
        try:
            answer = await self._ask(body, mode, stop or asyncio.Event())
        except Stopped:
            return []
        except ApiUnreachable as nobody:
            raise ImportStopped(str(nobody)) from None
        except ApiAway as away:
            raise ImportStopped(
                f"The API at {self._api.url} has been away for {self._api.retry_for.total_seconds():.0f} s "
                f"({away.trouble}); repeat the same command when it is back, what was kept is not counted twice."
            ) from None
        if answer.status_code == 413:
            if len(items) == 1:
                return [Receipt("rejected", "The event is larger than the API takes; make it smaller.")]
            half = len(items) // 2
            first = await self.post(items[:half], mode, stop)
            return first if len(first) < half else [*first, *await self.post(items[half:], mode, stop)]
        if answer.status_code not in {200, 202, 207}:
            raise ImportStopped(_refusal(answer, self._api.url))
        return _receipts(answer, len(items))

    async def _ask(self, body: bytes, mode: Mode, stop: asyncio.Event) -> httpx.Response:
        headers = {"Content-Type": MEDIA_TYPE}
        while True:
            answer = await self._api.request(
                "POST", stop=stop, params={"mode": mode}, content=body, headers=headers, timeout=60
            )
            if answer.status_code != BUSY:
                return answer
            # It is there and has much to do, which may last and is no reason to give up.
            pause = retry_after(answer) or 1.0
            self._wait_for(f"it asks to wait {pause:.0f} s")
            await self._api.wait(pause, stop)

    def _wait_for(self, trouble: str) -> None:
        self.waiting = trouble and f"waiting for the API, {trouble}"


async def feed(
    items: Iterable[EventItem | Unreadable],
    events: Events,
    mode: Mode,
    done: Callable[[EventItem | Unreadable, Receipt], None],
    *,
    stop: asyncio.Event | None = None,
    batch: int = EVENTS_A_REQUEST,
    lanes: int = REQUESTS_AT_ONCE,
) -> None:
    """Send all items, a player's own in order, and report each to `done` as soon as its fate is known.

    When `stop` is set nothing more is read or sent; requests under way are awaited, one that the API asked to
    repeat later is not.
    """
    stop = stop or asyncio.Event()
    queues: list[Lane] = [asyncio.Queue(1) for _ in range(lanes)]

    async def run(lane: Lane) -> None:
        while (items := await lane.get()) is not None:
            # Of what a stop kept from being sent nothing is known.
            for item, receipt in zip(items, await events.post(items, mode, stop), strict=False):
                done(item, receipt)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_deal(items, queues, done, stop, batch))
            for lane in queues:
                group.create_task(run(lane))
    except ExceptionGroup as several:
        # Lanes fail together when the API goes; one sentence is enough.
        raise several.exceptions[0] from None


async def _deal(
    items: Iterable[EventItem | Unreadable],
    queues: Sequence[Lane],
    done: Callable[[EventItem | Unreadable, Receipt], None],
    stop: asyncio.Event,
    batch: int,
) -> None:
    waiting: list[list[EventItem]] = [[] for _ in queues]
    for item in items:
        if stop.is_set():
            break
        if isinstance(item, Unreadable):
            done(item, Receipt("rejected", item.reason))
            continue
        lane = zlib.crc32(item.subject.encode()) % len(queues)
        waiting[lane].append(item)
        if len(waiting[lane]) >= batch:
            await queues[lane].put(waiting[lane])
            waiting[lane] = []
            await asyncio.sleep(0)
    for queue, left in zip(queues, waiting, strict=True):
        if left and not stop.is_set():
            await queue.put(left)
        await queue.put(None)


def _receipts(answer: httpx.Response, count: int) -> list[Receipt]:
    results = answer.json()["results"]
    receipts = [
        Receipt(one["status"], " ".join(f"{e.get('pointer', '')} {e['detail']}".strip() for e in one.get("errors", ())))
        for one in results
    ]
    if len(receipts) != count:
        raise ImportStopped(f"The API told the fate of {len(receipts)} events where {count} were sent; report this.")
    return receipts


def _refusal(answer: httpx.Response, url: str) -> str:
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:200]
    match answer.status_code:
        case 401:
            return f"The API does not know this key: {detail} Make one with `journeys keys create`."
        case 403:
            return f"The key may not send events: {detail} Make one with the scope events:write."
        case 404:
            return f"There is no journeys API at {url}; name its address with --url."
        case status:
            return f"The API refused the batch ({status}): {detail}"
