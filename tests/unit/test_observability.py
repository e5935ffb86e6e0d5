"""The alerts and the dashboard under docs/observability are read as Prometheus reads them, against what we export."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY

import activities
import api

FOLDER = Path(__file__).parent.parent.parent / "docs" / "observability"
GROUPS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
#: What Prometheus itself and Temporal's SDK export, with their labels; `docs/production.md` names the last.
THEIRS = {
    "up": {"job"},
    "temporal_worker_task_slots_available": {"worker_type"},
    "temporal_workflow_task_execution_failed_total": {"workflow_type"},
}
JOBS = {"journeys-api", "journeys-worker", "journeys-sdk"}


@cache
def exported() -> dict[str, set[str]]:
    """Every series of ours, with the labels it may have."""
    for package in (activities, api):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    series: dict[str, set[str]] = dict(THEIRS)
    for collector in {*REGISTRY._collector_to_names}:
        labels = {*getattr(collector, "_labelnames", ())}
        for metric in collector.collect():
            known = labels or {name for sample in metric.samples for name in sample.labels} or FAILING_LABELS
            names = REGISTRY._collector_to_names[collector]
            for name in {*names, metric.name, f"{metric.name}_bucket", f"{metric.name}_total"}:
                series.setdefault(name, set()).update(known | ({"le"} if name.endswith("_bucket") else set()))
    return series


#: A collector of its own tells its labels only while something fails.
FAILING_LABELS = {"journey", "step"}


class Selectors:
    """Gathers the series that an expression reads, with the labels it looks at."""

    def __init__(self, expression: str) -> None:
        self.found: list[tuple[str, set[str]]] = []
        self.grouped: set[str] = set()
        self._visit(promql_parser.parse(expression))

    def _visit(self, node: Any) -> None:
        match node:
            case promql_parser.VectorSelector():
                self.found.append((str(node.name), {matcher.name for matcher in node.matchers.matchers}))
            case promql_parser.MatrixSelector():
                self._visit(node.vector_selector)
            case promql_parser.Call():
                for argument in node.args:
                    self._visit(argument)
            case promql_parser.AggregateExpr():
                if node.modifier is not None:
                    self.grouped |= {*node.modifier.labels}
                self._visit(node.expr)
            case promql_parser.BinaryExpr():
                self._visit(node.lhs)
                self._visit(node.rhs)
            case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
                self._visit(node.expr)


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel.get("targets", ()):
            # Grafana puts its own interval in; any will do to read the rest.
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


@pytest.mark.parametrize(("name", "expression"), [*expressions()])
def test_an_expression_can_be_read_and_asks_only_for_what_is_exported(name: str, expression: str) -> None:
    selectors = Selectors(expression)
    assert selectors.found, f"{name} reads no series at all"
    known = exported()
    for series, labels in selectors.found:
        assert series in known, f"{name} reads {series}, which nobody exports"
        assert labels <= known[series], f"{name} looks at labels of {series} that it has not"
    allowed = set().union(*(known[series] for series, _ in selectors.found))
    assert selectors.grouped <= allowed, f"{name} groups by labels that its series have not"


def test_a_series_nobody_exports_is_noticed() -> None:
    """The test above can fail."""
    assert Selectors("sum(rate(journeys_nothing_total[5m])) by (x)").found == [("journeys_nothing_total", set())]
    assert "journeys_nothing_total" not in exported()
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        promql_parser.parse("sum(rate(journeys_messages_total[5m])")


def test_the_jobs_that_are_asked_for_are_those_that_the_files_name() -> None:
    head = (FOLDER / "alerts.yaml").read_text().partition("groups:")[0]
    asked = {job for rule in RULES for job in re.findall(r'job="([^"]+)"', rule["expr"])}
    assert asked <= JOBS
    assert all(f"`{job}`" in head for job in JOBS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert {*rule} <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"page", "day"}
    assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
    assert {*rule["annotations"]} == {"summary", "description"}
    assert all(text.endswith(".") for text in rule["annotations"].values())
    named = {name for text in rule["annotations"].values() for name in re.findall(r"\$labels\.(\w+)", text)}
    assert named <= Selectors(rule["expr"]).grouped, "a label that the expression drops is empty in the sentence"


def test_no_alert_stands_there_twice() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))


def test_the_panels_of_the_dashboard_have_places_of_their_own() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS]
    assert len(places) == len(set(places))
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in PANELS)
