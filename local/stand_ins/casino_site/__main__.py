"""A casino's own site, as small as it can be: one page that shows a player points, missions, wheel and shop, live.

    SITE_KEY=jx_… python -m local.stand_ins.casino_site --port 7505 --api http://127.0.0.1:7500

It is what your backend would be: it holds the API key, mints tokens for the browser of whoever is signed in (here:
whoever says so), passes `/v1/me/` on, and tells the engine what happens in its games. The key needs `players:tokens`
and `events:write`, and comes from SITE_KEY, so that it does not show in the list of processes.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

import httpx
import typer
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from local.stand_ins.base import problem, server

PAGE: Final = Path(__file__).parent / "page"
FILES: Final = {"site.js": "text/javascript", "site.css": "text/css"}
#: Nothing is run, drawn or asked but from here.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
#: What is passed on of a request, and of its answer.
ASKED: Final = ("authorization", "if-none-match", "last-event-id", "idempotency-key", "content-type")
ANSWERED: Final = ("content-type", "etag", "cache-control", "retry-after")
BATCH: Final = "application/cloudevents-batch+json"
PlayerName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]


class SiteVisitor(BaseModel):
    """Who is signed in at the site of a laptop: whoever they say they are."""

    player: PlayerName


class PlayAtSite(SiteVisitor):
    """What they do there."""

    what: Literal["round", "deposit"]
    game: str = Field("book-of-tests", max_length=64)


class Backend:
    """What a casino's backend does for its page: it speaks to the engine with the key that no browser sees."""

    def __init__(self, client: httpx.AsyncClient, key: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {key}"}

    async def tell(self, kind: str, player: str, **data: Any) -> Response:
        """Tell the engine that something happened to a player."""
        event = {"specversion": "1.0", "id": uuid4().hex, "source": "/site", "type": f"igaming.{kind}.v1"}
        event |= {"subject": player, "time": datetime.now(UTC).isoformat()}
        headers = self.headers | {"Content-Type": BATCH}
        answer = await self.client.post("/v1/events", json=[event | {"data": data}], headers=headers)
        return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])

    async def sign_in(self, player: str) -> Response:
        """Make somebody known, and give their browser a token."""
        about = {"language": "en", "timezone": "Europe/London", "country": "GB", "currency": "GBP"}
        await self.tell("player.registered", player, **about)
        answer = await self.client.post("/v1/player-tokens", json={"player_id": player}, headers=self.headers)
        return JSONResponse(answer.json(), answer.status_code)

    async def play(self, done: PlayAtSite) -> Response:
        """A round of ten whole units, or a deposit of fifty."""
        if done.what == "deposit":
            paid = {"payment_id": uuid4().hex, "amount_minor": 5_000, "currency": "GBP"}
            return await self.tell("payment.deposit_approved", done.player, **paid)
        played = {"round_id": uuid4().hex, "game_id": done.game, "category": "slot", "currency": "GBP"}
        return await self.tell("game.round_completed", done.player, **played, stake_minor=20_000, win_minor=0)

    async def pass_on(self, path: str, request: Request) -> Response:
        """Let the browser ask the engine with its own token, a stream as it comes."""
        asked = {name: value for name in ASKED if (value := request.headers.get(name)) is not None}
        body = await request.body()
        sent = self.client.build_request(
            request.method, f"/v1/me/{path}", params=request.query_params, content=body, headers=asked
        )
        answer = await self.client.send(sent, stream=True)
        told = {name: value for name in ANSWERED if (value := answer.headers.get(name)) is not None}
        return StreamingResponse(_pieces(answer), answer.status_code, headers=told)


def create_app(api: str, key: str) -> FastAPI:
    """The page, and the site's backend behind it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=api, timeout=httpx.Timeout(10, read=60)) as client:
            app.state.backend = Backend(client, key)
            yield

    app = FastAPI(title="A casino's site", lifespan=lifespan)

    @app.get("/livez")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", media_type="text/html", headers=HEADERS)

    @app.get("/{name}.{kind}")
    async def file(name: str, kind: str) -> Response:
        if f"{name}.{kind}" not in FILES:
            return problem(404, "Not found", "There is no such file.")
        return FileResponse(PAGE / f"{name}.{kind}", media_type=FILES[f"{name}.{kind}"], headers=HEADERS)

    @app.post("/session")
    async def session(visitor: SiteVisitor) -> Response:
        answer: Response = await app.state.backend.sign_in(visitor.player)
        return answer

    @app.post("/play")
    async def play(done: PlayAtSite) -> Response:
        answer: Response = await app.state.backend.play(done)
        return answer

    @app.api_route("/v1/me/{path:path}", methods=["GET", "POST", "PUT"])
    async def passed_on(path: str, request: Request) -> Response:
        answer: Response = await app.state.backend.pass_on(path, request)
        return answer

    return app


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()


def main(port: Annotated[int, typer.Option()], api: Annotated[str, typer.Option()]) -> None:
    """Serve until SIGTERM."""
    server(create_app(api, os.environ["SITE_KEY"]), port).run()


if __name__ == "__main__":
    typer.run(main)
