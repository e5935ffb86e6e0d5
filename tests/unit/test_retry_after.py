"""What a provider asks to wait, whatever it writes."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.providers.webhook import LONGEST_PAUSE, retry_after

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("7", timedelta(seconds=7)),
        (" 0 ", timedelta(0)),
        ("999999999", LONGEST_PAUSE),
        ("Wed, 01 Jul 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Wed, 01 Jul 2026 11:00:00 GMT", timedelta(0)),
        ("Fri, 01 Jan 2100 00:00:00 GMT", LONGEST_PAUSE),
    ],
)
def test_seconds_and_dates_are_read_within_bounds(header: str, pause: timedelta) -> None:
    assert retry_after(header, NOW) == pause


@pytest.mark.parametrize(
    "header",
    [
        "",
        "soon",
        "-5",
        "9" * 5_000,
        "Wed, 01 Jul 2026 12:00:30",
        "Wed, 32 Jul 2026 12:00:30 GMT",
        "Wed, 01 Jul " + "2" * 120 + " 12:00:30 GMT",
        "Wed, " + "2" * 120 + " Jul 2026 12:00:30 \xff",
        "Wed, 01 Jul 2026 12:00:30 +" + "9" * 20,
    ],
)
def test_what_says_no_time_asks_for_nothing(header: str) -> None:
    assert retry_after(header, NOW) is None
