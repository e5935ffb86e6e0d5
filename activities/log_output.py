"""How a process writes its log: one JSON object a line for machines, a readable line on a terminal.

Modules log with the standard library, in sentences. What is being worked on (`brand`, `run_id`, `step`, `request_id`)
is bound once, where the work begins, by `structlog.contextvars`, and stands on every line that is written meanwhile.
"""

import logging
import sys

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor


def log_to_stderr() -> None:
    """Write what the process logs, and what Python warns of, to stderr. Does nothing where a log is set up already."""
    handler = logging.StreamHandler()
    handler.setFormatter(log_formatter(terminal=sys.stderr.isatty()))
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def log_formatter(*, terminal: bool) -> logging.Formatter:
    """A formatter for records of the standard library; the sentence of a record is its `event`."""
    known: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    shown: list[Processor]
    if terminal:
        # Without rich: its tracebacks show the values of variables, and players' data with them.
        shown = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        shown = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    return ProcessorFormatter(foreign_pre_chain=known, processors=[ProcessorFormatter.remove_processors_meta, *shown])
