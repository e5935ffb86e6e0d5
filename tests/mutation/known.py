"""Which mutants may survive, and why: `survivors.toml`, and whether it says what is so."""

import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from tests.mutation.mutants import Mutant

SURVIVORS: Final = Path(__file__).parent / "survivors.toml"


class Survivor(BaseModel):
    """A change that no test can or need find, with the reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    module: str
    function: str
    change: str = Field(min_length=3)
    reason: str = Field(min_length=20)
    #: The same line may stand in a function more than once.
    times: int = Field(default=1, ge=1)

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others."""
        return self.module, self.function, self.change.strip()


def read(path: Path) -> list[Survivor]:
    """The list at `path`; a change that stands there twice is an error."""
    told = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    survivors = [Survivor.model_validate(one) for one in told.get("survivor", [])]
    twice = [key for key, times in Counter(one.key for one in survivors).items() if times > 1]
    if twice:
        raise ValueError(f"Listed twice (say times = 2 instead): {twice}")
    return survivors


def complaints(survived: Iterable[Mutant], listed: Sequence[Survivor], modules: Iterable[str]) -> list[str]:
    """What is not as it is listed, among the modules that were run to the end: one sentence each."""
    found = Counter((one.module, one.function, one.change) for one in survived)
    ran = set(modules)
    allowed = {one.key: one.times for one in listed if one.module in ran}
    answer = []
    for key in sorted(found.keys() | allowed.keys()):
        module, function, change = key
        lived, may = found[key], allowed.get(key, 0)
        if lived > may:
            answer.append(f"No test finds this in {module}, {function}, and it is not listed:\n{change}")
        elif lived < may:
            answer.append(f"Listed for {module}, {function}, and survives no more, or is no more:\n{change}")
    return answer
