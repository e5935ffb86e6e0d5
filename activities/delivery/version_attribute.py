"""The search attribute `JourneyVersion`, by which Temporal's lists show and find the runs of a version."""

import logging
import time
from datetime import timedelta
from typing import Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

logger = logging.getLogger(__name__)

JOURNEY_VERSION: Final = SearchAttributeKey.for_int("JourneyVersion")
LOOK_LIMIT: Final = timedelta(seconds=5)
#: Seconds between two looks at a Temporal that does not have the attribute.
LOOK_AGAIN_S: Final = 60.0


class VersionAttribute:
    """What a start says of its version to Temporal, as far as that knows the attribute.

    A start with an attribute that Temporal does not know is refused, and no run may be lost for being shown. Where this
    process may not make it, somebody else must: Temporal Cloud wants it made by hand.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known = False
        self._look_at = 0.0

    async def of(self, version: int) -> TypedSearchAttributes:
        """The attributes of a run of that version; none for version 0, or while Temporal does not know ours."""
        if version and not self._known and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_AGAIN_S
            self._known = await self._is_known()
        known = [SearchAttributePair(JOURNEY_VERSION, version)] if version and self._known else []
        return TypedSearchAttributes(known)

    def refused(self, refusal: RPCError) -> bool:
        """Whether a start was refused because of the attribute, which is then left out for a while."""
        if not self._known or refusal.status is not RPCStatusCode.INVALID_ARGUMENT or _NAME not in refusal.message:
            return False
        self._known, self._look_at = False, time.monotonic() + LOOK_AGAIN_S
        return True

    async def _is_known(self) -> bool:
        """Whether Temporal has it, made now if it may be."""
        operator, namespace = self._client.operator_service, self._client.namespace
        try:
            listed = await operator.list_search_attributes(
                ListSearchAttributesRequest(namespace=namespace), timeout=LOOK_LIMIT
            )
            if _NAME not in listed.custom_attributes:
                made = {_NAME: IndexedValueType.INDEXED_VALUE_TYPE_INT}
                await operator.add_search_attributes(
                    AddSearchAttributesRequest(namespace=namespace, search_attributes=made), timeout=LOOK_LIMIT
                )
        except RPCError as refusal:
            logger.info("Temporal does not show versions, make the search attribute %s: %s", _NAME, refusal.message)
            return refusal.status is RPCStatusCode.ALREADY_EXISTS
        return True


_NAME: Final = JOURNEY_VERSION.name
