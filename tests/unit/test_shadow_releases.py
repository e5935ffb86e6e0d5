"""A release that is there only to be shadowed: frozen, entered by nobody, then released; and how a shadow is told."""

from pathlib import Path
from typing import Any

from cli.shadow import report_lines
from tests.support.outside_packages import Write
from tests.support.releases import journeys_command, reloaded
from tests.support.shadowed_package import FIRST, JOURNEY, SECOND, shadowed
from workflows.source.releases import last_live, read_index


def test_nobody_enters_on_a_release_for_a_shadow_until_it_is_released(package: Write, tmp_path: Path) -> None:
    registry = shadowed(package, tmp_path)
    name = registry.journeys["hello"].function.__module__.partition(".")[0]
    journey, index = registry.journeys["hello"], registry.releases["hello"]
    assert (journey.version, journey.entered_on, last_live(index.of("hello"))) == (2, 1, 1)
    assert [one.in_flight for one in read_index(index.package).of("hello")] == ["pin", "shadow"]
    assert "hello is v2 now" in journeys_command(name, "release", "hello").replace("\n", " ")
    released = reloaded(name)
    assert released.journeys["hello"].entered_on == 2
    assert [one.in_flight for one in released.releases["hello"].of("hello")] == ["pin", "pin"]


def test_a_release_of_everything_leaves_one_for_a_shadow_alone(package: Write, tmp_path: Path) -> None:
    name = shadowed(package, tmp_path).journeys["hello"].function.__module__.partition(".")[0]
    journeys_command(name, "release")
    assert reloaded(name).journeys["hello"].entered_on == 1


def test_code_that_nobody_plays_yet_and_code_that_is_live_are_not_frozen(package: Write, tmp_path: Path) -> None:
    name = package(hello=JOURNEY.replace("BODY", FIRST))
    said = journeys_command(name, "shadow", "hello", "--freeze", code=1)
    assert "make what is live one with `journeys release hello` first" in said
    journeys_command(name, "release")
    assert "is v1, which players enter on; edit it first" in journeys_command(
        name, "shadow", "hello", "--freeze", code=1
    )
    path = tmp_path / name / "hello.py"
    path.write_text(path.read_text().replace(FIRST, SECOND))
    said = journeys_command(name, "shadow", "hello", "--freeze")
    assert "`journeys shadow hello --version 2 --percent 5`" in said
    assert "is v2" in journeys_command(name, "shadow", "hello", "--freeze")
    assert "There is no journey hallo" in journeys_command(name, "shadow", "hallo", "--freeze", code=1)


def test_one_thing_is_asked_of_the_command_at_a_time(package: Write) -> None:
    name = package(hello=JOURNEY.replace("BODY", FIRST))
    for wrong in (["--stop", "--report"], ["--version", "2"], ["--percent", "5"], ["--freeze", "--stop"]):
        journeys_command(name, "shadow", "hello", *wrong, code=2)


def test_a_report_marks_what_differs() -> None:
    told: dict[str, Any] = {
        "journey": "win_back",
        "version": 8,
        "beside": 7,
        "percent": 5.0,
        "running": False,
        "started_at": "2026-01-15T12:00:00Z",
        "stopped_at": "2026-01-19T08:30:00Z",
        "runs": 1_412,
        "under_way": 31,
        "steps": [
            {"step": "send:content-news#1", "live": {"sent": 1_398}, "shadow": {"sent": 1_398}},
            {"step": "send:push-nudge#1", "live": {}, "shadow": {"sent": 205, "suppressed: daily_cap": 207}},
        ],
        "costs": [
            {
                "currency": "JPY",
                "live": {"grants": 0, "most": 0, "expected": 0, "unlimited": 0},
                "shadow": {"grants": 2, "most": 5_000, "expected": 100, "unlimited": 1},
            }
        ],
        "ends": [{"live": "completed", "shadow": "ended", "runs": 3, "example": "win_back:acme:p-17:1"}],
    }
    assert [*report_lines(told)] == [
        "win_back: v8 beside v7, 5 % of the players, 2026-01-15 12:00 to 2026-01-19 08:30",
        "1,412 live runs with a shadow, 31 of the shadows under way",
        "",
        "step                 live                   shadow",
        "send:content-news#1  1,398 sent             1,398 sent",
        "send:push-nudge#1    -                      205 sent, 207 suppressed: daily_cap               *",
        "cost in JPY          0 at most, 0 expected  5,000 at most, 100 expected, 1 without a ceiling",
        "",
        "ends  live       shadow",
        "3     completed  ended   * such as win_back:acme:p-17:1",
    ]
