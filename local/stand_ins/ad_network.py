"""An ad network of the shape of Meta's Custom Audiences, for development and tests.

    AD_NETWORK_TOKEN=... python -m local.stand_ins.ad_network --port 7506 --journal ads.jsonl

`POST /v25.0/{audience}/users` adds people, `DELETE` takes them out; `GET /v25.0/{audience}` says who is there. To add
who is there changes nothing, and to remove one hash of a person removes the person.
"""

import json
import os
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl

import typer
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from local.stand_ins.base import Journal, server

#: People in one request.
MOST = 10_000


def _error(status: int, code: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "OAuthException", "code": code}}, status_code=status)


def is_hash(value: object) -> bool:
    """Whether it is SHA-256 in hexadecimal, or nothing."""
    return isinstance(value, str) and (not value or (len(value) == 64 and set(value) <= set("0123456789abcdef")))


def _is_line(line: list[Any]) -> bool:
    return len(line) == 2 and all(is_hash(one) for one in line) and any(line)


def create_app(journal: Journal, token: str, unreadable: Collection[str] = ()) -> FastAPI:
    """The network: one token may write, to whatever audience. Lines with an `unreadable` hash are invalid to it."""
    app = FastAPI(title="Local ad network")
    audiences: dict[str, set[tuple[str, str]]] = defaultdict(set)

    @app.get("/livez")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.api_route("/v25.0/{audience}/users", methods=["POST", "DELETE"])
    async def users(audience: str, request: Request) -> JSONResponse:
        form = dict(parse_qsl((await request.body()).decode()))
        if form.get("access_token") != token:
            return _error(400, 190, "Invalid OAuth access token.")
        payload, session = json.loads(form["payload"]), json.loads(form["session"])
        lines: list[list[Any]] = payload["data"]
        if payload["schema"] != ["EMAIL", "PHONE"] or "session_id" not in session or len(lines) > MOST:
            return _error(400, 100, "Invalid parameter")
        wrong = [line for line in lines if not _is_line(line) or any(one in unreadable for one in line)]
        told = {(email, phone) for email, phone in (line for line in lines if line not in wrong)}
        if request.method == "POST":
            audiences[audience] |= told
        else:
            hashes = {one for line in told for one in line if one}
            audiences[audience] = {line for line in audiences[audience] if hashes.isdisjoint(line)}
        journal.append({"did": request.method, "audience": audience, "lines": [list(line) for line in sorted(told)]})
        said = {"audience_id": audience, "session_id": session["session_id"], "num_received": len(lines)}
        return JSONResponse({**said, "num_invalid_entries": len(wrong), "invalid_entry_samples": {}})

    @app.get("/v25.0/{audience}")
    async def there(audience: str) -> list[tuple[str, str]]:
        return sorted(audiences[audience])

    return app


def main(port: Annotated[int, typer.Option()], journal: Annotated[Path, typer.Option()]) -> None:
    """Serve it on 127.0.0.1."""
    server(create_app(Journal(journal), os.environ["AD_NETWORK_TOKEN"]), port).run()


if __name__ == "__main__":
    typer.run(main)
