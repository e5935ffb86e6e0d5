"""One trace from an event over its run and the effect to the provider's call, on a real Temporal."""

from typing import Any

from opentelemetry import trace
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.tracing import temporal_interceptors, trace_of
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from tests.support.temporal_engine import BRAND, theatre
from tests.support.tracing import collecting, trace_id
from workflows import DepositApproved


class Traced:
    """The environment with a client that carries traces, as `TRACES_ENDPOINT` would make it."""

    def __init__(self, environment: WorkflowEnvironment) -> None:
        self._environment = environment
        given = environment.client.config()
        self.client = Client(**given | {"interceptors": [*temporal_interceptors(), *given["interceptors"]]})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environment, name)


async def test_an_event_its_run_the_effect_and_the_providers_call_are_one_trace(
    time_skipping: WorkflowEnvironment, postgres_url: str, bonus_engine: LocalBonusEngine, catch_all: LocalCatchAll
) -> None:
    variables = {
        "DATABASE_URL": postgres_url,
        "BONUS_ENGINE_URL": bonus_engine.url,
        "JOURNEYS": "tests.support.gift_journeys",
        "TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces",
        **catch_all.environment,
    }
    environment: Any = Traced(time_skipping)
    with collecting() as exporter:
        async with theatre(environment, f"p-{postgres_url[-6:]}", variables) as stage:
            await stage.registers(mode="history")
            exporter.clear()
            await stage.happens(DepositApproved, amount_minor=1_900, currency="EUR")
            assert await stage.ends("gift") == "completed"
        spans = exporter.get_finished_spans()
    event_id = f"{stage.player_id}-{stage.events}"
    wanted = trace.get_current_span(trace_of(BRAND, "/test", event_id)).get_span_context().trace_id
    mine = [span.name for span in spans if trace_id(span) == wanted]
    assert {
        "event payment.deposit_approved",
        "StartWorkflow:gift",
        "RunWorkflow:gift",
        "StartActivity:grant",
        "RunActivity:grant",
        "POST 127.0.0.1",
    } <= {*mine}
