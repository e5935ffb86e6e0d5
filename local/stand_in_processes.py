"""The stand-in providers as supervised processes.

Apart from their programs, which import nothing of ours and so start in half the time.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from local.supervisor import Service, http_ok
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


def registers(port: int, ledger: Path, token: str) -> Service:
    """`local.stand_ins.registers` on this port, with its ledger at this path."""
    return Service(
        name="registers",
        command=(sys.executable, "-m", "local.stand_ins.registers", "--port", str(port), "--ledger", str(ledger)),
        environment={"REGISTER_TOKEN": token},
        ready=lambda _: http_ok(f"http://127.0.0.1:{port}/livez"),
    )
