"""How many decimal places an amount has: the one table of ISO 4217's minor units.

CLDR's digits, which Babel gives, are how many people *write* (RSD 0, IQD 0). Taking them for the scale of an amount
would be wrong by a factor of a hundred or a thousand.
"""

from collections.abc import Mapping
from typing import Final

#: Every currency in use whose minor unit is not a hundredth. Codes without one (XAU, XDR) are no money here.
MINOR_UNITS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def minor_units(currency: str) -> int:
    """How many decimal places a minor unit of the currency stands for, after ISO 4217: EUR 2, JPY 0, KWD 3.

    A code it does not know is taken to have two, as a new currency most likely has.
    """
    return MINOR_UNITS.get(currency, 2)


def whole_units(minor: int, currency: str) -> float:
    """An amount in whole units of its currency, for people and charts; reckon in minor units."""
    return float(minor / 10 ** minor_units(currency))
