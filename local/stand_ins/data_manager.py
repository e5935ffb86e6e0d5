"""An ad network of the shape of Google's Data Manager, for development and tests.

    python -m local.stand_ins.data_manager --port 7507 --journal ads.jsonl

`POST /token` lets a service account in (RFC 7523), `POST /v1/audienceMembers:ingest` adds people, `:remove` takes them
out; `GET /lists/{account}/{list}` says who is there. One line that it cannot read fails the whole request, as there.
The service account comes from DATA_MANAGER_ACCOUNT, as JSON, so that it does not show in the list of processes.
"""

import json
import os
import secrets
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from local.stand_ins.ad_network import is_hash
from local.stand_ins.base import Journal, server
from local.stand_ins.token_service import TokenService

#: People in one request.
MOST = 10_000
#: Identifiers of a person.
MOST_IDENTIFIERS = 10
_SAYS = "There was a problem with the request."


def _error(status: int, name: str, fields: list[tuple[str, str]]) -> JSONResponse:
    reasons = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": name, "domain": "datamanager.example"}]
    wrong = [{"field": field, "reason": reason} for field, reason in fields]
    bad = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": wrong}] if wrong else []
    error = {"code": status, "message": _SAYS, "status": name, "details": [*reasons, *bad]}
    return JSONResponse({"error": error}, status_code=status)


def _wrong_with(body: dict[str, Any], verb: str, unreadable: Collection[str]) -> list[tuple[str, str]]:
    """What Data Manager says is wrong with a request, by field."""
    members, found = body.get("audienceMembers", []), list[tuple[str, str]]()
    if body.get("encoding") != "HEX":
        found.append(("encoding", "REQUIRED_FIELD_MISSING"))
    if len(body.get("destinations", [])) != 1:
        found.append(("destinations", "REQUIRED_FIELD_MISSING"))
    if not 0 < len(members) <= MOST:
        found.append(("audience_members", "TOO_MANY_AUDIENCE_MEMBERS" if members else "REQUIRED_FIELD_MISSING"))
    terms = body.get("termsOfService", {}).get("customerMatchTermsOfServiceStatus")
    if verb == "ingest" and terms != "ACCEPTED":
        found.append(("terms_of_service", "TERMS_AND_CONDITIONS_NOT_SIGNED"))
    for number, member in enumerate(members):
        told = _hashes(member)
        if not 0 < len(told) <= MOST_IDENTIFIERS or not all(is_hash(one) and one not in unreadable for one in told):
            found.append((f"audience_members.audience_members[{number}]", "INVALID_SHA256_FORMAT"))
    return found


def _hashes(member: dict[str, Any]) -> list[str]:
    return [value for one in member["userData"]["userIdentifiers"] for value in one.values()]


def create_app(journal: Journal, account: dict[str, str], unreadable: Collection[str] = ()) -> FastAPI:
    """The network: one service account may write, to whatever list. Hashes that are `unreadable` are invalid to it."""
    app = FastAPI(title="Local data manager")
    tokens = TokenService(account)
    lists: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    app.add_api_route("/token", tokens.token, methods=["POST"])

    @app.get("/livez")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/audienceMembers:{verb}")
    async def tell(verb: str, request: Request) -> JSONResponse:
        if not tokens.knows(request):
            return _error(401, "UNAUTHENTICATED", [])
        body = json.loads(await request.body())
        if verb not in {"ingest", "remove"}:
            return _error(404, "NOT_FOUND", [])
        if wrong := _wrong_with(body, verb, unreadable):
            return _error(400, "INVALID_ARGUMENT", wrong)
        place = body["destinations"][0]
        name = f"{place['operatingAccount']['accountId']}/{place['productDestinationId']}"
        told = {tuple(_hashes(one)) for one in body["audienceMembers"]}
        if verb == "ingest":
            lists[name] |= told
        else:
            hashes = {one for line in told for one in line}
            lists[name] = {line for line in lists[name] if hashes.isdisjoint(line)}
        journal.append({"did": verb, "list": name, "consent": body.get("consent"), "lines": sorted(map(list, told))})
        return JSONResponse({"requestId": secrets.token_hex(16)})

    @app.get("/lists/{account}/{listed}")
    async def there(account: str, listed: str) -> list[tuple[str, ...]]:
        return sorted(lists[f"{account}/{listed}"])

    return app


def main(port: Annotated[int, typer.Option()], journal: Annotated[Path, typer.Option()]) -> None:
    """Serve it on 127.0.0.1."""
    server(create_app(Journal(journal), json.loads(os.environ["DATA_MANAGER_ACCOUNT"])), port).run()


if __name__ == "__main__":
    typer.run(main)
