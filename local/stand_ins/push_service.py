"""A push service of the shape of Firebase Cloud Messaging v1, for development and tests.

    python -m local.stand_ins.push_service --port 7504 --journal push.jsonl

`POST /token` lets a service account in (RFC 7523), `POST /v1/projects/{project}/messages:send` takes a message to one
token. `DELETE /devices/{token}` is what a player does who removes the app: from then on the token is `UNREGISTERED`.
The service account comes from PUSH_ACCOUNT, as JSON, so that it does not show in the list of processes.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from local.stand_ins.base import Journal, server
from local.stand_ins.token_service import TokenService

#: Bytes of a message; more is refused.
LARGEST = 4_096
_FCM = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


def _error(status: int, name: str, message: str, code: str | None = None) -> JSONResponse:
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    if code is not None:
        error["details"] = [{"@type": _FCM, "errorCode": code}]
    return JSONResponse({"error": error}, status_code=status)


def create_app(journal: Journal, account: dict[str, str]) -> FastAPI:
    """The service: one account may send, to every token that was not removed."""
    app = FastAPI(title="Local push service")
    tokens = TokenService(account)
    removed: set[str] = set()

    @app.get("/livez")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    app.add_api_route("/token", tokens.token, methods=["POST"])

    @app.post("/v1/projects/{project}/messages:send")
    async def send(project: str, request: Request) -> JSONResponse:
        if not tokens.knows(request):
            return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        body = await request.body()
        message = json.loads(body)["message"]
        if len(body) > LARGEST:
            return _error(400, "INVALID_ARGUMENT", "Message too big.", "INVALID_ARGUMENT")
        if message["token"] in removed:
            journal.append({"refused": message["token"]})
            return _error(404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED")
        journal.append(message)
        return JSONResponse({"name": f"projects/{project}/messages/{secrets.token_hex(8)}"})

    @app.delete("/devices/{device}", status_code=204, response_class=Response)
    async def remove(device: str) -> Response:
        removed.add(device)
        return Response(status_code=204)

    return app


def main(port: Annotated[int, typer.Option()], journal: Annotated[Path, typer.Option()]) -> None:
    """Serve it on 127.0.0.1."""
    server(create_app(Journal(journal), json.loads(os.environ["PUSH_ACCOUNT"])), port).run()


if __name__ == "__main__":
    typer.run(main)
