"""What ties an event to one run of several: the same payment as the event that started it, a reward of its own.

Under `per("payment_id")` a player is in one journey several times at once, and one payment's end must not end them all.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from workflows.errors import DesignError
from workflows.events import Event
from workflows.events.reward import RewardStep
from workflows.rules.where import Where
from workflows.verb_results import Grant


def require_same(kind: type[Event], same: str | None, word: str) -> str | None:
    """`same`, if an event of `kind` has that field and it is no personal data; raises a `DesignError` otherwise."""
    if same is not None and not has_tie(kind, same):
        raise DesignError(
            f"{word}({kind.__name__}, same={same!r}): {kind.__name__} has no such field that may be kept with a run; "
            f"it has {', '.join(_ties(kind)) or 'none'}."
        )
    return same


def has_tie(kind: type[Event], field: str) -> bool:
    """Whether events of `kind` have a field that is not personal, by which a run may be told from another."""
    return field in _ties(kind)


def _ties(kind: type[Event]) -> list[str]:
    return sorted(set(kind.model_fields) - set(Event.model_fields) - set(kind.pii))


def ties_of(fields: Iterable[str | None], trigger: Event | None) -> dict[str, str]:
    """What the event that starts a run says in these fields, as text; a field that it leaves out ties nothing."""
    said = {one: getattr(trigger, one, None) for one in fields if one is not None}
    return {name: str(value) for name, value in said.items() if value is not None}


def is_tied(event: Event, same: str | None, ties: Mapping[str, str]) -> bool:
    """Whether the event says in the field `same` what the run began with; where either says nothing, it does not."""
    if same is None:
        return True
    value, known = getattr(event, same, None), ties.get(same)
    return value is not None and known is not None and str(value) == known


def is_of_run(event: Event, run_id: str) -> bool:
    """Whether an event about a reward is about one that this run gave; other events are of every run."""
    return not isinstance(event, RewardStep) or event.grant_id.startswith(f"{run_id}/")


def tied(where: Where | None, same: str | None, trigger: Mapping[str, Any] | None) -> Where | None:
    """`where`, and the event has to say in the field `same` what the run's trigger says, as it travelled to the run."""
    if same is None:
        return where
    begun = {} if trigger is None else trigger["data"]

    def takes(event: Event) -> bool:
        known = begun.get(same)
        return known is not None and event.to_wire()["data"].get(same) == known and (where is None or where(event))

    return takes


def about_grant(where: Where | None, grant: Grant | None) -> Where | None:
    """`where`, and the event has to be about this reward, by our id of it or by the bonus engine's."""
    if grant is None:
        return where
    names = {grant.grant_id, grant.provider_ref} - {None, ""}

    def takes(event: Event) -> bool:
        return getattr(event, "grant_id", None) in names and (where is None or where(event))

    return takes
