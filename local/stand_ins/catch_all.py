"""A catch-all for what players would receive: mail by SMTP, SMS and push as signed webhooks.

    python -m local.stand_ins.catch_all --port 7503 --smtp-port 7502 --folder messages

Everything is kept in the folder before it is accepted and can be read back over HTTP. `GET /mails?key=` tells whether
a mail with this X-Idempotency-Key was taken over, which SMTP alone cannot say after a lost answer.

Nothing is deduplicated: a message handed over twice is there twice, which is what the crash test looks for. The
secret of each gateway comes from SMS_WEBHOOK_SECRET and its like, so that it does not show in the list of processes.
"""

import asyncio
import email
import email.policy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from standardwebhooks import Webhook, WebhookVerificationError

from local.stand_ins.base import Journal, Record, problem, server
from workflows.channels import WEBHOOK_CHANNELS, WebhookChannel


class CatchAll:
    """The three files."""

    def __init__(self, folder: Path) -> None:
        self.mails = Journal(folder / "mails.jsonl")
        self.webhooks = {channel: Journal(folder / f"{channel}.jsonl") for channel in WEBHOOK_CHANNELS}

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail; aiosmtpd calls this by its name and sends the answer."""
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        self.mails.append(read_mail(content) | {"from": envelope.mail_from, "to": envelope.rcpt_tos})
        return "250 Kept"


def read_mail(content: bytes) -> Record:
    """The parts of a mail a person looks at, decoded."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    bodies = {kind: message.get_body((kind,)) for kind in ("plain", "html")}
    return {
        "message_id": message["Message-ID"],
        "key": message["X-Idempotency-Key"],
        "subject": message["Subject"],
        "headers": {name: str(header) for name, header in message.items()},
        "text": None if bodies["plain"] is None else bodies["plain"].get_content(),
        "html": None if bodies["html"] is None else bodies["html"].get_content(),
    }


def create_app(catch_all: CatchAll, secrets: Mapping[WebhookChannel, str]) -> FastAPI:
    """The HTTP side: webhooks in, messages out."""
    app = FastAPI(title="Local catch-all")
    webhooks = {channel: Webhook(secret) for channel, secret in secrets.items()}

    @app.get("/livez")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/{channel}", status_code=204, response_class=Response)
    async def receive(channel: WebhookChannel, request: Request) -> Response:
        body = await request.body()
        try:
            payload = webhooks[channel].verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError) as error:
            return problem(401, "Signature refused", f"Sign the request after Standard Webhooks: {error}.")
        kept = {name: request.headers[f"webhook-{name}"] for name in ("id", "timestamp")}
        catch_all.webhooks[channel].append(
            {"webhook_id": kept["id"], "timestamp": kept["timestamp"]} | {"body": payload}
        )
        return Response(status_code=204)

    @app.get("/mails")
    async def mails(
        to: str | None = None,
        subject: str | None = None,
        key: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    ) -> JSONResponse:
        found = [
            mail
            for mail in catch_all.mails.records
            if (to is None or to in mail["to"])
            and (subject is None or subject in (mail["subject"] or ""))
            and (key is None or key == mail["key"])
        ]
        return JSONResponse({"total": len(found), "items": found[-limit:]})

    @app.get("/{channel}")
    async def messages(
        channel: WebhookChannel,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    ) -> JSONResponse:
        found = catch_all.webhooks[channel].records
        return JSONResponse({"total": len(found), "items": found[-limit:]})

    return app


async def serve(port: int, smtp_port: int, folder: Path, secrets: Mapping[WebhookChannel, str]) -> None:
    """Listen on both ports of 127.0.0.1 until SIGTERM."""
    catch_all = CatchAll(folder)
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(
        lambda: SMTP(catch_all, enable_SMTPUTF8=True, hostname="localhost", loop=loop), "127.0.0.1", smtp_port
    )
    async with smtp:
        await server(create_app(catch_all, secrets), port).serve()


def main(
    port: Annotated[int, typer.Option()],
    smtp_port: Annotated[int, typer.Option()],
    folder: Annotated[Path, typer.Option()],
) -> None:
    """Serve the catch-all on 127.0.0.1."""
    secrets = {channel: os.environ[f"{channel.upper()}_WEBHOOK_SECRET"] for channel in WEBHOOK_CHANNELS}
    asyncio.run(serve(port, smtp_port, folder, secrets))


if __name__ == "__main__":
    typer.run(main)
