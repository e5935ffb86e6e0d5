"""What a run can be found by in Temporal's lists: `Brand`, `Journey` and `JourneyVersion`, set when it starts.

They cost nothing then; a run that moves sets its version anew. No player is named there.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from workflows import run_protocol
from workflows.run_protocol import RunInput

logger = logging.getLogger(__name__)

BRAND: Final = SearchAttributeKey.for_keyword(run_protocol.BRAND)
JOURNEY: Final = SearchAttributeKey.for_keyword(run_protocol.JOURNEY)
JOURNEY_VERSION: Final = SearchAttributeKey.for_int(run_protocol.JOURNEY_VERSION)
LOOK_LIMIT: Final = timedelta(seconds=5)
#: Seconds between two looks at a Temporal that does not have them.
LOOK_AGAIN_S: Final = 60.0

_KINDS: Final = {
    BRAND.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    JOURNEY.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    JOURNEY_VERSION.name: IndexedValueType.INDEXED_VALUE_TYPE_INT,
}


class RunAttributes:
    """What a start says of its run to Temporal, as far as that knows the attributes.

    A start with an attribute that Temporal does not know is refused, and no run may be lost for being shown. Where this
    process may not make them, somebody else must: Temporal Cloud wants them made by hand.
    """

    def __init__(self, client: Client, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._timer = timer
        self._known = False
        self._look_at = float("-inf")

    async def of(self, run: RunInput) -> TypedSearchAttributes:
        """The attributes of a run; none while Temporal does not know ours, and no version for version 0."""
        if not self._known and self._timer() >= self._look_at:
            self._look_at = self._timer() + LOOK_AGAIN_S
            self._known = await self._are_known()
        pairs: list[SearchAttributePair[Any]] = []
        if self._known:
            pairs += [SearchAttributePair(BRAND, run.brand), SearchAttributePair(JOURNEY, run.journey)]
            pairs += [SearchAttributePair(JOURNEY_VERSION, run.version)] if run.version else []
        return TypedSearchAttributes(pairs)

    def refused(self, refusal: RPCError) -> bool:
        """Whether a start was refused because of the attributes, which are then left out for a while."""
        named = any(name in refusal.message for name in _KINDS)
        if not self._known or refusal.status is not RPCStatusCode.INVALID_ARGUMENT or not named:
            return False
        self._known, self._look_at = False, self._timer() + LOOK_AGAIN_S
        return True

    async def _are_known(self) -> bool:
        """Whether Temporal has them, made now if they may be."""
        operator, namespace = self._client.operator_service, self._client.namespace
        try:
            listed = await operator.list_search_attributes(
                ListSearchAttributesRequest(namespace=namespace), timeout=LOOK_LIMIT
            )
            missing = {name: kind for name, kind in _KINDS.items() if name not in listed.custom_attributes}
            if missing:
                await operator.add_search_attributes(
                    AddSearchAttributesRequest(namespace=namespace, search_attributes=missing), timeout=LOOK_LIMIT
                )
        except RPCError as refusal:
            named = ", ".join(_KINDS)
            logger.info("Temporal does not show our runs; make the search attributes %s: %s", named, refusal.message)
            return refusal.status is RPCStatusCode.ALREADY_EXISTS
        return True
