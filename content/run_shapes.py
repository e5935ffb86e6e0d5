"""Runs in flight by shape: those that did the same steps stand at the same place, so one of them speaks for all."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from workflows.player_state.decisions import Arm
from workflows.source.flow_graph import Flow


@dataclass(frozen=True)
class RunShape:
    """What some runs of one version and arm did, step by step, as it is kept; the steps of a loop are named once.

    `examples` are the oldest, the newest and the longest of them, each once.
    """

    version: int
    steps: tuple[str, ...]
    last: str
    brands: Mapping[str, int]
    examples: tuple[str, ...]
    arm: Arm = "treated"

    @property
    def runs(self) -> int:
        """How many runs have it."""
        return sum(self.brands.values())


@dataclass(frozen=True)
class Sample:
    """Which runs to look at, so that every shape is seen; the commonest shapes come first.

    `left_out` are shapes for which there was no room.
    """

    chosen: tuple[RunShape, ...]
    left_out: tuple[RunShape, ...] = field(default=())

    @classmethod
    def of(cls, shapes: Iterable[RunShape], most: int) -> "Sample":
        """At most `most` runs; a shape is taken with all its examples or not at all."""
        chosen: list[RunShape] = []
        left_out: list[RunShape] = []
        room = most
        for shape in sorted(shapes, key=lambda one: (-one.runs, one.version, one.steps, one.arm)):
            taken = len(shape.examples) <= room
            (chosen if taken else left_out).append(shape)
            room -= len(shape.examples) if taken else 0
        return cls(tuple(chosen), tuple(left_out))

    @property
    def run_ids(self) -> Sequence[str]:
        """The runs to look at."""
        return [run_id for shape in self.chosen for run_id in shape.examples]

    @property
    def arms(self) -> Mapping[str, Arm]:
        """The arm of each run to look at."""
        return {run_id: shape.arm for shape in self.chosen for run_id in shape.examples}

    @property
    def covered(self) -> int:
        """How many runs have a shape that is looked at."""
        return sum(shape.runs for shape in self.chosen)

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return self.covered + sum(shape.runs for shape in self.left_out)

    def __str__(self) -> str:
        share = 100 if not self.runs else int(1000 * self.covered / self.runs) / 10
        shapes, histories = len(self.chosen) + len(self.left_out), len(self.run_ids)
        return (
            f"{self.runs:,} run{'' if self.runs == 1 else 's'} in flight of {shapes:,} "
            f"shape{'' if shapes == 1 else 's'}; {histories:,} histor{'y covers' if histories == 1 else 'ies cover'} "
            f"{share:g} %"
        )


def by_brand(shapes: Iterable[RunShape]) -> Counter[str]:
    """How many runs each brand has in these shapes."""
    counts: Counter[str] = Counter()
    for shape in shapes:
        counts.update(shape.brands)
    return counts


def loops_of(flow: Flow) -> frozenset[str]:
    """The names of steps that a run can take again and again, so that their numbers do not tell where it stands."""
    return frozenset(step.name for step in flow.steps if flow.numbers[step].last is None)
