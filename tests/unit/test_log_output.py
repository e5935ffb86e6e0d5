"""The log: a JSON object a line for machines, a readable line on a terminal, and what stands on every line."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.failing_effects import FailureInterceptor
from activities.log_output import log_formatter
from tests.support.json_log import json_log
from workflows.effects import Mark

ROOT = Path(__file__).parent.parent.parent
MARK = Mark(brand="acme", player_id="p", journey="welcome", run_id="welcome:acme:p:1", step="mark:seen#1", name="seen")


def record(sentence: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    raised = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("activities.x", logging.WARNING, __file__, 1, sentence, values, raised)


def test_a_line_is_one_json_object_with_the_sentence_and_what_is_bound() -> None:
    with bound_contextvars(brand="acme", run_id="welcome:acme:p:1"):
        line = log_formatter(terminal=False).format(record("Run %s: %s", "r", "відмовлено"))
    told = json.loads(line)
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "event": "Run r: відмовлено",
        "level": "warning",
        "logger": "activities.x",
        "brand": "acme",
        "run_id": "welcome:acme:p:1",
    }
    assert "відмовлено" in line


def fail() -> None:
    secret = "whsec_" + "never"  # noqa: F841 - a rich traceback would show it
    raise LookupError("gone")


def test_a_traceback_stays_on_its_line() -> None:
    with pytest.raises(LookupError) as raised:
        fail()
    line = log_formatter(terminal=False).format(record("It failed.", error=raised.value))
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("LookupError: gone")


def test_a_terminal_gets_a_readable_line_and_no_value_of_any_variable() -> None:
    with pytest.raises(LookupError) as raised:
        fail()
    with bound_contextvars(step="send:welcome#1"):
        line = log_formatter(terminal=True).format(record("It failed.", error=raised.value))
    assert "It failed." in line
    assert "send:welcome#1" in line
    assert "LookupError: gone" in line
    assert "whsec_never" not in line


async def test_what_an_effect_logs_names_brand_run_and_step() -> None:
    logger = logging.getLogger("activities.of_this_test")

    class Effect(ActivityInboundInterceptor):
        def __init__(self) -> None:
            """Nothing follows an effect."""

        async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ARG002 - the SDK's signature
            logger.warning("Something is odd.")

    asked = ExecuteActivityInput(fn=print, args=[MARK], executor=None, headers={})
    with json_log(logger.name) as lines:
        await ActivityEnvironment().run(FailureInterceptor().intercept_activity(Effect()).execute_activity, asked)
        logger.warning("Afterwards.")
    inside, afterwards = lines
    assert {name: inside[name] for name in ("brand", "run_id", "step")} == {
        "brand": "acme",
        "run_id": "welcome:acme:p:1",
        "step": "mark:seen#1",
    }
    assert "run_id" not in afterwards


def test_a_process_nobody_watches_writes_json() -> None:
    program = (
        "import logging, warnings; from activities.log_output import log_to_stderr; log_to_stderr(); "
        "logging.getLogger('journeys.worker').info('Ready as %s.', 'worker'); warnings.warn('old')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    ready, warned = map(json.loads, done.stderr.splitlines())
    assert (ready["event"], ready["level"]) == ("Ready as worker.", "info")
    assert (warned["logger"], warned["level"]) == ("py.warnings", "warning")
