"""nginx.conf as it is written: what strangers may ask has a limit."""

import re
from pathlib import Path

import pytest

from api.middleware import PUBLIC

CONFIGURATION = (Path(__file__).parent.parent.parent / "nginx.conf").read_text()


@pytest.mark.parametrize("prefix", PUBLIC)
def test_every_path_that_needs_no_key_has_a_limit(prefix: str) -> None:
    place = re.search(rf"location {re.escape(prefix)} {{([^}}]*)}}", CONFIGURATION)
    assert place is not None
    assert "limit_req zone=" in place[1]
