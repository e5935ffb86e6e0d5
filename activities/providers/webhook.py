"""SMS, push and whatever else goes through a gateway that takes signed webhooks."""

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from urllib.parse import urlsplit

import httpx
import orjson
from standardwebhooks import Webhook

from activities.providers.adapter import ChannelUnavailable, Delivered, OutgoingMessage, Rejected
from activities.providers.bounded_answer import ask

LONGEST_PAUSE = timedelta(hours=1)
"""A Retry-After beyond this is not believed."""

_TRY_AGAIN: Mapping[int, str] = MappingProxyType({408: "timed out", 425: "asked to wait", 429: "is throttling"})


class WebhookAdapter:
    """SMS or push through a gateway that takes webhooks signed after Standard Webhooks 1.0.

    `secret` is `whsec_` and base64; two of them separated by a space sign side by side, for a change of secrets.
    The body is the same on every attempt; `webhook-timestamp` is the attempt's, so a late retry is not too old.
    """

    keeps_keys = True

    def __init__(
        self, url: str, secret: str, client: httpx.AsyncClient, *, timeout: timedelta = timedelta(seconds=20)
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError("A gateway's address must look like https://host/path; correct the webhook's URL.")
        if not secret.strip():
            raise ValueError("A gateway needs a secret to know us by; give it whsec_ and base64.")
        self._url = url
        self._signers = [Webhook(one) for one in secret.split()]
        self._client = client
        self._timeout = timeout

    async def deliver(self, message: OutgoingMessage, now: datetime) -> Delivered | Rejected:
        """Post the message to the gateway; see `Adapter.deliver`. A redirect is not followed: nobody signed for it."""
        content = json.dumps(_payload(message), ensure_ascii=False, separators=(",", ":"))
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                response = await ask(
                    self._client,
                    "POST",
                    self._url,
                    content=content.encode(),
                    headers=self._headers(message.key, content, now),
                    timeout=self._timeout.total_seconds(),
                )
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            began = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            what = f"could not be reached or broke off ({type(error).__name__})"
            raise self._unavailable(message, what, may_have_arrived=began) from None
        status = response.status_code
        if response.is_success:
            return Delivered(_reference(response) or message.key)
        if status == 410:
            return Rejected("endpoint_gone", "410")
        if 400 <= status < 500 and status not in _TRY_AGAIN:
            return Rejected("refused", str(status))
        what = _TRY_AGAIN.get(status, "failed" if status >= 500 else "answered in a way nobody agreed on")
        pause = retry_after(response.headers.get("retry-after"), now)
        raise self._unavailable(
            message, f"{what} ({status})", pause, may_have_arrived=status not in (425, 429), answered=status < 500
        )

    def _headers(self, key: str, content: str, now: datetime) -> dict[str, str]:
        # The library takes the clock's figures as UTC whatever their zone.
        moment = now.astimezone(UTC)
        return {
            "content-type": "application/json",
            "webhook-id": key,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": " ".join(signer.sign(key, moment, content) for signer in self._signers),
        }

    def _unavailable(
        self,
        message: OutgoingMessage,
        what: str,
        pause: timedelta | None = None,
        *,
        may_have_arrived: bool,
        answered: bool = False,
    ) -> ChannelUnavailable:
        text = f"The {message.channel} gateway {what}; try again."
        return ChannelUnavailable(text, pause, may_have_arrived=may_have_arrived, answered=answered)


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After header asks for, in seconds or as a date, never more than `LONGEST_PAUSE`."""
    if header is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", seconds := header.strip()):
        return min(timedelta(seconds=int(seconds)), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    if moment.utcoffset() is None:
        return None
    return min(max(moment - now, timedelta(0)), LONGEST_PAUSE)


def _payload(message: OutgoingMessage) -> dict[str, object]:
    data = {
        "brand": message.brand,
        "to": message.to,
        "title": message.title or None,
        "body": message.body,
        "language": message.language,
        "class": message.message_class,
    }
    return {
        "type": f"message.{message.channel}",
        "data": {name: value for name, value in data.items() if value is not None},
    }


def _reference(response: httpx.Response) -> str | None:
    try:
        answer = orjson.loads(response.content)
    except ValueError:
        return None
    reference = answer.get("id") if isinstance(answer, dict) else None
    return reference if isinstance(reference, str) and 0 < len(reference) <= 200 else None
