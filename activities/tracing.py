"""Traces after OpenTelemetry: one event, one trace, from intake over the run and its effects to the provider's call.

Off unless `TRACES_ENDPOINT` names a collector; then every span is a no-op. The id of a trace is computed from the
event's identity, so that whoever meets the event, in whichever process and however often, adds to the same trace and
nothing has to be carried along through Postgres.

No span holds personal data: types, ids and hosts alone.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpx
from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from temporalio.client import Interceptor

from workflows.errors import JourneysError
from workflows.events import Event

NAME: Final = "journeys"


class TracingMissing(JourneysError):
    """TRACES_ENDPOINT is set where the group `tracing` is not installed."""


def switch_on(endpoint: str, service: str) -> Sequence[Interceptor]:
    """Send spans to a collector from now on, and what Temporal's client needs besides; nothing without an endpoint.

    `endpoint` is the address of an OTLP collector over HTTP, such as http://collector:4318/v1/traces. A process calls
    it once. Raises `TracingMissing`.
    """
    if not endpoint:
        return []
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise TracingMissing(
            f"TRACES_ENDPOINT needs {missing.name}: install the group `tracing`, or leave the variable unset."
        ) from None
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider(resource=Resource.create({"service.name": service}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        trace.set_tracer_provider(provider)
    return temporal_interceptors()


def temporal_interceptors() -> Sequence[Interceptor]:
    """The SDK's own: they carry a trace from whoever starts or signals a run into the run and its effects."""
    from temporalio.contrib.opentelemetry import TracingInterceptor  # noqa: PLC0415 - it needs the group

    return [TracingInterceptor(trace.get_tracer(NAME))]


def trace_of(brand: str, source: str, event_id: str) -> Context:
    """The context of an event's trace, the same in every process."""
    digest = hashlib.sha256(f"{brand}\n{source}\n{event_id}".encode()).digest()
    parent = SpanContext(
        trace_id=int.from_bytes(digest[:16], "big"),
        span_id=int.from_bytes(digest[16:24], "big"),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


def note_events(brand: str, events: Sequence[Event]) -> None:
    """Add to the trace of each event that it was taken in."""
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        tracer = trace.get_tracer(NAME)
        for event in events:
            tracer.start_span(
                f"event {event.type}",
                trace_of(brand, event.event_source, event.event_id),
                SpanKind.CONSUMER,
                {"brand": brand, "event.type": event.type, "event.id": event.event_id},
            ).end()


@contextmanager
def about(brand: str, run_id: str, trigger: Mapping[str, Any] | None) -> Iterator[None]:
    """Whatever is done in the block belongs to the trace of the event that began a run, or of the run itself."""
    source, event_id = (trigger["source"], trigger["id"]) if trigger is not None else ("run", run_id)
    token = context.attach(trace_of(brand, str(source), str(event_id)))
    try:
        yield
    finally:
        context.detach(token)


class TracedTransport(httpx.AsyncBaseTransport):
    """Makes a span of every request to a provider, and tells the provider which trace it belongs to."""

    def __init__(self, following: httpx.AsyncBaseTransport) -> None:
        self._following = following

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Have a request answered."""
        attributes = {"http.request.method": request.method, "server.address": request.url.host}
        name = f"{request.method} {request.url.host}"
        with trace.get_tracer(NAME).start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes) as span:
            propagate.inject(request.headers)
            response = await self._following.handle_async_request(request)
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 500:
                span.set_status(Status(StatusCode.ERROR))
            return response

    async def aclose(self) -> None:
        """Close what is behind it."""
        await self._following.aclose()
