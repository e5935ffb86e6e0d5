"""Numbers that callers write where no form reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.written_numbers import written_number


@given(st.integers(0, 10**18 - 1), st.integers(0, 3))
def test_a_number_is_read_as_it_is_written(number: int, zeros: int) -> None:
    text = "0" * zeros + str(number)
    assert written_number(text) == (number if len(text) <= 18 else None)


@given(st.text())
def test_nothing_raises_and_what_is_read_fits_a_row(text: str) -> None:
    number = written_number(text)
    assert number is None or (0 <= number < 2**63 and text.isascii() and text.isdecimal())


@pytest.mark.parametrize(
    "text", ["", " 1", "1\n", "-1", "+1", "1.0", "1_000", "\u0664", "\u00b2", "9" * 19, "9" * 5_000]
)
def test_what_is_no_number_of_ours_is_none(text: str) -> None:
    assert written_number(text) is None
