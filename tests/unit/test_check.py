# ruff: noqa: ARG001  a journey takes the event that starts it, whether or not it looks at it
"""Every rule of the check has a journey here that breaks it, alone, and one that obeys."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from activities.engine import load_deployment
from activities.settings import Settings
from cli.app import app
from content.template_files import MessageTemplate, Variable
from content.templates import Catalogue
from stage.flow.check import Checked, check
from stage.flow.lint_rules import RULES
from tests.support.clock_journeys import begins_by_our_clock, begins_by_their_clock, waits_by_our_clock
from workflows import (
    DepositApproved,
    Form,
    HarmSignal,
    LossStreak,
    Player,
    PlayerRegistered,
    RoundCompleted,
    SessionLogin,
    days,
    free_spins,
    goal,
    hours,
    inactive,
    journey,
    on,
    streak,
    tier_upgrade,
)
from workflows.declaration import Journey
from workflows.rules.triggers import Trigger
from workflows.run import JourneyRun

VIP_TIERS = ("gold", "platinum")

Command = Callable[..., Result]


class Call(Form):
    """Call the player."""

    outcome: str


def sound(*triggers: Trigger, **more: Any) -> Callable[[Any], type[JourneyRun]]:
    """A journey that has what every journey must have."""
    given = {"ends_after": days(60), "goal": goal(DepositApproved, within=days(7)), "control": 10}
    return journey(*(triggers or (on(PlayerRegistered),)), **{**given, **more})


def template(name: str, message_class: Any, **more: Any) -> MessageTemplate:
    variables: dict[str, Variable] = more.pop("variables", {})
    return MessageTemplate(
        name=name,
        message_class=message_class,
        channels=("email", "push"),
        languages=("en",),
        variables=variables,
        suppress_if_active_today=more.pop("missing", False),
        terms=more.pop("terms", False),
        example={},
        uses={"email": frozenset(variables), "push": frozenset()},
    )


TEMPLATES = {
    one.name: one
    for one in (
        template("news", "marketing"),
        template("missed-you", "marketing", missing=True),
        template("offer", "marketing", terms=True),
        template("thanks", "service"),
        template("limits", "rg"),
        template("city", "service", variables={"city": Variable(type="text")}),
        template("maybe-city", "service", variables={"city": Variable(type="text", optional=True)}),
        template("any-city", "service", variables={"city": Variable(type="text", fallback={"en": "your city"})}),
        template("happy-birthday", "service"),
    )
}


# ---- breaking and obeying --------------------------------------------------------------------------


@sound(goal=None)
async def without_a_goal(player: Player, registered: PlayerRegistered) -> None:
    await player.send("thanks")


@sound(control=0)
async def without_control(player: Player, registered: PlayerRegistered) -> None:
    await player.send("thanks")


@sound()
async def plain(player: Player, registered: PlayerRegistered) -> None:
    await player.send("thanks")


@sound(inactive(SessionLogin, days(14)))
async def misses_who_is_here(player: Player, gone: Any) -> None:
    await player.send("missed-you")
    await player.sleep(days(7))
    await player.send("news")


@sound(inactive(SessionLogin, days(14)))
async def looks_too_early(player: Player, gone: Any) -> None:
    if await player.event(SessionLogin, within=days(7)):
        return
    await player.until("11:00")
    await player.send("news")


@sound()
async def win_back_by_name(player: Player, registered: PlayerRegistered) -> None:
    await player.send("news")


@sound(inactive(SessionLogin, days(14)))
async def looks_before_it_misses(player: Player, gone: Any) -> None:
    await player.send("missed-you")
    if await player.event(SessionLogin, within=days(7)) is None:
        await player.refresh()
        await player.send("news")


@sound()
async def hides_the_terms(player: Player, registered: PlayerRegistered) -> None:
    if await player.grant(free_spins(5)):
        await player.send("news")


@sound()
async def tells_the_terms(player: Player, registered: PlayerRegistered) -> None:
    await player.send("thanks")
    if await player.grant(free_spins(5)):
        await player.send("offer")
    await player.sleep(days(1))
    await player.send("news")


@sound()
async def only_raises_the_tier(player: Player, registered: PlayerRegistered) -> None:
    await player.grant(tier_upgrade("gold"))
    await player.send("news")


@sound()
async def mostly_sells(player: Player, registered: PlayerRegistered) -> None:
    await player.send("thanks")
    for _ in range(3):
        await player.send("offer")
    await player.send("offer")
    await player.send("offer")


@sound()
async def sells_now_and_then(player: Player, registered: PlayerRegistered) -> None:
    await player.send("thanks")
    await player.send("offer")
    await player.send("offer")


@sound()
async def sells_to_the_harmed(player: Player, registered: PlayerRegistered) -> None:
    match await player.first(HarmSignal, DepositApproved, within=days(2)):
        case HarmSignal(strength="strong"):
            return
        case DepositApproved():
            await player.send("thanks")
    await player.send("news")


@sound()
async def ignores_what_came(player: Player, registered: PlayerRegistered) -> None:
    await player.first(HarmSignal, DepositApproved, within=days(2))
    await player.grant(free_spins(5))


@sound(on(HarmSignal))
async def sells_because_of_harm(player: Player, signal: HarmSignal) -> None:
    await player.send("limits")
    await player.send("news")


@sound()
async def ends_at_harm(player: Player, registered: PlayerRegistered) -> None:
    match await player.first(HarmSignal, DepositApproved, within=days(2)):
        case HarmSignal():
            await player.send("limits")
            return
    await player.send("news")


@sound()
async def writes_of_losses(player: Player, registered: PlayerRegistered) -> None:
    if await player.event(LossStreak, within=days(2)):
        if player.tier not in VIP_TIERS:
            await player.ask(Call, team="vip", due=hours(4))
        await player.send("thanks")


@sound(streak(RoundCompleted, 3, where=lambda r: r.win_minor == 0, name="losing-days"))
async def writes_after_losing_days(player: Player, lost: RoundCompleted) -> None:
    await player.send("thanks")


@sound()
async def calls_after_losses(player: Player, registered: PlayerRegistered) -> None:
    if await player.event(LossStreak, within=days(2)):
        if player.tier in VIP_TIERS:
            await player.ask(Call, team="vip", due=hours(4))
        await player.send("thanks")
    await player.send("limits")
    await player.send("thanks")


@sound()
async def birthday_by_itself(player: Player, registered: PlayerRegistered) -> None:
    await player.send("thanks")


@sound()
async def wishes_by_itself(player: Player, registered: PlayerRegistered) -> None:
    await player.send("happy-birthday")


@sound()
async def birthday_with_a_call(player: Player, registered: PlayerRegistered) -> None:
    if player.tier in VIP_TIERS and await player.ask(Call, team="vip", due=hours(4)):
        return
    await player.send("happy-birthday")


@sound()
async def greets_nowhere(player: Player, registered: PlayerRegistered) -> None:
    await player.send("city", city=player.country)
    await player.send("city", city=registered.timezone)


@sound()
async def greets_somewhere(player: Player, registered: PlayerRegistered) -> None:
    await player.send("city", city=player.language)
    await player.send("maybe-city", city=player.country)
    await player.send("any-city", city=player.country)


@sound()
async def says_too_little(player: Player, registered: PlayerRegistered) -> None:
    await player.send("city")


@sound()
async def need_not_say_it_there(player: Player, registered: PlayerRegistered) -> None:
    await player.send("city", via=["push"])
    await player.send("city", city="Kyiv")
    await player.send("maybe-city")


@sound()
async def sends_what_nobody_wrote(player: Player, registered: PlayerRegistered) -> None:
    await player.send("unwritten")


CASES = [
    ("no-goal", [without_a_goal], [plain]),
    ("no-control", [without_control], [plain]),
    ("active-today", [misses_who_is_here, looks_too_early, win_back_by_name], [looks_before_it_misses]),
    ("reward-terms", [hides_the_terms], [tells_the_terms, only_raises_the_tier]),
    ("selling-share", [mostly_sells], [sells_now_and_then]),
    ("marketing-after-harm", [sells_to_the_harmed, ignores_what_came, sells_because_of_harm], [ends_at_harm]),
    ("loss-without-human", [writes_of_losses, writes_after_losing_days], [calls_after_losses]),
    ("birthday-without-call", [birthday_by_itself, wishes_by_itself], [birthday_with_a_call]),
    ("utc-clock", [begins_by_our_clock, waits_by_our_clock], [begins_by_their_clock]),
    ("placeholder", [greets_nowhere], [greets_somewhere]),
    ("missing-variable", [says_too_little], [need_not_say_it_there]),
    ("unknown-template", [sends_what_nobody_wrote], [plain]),
]


def checked(*made: Any) -> Checked:
    return check([one.definition for one in made], TEMPLATES)


def test_every_rule_has_its_journeys_here() -> None:
    assert [rule for rule, _, _ in CASES] == list(RULES)


@pytest.mark.parametrize(("rule", "made"), [(rule, made) for rule, broken, _ in CASES for made in broken])
def test_a_journey_that_breaks_one_rule_is_told_that_one(rule: str, made: Any) -> None:
    findings = checked(made).findings
    assert {finding.rule for finding in findings} == {rule}, list(map(str, findings))


@pytest.mark.parametrize("made", [made for _, _, obedient in CASES for made in obedient])
def test_a_journey_that_obeys_is_told_nothing(made: Any) -> None:
    assert list(map(str, checked(made).findings)) == []


def test_a_finding_names_the_journey_the_line_the_step_and_the_mend() -> None:
    (first, second) = map(str, checked(greets_nowhere).findings)
    line = greets_nowhere.definition.function.__code__.co_firstlineno + 2
    assert first == (
        f"greets_nowhere: line {line}: send:city gives city=player.country, which may be absent, and city has nothing "
        "to say instead; give city a fallback or optional = true in its template.toml. [placeholder]"
    )
    assert f"line {line + 1}" in second


# ---- waivers ------------------------------------------------------------------------------------------


@sound(control=0, waives={"no-control": "Help is not withheld."})
async def excused(player: Player, registered: PlayerRegistered) -> None:
    await player.send("thanks")


@sound(waives={"no-control": "Help is not withheld."})
async def excused_for_nothing(player: Player, registered: PlayerRegistered) -> None:
    await player.send("thanks")


@sound(control=0, waives={"no-control": " "})
async def excused_without_a_word(player: Player, registered: PlayerRegistered) -> None:
    await player.send("thanks")


@sound(waives={"no-controll": "Help is not withheld."})
async def excused_from_nothing(player: Player, registered: PlayerRegistered) -> None:
    await player.send("thanks")


@sound(waives={"unknown-template": "It will be written."})
async def excused_in_vain(player: Player, registered: PlayerRegistered) -> None:
    await player.send("unwritten")


def test_a_rule_is_waived_with_a_reason_and_the_reason_is_told() -> None:
    result = checked(excused)
    assert result.findings == ()
    assert list(map(str, result.waivers)) == ["excused waives no-control: Help is not withheld."]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (excused_for_nothing, "which it does not break; take the waiver out"),
        (excused_without_a_word, "without a reason; write why"),
        (excused_from_nothing, "which is no rule; the rules are no-goal"),
        (excused_in_vain, "which no reason excuses; mend it"),
    ],
)
def test_a_waiver_that_excuses_nothing_is_a_finding(made: Any, told: str) -> None:
    assert any(finding.rule == "waives" and told in finding.sentence for finding in checked(made).findings)


# ---- what is shipped, and the command -------------------------------------------------------------------


def shipped() -> tuple[dict[str, Journey], Catalogue]:
    deployment = load_deployment(Settings(database_url=""))
    return dict(deployment.registry.journeys), deployment.templates


def test_the_shipped_journeys_and_templates_pass() -> None:
    journeys, catalogue = shipped()
    result = check(journeys.values(), {name: catalogue[name] for name in catalogue})
    assert list(map(str, result.findings)) == []
    assert Counter(waiver.rule for waiver in result.waivers) == {"no-control": 12, "no-goal": 2}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command line in an environment of these variables."""

    def command(arguments: Sequence[str], **variables: str) -> Result:
        for name in ("JOURNEYS", "TEMPLATES"):
            monkeypatch.setenv(name, variables.get(name, ""))
        return CliRunner().invoke(app, list(arguments))

    return command


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Write a package of journeys of a designer's own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


def test_the_command_passes_what_is_shipped(run: Command) -> None:
    result = run(["check"])
    assert result.exit_code == 0, result.output
    assert "failed_deposit waives no-control: Help is not withheld." in result.output
    assert "Nothing is wrong with 24 journeys and 52 templates." in result.output
    unlabelled = " ".join(result.output.split())
    assert "24 journeys without product= count as casino, which is the setting PRODUCT, where GB" in unlabelled


def test_a_journey_named_twice_is_one_journey(run: Command) -> None:
    assert "Nothing is wrong with 1 journey and 52 templates." in run(["check", "welcome", "welcome"]).output


def test_the_command_tells_what_is_wrong_and_fails(run: Command, package: Callable[[str, str], str]) -> None:
    name = package(
        "sellers",
        "from workflows import Player, PlayerRegistered, days, journey, on\n\n\n"
        "@journey(on(PlayerRegistered), ends_after=days(1), control=10)\n"
        "async def seller(player: Player, registered: PlayerRegistered) -> None:\n"
        '    """Sell."""\n'
        '    await player.send("reload-offer", percent=50, cap=5000, valid_hours=24)\n',
    )
    result = run(["check", "seller"], JOURNEYS=name)
    assert result.exit_code == 1
    aim, share, unreleased = result.stdout.splitlines()
    assert unreleased.endswith("run `journeys release seller` and commit what it writes. [released]")
    assert aim.startswith("seller: it has no goal, so nobody can say whether it works; add goal=")
    assert share.startswith("seller: 1 of its 1 messages sell, which is more than 70%; add messages")
    assert "3 things to mend in 1 journey and 52 templates." in result.stderr


def test_the_command_tells_first_what_would_stop_a_deployment(run: Command, package: Callable[[str, str], str]) -> None:
    name = package(
        "forgetful",
        "from workflows import Player, PlayerRegistered, days, journey, on\n\n\n"
        "@journey(on(PlayerRegistered), ends_after=days(1), control=10)\n"
        "async def offering(player: Player, registered: PlayerRegistered) -> None:\n"
        '    """Offer."""\n'
        '    await player.send("reload-offer", percent=50, cap=5000)\n',
    )
    result = run(["check"], JOURNEYS=name)
    assert result.exit_code == 1
    assert result.stderr == (
        "Journey offering, line 7: the template reload-offer needs valid_hours; add valid_hours=… to the send.\n"
    )


def test_the_command_tells_an_event_without_a_type(run: Command, package: Callable[[str, str], str]) -> None:
    name = package(
        "typeless",
        "from workflows import Event, Player, PlayerRegistered, days, journey, on\n\n\n"
        "@journey(on(PlayerRegistered), ends_after=days(1))\n"
        "async def hoping(player: Player, registered: PlayerRegistered) -> None:\n"
        '    """Hope."""\n'
        "    await player.event(Event, within=days(1))\n",
    )
    result = run(["check"], JOURNEYS=name)
    assert result.exit_code == 1
    assert "no event has the type Event itself" in result.stderr


def test_the_command_tells_a_template_that_lacks_a_language(run: Command, tmp_path: Path) -> None:
    folder = tmp_path / "weekend"
    folder.mkdir()
    (folder / "template.toml").write_text('class = "service"\nchannels = ["push"]\n')
    text = "{% block title %}Hello{% endblock %}{% block body %}Hello{% endblock %}"
    for language in ("en", "uk"):
        (folder / f"push.{language}.j2").write_text(text)
    result = run(["check"], TEMPLATES=str(tmp_path))
    assert result.exit_code == 1
    assert "weekend/push.ru.j2: is missing; write it" in result.stderr


def test_the_command_refuses_a_journey_it_does_not_know(run: Command) -> None:
    result = run(["check", "welcom"])
    assert result.exit_code == 1
    assert "There is no journey welcom; there are abandoned_cashier" in result.stderr


def test_a_diagram_goes_to_a_file_or_to_the_next_program(run: Command, tmp_path: Path) -> None:
    counts = tmp_path / "counts.json"
    counts.write_text('{"send:welcome#1": 1204}')
    file = tmp_path / "welcome.svg"
    assert run(["diagram", "welcome", "-o", str(file), "--counts", str(counts)]).exit_code == 0
    assert "1,204" in file.read_text()
    assert run(["diagram", "welcome"]).stdout.startswith("---\ntitle: welcome\n---\nflowchart TB")
    assert run(["diagram", "welcome", "--svg"]).stdout.startswith("<?xml")


def test_a_diagram_refuses_counts_that_are_none(run: Command, tmp_path: Path) -> None:
    counts = tmp_path / "counts.json"
    counts.write_text('["send:welcome#1"]')
    result = run(["diagram", "welcome", "--counts", str(counts)])
    assert result.exit_code == 1
    assert "must be one JSON object of step ids and whole numbers" in result.stderr
