"""Names of ours as people read them."""

import re
from typing import Final

#: Words that are not written as they are spelled in names.
_WRITTEN: Final = {
    **{name.lower(): name for name in ("KYC", "NPS", "SMS", "VIP", "WhatsApp")},
    "rg": "safer gambling",
}


def words(name: str) -> str:
    """A name of ours as people read it: `more_documents` is "More documents", `VipWelcomeCall` "VIP welcome call"."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name).replace("_", " ").replace("-", " ").split()
    spaced = " ".join(
        _WRITTEN.get(word.lower()) or (word if word.isupper() or not index else word[:1].lower() + word[1:])
        for index, word in enumerate(parted)
    )
    return spaced[:1].upper() + spaced[1:]
