"""How large a journal is: exactly what its entries take as JSON, however they came to be."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workflows.run_journal import ENTRY_BYTES, RunJournal, over
from workflows.run_protocol import KnownStep

BEGAN = datetime(2026, 3, 2, 10, tzinfo=UTC)
LATER = BEGAN + timedelta(hours=1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(st.text(), json_values, max_size=4)


def written(step: str, entry: KnownStep) -> int:
    return ENTRY_BYTES + len(step) + len(json.dumps([entry.fixed, entry.outcome]))


@given(objects, json_values, st.text())
def test_an_entry_is_as_large_as_its_json(fixed: dict[str, Any], outcome: Any, step: str) -> None:
    entry = over(BEGAN, LATER, outcome, fixed)
    assert RunJournal({step: entry}).size == written(step, entry)


@given(objects, objects, json_values)
def test_a_step_that_ends_counts_once(fixed: dict[str, Any], told: dict[str, Any], outcome: Any) -> None:
    journal, step = RunJournal({}), "send:welcome#1"
    begun = KnownStep(began=BEGAN, fixed=fixed)
    journal.keep(step, begun)
    assert journal.size == written(step, begun)
    ended = over(BEGAN, LATER, outcome, fixed)
    journal.keep(step, ended)
    assert journal.size == written(step, ended)
    other = over(BEGAN, LATER, outcome, told)
    journal.keep(step, other)
    assert journal.size == written(step, other)
    journal.forget(step)
    assert journal.size == 0
