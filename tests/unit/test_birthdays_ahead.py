"""Whose birthday comes: the days that are looked for, and how far each is."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from activities.player_lookups import birthdays_between
from api.player_list import birthday_in

days = st.dates(date(2020, 1, 1), date(2032, 12, 31))
births = st.dates(date(2000, 1, 1), date(2000, 12, 31)).map(lambda day: f"{day:%m-%d}")


def test_who_was_born_on_29_february_has_a_birthday_every_year() -> None:
    assert birthday_in("02-29", date(2026, 2, 28)) == 0
    assert birthday_in("02-29", date(2028, 2, 28)) == 1
    assert birthdays_between(date(2026, 2, 28), 1) == ["02-28", "02-29"]
    assert birthdays_between(date(2028, 2, 28), 2) == ["02-28", "02-29"]


def test_whose_birthday_nobody_knows_has_none_ahead() -> None:
    assert birthday_in(None, date(2026, 1, 1)) is None


@given(born=births, today=days, within=st.integers(0, 400))
def test_what_is_looked_for_and_how_far_it_is_agree(born: str, today: date, within: int) -> None:
    ahead = birthday_in(born, today)
    assert ahead is not None
    assert 0 <= ahead <= 366
    assert (born in birthdays_between(today, within + 1)) == (ahead <= within)


@given(born=births, today=days)
def test_a_day_later_it_is_a_day_nearer(born: str, today: date) -> None:
    ahead = birthday_in(born, today)
    assert ahead is not None
    assert ahead == 0 or birthday_in(born, today + timedelta(days=1)) == ahead - 1
