"""What becomes of a designer's function that raises: it is taken for no, counted, and told in the log."""

import logging
import re
import warnings
from collections import Counter as Count
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from prometheus_client import Counter

from workflows.rules.predicates import RuleWarning

logger = logging.getLogger(__name__)

FAILURES: Final = Counter(
    "journeys_rule_failures_total", "Times a rule, a measure or a segment raised and was taken for no.", ["rule"]
)
#: Characters of one failure in the log.
LONGEST: Final = 300

_NAMED = re.compile(r"(?:Segment |where= of |where=|The measure )([\w.<>:@/-]{1,120}) raised ")
_RAW = re.compile(r"( event) \(.*\)", re.DOTALL)
_times: Count[str] = Count()


@contextmanager
def caught() -> Iterator[list[str]]:
    """What rules raise in the block, a sentence each, as it happens.

    The block must not await: what other tasks warn of meanwhile would be taken for its own.
    """
    told: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def hear(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, RuleWarning):
                told.append(_sentence(str(message)))
            else:
                show(message, category, filename, lineno, file, line)

        # Otherwise each sentence would be told once a process.
        warnings.simplefilter("always", RuleWarning)
        warnings.showwarning = hear
        yield told


@contextmanager
def counted() -> Iterator[None]:
    """Counts what rules raise in the block and logs it; the block must not await."""
    with caught() as told:
        try:
            yield
        finally:
            _tell(told)


def _tell(told: Iterable[str]) -> None:
    for sentence in told:
        named = _NAMED.match(sentence)
        # A name that is not one, such as that of a partial, would make a series of its own each start.
        rule = named[1] if named else "other"
        FAILURES.labels(rule).inc()
        _times[rule] += 1
        # A rule that fails for everybody would fill the log.
        if _times[rule].bit_count() == 1:
            logger.warning("%s It is number %d in this process.", sentence, _times[rule])


def _sentence(message: str) -> str:
    """One line without what the event held: an error may quote an address, and the log is no place for it."""
    return " ".join(_RAW.sub(r"\1", message).split())[:LONGEST]
