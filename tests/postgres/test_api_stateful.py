"""The API in sequences of requests, each made of what the one before answered, under keys that may do different things.

Schemathesis reads from the document which answer gives what another operation takes. Whatever the sequence, every
status, header and body is one that the document knows, nothing fails by our own fault, and nothing hangs.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import FlakyStrategyDefinition, Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.generation.stateful import APIStateMachine
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from local.slowness import slowness
from tests.support.described_api import ROLES, DescribedApi, described_api

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
STEPS: Final = 20
LIGHT: Final = settings(phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck))
#: Seconds that one request may take before it hangs, whoever waits for the machine besides.
HANGS_S: Final = 30.0
#: Requests of the proof, all roles together; `REQUESTS=1000` asks for fewer, `SEED=7` for others.
REQUESTS: Final = int(os.environ.get("REQUESTS", "100000"))
FIRST: Final = int(os.environ.get("SEED", "1"))
UNDER_TEST: Final = [role for role in ROLES if role != "admin"]


@pytest.fixture(scope="module")
async def described(module_postgres_url: str) -> AsyncIterator[DescribedApi]:
    async with described_api(module_postgres_url) as one:
        yield one


@dataclass
class Caller:
    """Somebody of a role, who knows what is there as often as not; every answer is judged and counted."""

    described: DescribedApi
    role: str
    #: How many answers there were of each status.
    statuses: Counter[int] = field(default_factory=Counter)
    #: What was judged to be wrong.
    faults: list[str] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        return self.described.headers[self.role]

    def fill_in(self, case: Any) -> None:
        chance = Random(self.statuses.total())
        for name in case.path_parameters or {}:
            if name in self.described.ids and chance.random() < 0.5:
                case.path_parameters[name] = quote(self.described.ids[name], safe="")

    def judge(self, response: Any, case: Any) -> None:
        self.statuses[response.status_code] += 1
        try:
            assert response.elapsed < HANGS_S * slowness(), f"{case.method} {case.path} took {response.elapsed:.1f} s"
            case.validate_response(response, checks=CHECKS)
        except BaseException as fault:
            self.faults.append(str(fault))
            raise

    def sequences(self, requests: int, first: int) -> None:
        """Send about so many requests in sequences, drawn from seeds that count on from `first`."""
        caller = self
        base: type[APIStateMachine] = self.described.schema.as_state_machine()

        class Sequence(base):  # type: ignore[misc,valid-type]  # it is made from the document
            def before_call(self, case: Any) -> None:
                caller.fill_in(case)

            def get_call_kwargs(self, _: Any) -> dict[str, Any]:
                return {"headers": caller.headers}

            def validate_response(self, response: Any, case: Any, *_: Any, **__: Any) -> None:
                caller.judge(response, case)

        end = self.statuses.total() + requests
        while (left := end - self.statuses.total()) > 0:
            chosen = settings(LIGHT, max_examples=max(1, min(50, left // STEPS)), stateful_step_count=STEPS)
            # What is there differs from one sequence to the next, so the same draws need not lead to the same rules; by
            # then each answer has been judged.
            with suppress(FlakyStrategyDefinition):
                seed(first)(Sequence).run(settings=chosen)
            first += 1
        assert self.faults == []

    def one_by_one(self, requests: int, first: int) -> None:
        """Send about so many requests, each operation as many: those that fit into no sequence too."""
        operations = [one.ok() for one in self.described.schema.get_all_operations() if isinstance(one, Ok)]
        each = max(1, requests // (2 * len(operations)))
        for operation in operations:
            for mode in GenerationMode:

                @seed(first)
                @settings(LIGHT, max_examples=each)
                @given(case=operation.as_strategy(generation_mode=mode))
                def answers(case: Any) -> None:
                    self.fill_in(case)
                    self.judge(case.call(headers=self.headers), case)

                # What takes nothing cannot be asked wrongly.
                with suppress(Unsatisfiable):
                    answers()


@pytest.mark.parametrize("role", UNDER_TEST)
def test_a_sequence_of_requests_is_answered_as_documented(described: DescribedApi, role: str) -> None:
    caller = Caller(described, role)
    caller.sequences(40, first=2026)
    assert caller.statuses.total() >= 40
    assert 500 not in caller.statuses


@pytest.mark.slow
@pytest.mark.timeout(10 * 3600)
@pytest.mark.parametrize("role", UNDER_TEST)
def test_a_hundred_thousand_requests_are_answered_as_documented(described: DescribedApi, role: str) -> None:
    caller = Caller(described, role)
    of_each = REQUESTS // len(UNDER_TEST) // 2
    caller.sequences(of_each, first=FIRST)
    caller.one_by_one(of_each, first=FIRST)
    print(f"{role}: {caller.statuses.total():,} requests, {dict(sorted(caller.statuses.items()))}")  # noqa: T201
    assert any(status < 300 for status in caller.statuses)
