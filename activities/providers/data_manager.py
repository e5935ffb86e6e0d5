"""Audiences at an ad network, over an API of the shape of Google's Data Manager (`/v1/audienceMembers:ingest`).

`:ingest` adds people and `:remove` takes them out, 10,000 at most in one request, by SHA-256 of mail address and number
in hexadecimal. One line that it cannot read fails the whole request, and the answer says which. It answers before it
has matched anybody: a request that is taken is in force within a day.
Source: Google, Data Manager API, "Send audience members", "Understand API errors", `google.ads.datamanager.v1`.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import orjson

from activities.audiences import Line
from activities.providers.ad_networks import AdNetworkUnavailable, LinesRefused
from activities.providers.bounded_answer import ask
from activities.providers.service_account import NotLetIn, ServiceAccount

SCOPE: Final = "https://www.googleapis.com/auth/datamanager"
_IDENTIFIERS: Final = ("emailAddress", "phoneNumber")
_LINE: Final = re.compile(r"audience_?members\[(\d{1,5})\]", re.IGNORECASE)


class DataManager:
    """An ad network's audiences. `url` is the API with its version, `account` a service account as JSON.

    An audience is called `ACCOUNT/LIST`: the advertiser's account and the list there.
    """

    def __init__(
        self,
        url: str,
        account: str,
        client: httpx.AsyncClient,
        clock: Callable[[], datetime],
        *,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("Data Manager's API is at an address like https://host/v1; correct DATA_MANAGER_URL.")
        self._url = url.rstrip("/")
        try:
            self._account = ServiceAccount(account, SCOPE, client, timeout)
        except ValueError as error:
            raise ValueError(f"DATA_MANAGER_ACCOUNT is {error}") from None
        self._client = client
        self._clock = clock
        self._timeout = timeout.total_seconds()

    async def add(self, audience: str, lines: Sequence[Line], *, agreed: bool = False) -> None:
        """Add people to an audience; see `AdNetwork.add`. Consent is said of those alone who gave it."""
        more: dict[str, Any] = {"termsOfService": {"customerMatchTermsOfServiceStatus": "ACCEPTED"}}
        if agreed:
            more["consent"] = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
        await self._tell("ingest", audience, lines, more)

    async def remove(self, audience: str, lines: Sequence[Line]) -> None:
        """Take people out of an audience; see `AdNetwork.remove`."""
        await self._tell("remove", audience, lines, {})

    async def _tell(self, verb: str, audience: str, lines: Sequence[Line], more: dict[str, Any]) -> None:
        account, _, listed = audience.partition("/")
        body = {
            "destinations": [
                {
                    "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": account},
                    "productDestinationId": listed,
                }
            ],
            "audienceMembers": [{"userData": {"userIdentifiers": _identifiers(line)}} for line in lines],
            "encoding": "HEX",
            **more,
        }
        try:
            access = await self._account.let_in(self._clock())
            response = await ask(
                self._client,
                "POST",
                f"{self._url}/audienceMembers:{verb}",
                content=orjson.dumps(body),
                headers={"Authorization": f"Bearer {access}", "Content-Type": "application/json"},
                timeout=self._timeout,
            )
        except NotLetIn as refused:
            raise AdNetworkUnavailable(f"The ad network did not know the service account ({refused.status}).") from None
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            raise AdNetworkUnavailable(f"The ad network did not answer ({type(error).__name__}).") from None
        if response.status_code == 401:
            self._account.forget()
        self._read(response, len(lines))

    @staticmethod
    def _read(response: httpx.Response, told: int) -> None:
        try:
            answer = orjson.loads(response.content)
        except ValueError:
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        if response.is_success and isinstance(answer.get("requestId"), str):
            return
        fields = _wrong_fields(answer.get("error"))
        lines = [_LINE.search(one) for one in fields]
        if response.status_code == 400 and fields and all(lines):
            positions = frozenset(int(one[1]) for one in lines if one and int(one[1]) < told)
            raise LinesRefused("The ad network cannot read some of what it was told.", positions)
        raise AdNetworkUnavailable(
            f"The ad network answered {response.status_code}; look at the list, its account and the service account."
        )


def _identifiers(line: Line) -> list[dict[str, str]]:
    return [{name: value} for name, value in zip(_IDENTIFIERS, line, strict=True) if value]


def _wrong_fields(error: object) -> list[str]:
    """The fields that an error of Google's names (`google.rpc.BadRequest`)."""
    details = error.get("details") if isinstance(error, dict) else None
    parts = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    violations = [one["fieldViolations"] for one in parts if isinstance(one.get("fieldViolations"), list)]
    return [str(one.get("field")) for some in violations for one in some if isinstance(one, dict)]
