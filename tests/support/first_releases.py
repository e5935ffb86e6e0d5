"""Shipped journeys as they were when they were first released, and the stored runs that played them."""

import json
from base64 import b64decode
from pathlib import Path

RELEASES = Path(__file__).parents[2] / "workflows" / "journeys" / "releases"


def first_source(journey: str) -> str:
    """The journey's module in its first release."""
    (first,) = (RELEASES / journey).glob("v1_*")
    return (first / f"{journey}.py").read_text()


def is_of_first(history: str) -> bool:
    """Whether a stored history is of a run on the first release, or from before there were any."""
    began = json.loads(history)["events"][0]["workflowExecutionStartedEventAttributes"]["input"]["payloads"][0]["data"]
    version: int = json.loads(b64decode(began)).get("version", 0)
    return version <= 1
