"""A token service of Google's shape, for stand-ins: it lets one service account in (RFC 7523)."""

import secrets
import time
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey


class TokenService:
    """Of one service account, as its JSON has it. Tokens are good until the process ends."""

    def __init__(self, account: dict[str, str]) -> None:
        self._account = account
        self._key = RSAKey.import_key(account["private_key"])
        self._let_in: set[str] = set()

    def knows(self, request: Request) -> bool:
        """Whether a request bears a token of ours."""
        return request.headers.get("authorization", "").removeprefix("Bearer ") in self._let_in

    async def token(self, request: Request) -> JSONResponse:
        """What `POST /token` answers."""
        form = dict(parse_qsl((await request.body()).decode()))
        try:
            claims = jwt.decode(form.get("assertion", ""), self._key, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            claims = {}
        known = claims.get("iss") == self._account["client_email"] and claims.get("aud") == self._account["token_uri"]
        if not form.get("grant_type", "").endswith(":jwt-bearer") or not known or claims.get("exp", 0) < time.time():
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        self._let_in.add(access := secrets.token_hex(16))
        return JSONResponse({"access_token": access, "expires_in": 3599, "token_type": "Bearer"})
