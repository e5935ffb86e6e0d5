"""Fixtures of the tests on Postgres."""

from collections.abc import AsyncIterator

import pytest

from tests.support.api_client import Api


@pytest.fixture
async def api(served: Api) -> AsyncIterator[Api]:
    """The application that a module's `served` is, with a brand, an address and clients of this test alone."""
    async with served.for_one_test() as own:
        yield own
