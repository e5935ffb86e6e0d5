"""Traces: one event, one trace, whoever adds to it; nothing at all where nobody asked for them."""

from collections.abc import Iterator

import httpx
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from activities import tracing
from tests.support.tracing import collecting, trace_id
from workflows.events import DepositApproved

DEPOSIT = DepositApproved.example()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with collecting() as exporter:
        yield exporter


def test_nothing_is_traced_where_no_collector_is_named() -> None:
    assert tracing.switch_on("", "journeys") == []


def test_an_event_has_the_same_trace_in_every_process_and_another_one_has_another() -> None:
    def trace_of(brand: str, event_id: str) -> int:
        found = tracing.trace_of(brand, "/cashier", event_id)
        return trace.get_current_span(found).get_span_context().trace_id

    assert trace_of("acme", "e-1") == trace_of("acme", "e-1") != 0
    assert len({trace_of("acme", "e-1"), trace_of("acme", "e-2"), trace_of("luna", "e-1")}) == 3


async def test_intake_the_start_of_a_run_and_a_providers_call_meet_in_one_trace(spans: InMemorySpanExporter) -> None:
    told: list[str] = []

    async def provider(request: httpx.Request) -> httpx.Response:
        told.append(request.headers["traceparent"])
        return httpx.Response(503)

    tracing.note_events("acme", [DEPOSIT])
    with tracing.about("acme", "welcome:acme:p-1:1", DEPOSIT.to_wire()):
        transport = tracing.TracedTransport(httpx.MockTransport(provider))
        async with httpx.AsyncClient(transport=transport) as client:
            await client.post("http://bonus.example/grants", json={"player": "p-1"})
    taken, called = spans.get_finished_spans()
    assert (taken.name, called.name) == (f"event {DEPOSIT.type}", "POST bonus.example")
    assert trace_id(taken) == trace_id(called)
    assert told[0].split("-")[1] == f"{trace_id(called):032x}"
    assert called.attributes is not None
    assert called.attributes["http.response.status_code"] == 503
    assert not called.status.is_ok
    assert "p-1" not in f"{taken.to_json()}{called.to_json()}"


def test_what_was_attached_is_detached_again() -> None:
    before = context.get_current()
    with tracing.about("acme", "welcome:acme:p-1:1", None):
        assert context.get_current() is not before
    assert context.get_current() == before


def test_the_exporter_is_of_the_group_tracing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(tracing.TracingMissing, match="install the group `tracing`"):
        tracing.switch_on("http://127.0.0.1:9/v1/traces", "journeys")
