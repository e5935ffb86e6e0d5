"""What is said between us and the player: consent, messages, answers, cases, tasks (catalogue rows 36-40)."""

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from workflows.channels import ConsentChannel
from workflows.events.base import Event, Pii
from workflows.field_types import Id, Instant, Label, MessageClass, Product, Text, Whole

__all__ = [
    "ConsentChanged",
    "FeedbackAnswered",
    "MessageReceived",
    "MessageStatus",
    "SupportCaseClosed",
    "SupportCaseOpened",
    "TaskBreached",
    "TaskClaimed",
    "TaskCompleted",
    "TaskCreated",
]


#: Senders of before call betting so.
_SPELLINGS: Final = {"sport": "betting"}
#: What a consent is for; `all`: it names no product.
ConsentProduct = Annotated[
    Literal[Product, "all"],
    BeforeValidator(lambda name: _SPELLINGS.get(name, name) if isinstance(name, str) else name),
]


class ConsentChanged(
    Event,
    type="consent.changed",
    example={
        "channel": "email",
        "product": "all",
        "opted_in": True,
        "source": "registration_form",
        "text_version": "2026-01",
    },
):
    """The player allowed or forbade marketing on a channel, for a product. From the account service.

    `product` is what the box was for; `all`, which is what a word without one means, is for none in particular. A No to
    all closes every product on the channel; a Yes to all opens no product that was refused apart, and laws that ask for
    consent by product do not take it for one (`docs/law.md`). `sport` is read as `betting`, `inapp` as `in_app`.
    `text_version` names the wording the player saw, `source` where.
    """

    channel: ConsentChannel
    product: ConsentProduct = "all"
    opted_in: bool
    source: Label = ""
    text_version: Label = ""


class MessageStatus(
    Event,
    type="message.status",
    example={"message_id": "welcome:demo:p-1:6f1c0a93be27/send:welcome#1", "channel": "email", "status": "delivered"},
):
    """What became of a message (`class` on the wire is `message_class` here). From the message provider.

    It advances the message: of all that was told, in whatever order, the furthest counts (`delivery` of
    `GET /v1/messages`). `message_id` is the message's id, with its channel or without.
    `complained` and `unsubscribed` withdraw the consent to the channel, as the link does. Three `bounced` in a row, or
    one whose `suppress_reason` is `hard`, `hard_bounce` or `permanent`, stop the channel until a message arrives, the
    address changes or the player proves it.
    `machine` says that no person did it: a mail program that loads every picture, a scanner that follows every link.
    """

    message_id: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
    channel: ConsentChannel
    message_class: Annotated[MessageClass | None, Field(alias="class")] = None
    status: Literal[
        "queued",
        "sent",
        "delivered",
        "opened",
        "clicked",
        "bounced",
        "complained",
        "unsubscribed",
        "suppressed",
        "failed",
    ]
    suppress_reason: Label | None = None
    #: Whether a machine opened or clicked, as far as the provider can tell.
    machine: bool = False


class MessageReceived(Event, type="message.received", example={"channel": "email", "text": "STOP"}):
    """The player wrote to us, or answered a message of ours. From the message provider.

    A message that is nothing but a stop word (STOP, UNSUBSCRIBE, ABMELDEN and the like) withdraws the consent to the
    channel for every product, as the link does.
    """

    channel: ConsentChannel
    text: Annotated[Text | None, Pii()] = None


class FeedbackAnswered(Event, type="feedback.answered", example={"survey_id": "nps-2026-1", "kind": "nps", "score": 9}):
    """The player answered. `score`: thumb and yes/no 0-1, CSAT and review 1-5, NPS 0-10. From a survey.

    `subject_ref` says what it is about; a thumb or a yes about it is known as `player.liked(...)`.
    """

    survey_id: Id
    kind: Literal["thumb", "yes_no", "nps", "csat", "review", "text", "choice"]
    #: None for an answer in words alone.
    score: Annotated[int, Field(ge=0, le=10), Whole] | None = None
    text: Annotated[Text | None, Pii()] = None
    subject_ref: Annotated[str, Field(max_length=255)] | None = None
    #: Of a journey's own survey: the question that it answers.
    question_id: Annotated[str, Field(max_length=255)] | None = None
    #: Of a choice: which of those offered.
    choice: Label | None = None


class SupportCase(Event):
    """What both case events share; a base, not an event. `severity` 1 is the worst, 4 the mildest."""

    case_id: Id
    topic: Literal["payment", "bonus", "game", "account", "complaint", "rg"]
    severity: Annotated[int, Field(ge=1, le=4), Whole] = 3


class SupportCaseOpened(
    SupportCase,
    type="support.case_opened",
    example={"case_id": "c-1", "topic": "payment", "severity": 2},
):
    """The player asked for help; severity 1 (worst) to 4. From the support desk."""


class SupportCaseClosed(
    SupportCase,
    type="support.case_closed",
    example={"case_id": "c-1", "topic": "payment", "severity": 2, "csat": 5},
):
    """The case is settled; `csat` 1 to 5 if the player gave one. From the support desk."""

    csat: Annotated[int, Field(ge=1, le=5), Whole] | None = None


class TaskEvent(Event):
    """What the four task events share; a base, not an event. `priority` 0 to 100, 50 is normal."""

    task_id: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
    #: The form's name, or a kind such as `birthday_call`.
    kind: Label
    priority: Annotated[int, Field(ge=0, le=100), Whole] = 50
    due_at: Instant | None = None
    assignee: Id | None = None
    outcome: Label | None = None
    note_ref: Id | None = None


_task = {"task_id": "t-1", "kind": "Affordability", "priority": 50, "due_at": "2026-01-17T12:00:00Z"}


class TaskCreated(TaskEvent, type="task.created", example=_task):
    """A moment that needs a person. From the task list, ours or another."""


class TaskClaimed(TaskEvent, type="task.claimed", example=_task | {"assignee": "manager-7"}):
    """A person took the task. From the task list."""


class TaskCompleted(TaskEvent, type="task.completed", example=_task | {"assignee": "manager-7", "outcome": "approve"}):
    """The task is answered; `outcome` is the form's. From the task list."""


class TaskBreached(TaskEvent, type="task.breached", example=_task):
    """The deadline passed without an answer. From the task list."""
