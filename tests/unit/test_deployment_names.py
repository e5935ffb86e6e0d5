"""Several deployments share a namespace, and none speaks of what belongs to another."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from temporalio.client import ScheduleActionStartWorkflow

from activities.deployment_names import DEFAULT, queue_in, workflow_in
from activities.loops.maintenance_schedules import SCHEDULES, schedules_of
from activities.settings import Settings

NAMES = st.from_regex(r"\A[a-z][a-z0-9-]{0,40}\Z").filter(lambda name: not name.startswith(DEFAULT))


def names(deployment: str) -> Sequence[str]:
    settings = Settings(database_url="postgres://x", deployment_name=deployment)
    found = [settings.task_queue, settings.maintenance_queue]
    for name, schedule in schedules_of(deployment).items():
        action = schedule.action
        assert isinstance(action, ScheduleActionStartWorkflow)
        found += [name, action.id, action.task_queue]
    return found


def test_a_deployment_with_a_namespace_of_its_own_keeps_its_names() -> None:
    assert names(DEFAULT)[:2] == ["journeys", "journeys-upkeep"]
    assert schedules_of(DEFAULT).keys() == SCHEDULES.keys()
    assert workflow_in(DEFAULT, "welcome:acme:p-1:1") == "welcome:acme:p-1:1"


@given(NAMES, st.text(min_size=1))
def test_everything_another_one_has_bears_its_name(deployment: str, workflow_id: str) -> None:
    assert all(name.startswith(deployment) for name in names(deployment))
    assert not {*names(deployment)} & {*names(DEFAULT)}
    named = workflow_in(deployment, workflow_id)
    assert named.startswith(f"{deployment}/")
    assert workflow_in(deployment, named) == named


def test_a_name_that_cannot_be_one_is_refused() -> None:
    assert queue_in("acme", "journeys-email") == "acme-email"
    with pytest.raises(ValidationError):
        Settings(database_url="postgres://x", deployment_name="Acme/EU")
