"""What the stand-in providers share: a journal that survives SIGKILL, problem+json, and a server on 127.0.0.1."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse

Record = dict[str, Any]


class Journal:
    """A file of JSON lines that only grows. What `append` has returned for is kept, whatever happens next.

    A line that a kill cut short is dropped when the file is opened again: nobody was told that it was kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self.records = read_journal(path)
        content = path.read_bytes()
        self._file.truncate(content.rfind(b"\n") + 1)

    def append(self, record: Record) -> Record:
        """Keep a record, stamped with the time, on disk before returning."""
        record = {"at": datetime.now(UTC).isoformat()} | record
        self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self.records.append(record)
        return record

    def close(self) -> None:
        """Let go of the file; nothing more is kept."""
        self._file.close()


def read_journal(path: Path) -> list[Record]:
    """Every whole record of a journal that another process may be writing; none if there is no such file."""
    content = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].split(b"\n") if line]


def problem(status: int, title: str, detail: str, *, reason: str | None = None) -> JSONResponse:
    """An RFC 9457 answer; `reason` is a code for programs."""
    body: Record = {"title": title, "status": status, "detail": detail}
    if reason is not None:
        body["reason"] = reason
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def server(app: FastAPI, port: int) -> uvicorn.Server:
    """A server on 127.0.0.1; `run()` or `serve()` it. It stops on SIGTERM without waiting for hung requests."""
    return uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1)
    )
