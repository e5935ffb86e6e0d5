"""The currencies of ISO 4217 and their minor units: which code is money, and how many decimals its amounts have.

CLDR's digits, which Babel gives, are how many people *write* (RSD 0, IQD 0). Taking them for the scale of an amount
would be wrong by a factor of a hundred or a thousand.
"""

import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Final

_HUNDREDTHS: Final = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC
    CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR
    JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO
    NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL
    THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG ZWL
"""

#: Minor units by code: every currency that is paid with, and those that went in the last years, which histories hold.
#: Codes that are no money of an account (XAU, XDR, XXX) and coins that ISO does not know (BTC, USDT) are not in it.
MINOR_UNITS: Final[Mapping[str, int]] = {
    **dict.fromkeys(_HUNDREDTHS.split(), 2),
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}

#: An amount as a person or a program writes it: digits, and a point before its decimals.
_AMOUNT: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_EXACT: Final = Context(prec=100)
#: How many digits stand between two marks of thousands.
_GROUP: Final = 3


def is_currency(code: str) -> bool:
    """Whether ISO 4217 knows the code as money that an account can hold."""
    return code in MINOR_UNITS


def minor_units(currency: str) -> int:
    """How many decimal places a minor unit of the currency stands for, after ISO 4217: EUR 2, JPY 0, KWD 3.

    A code it does not know is taken to have two. No entrance lets one in; what was kept before that is still written.
    """
    return MINOR_UNITS.get(currency, 2)


def whole_units(minor: int, currency: str) -> float:
    """An amount in whole units of its currency, for people and charts; reckon in minor units."""
    return float(minor / 10 ** minor_units(currency))


def may_be_grouped(text: str, currency: str) -> bool:
    """Whether an amount may be one or a thousand: `1.000` of a currency with fewer than three decimals."""
    return len(text.partition(".")[2]) == _GROUP > minor_units(currency)


def minor_of(amount: Decimal, currency: str) -> int:
    """An amount in whole units of its currency as minor units, exactly: 12.50 EUR is 1250.

    Raises ValueError with a phrase that completes "... is" for a part of a minor unit.
    """
    scaled = _EXACT.scaleb(amount, minor_units(currency))
    whole = _EXACT.to_integral_value(scaled)
    if whole != scaled:
        raise ValueError(f"not a whole number of {currency}'s smallest unit; round it first")
    return int(whole)


def minor_of_text(text: str, currency: str) -> int:
    """The same of an amount somebody wrote: digits and a decimal point, without marks between thousands.

    Raises ValueError with a phrase that completes "... is".
    """
    if not _AMOUNT.fullmatch(text):
        raise ValueError("not an amount; write it with digits and a decimal point")
    if may_be_grouped(text, currency):
        raise ValueError(
            f"one or a thousand, by the country it comes from; write it with {minor_units(currency) or 'no'} decimals "
            f"({currency}) and no mark between thousands"
        )
    return minor_of(Decimal(text), currency)
