"""What a channel of Slack or Teams is told of a task, in the shape that its incoming webhooks take.

Such a channel has many readers: it learns which task, of which team and until when, and nothing of the player; the link
leads to the console, where each sees what is theirs to see.
"""

from collections.abc import Mapping
from typing import Final, Literal

from activities.outgoing.webhook_queue import ClaimedDelivery
from content.readable_names import words
from workflows.json_object import JsonObject
from workflows.outgoing_events import TEST

#: How a receiver wants to be told. `cloudevents` is for programs, the others are for people.
WebhookFormat = Literal["cloudevents", "slack", "teams"]
#: The family of events that people in a channel are told.
FAMILY: Final = "task"
_SAID: Final[Mapping[str, str]] = {
    "task.opened": "is new",
    "task.claimed": "is taken",
    "task.released": "is given back",
    "task.reassigned": "is passed on",
    "task.changed": "is changed",
    "task.reminded": "has half of its time left",
    "task.unclaimed": "lies unclaimed",
    "task.escalated": "is passed up",
    "task.breached": "is late",
    "task.completed": "is answered",
    "task.expired": "was answered by nobody",
    "task.cancelled": "is not needed any more",
    TEST: "This channel is told of tasks.",
}


def chat_message(shape: WebhookFormat, delivery: ClaimedDelivery, console: str) -> JsonObject:
    """An event as Slack (`slack`) or Teams (`teams`, an Adaptive Card) shows it; `console` is where people open it."""
    said, link = _sentence(delivery), _link(delivery, console)
    if shape == "slack":
        return {"text": said if link is None else f"{said} <{link}|Open>"}
    card: JsonObject = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "TextBlock", "text": said, "wrap": True}],
    }
    if link is not None:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


def _sentence(delivery: ClaimedDelivery) -> str:
    told, said = delivery.data, _SAID.get(delivery.type, delivery.type)
    if "form" not in told:
        return said
    for_whom = ", ".join(str(told[name]) for name in ("team", "skill") if told.get(name))
    return (
        f"{words(str(told['form']))} ({for_whom}) {said}. Due {str(told.get('due_at', ''))[:16].replace('T', ' ')} UTC."
    )


def _link(delivery: ClaimedDelivery, console: str) -> str | None:
    task_id = delivery.data.get("task_id")
    return None if task_id is None else f"{console}/console/{delivery.brand}/tasks/{task_id}"
