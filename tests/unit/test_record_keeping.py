"""How long records are kept: the longest duty of a law, the shortest wish, each from its own moment."""

from datetime import date, timedelta

import pytest

from workflows.record_keeping import FIVE_YEARS, RECORD_CLASSES, LegalDuty, RecordClass, period_of_records

TODAY = date(2026, 3, 1)
YEAR = timedelta(days=365)


@pytest.mark.parametrize(
    ("where", "duty"),
    [("MT", FIVE_YEARS), ("GB", FIVE_YEARS), ("SE-AB", FIVE_YEARS), ("UA", 0 * YEAR), (None, FIVE_YEARS)],
)
@pytest.mark.parametrize("record_class", RECORD_CLASSES)
def test_money_and_who_the_player_is_are_kept_five_years_where_a_law_says_so_and_where_it_may(
    record_class: RecordClass, where: str | None, duty: timedelta
) -> None:
    found = period_of_records(record_class, where, [YEAR], TODAY)
    assert (found.wish, found.duty, bool(found.sources)) == (YEAR, duty, duty > 0 * YEAR)


def test_of_wishes_the_shortest_counts_and_none_is_for_ever() -> None:
    assert period_of_records("money", "UA", [None, 3 * YEAR, 2 * YEAR], TODAY).wish == 2 * YEAR
    assert period_of_records("money", "UA", [None], TODAY).wish is None


def test_a_wording_holds_until_the_next_of_its_name_and_of_laws_that_apply_together_the_longest() -> None:
    duties = [
        LegalDuty("a", date(2020, 1, 1), "CA-ON", {"money": 3 * YEAR}, "first"),
        LegalDuty("a", date(2026, 1, 1), "CA-ON", {"money": 2 * YEAR}, "second"),
        LegalDuty("a", date(2030, 1, 1), "CA-ON", {"money": 9 * YEAR}, "not yet"),
        LegalDuty("b", date(2020, 1, 1), "CA", {"money": YEAR}, "land"),
    ]
    told = {day: period_of_records("money", "CA-ON", [], day, duties) for day in (date(2025, 12, 31), TODAY)}
    assert [(one.duty, one.sources) for one in told.values()] == [(3 * YEAR, ("first",)), (2 * YEAR, ("second",))]
    # A player of a country whose region nobody told may be under the law of each.
    assert period_of_records("money", "CA", [], TODAY, duties).duty == 2 * YEAR
    assert period_of_records("money", "CA-QC", [], TODAY, duties).duty == YEAR
