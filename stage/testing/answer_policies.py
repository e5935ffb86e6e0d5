"""How people answer tasks: policies for `answers=` that a designer can read.

    answers=by_form({
        Affordability: Share(0.9, after=hours(5), answer=Affordability(outcome="approve")),
        HostCall: either(
            Share(0.5, after=hours(2), answer=HostCall(outcome="reached")),
            Share(0.3, after=hours(4), answer=HostCall(outcome="no_answer")),
        ),
    })

Nobody answers the rest. A policy is any function of the task, so plain Python does as well.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import JsonValue

from stage.errors import StageError
from stage.world.records import TaskRecord
from stage.world.state import Answer, Answers
from workflows.effects import OpenTask
from workflows.forms import Form

FilledIn = Form | Mapping[str, JsonValue]


@dataclass(frozen=True)
class Share:
    """This share of tasks is answered `after` a while with `answer`; nobody answers the others.

    Which tasks depends on the task and the seed alone, so the same task is answered the same way in every process
    and in whatever order players are played.
    """

    share: float
    after: timedelta
    answer: FilledIn | Callable[[TaskRecord, OpenTask], FilledIn]
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise StageError(f"A share lies between 0 and 1, not at {self.share}; write 0.7 for seven in ten.")
        if self.after < timedelta(0):
            raise StageError("Nobody answers before being asked; give after= a positive duration.")

    def __call__(self, task: TaskRecord, asked: OpenTask) -> Answer:
        """What becomes of one task."""
        return self.given(task, asked) if _point(task, self.seed) < self.share else None

    def given(self, task: TaskRecord, asked: OpenTask) -> Answer:
        """The answer of those who answer."""
        filled_in = self.answer(task, asked) if callable(self.answer) else self.answer
        return self.after, filled_in.model_dump(mode="json") if isinstance(filled_in, Form) else filled_in


def either(*shares: Share, seed: int = 0) -> Answers:
    """Several shares of one whole; what they leave is answered by nobody."""
    if sum(one.share for one in shares) > 1 + 1e-9:
        raise StageError("The shares of either(...) are more than the whole; let them add up to 1 at most.")

    def answer(task: TaskRecord, asked: OpenTask) -> Answer:
        point = _point(task, seed)
        for one in shares:
            if point < one.share:
                return one.given(task, asked)
            point -= one.share
        return None

    return answer


def by_form(policies: Mapping[type[Form] | str, Answers]) -> Answers:
    """Another policy for each form; a form that is not named is answered by nobody."""
    named = {form if isinstance(form, str) else form.__name__: policy for form, policy in policies.items()}

    def answer(task: TaskRecord, asked: OpenTask) -> Answer:
        policy = named.get(asked.form)
        return None if policy is None else policy(task, asked)

    return answer


def _point(task: TaskRecord, seed: int) -> float:
    """Where the task falls between 0 and 1, anew with another seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{task.task_id}".encode()).digest()[:8], "big") / 2**64
