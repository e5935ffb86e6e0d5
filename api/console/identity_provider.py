"""Signs people in by OpenID Connect: authorization code with PKCE, checked against what the provider publishes.

Nobody signs in with a password of ours. Source: OpenID Connect Core 1.0 §3.1.3.7 (checks of an ID token), RFC 7636
(PKCE), RFC 9207 (`iss` in the answer, against mix-up), OpenID Connect Back-Channel Logout 1.0 §2.6.
"""

import asyncio
import base64
import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from activities.settings import Settings
from workflows.json_object import JsonObject

#: What a token may be signed with: no `none`, and nothing that needs a secret we share.
ALGORITHMS: Final = ("ES256", "RS256", "PS256", "ES384", "EdDSA")
SCOPE: Final = "openid profile email groups"
#: How far the provider's clock may be from ours.
LEEWAY: Final = timedelta(seconds=60)
#: Seconds for which its metadata and keys are remembered, and the least between two looks for an unknown key.
REMEMBERED: Final = 3600.0
KEYS_AT_MOST_EVERY: Final = 10.0
_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


class SignInFailed(Exception):
    """The provider, or somebody in its name, said what cannot be believed; the sentence is for the log and the page."""


@dataclass(frozen=True)
class VouchedFor:
    """Whom the provider vouches for."""

    issuer: str
    subject: str
    sid: str | None
    #: The address, where the provider says that it has verified it.
    verified_email: str | None
    name: str
    groups: tuple[str, ...]
    authenticated_at: datetime


class IdentityProvider:
    """The provider of this deployment. Nothing is asked of it before somebody signs in."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.issuer = settings.oidc_issuer.rstrip("/")
        self.client_id = settings.oidc_client_id
        self._secret = settings.oidc_client_secret
        self._console = settings.console_origin
        self._http = http
        self._metadata: tuple[float, JsonObject] = (float("-inf"), {})
        self._keys: tuple[float, KeySet | None] = (float("-inf"), None)
        self._lock = asyncio.Lock()

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to."""
        return f"{self._console}/sign-in/callback"

    async def authorization_url(self, *, state: str, nonce: str, verifier: str, again: bool = False) -> str:
        """Where somebody is sent to sign in; `again` asks them to prove who they are although they are signed in."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": self.redirect_uri,
            "scope": SCOPE,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        } | ({"prompt": "login", "max_age": "0"} if again else {})
        return f"{(await self.metadata())['authorization_endpoint']}?{urlencode(asked)}"

    async def sign_out_url(self) -> str | None:
        """Where somebody is sent to sign out of the provider too; None where it has no such place."""
        end = (await self.metadata()).get("end_session_endpoint")
        back = {"client_id": self.client_id, "post_logout_redirect_uri": f"{self._console}/sign-out/done"}
        return None if end is None else f"{end}?{urlencode(back)}"

    async def check_issuer(self, given: str | None) -> None:
        """Raise `SignInFailed` when an answer does not come from this provider (RFC 9207)."""
        promised = (await self.metadata()).get("authorization_response_iss_parameter_supported", False)
        if given is None and not promised:
            return
        if given is None or given.rstrip("/") != self.issuer:
            raise SignInFailed("The answer came from another identity provider than the one that was asked.")

    async def identity(
        self, code: str, *, verifier: str, nonce: str, now: datetime, error: str | None = None
    ) -> VouchedFor:
        """Whom a code stands for. Raises `SignInFailed`, also for what the provider sent in its place."""
        if error or not code:
            raise SignInFailed(f"The identity provider said: {(error or 'nothing')[:100]}.")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
        }
        endpoint = (await self.metadata())["token_endpoint"]
        answer = await self._call("POST", endpoint, data=form, auth=(self.client_id, self._secret))
        claims = await self._claims(str(answer.get("id_token", "")), now)
        if claims.get("nonce") != nonce:
            raise SignInFailed("The token was made for another sign-in.")
        groups = claims.get("groups") or ()
        # Who does not say when somebody proved who they are has not vouched for it lately.
        signed_in = claims.get("auth_time", 0)
        return VouchedFor(
            issuer=self.issuer,
            subject=str(claims["sub"]),
            sid=claims.get("sid"),
            verified_email=str(claims["email"]) if claims.get("email") and claims.get("email_verified") else None,
            name=str(claims.get("name") or claims.get("email") or claims["sub"]),
            groups=tuple(str(one) for one in groups) if isinstance(groups, list) else (),
            authenticated_at=datetime.fromtimestamp(signed_in if isinstance(signed_in, int | float) else 0, UTC),
        )

    async def signed_out(self, token: str, now: datetime) -> tuple[str | None, str | None]:
        """Subject and session that a logout token says are over. Raises `SignInFailed`."""
        claims = await self._claims(token, now)
        events = claims.get("events")
        if not isinstance(events, dict) or _LOGOUT_EVENT not in events or "nonce" in claims:
            raise SignInFailed("This is no logout token.")
        if claims.get("sub") is None and claims.get("sid") is None:
            raise SignInFailed("The logout token names neither a person nor a session.")
        return claims.get("sub"), claims.get("sid")

    async def metadata(self) -> JsonObject:
        """What the provider says of itself. Raises `SignInFailed`."""
        async with self._lock:
            at, known = self._metadata
            if time.monotonic() - at > REMEMBERED:
                known = await self._call("GET", f"{self.issuer}/.well-known/openid-configuration")
                if str(known.get("issuer", "")).rstrip("/") != self.issuer:
                    raise SignInFailed(f"What {self.issuer} publishes names another issuer; check OIDC_ISSUER.")
                self._metadata = (time.monotonic(), known)
        return known

    async def _claims(self, token: str, now: datetime) -> dict[str, Any]:
        """The claims of a token that the provider signed, for us, lately."""
        claims = await self._verified(token)
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if str(claims.get("iss", "")).rstrip("/") != self.issuer:
            raise SignInFailed("The token was made by another issuer.")
        if self.client_id not in audiences or claims.get("azp", self.client_id) != self.client_id:
            raise SignInFailed("The token was made for another application.")
        moments = [claims.get("iat"), claims.get("exp", 0)]
        if not all(isinstance(one, int | float) for one in moments):
            raise SignInFailed("The token does not say when it was made.")
        made, ends = (float(one or 0) for one in moments)
        if made > (now + LEEWAY).timestamp() or ends < (now - LEEWAY).timestamp():
            raise SignInFailed("The token is not valid now; compare the clocks of this machine and the provider.")
        return claims

    async def _verified(self, token: str) -> dict[str, Any]:
        for fresh in (False, True):
            keys = await self._key_set(fresh=fresh)
            try:
                return dict(jwt.decode(token, keys, algorithms=[*ALGORITHMS]).claims)
            except (JoseError, ValueError) as error:
                # A key that the provider has taken into use since we looked.
                if fresh:
                    raise SignInFailed(f"The token's signature cannot be believed ({type(error).__name__}).") from None
        raise AssertionError

    async def _key_set(self, *, fresh: bool) -> KeySet:
        where = (await self.metadata())["jwks_uri"]
        async with self._lock:
            at, known = self._keys
            if known is None or time.monotonic() - at > (KEYS_AT_MOST_EVERY if fresh else REMEMBERED):
                known = KeySet.import_key_set(await self._call("GET", where))  # type: ignore[arg-type]  # a JSON object
                self._keys = (time.monotonic(), known)
        return known

    async def _call(self, method: str, url: str, **given: Any) -> JsonObject:
        try:
            answer = await self._http.request(method, url, **given)
            body = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise SignInFailed(f"The identity provider does not answer ({type(error).__name__}).") from None
        if not answer.is_success or not isinstance(body, dict):
            reason = body.get("error") if isinstance(body, dict) else None
            raise SignInFailed(f"The identity provider refused ({reason or answer.status_code}).")
        return body
