"""What Temporal is told: which version a run plays, and which build a worker is."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from temporalio.api.operatorservice.v1 import RemoveSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.common import VersioningBehavior
from temporalio.service import RPCError

from activities.database import Database
from activities.engine import worker_engine
from activities.run_delivery.dispatcher import Dispatcher
from activities.run_delivery.search_attributes import JOURNEY_VERSION
from activities.settings import Settings
from activities.tables import deliveries
from activities.temporal_client import worker_deployment
from activities.temporal_credentials import WrongSetting
from tests.support.engine import BRAND, NOON, SECRET, Casino, connected, rows, run_of
from tests.support.machine import eventually
from worker import journey_worker
from workflows import DepositFailed
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import RunInput
from workflows.source.journey_loading import load

OTHER = "failed_deposit"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


async def entered(database: Database) -> str:
    """A player in the shipped journey that has no control arm; the run's id."""
    casino = Casino.of(database, dict(load().journeys))
    player = casino.player()
    await casino.registers(player)
    await casino.happens(player, *[DepositFailed] * 3, failure="technical")
    return await run_of(database, player, OTHER)


async def test_temporal_finds_the_runs_of_a_version(database: Database, temporal: Client) -> None:
    registry = load()
    run_id = await entered(database)
    assert await Dispatcher(database, temporal, registry).run_once() == 1
    described = await temporal.get_workflow_handle(run_id).describe()
    assert described.typed_search_attributes.get(JOURNEY_VERSION) == registry.journeys[OTHER].version
    version = registry.journeys[OTHER].version
    query = f"Brand = '{BRAND}' AND Journey = '{OTHER}' AND JourneyVersion = {version} AND WorkflowId = '{run_id}'"

    async def found() -> bool:
        return (await temporal.count_workflows(query)).count == 1

    await eventually(found)
    await temporal.get_workflow_handle(run_id).terminate()


async def test_no_start_is_lost_where_temporal_does_not_know_the_attribute(
    database: Database, temporal: Client
) -> None:
    """As on a Temporal whose operator has taken it away, or whose other hosts have not heard of it yet."""
    dispatcher = Dispatcher(database, temporal, load())
    run = RunInput(
        run_id="x",
        brand=BRAND,
        player_id="p",
        journey=OTHER,
        entered_at=NOON,
        ends_at=NOON,
        trigger=None,
        version=1,
        facts=PlayerFacts(player_id="p"),
    )
    assert (await dispatcher.attributes.of(run)).get(JOURNEY_VERSION) == 1
    await temporal.operator_service.remove_search_attributes(
        RemoveSearchAttributesRequest(namespace=temporal.namespace, search_attributes=[JOURNEY_VERSION.name])
    )
    run_id = await entered(database)
    assert await dispatcher.run_once() == 0
    [waiting] = await rows(database, deliveries)
    assert "Temporal does not show our runs yet" in waiting["last_error"]

    async def served() -> bool:
        return await dispatcher.run_once() == 1

    await eventually(served)
    described = await temporal.get_workflow_handle(run_id).describe()
    assert described.typed_search_attributes.get(JOURNEY_VERSION) is None
    await temporal.get_workflow_handle(run_id).terminate()


async def test_a_start_waits_for_a_process_that_has_its_version(database: Database, temporal: Client) -> None:
    known = load()
    older = replace(known, journeys={OTHER: replace(known.journeys[OTHER], version=0)})
    run_id = await entered(database)
    assert await Dispatcher(database, temporal, older).run_once() == 0
    [waiting] = await rows(database, deliveries)
    version = known.journeys[OTHER].version
    assert waiting["last_error"].startswith(f"Version {version} of {OTHER} is not deployed here")

    async def served() -> bool:
        return await Dispatcher(database, temporal, known).run_once() == 1

    await eventually(served)
    await temporal.get_workflow_handle(run_id).terminate()


async def test_a_build_plays_runs_once_it_is_the_current_one(postgres_url: str, temporal: Client) -> None:
    settings = Settings(
        database_url=postgres_url,
        link_secrets=(SECRET,),
        webhook_secret=SECRET,
        deployment_name="ramped",
        build_id="c0ffee",
        worker_versioning=True,
    )
    async with worker_engine(settings) as engine, journey_worker(temporal, engine):
        run_id = f"{OTHER}:{BRAND}:ramped:1"
        await begin(temporal, settings.task_queue, run_id)

        async def announced() -> bool:
            try:
                described = await temporal.workflow_service.describe_worker_deployment(
                    DescribeWorkerDeploymentRequest(namespace=temporal.namespace, deployment_name="ramped")
                )
            except RPCError:
                return False
            versions = described.worker_deployment_info.version_summaries
            return [one.deployment_version.build_id for one in versions] == ["c0ffee"]

        await eventually(announced)
        await temporal.workflow_service.set_worker_deployment_current_version(
            SetWorkerDeploymentCurrentVersionRequest(
                namespace=temporal.namespace, deployment_name="ramped", build_id="c0ffee"
            )
        )
        async for event in temporal.get_workflow_handle(run_id).fetch_history_events(wait_new_event=True):
            if event.HasField("workflow_task_completed_event_attributes"):
                played = event.workflow_task_completed_event_attributes
                assert played.worker_deployment_version == "ramped.c0ffee" or (
                    played.deployment_version.build_id == "c0ffee"
                )
                assert played.versioning_behavior == VersioningBehavior.AUTO_UPGRADE.value
                break
        await temporal.get_workflow_handle(run_id).terminate()


def test_versioning_needs_a_build_to_name() -> None:
    settings = Settings(database_url="postgres://x", worker_versioning=True)
    with pytest.raises(WrongSetting, match="set it to the commit"):
        worker_deployment(settings)
    assert worker_deployment(Settings(database_url="postgres://x")) is None


async def begin(client: Client, queue: str, run_id: str) -> None:
    given = RunInput(
        run_id=run_id,
        brand=BRAND,
        player_id="ramped",
        journey="welcome",
        entered_at=NOON,
        ends_at=NOON.replace(year=9000),
        trigger=None,
        facts=PlayerFacts(player_id="ramped"),
    )
    await client.start_workflow("welcome", given, id=run_id, task_queue=queue)
