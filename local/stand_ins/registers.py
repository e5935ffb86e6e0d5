"""Stand-ins for the gateways of national registers of excluded players.

    python -m local.stand_ins.registers --port 7504 --ledger registers.jsonl

`POST /{register}` answers as `activities/providers/register.py` says. `PUT /{register}/players/{id}` lists a player and
`DELETE` takes them off; `PUT /faults` lets registers go wrong until `DELETE /faults`. Whom it was asked about stands in
the ledger. The token comes from REGISTER_TOKEN, so that it does not show in the list of processes.
"""

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from fastapi import FastAPI, Header
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from local.stand_ins.base import Journal, problem, server


class Asked(BaseModel):
    """Whom a register is asked about."""

    register: str
    brand: str
    player: str
    identity: dict[str, str]


class RegisterFaultMode(StrEnum):
    """The ways a register lets its callers down."""

    ERROR_500 = "error_500"
    SLOW = "slow"  # answered late
    NONSENSE = "nonsense"  # 200, and neither listed nor not
    REFUSE = "refuse"  # 403


class RegisterFault(BaseModel):
    """How every register goes wrong."""

    mode: RegisterFaultMode
    seconds: float = Field(default=60, ge=0)


class LocalRegisters:
    """Who is listed, and what goes wrong. Every method is called from one event loop."""

    def __init__(self, ledger: Path) -> None:
        self.asked = Journal(ledger)
        self.listed: set[tuple[str, str]] = set()
        self.fault: RegisterFault | None = None

    async def answer(self, asked: Asked) -> Response:
        """What a register says, or how it fails."""
        self.asked.append(asked.model_dump())
        match self.fault:
            case RegisterFault(mode=RegisterFaultMode.ERROR_500):
                return problem(500, "Failed", "The register failed.")
            case RegisterFault(mode=RegisterFaultMode.REFUSE):
                return problem(403, "Refused", "The register refuses this licence.")
            case RegisterFault(mode=RegisterFaultMode.NONSENSE):
                return JSONResponse({"listed": "perhaps"})
            case RegisterFault(mode=RegisterFaultMode.SLOW, seconds=seconds):
                await asyncio.sleep(seconds)
        return JSONResponse({"listed": (asked.register, asked.player) in self.listed})


def create_app(registers: LocalRegisters, token: str) -> FastAPI:
    """The registers over HTTP."""
    app = FastAPI(title="Local registers")

    @app.get("/livez")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.put("/faults", status_code=204, response_class=Response)
    async def fail(fault: RegisterFault) -> None:
        registers.fault = fault

    @app.delete("/faults", status_code=204, response_class=Response)
    async def heal() -> None:
        registers.fault = None

    @app.put("/{register}/players/{player}", status_code=204, response_class=Response)
    async def enter(register: str, player: str) -> None:
        registers.listed.add((register, player))

    @app.delete("/{register}/players/{player}", status_code=204, response_class=Response)
    async def leave(register: str, player: str) -> None:
        registers.listed.discard((register, player))

    @app.post("/{register}")
    async def check(register: str, asked: Asked, authorization: Annotated[str, Header()] = "") -> Response:
        if authorization != f"Bearer {token}" or asked.register != register:
            return problem(401, "Unknown caller", "Send the token of this register's gateway.")
        return await registers.answer(asked)

    return app


def main(port: Annotated[int, typer.Option()], ledger: Annotated[Path, typer.Option()]) -> None:
    """Serve the registers on 127.0.0.1."""
    server(create_app(LocalRegisters(ledger), os.environ["REGISTER_TOKEN"]), port).run()


if __name__ == "__main__":
    typer.run(main)
