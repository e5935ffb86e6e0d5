"""The bonus engine over HTTP: credit a grant, look it up, take it back.

* JourneysError
  x ProviderError
    + NotAccepted
    + OutcomeUnknown
    + KeyReused

A refusal is an answer (`Declined`), not an error. Of the errors, `NotAccepted` alone promises that nothing happened;
after `OutcomeUnknown` the player may have the reward, and only `look_up` can tell.
"""

import asyncio
import re
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import quote, urlencode, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from activities.providers.bounded_answer import ask
from activities.providers.breaker import Breaker
from workflows.errors import JourneysError


class ProviderError(JourneysError):
    """The bonus engine gave no answer that settles the grant; the branch says what is known.

    `retry_after` is set while it is left alone because it did not answer.
    """

    def __init__(self, message: str | None = None, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotAccepted(ProviderError):
    """The bonus engine did not take the request, so nothing happened; send it again with the same key."""


class OutcomeUnknown(ProviderError):
    """The bonus engine may have acted and its answer is lost; look the grant up by its key before anything else."""


class KeyReused(ProviderError):
    """The bonus engine holds another grant under this key; a person must compare the two, no retry will help."""


class GrantOrder(BaseModel):
    """What the bonus engine is asked to credit. It must be the same on every attempt with one key."""

    model_config = ConfigDict(frozen=True)

    grant_id: str
    player_id: str
    brand: str
    reward: dict[str, JsonValue]
    journey: str
    run_id: str
    step: str


class Credited(BaseModel):
    """The player has the reward; `ref` is the engine's own name for it."""

    model_config = ConfigDict(frozen=True)

    ref: str


class Declined(BaseModel):
    """The engine will not give the reward, or has taken it back; `reason` is its code, such as `not_eligible`."""

    model_config = ConfigDict(frozen=True)

    reason: str


class ListedGrant(BaseModel):
    """One line of the engine's own list."""

    model_config = ConfigDict(frozen=True)

    grant_id: str
    player_id: str
    status: Literal["credited", "voided"]
    provider_ref: str | None = None


class GrantPage(BaseModel):
    """A page of the engine's list; `next` asks for the one after it."""

    items: list[ListedGrant]
    next: str | None = None


class _Answer(BaseModel):
    provider_ref: str
    status: Literal["credited", "voided"]


class _Problem(BaseModel):
    title: str | None = None
    reason: str | None = None


class BonusEngine:
    """A client of the bonus engine at `base_url`.

    The key is the effect's key and names the grant for ever: the same on every attempt of `credit`, and in
    `look_up` and `void`. The HTTP client is the caller's, and closing it too; `timeout` bounds a whole call. While
    `breaker` is open every call is NotAccepted at once, or OutcomeUnknown where it would have been a look-up.
    """

    def __init__(
        self,
        base_url: str,
        client: httpx.AsyncClient,
        *,
        timeout: timedelta = timedelta(seconds=10),
        breaker: Breaker | None = None,
    ) -> None:
        if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
            raise ValueError("The bonus engine's address must look like https://host; correct BONUS_ENGINE_URL.")
        self._url = f"{base_url.rstrip('/')}/grants"
        self._client = client
        self._timeout = timeout
        self._breaker = breaker or Breaker("bonus_engine")

    async def credit(self, key: str, grant: GrantOrder) -> Credited | Declined:
        """Give the reward once, however often this is called with the same key and the same grant.

        Raises NotAccepted, OutcomeUnknown or KeyReused. After OutcomeUnknown call `look_up` and not `credit`, for an
        engine that forgets its keys would pay twice.
        """
        headers = {"Idempotency-Key": key}
        response = await self._request("POST", self._url, headers=headers, json=grant.model_dump(mode="json"))
        status = response.status_code
        if response.is_success:
            return _settled(response)
        if status in (409, 422):
            return _declined(response)
        if status in (401, 403, 404, 405, 429):
            raise NotAccepted(
                f"The bonus engine turned the request away ({status}); nothing was credited, so try again."
            )
        if status in (400, 413, 415):
            return Declined(reason=f"http_{status}")
        raise OutcomeUnknown(f"The bonus engine failed ({status}); look the grant up by its key.")

    async def look_up(self, key: str) -> Credited | Declined | None:
        """What became of the grant; None if the engine never heard of the key.

        Raises OutcomeUnknown whenever the engine does not say, even if it could not be reached: not hearing of a
        grant is no proof that there is none. None means "not yet": a request still on its way can arrive later.
        """
        try:
            response = await self._request("GET", self._of(key))
        except NotAccepted as error:
            raise OutcomeUnknown(f"The grant could not be looked up; try again. {error}", error.retry_after) from None
        if response.status_code == 404:
            return None
        if response.is_success:
            return _settled(response)
        raise OutcomeUnknown(f"The bonus engine could not look the grant up ({response.status_code}); try again.")

    async def listed(self, since: datetime, until: datetime, after: str | None = None) -> GrantPage | None:
        """A page of what the engine credited in [since, until), whoever asked for it; None where it keeps no list.

        Raises OutcomeUnknown whenever the engine does not say.
        """
        asked = {"since": since.isoformat(), "until": until.isoformat(), **({} if after is None else {"after": after})}
        try:
            response = await self._request("GET", f"{self._url}?{urlencode(asked)}")
        except NotAccepted as error:
            raise OutcomeUnknown(f"The list of grants could not be read; try again. {error}") from None
        if response.status_code in (404, 405, 501):
            return None
        try:
            if response.is_success:
                return GrantPage.model_validate_json(response.content)
        except ValidationError:
            pass
        raise OutcomeUnknown(f"The bonus engine's list cannot be read ({response.status_code}); try again.")

    async def void(self, key: str) -> bool:
        """Take the grant back, and forbid one that has not arrived yet; calling it again changes nothing.

        True if the engine keeps the grant void from now on, False if it refuses, for the reward has been used, or
        never heard of the key. Raises NotAccepted or OutcomeUnknown; either way call it again.
        """
        response = await self._request("POST", f"{self._of(key)}/void")
        if response.is_success:
            return True
        if response.status_code in (404, 409, 410, 422):
            return False
        raise OutcomeUnknown(f"The bonus engine failed to void the grant ({response.status_code}); try again.")

    def _of(self, key: str) -> str:
        # A key holds slashes, colons and hashes, and is one segment of the path all the same.
        return f"{self._url}/{quote(key, safe='')}"

    async def _request(
        self, method: str, url: str, *, headers: dict[str, str] | None = None, json: object = None
    ) -> httpx.Response:
        if (pause := self._breaker.pause()) is not None:
            raise NotAccepted("The bonus engine does not answer and is left alone for a while; try again.", pause)
        try:
            response = await self._call(method, url, headers, json)
        except ProviderError:
            self._breaker.failed()
            raise
        if response.status_code >= 500:
            self._breaker.failed()
        else:
            self._breaker.answered()
        return response

    async def _call(self, method: str, url: str, headers: dict[str, str] | None, json: object) -> httpx.Response:
        seconds = self._timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                return await ask(self._client, method, url, headers=headers, json=json, timeout=seconds)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            # These three alone come before a byte of the request has left.
            raise NotAccepted(
                f"The bonus engine could not be reached ({type(error).__name__}); nothing was credited, so try again."
            ) from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise OutcomeUnknown(
                f"The bonus engine did not answer in time or broke off ({type(error).__name__}); look the grant up."
            ) from None


def _settled(response: httpx.Response) -> Credited | Declined:
    try:
        answer = _Answer.model_validate_json(response.content)
    except ValidationError:
        raise OutcomeUnknown("The bonus engine's answer could not be read; look the grant up by its key.") from None
    return Credited(ref=answer.provider_ref) if answer.status == "credited" else Declined(reason="voided")


def _declined(response: httpx.Response) -> Declined:
    try:
        problem = _Problem.model_validate_json(response.content)
    except ValidationError:
        problem = _Problem()
    reason = re.sub(r"[^a-z0-9]+", "_", (problem.reason or problem.title or "").lower()).strip("_")[:100]
    if reason == "idempotency_key_reused":
        raise KeyReused
    if not reason or reason == "idempotency_key_in_use":
        # Without a reason this may as well be the first attempt, still running; saying "declined" would free the money.
        raise OutcomeUnknown(f"The bonus engine gave no reason ({response.status_code}); look the grant up by its key.")
    return Declined(reason=reason)
