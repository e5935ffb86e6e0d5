"""Traces gathered in memory for one test."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

#: One a process, as OpenTelemetry wants it; outside of `collecting` it takes nothing.
_EXPORTER = InMemorySpanExporter()


@contextmanager
def collecting() -> Iterator[InMemorySpanExporter]:
    """Every span that ends inside the block."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(_EXPORTER))
        trace.set_tracer_provider(provider)
    _EXPORTER.clear()
    _EXPORTER._stopped = False
    try:
        yield _EXPORTER
    finally:
        _EXPORTER.shutdown()


def trace_id(span: ReadableSpan) -> int:
    """Which trace a span belongs to."""
    known = span.get_span_context()
    assert known is not None
    return known.trace_id
