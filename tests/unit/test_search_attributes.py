"""What a run can be found by in Temporal, and what happens where the namespace does not know it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.run_delivery.search_attributes import BRAND, JOURNEY, JOURNEY_VERSION, LOOK_AGAIN_S, RunAttributes
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import RunInput

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
RUN = RunInput(
    run_id="welcome:acme:p-1:1",
    brand="acme",
    player_id="p-1",
    journey="welcome",
    entered_at=NOW,
    ends_at=NOW,
    trigger=None,
    facts=PlayerFacts(player_id="p-1"),
    version=3,
)


class Namespace:
    """What is asked of a client: which attributes there are, and to make those that are missing."""

    namespace = "default"

    def __init__(self, *known: str, forbids: bool = False) -> None:
        self.operator_service = self
        self.custom_attributes = {*known}
        self.forbids = forbids
        self.looks = 0

    async def list_search_attributes(self, *_: Any, **__: Any) -> "Namespace":
        self.looks += 1
        return self

    async def add_search_attributes(self, request: Any, **_: Any) -> None:
        if self.forbids:
            raise RPCError("Request unauthorized.", RPCStatusCode.PERMISSION_DENIED, b"")
        self.custom_attributes |= {*request.search_attributes}


def attributes(namespace: Namespace, timer: Callable[[], float] = lambda: 0.0) -> RunAttributes:
    return RunAttributes(cast(Client, namespace), timer=timer)


async def test_a_run_is_found_by_brand_journey_and_version_and_not_by_its_player() -> None:
    namespace = Namespace("Brand")
    given = await attributes(namespace).of(RUN)
    assert (given[BRAND], given[JOURNEY], given[JOURNEY_VERSION]) == ("acme", "welcome", 3)
    assert "p-1" not in str(given)
    assert namespace.custom_attributes == {"Brand", "Journey", "JourneyVersion"}


async def test_a_run_of_no_release_has_no_version() -> None:
    given = await attributes(Namespace()).of(RUN.model_copy(update={"version": 0}))
    assert given.get(JOURNEY) == "welcome"
    assert given.get(JOURNEY_VERSION) is None


async def test_where_they_may_not_be_made_runs_start_without_them_and_it_is_looked_again_later() -> None:
    namespace, seconds = Namespace(forbids=True), 0.0
    ours = attributes(namespace, lambda: seconds)
    for _ in range(3):
        assert len(await ours.of(RUN)) == 0
    assert namespace.looks == 1
    seconds, namespace.forbids = LOOK_AGAIN_S, False
    assert len(await ours.of(RUN)) == 3


async def test_a_start_that_was_refused_for_their_sake_goes_without_them() -> None:
    ours = attributes(Namespace())
    await ours.of(RUN)
    other = RPCError("Workflow id too long.", RPCStatusCode.INVALID_ARGUMENT, b"")
    assert not ours.refused(other)
    message = "Namespace default has no mapping defined for search attribute Brand"
    assert ours.refused(RPCError(message, RPCStatusCode.INVALID_ARGUMENT, b""))
    assert len(await ours.of(RUN)) == 0
