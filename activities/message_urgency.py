"""What a message is for decides what it goes before in its provider's queue.

A run knows the name of a template and not its class, which belongs to whoever writes the text. So the worker looks the
class up while it schedules the effect. What a replay reads does not hold the urgency, so a text may change its class.
"""

from collections.abc import Mapping
from dataclasses import replace

from temporalio.common import Priority
from temporalio.worker import (
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ActivityHandle

from workflows.effect_queues import Urgency
from workflows.effects import SEND, Send
from workflows.field_types import MessageClass
from workflows.gate.policy import PROTECTIVE


def urgency_of(message_class: MessageClass) -> Urgency | None:
    """What a message of this class goes before; None for those that wait their turn as marketing does."""
    if message_class in PROTECTIVE:
        return Urgency.PROTECTION
    return Urgency.SERVICE if message_class == "service" else None


class MessageUrgency(Interceptor):
    """Puts messages that protect or serve a player before those that sell."""

    def __init__(self, classes: Mapping[str, MessageClass]) -> None:
        self._urgent = {name: urgency for name, kind in classes.items() if (urgency := urgency_of(kind)) is not None}

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 - the SDK's name
    ) -> type[WorkflowInboundInterceptor]:
        """What stands between a run and the worker."""
        urgent = self._urgent

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(_Urgent(outbound, urgent))

        return Inbound


class _Urgent(WorkflowOutboundInterceptor):
    def __init__(self, following: WorkflowOutboundInterceptor, urgent: Mapping[str, Urgency]) -> None:
        super().__init__(following)
        self._urgent = urgent

    def start_activity(self, input: StartActivityInput) -> ActivityHandle[object]:  # noqa: A002 - the SDK's name
        request = input.args[0] if input.activity == SEND.name else None
        urgency = self._urgent.get(request.template) if isinstance(request, Send) else None
        if urgency is None:
            return super().start_activity(input)
        priority = Priority(urgency, input.priority.fairness_key, input.priority.fairness_weight)
        return super().start_activity(replace(input, priority=priority))
