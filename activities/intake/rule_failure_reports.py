"""What becomes of a designer's function that raises: it is taken for no, counted, and reported in the log."""

import logging
import re
from collections import Counter as Count
from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter

from workflows.rules.failures import RuleFailure

logger = logging.getLogger(__name__)

FAILURES: Final = Counter(
    "journeys_rule_failures_total", "Times a rule, a measure or a segment raised and was taken for no.", ["rule"]
)
#: Characters of one failure in the log.
LONGEST: Final = 300

_NAME: Final = re.compile(r"[\w.<>:@/-]{1,120}")
_times: Count[str] = Count()


def report(failures: Iterable[RuleFailure]) -> None:
    """Count what rules raised and log it, ever more rarely: a rule that fails for everybody would fill the log."""
    for failure in failures:
        # A name that is not one, such as that of a partial, would make a series of its own each start.
        rule = failure.rule if _NAME.fullmatch(failure.rule) else "other"
        FAILURES.labels(rule).inc()
        _times[rule] += 1
        if _times[rule].bit_count() == 1:
            logger.warning("%s It is number %d in this process.", log_line(failure), _times[rule])


def log_line(failure: RuleFailure) -> str:
    """One line without what the event held: an error may quote an address, and the log is no place for it."""
    return " ".join(failure.without_event.split())[:LONGEST]
