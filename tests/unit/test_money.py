"""Minor units after ISO 4217, held against the list of currencies that Babel brings."""

from babel.core import get_global

from workflows.minor_units import MINOR_UNITS, is_currency, minor_units

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


#: Funds, metals and units of account that nobody pays with.
NO_MONEY = {
    "BOV",
    "CHE",
    "CHW",
    "COU",
    "MXV",
    "USN",
    "USS",
    "XXX",
    "XTS",
    "XSU",
    "XUA",
    "XDR",
    "XAG",
    "XAU",
    "XPD",
    "XPT",
}
NO_MONEY |= {"CNH", "XBA", "XBB", "XBC", "XBD"}
#: Paid with in the last years: histories hold them.
GONE = {"ANG", "BGN", "CUC", "HRK", "SLL", "SVC", "ZWL"}
#: Newer than what Babel brings.
NEW = {"VED", "XCG", "ZWG"}


def test_the_table_names_every_currency_in_use_and_hardly_one_that_is_gone() -> None:
    assert in_use() - set(MINOR_UNITS) <= NO_MONEY
    assert set(MINOR_UNITS) - in_use() <= GONE | NEW


def test_what_is_no_money_of_an_account_is_no_currency() -> None:
    assert all(map(is_currency, ("EUR", "JPY", "UAH", "HRK")))
    assert not any(map(is_currency, (*NO_MONEY, "XAU", "XDR", "BTC", "eur", "EURO", "")))


def test_a_currency_nobody_heard_of_has_hundredths() -> None:
    assert minor_units("XYZ") == 2
