"""Whole numbers that callers write where no form reads them: in a path, a header, a link."""

import re
from typing import Final

#: What fits a bigint of Postgres. Python itself refuses to read more than some thousand digits.
_FITS: Final = re.compile(r"[0-9]{1,18}")


def written_number(text: str) -> int | None:
    """The number that is written with digits alone; None for anything else, and for more than any id of ours has."""
    return int(text) if _FITS.fullmatch(text) else None
