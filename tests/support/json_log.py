"""The log of a part of the engine as a machine reads it."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from activities.log_output import log_formatter


@contextmanager
def json_log(logger: str) -> Iterator[list[dict[str, Any]]]:
    """What this logger writes meanwhile; the lines are there afterwards."""
    written, lines = io.StringIO(), list[dict[str, Any]]()
    handler = logging.StreamHandler(written)
    handler.setFormatter(log_formatter(terminal=False))
    logging.getLogger(logger).addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger(logger).removeHandler(handler)
        lines += map(json.loads, written.getvalue().splitlines())
