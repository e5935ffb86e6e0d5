"""What a run can still use of its player's events, by the step that it is known to have come to.

A run only goes forward, so whoever knows an earlier step than the one it stands at takes more for useful and never
less. Steps are told apart by their names: a step that the code takes in two places counts as the first of them, and
in a loop everything in the loop lies ahead.
"""

import ast
from collections.abc import Callable, Collection, Mapping
from functools import cached_property

from workflows.rules.hearing import Hearing
from workflows.rules.where import Where
from workflows.source.flow_graph import Flow, StepNode
from workflows.source.interest import Interest

#: The types of events that a wait is for, and its `where=` where that can be asked of the event alone.
Wait = tuple[frozenset[str], Where | None]


class InterestByPlace:
    """Of one journey whose steps are taken in the order that its flow shows. The flow is read when first asked for."""

    def __init__(
        self,
        flow: Callable[[], Flow],
        calls: Mapping[ast.Call, str],
        waits: Mapping[ast.Call, Wait],
        declared: Collection[str],
    ) -> None:
        self._flow = flow
        self._calls = dict(calls)
        self._waits = dict(waits)
        self._declared = frozenset(declared)

    def __call__(self, step: str) -> Hearing | None:
        """What a run can still use that has come to `step`; None where that is all that its journey waits for."""
        name = step.partition("#")[0]
        return self._hearings.get(name) or self._hearings.get(name.partition(":")[0])

    @cached_property
    def _hearings(self) -> Mapping[str, Hearing]:
        try:
            flow = self._flow()
        except Exception:  # noqa: BLE001 - the flow is made to be drawn; a run that hears too much loses nothing
            return {}
        places: dict[str, set[StepNode]] = {}
        for step in flow.steps:
            # Only a message is named by a plain string, so that its name says for certain where it stands.
            places.setdefault(step.name if step.verb == "send" else step.verb, set()).add(step)
        shown = {step.call for step in flow.steps}
        verbs = {step.verb for step in flow.steps}
        if any(verb in verbs and call not in shown for call, verb in self._calls.items()):
            # A step that the flow leaves out may be the first of its name, and another one be taken for it.
            return {}
        everywhere = self._of(range(len(self._waits)))
        hearings = {name: self._of(self._ahead(flow, steps, shown)) for name, steps in places.items()}
        return {name: hearing for name, hearing in hearings.items() if hearing.is_less_than(everywhere)}

    def _ahead(self, flow: Flow, steps: Collection[StepNode], shown: Collection[ast.Call | None]) -> list[int]:
        """The numbers of the waits that may come after these steps; one that the flow does not show always may."""
        nodes = {node for step in steps for node in flow.reachable(step)}
        ahead = {node.call for node in nodes if isinstance(node, StepNode)}
        return [number for number, call in enumerate(self._waits) if call in ahead or call not in shown]

    def _of(self, numbers: Collection[int]) -> Hearing:
        interest, waits = Interest(), [*self._waits.values()]
        for number in numbers:
            interest.add(*waits[number])
        types = self._declared.union(*(waits[number][0] for number in numbers))
        return Hearing(types, interest.filters(all_of=self._declared), frozenset(numbers))
