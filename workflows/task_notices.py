"""What people are told of a task, and when: pure, asked whenever a task is looked at.

Each occasion has a key, and a task remembers the keys of what was told: so each is told once, whoever looks and however
often. Of a task that no run waits for, this also says when it is reminded of and passed up.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final, Literal

from workflows.local_time import next_local, zone

OccasionName = Literal["opened", "given", "unclaimed", "reminded", "escalated", "breached", "digest"]
#: What somebody hears of who did not say. The rest, every opening of their teams, is for who asks for it.
USUALLY_TOLD: Final[frozenset[OccasionName]] = frozenset({"given", "unclaimed", "reminded", "escalated", "breached"})
#: What somebody is told of in any case: where nobody of the team can be, who leads.
PRESSING: Final[frozenset[OccasionName]] = frozenset({"unclaimed", "escalated", "breached"})
#: Of what a task has of time: after a quarter with nobody it lies, after half of it is reminded of.
UNCLAIMED_AFTER: Final = 0.25
REMINDED_AFTER: Final = 0.5
#: For how long after its hour a digest still is a morning's.
DIGEST_WITHIN: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something to be told of a task. The same key is the same occasion."""

    name: OccasionName
    key: str


@dataclass(frozen=True, slots=True)
class TaskClock:
    """What of an open task decides what is told of it."""

    created_at: datetime
    due_at: datetime
    assignee: str | None = None
    reminded_at: datetime | None = None
    escalated_at: datetime | None = None
    escalate_to: str | None = None
    #: Whether a run waits for it, which reminds and passes up by itself.
    of_run: bool = True

    @property
    def began_at(self) -> datetime:
        """Since when whoever has it now could take it."""
        return self.escalated_at or self.created_at

    def after(self, share: float) -> datetime:
        """When a share of its time is over."""
        return self.began_at + max(self.due_at - self.began_at, timedelta(0)) * share


def move_due(task: TaskClock, now: datetime) -> Literal["remind", "escalate"] | None:
    """What is to be done with a task that no run waits for; a run moves its own."""
    if task.of_run:
        return None
    if task.due_at <= now and task.escalate_to is not None and task.escalated_at is None:
        return "escalate"
    if task.reminded_at is None and task.escalated_at is None and task.after(REMINDED_AFTER) <= now < task.due_at:
        return "remind"
    return None


def occasions(task: TaskClock, told: Collection[str], now: datetime) -> list[Occasion]:
    """What is to be told of an open task and was not yet, what happened first before the rest."""
    found = [Occasion("opened", "opened")]
    if task.assignee is not None:
        found.append(given_to(task.assignee))
    if task.reminded_at is not None:
        found.append(Occasion("reminded", f"reminded {task.reminded_at.isoformat()}"))
    if task.escalated_at is not None:
        found.append(Occasion("escalated", "escalated"))
    if task.assignee is None and task.after(UNCLAIMED_AFTER) <= now:
        found.append(Occasion("unclaimed", f"unclaimed {task.began_at.isoformat()}"))
    if task.due_at <= now:
        found.append(Occasion("breached", f"breached {task.due_at.isoformat()}"))
    return [one for one in found if one.key not in told]


def given_to(assignee: str) -> Occasion:
    """Somebody has a task in hand. Who takes one by themselves knows, and is not told."""
    return Occasion("given", f"given {assignee}")


def next_look(task: TaskClock, now: datetime) -> datetime | None:
    """When the task is to be looked at again if nobody touches it; None: never."""
    moments = [task.due_at]
    if task.assignee is None:
        moments.append(task.after(UNCLAIMED_AFTER))
    if not task.of_run and task.reminded_at is None and task.escalated_at is None:
        moments.append(task.after(REMINDED_AFTER))
    return min((one for one in moments if one > now), default=None)


def after_quiet(now: datetime, timezone: str, quiet_from: str | None, quiet_until: str | None) -> datetime:
    """When somebody may be told: now, or the end of the quiet time they are in. "22:00" to "08:00" is a night."""
    if quiet_from is None or quiet_until is None or quiet_from == quiet_until:
        return now
    clock = now.astimezone(zone(timezone)).time()
    begins, ends = time.fromisoformat(quiet_from), time.fromisoformat(quiet_until)
    is_quiet = begins <= clock < ends if begins < ends else clock >= begins or clock < ends
    return next_local(now, timezone, quiet_until) if is_quiet else now


def digest_day(now: datetime, timezone: str, digest_at: str) -> str | None:
    """The day, on their clock, whose digest is due to somebody now; None between two."""
    local = now.astimezone(zone(timezone))
    at = datetime.combine(local.date(), time.fromisoformat(digest_at), local.tzinfo)
    return local.date().isoformat() if at <= local < at + DIGEST_WITHIN else None
