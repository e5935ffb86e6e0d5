"""Minor units after ISO 4217, held against the list of currencies that Babel brings."""

from babel.core import get_global

from workflows.minor_units import MINOR_UNITS, minor_units

#: Where people leave the decimals out, and the standard does not.
WRITTEN_SHORTER = {
    **dict.fromkeys(("AFN", "ALL", "IRR", "KPW", "LAK", "LBP", "MGA", "MMK", "RSD", "SOS", "SYP", "YER"), 2),
    "IQD": 3,
}


def in_use() -> set[str]:
    """Every currency that some territory pays with today."""
    paid_with = get_global("territory_currencies").values()
    return {code for currencies in paid_with for code, _, until, _ in currencies if until is None}


def test_every_currency_in_use_has_the_minor_units_of_the_standard() -> None:
    written = get_global("currency_fractions")
    expected = {code: written.get(code, written["DEFAULT"])[0] for code in in_use()} | WRITTEN_SHORTER
    assert len(expected) > 150
    assert {code: minor_units(code) for code in expected} == expected


def test_the_table_names_no_currency_that_is_gone_and_none_that_has_hundredths() -> None:
    assert set(MINOR_UNITS) <= in_use()
    assert 2 not in MINOR_UNITS.values()


def test_a_currency_nobody_heard_of_has_hundredths() -> None:
    assert minor_units("XYZ") == 2
