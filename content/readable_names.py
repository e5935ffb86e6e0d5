"""Names of ours as people read them."""

import re


def words(name: str) -> str:
    """A name of ours as people read it: `more_documents` is "More documents", `HostCall` is "Host call"."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name).replace("_", " ").replace("-", " ").split()
    spaced = " ".join(
        word if word.isupper() or not index else word[:1].lower() + word[1:] for index, word in enumerate(parted)
    )
    return spaced[:1].upper() + spaced[1:]
