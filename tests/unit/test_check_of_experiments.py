"""What `journeys check` says of experiments."""

import pytest
from typer.testing import CliRunner

from cli.app import app
from tests.support.outside_packages import Write

DECLARED = """
from workflows import *

shares, won = {"push": 50, "control": 50}, goal(DepositApproved, within=days(7))
open_one = experiment("open-one", arms=shares, goal=won)
watched = experiment("watched", arms=shares, goal=won, guardrails=[no_more(HarmSignal)])
"""


def test_an_experiment_that_no_harm_stops_is_named(monkeypatch: pytest.MonkeyPatch, package: Write) -> None:
    monkeypatch.setenv("JOURNEYS", package(one=DECLARED))
    said = " ".join(CliRunner().invoke(app, ["check"]).output.split())
    assert "The experiment open-one v1 has no guardrail, so no harm stops an arm of it" in said
    assert "The experiment watched" not in said
