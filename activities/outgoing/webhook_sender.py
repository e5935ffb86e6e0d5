"""Tells one receiver of one event: a CloudEvent, signed after Standard Webhooks 1.0, and what its answer means."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import httpx
import orjson
from standardwebhooks import Webhook

from activities.outgoing.egress_guard import AddressRefused, EgressGuard, GuardedTransport
from activities.outgoing.webhook_queue import ClaimedDelivery
from activities.providers.bounded_answer import ask
from activities.providers.webhook import retry_after
from workflows.json_object import JsonObject

#: From the first byte out to the last of the answer, however slowly it comes.
ATTEMPT: Final = timedelta(seconds=15)
#: Requests under way at a time for one subscription, in each process.
SLOTS: Final = 10
CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"

#: What the receiver made of it. `refused` is about this event alone, `failed` about the receiver.
Verdict = Literal["taken", "refused", "failed", "gone"]
#: Refusals that any event would meet: who we are, where we knock, and how often.
_ABOUT_THE_RECEIVER: Final = frozenset({401, 403, 404, 405, 407, 408, 421, 425, 429})


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of telling a receiver of one event."""

    delivery: ClaimedDelivery
    verdict: Verdict
    status: int | None = None
    error: str | None = None
    #: How long the receiver asked to be left alone.
    pause: timedelta = timedelta(0)


def cloud_event(delivery: ClaimedDelivery) -> JsonObject:
    """An event as it travels. `sequence` grows with everything that concerns one player."""
    document: JsonObject = {
        "specversion": "1.0",
        "id": delivery.id,
        "source": f"/brands/{delivery.brand}",
        "type": delivery.type,
        "time": delivery.at.astimezone(UTC),
        "datacontenttype": "application/json",
        "sequence": f"{delivery.seq:020d}",
        "data": delivery.data,
    }
    return document | ({"subject": delivery.player_id} if delivery.player_id else {})


class WebhookSender:
    """Connections to the receiver of one subscription, which nobody else uses or waits for."""

    def __init__(self, guard: EgressGuard, tls: ssl.SSLContext, *, attempt: timedelta = ATTEMPT) -> None:
        limits = httpx.Limits(max_connections=SLOTS, max_keepalive_connections=SLOTS, keepalive_expiry=30)
        inner = httpx.AsyncHTTPTransport(verify=tls, limits=limits, trust_env=False)
        self._guard = guard
        self._http = httpx.AsyncClient(
            transport=GuardedTransport(guard, inner), timeout=attempt.total_seconds(), trust_env=False
        )
        self._attempt = attempt

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        self._guard.close()

    async def send(
        self,
        url: str,
        secrets: Sequence[str],
        delivery: ClaimedDelivery,
        now: datetime,
        *,
        chat: JsonObject | None = None,
    ) -> Attempted:
        """Tell the receiver at `url`; whatever goes wrong is an answer. `now` dates the attempt, not the event.

        `chat` is what a channel of people is told in place of the event.
        """
        content = orjson.dumps(chat or cloud_event(delivery), option=orjson.OPT_UTC_Z).decode()
        moment = now.astimezone(UTC)
        headers = {
            "content-type": CONTENT_TYPE if chat is None else "application/json",
            "user-agent": "player-journeys",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": " ".join(Webhook(one).sign(delivery.id, moment, content) for one in secrets),
        }
        try:
            async with asyncio.timeout(self._attempt.total_seconds()):
                await self._guard.check(url)
                response = await ask(self._http, "POST", url, content=content.encode(), headers=headers)
        except AddressRefused as refused:
            return Attempted(delivery, "failed", error=str(refused))
        except TimeoutError:
            return Attempted(
                delivery, "failed", error=f"It did not answer within {self._attempt.total_seconds():.0f} s."
            )
        except (httpx.HTTPError, OSError, ssl.SSLError) as error:
            what = f"It could not be reached or broke off ({type(error).__name__})."
            return Attempted(delivery, "failed", error=what)
        return _judge(delivery, response, now)


def _judge(delivery: ClaimedDelivery, response: httpx.Response, now: datetime) -> Attempted:
    status = response.status_code
    if response.is_success:
        return Attempted(delivery, "taken", status)
    pause = retry_after(response.headers.get("retry-after"), now) or timedelta(0)
    if status == httpx.codes.GONE:
        return Attempted(delivery, "gone", status, "It answered 410: it is gone.")
    if 300 <= status < 400:
        return Attempted(delivery, "failed", status, f"It redirects ({status}); give its new address.")
    if 400 <= status < 500 and status not in _ABOUT_THE_RECEIVER:
        return Attempted(delivery, "refused", status, f"It refused the event ({status}).")
    return Attempted(delivery, "failed", status, f"It answered {status}.", pause)
