"""Checking journeys before a release: the rules, and the reasons for breaking some of them on purpose."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stage.flow.lint_rules import RULES, Templates
from workflows.declaration import Journey
from workflows.source.flow_reader import read_flow


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. The sentence says where, and what to do."""

    journey: str
    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.journey}: {self.sentence}. [{self.rule}]"


@dataclass(frozen=True)
class Waiver:
    """A rule that a journey breaks on purpose."""

    journey: str
    rule: str
    reason: str

    def __str__(self) -> str:
        return f"{self.journey} waives {self.rule}: {self.reason}"


@dataclass(frozen=True)
class Checked:
    """What the rules found, and what the journeys waive."""

    findings: tuple[Finding, ...]
    waivers: tuple[Waiver, ...]


def check(journeys: Iterable[Journey], templates: Templates) -> Checked:
    """Hold journeys and the templates they send against every rule.

    A waiver needs a reason, and is itself a finding once its rule is no longer broken: a reason that
    outlives its cause would hide the next mistake.
    """
    findings: list[Finding] = []
    waivers: list[Waiver] = []
    for journey in journeys:
        flow = read_flow(journey)
        broken = {rule.name: list(rule.find(flow, templates)) for rule in RULES.values()}
        excused = {name for name in journey.waives if name in RULES and RULES[name].waivable}
        findings += [Finding(journey.name, "waives", sentence) for sentence in _misused(journey, broken)]
        for name, sentences in broken.items():
            if name in excused and sentences:
                waivers.append(Waiver(journey.name, name, journey.waives[name]))
            else:
                findings += [Finding(journey.name, name, sentence) for sentence in sentences]
    return Checked(tuple(findings), tuple(waivers))


def _misused(journey: Journey, broken: dict[str, list[str]]) -> Iterator[str]:
    for name, reason in journey.waives.items():
        if name not in RULES:
            yield f"it waives {name}, which is no rule; the rules are {', '.join(RULES)}"
        elif not RULES[name].waivable:
            yield f"it waives {name}, which no reason excuses; mend it"
        elif not broken[name]:
            yield f"it waives {name}, which it does not break; take the waiver out"
        elif not reason.strip():
            yield f"it waives {name} without a reason; write why"
