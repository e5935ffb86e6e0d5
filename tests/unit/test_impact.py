"""What a release does to the runs in flight, from the courses of the runs that speak for all."""

from datetime import timedelta

from content.run_shapes import RunShape, Sample
from stage.flow.diagram import picture
from stage.release_impact.impact import (
    SILENCE,
    Difference,
    Example,
    Impact,
    course_differences,
    declared_changes,
    impact_of,
    places_of,
)
from stage.release_impact.impact_page import impact_page, standing
from stage.release_impact.impact_text import impact_text
from stage.release_impact.play_to_end import Course
from tests.support.outside_packages import Write, journey_of
from tests.support.player_events import NOON
from tests.support.releases import release, reloaded
from workflows import days, hours
from workflows.source.flow_reader import read_flow
from workflows.source.journey_loading import Registry

NOW = timedelta(0)
QUIET = Course(messages=((days(2), "offer"),), waits={"event:SessionLogin#1": days(2)}, end="completed", ends=days(2))


def test_what_a_run_would_do_otherwise_is_told_in_words_that_fit_every_such_run() -> None:
    moved = Course(
        messages=((NOW, "nudge"), (days(1), "offer"), (days(1), "offer")),
        rewards=((days(1), "free_spins spins=20"),),
        tasks=((NOW, "Call"),),
        waits={"event:SessionLogin#1": hours(12)},
        end="completed",
        ends=days(1),
    )
    assert list(course_differences(QUIET, moved)) == [
        ("message", "nudge is sent at once"),
        ("message", "offer is sent later"),
        ("reward", "free_spins spins=20 is granted later"),
        ("task", "Call is asked at once"),
        ("wait", "event:SessionLogin#1 is over 1.5 days sooner"),
        ("end", "it ends 12.0 hours later"),
    ]
    assert list(course_differences(QUIET, Course(end="ended"))) == [
        ("message", "offer is not sent"),
        ("end", "it ends as ended instead of completed"),
    ]
    assert list(course_differences(QUIET, QUIET)) == []


def test_a_run_that_cannot_be_played_on_is_told_once() -> None:
    broken = Course(broken="KeyError: 'x'")
    assert list(course_differences(QUIET, broken)) == [("broken", "cannot be played on: KeyError: 'x'")]
    assert list(course_differences(broken, broken)) == []


SHAPES = (
    RunShape(1, ("send:a#1",), "send:a#1", {"acme": 90, "luna": 10}, ("r1", "r2")),
    RunShape(1, ("send:a#1", "send:b#1"), "send:b#1", {"acme": 20}, ("r3",)),
    RunShape(1, ("send:c#1",), "send:c#1", {"acme": 5}, ("r4",)),
    RunShape(1, (), "", {"acme": 2}, ("r5",)),
)
LATE = Course(messages=((days(2), "offer"), (days(3), "late")), waits=QUIET.waits, end="completed", ends=days(2))
EXAMPLES = {
    "r1": Example("r1", "event:SessionLogin#1", "stand still at sleep#1", {SILENCE: (QUIET, LATE)}),
    "r2": Example("r2", "event:SessionLogin#1", None, {SILENCE: (QUIET, QUIET)}),
    "r3": Example("r3", "event:SessionLogin#1", None, {SILENCE: (QUIET, LATE), "SessionLogin comes": (QUIET, LATE)}),
    "r4": Example("r4", "sleep#1", None, {SILENCE: (QUIET, QUIET)}),
}


def test_runs_are_counted_by_where_they_stand_and_by_brand() -> None:
    crowded, lonely = places_of(Sample.of(SHAPES, 100), EXAMPLES)
    assert (crowded.at, crowded.runs, crowded.brands) == ("event:SessionLogin#1", 120, {"acme": 110, "luna": 10})
    assert crowded.breaks == {"stand still at sleep#1": 100}
    assert crowded.differences == [
        Difference(
            turn=SILENCE, kind="message", words="late is sent later", runs=120, brands={"acme": 110, "luna": 10}
        ),
        Difference(turn="SessionLogin comes", kind="message", words="late is sent later", runs=20, brands={"acme": 20}),
    ]
    assert (lonely.at, lonely.runs, lonely.differences) == ("sleep#1", 5, [])


def two_versions(package: Write) -> tuple[Registry, str]:
    name = package(hello=journey_of('await player.event(SessionLogin, within=days(2))\nawait player.mark("a")'))
    release(name)
    return reloaded(name), name


def report(registry: Registry) -> Impact:
    journey = registry.journeys["hello"]
    return impact_of(journey, journey, Sample.of(SHAPES, 100), EXAMPLES, ["r9 does not replay."], NOON)


def test_the_report_says_how_many_runs_are_spoken_for(package: Write) -> None:
    registry, _ = two_versions(package)
    made = report(registry)
    assert (made.runs, made.covered, made.unseen, made.coverage) == (127, 127, 2, 98.4)
    text = impact_text(made)
    assert "127 runs in flight (acme 117, luna 10); 4 shapes, 4 histories, 98.4 % covered" in text
    assert "120 stand at event:SessionLogin#1, on v1 (acme 110, luna 10)" in text
    assert "  migrate  120 x late is sent later, if nothing happens (acme 110, luna 10)" in text
    assert "  follow   100 break: stand still at sleep#1" in text
    assert "r9 does not replay." in text
    assert Impact.model_validate_json(made.model_dump_json()) == made


def test_the_page_draws_both_versions_with_the_runs_on_them(package: Write) -> None:
    registry, _ = two_versions(package)
    made = report(registry)
    assert standing(made) == {"event:SessionLogin#1": 120, "sleep#1": 5}
    flow = read_flow(registry.journeys["hello"])
    page = impact_page(made, flow, flow)
    assert page.count("<svg") == 2
    assert ">120<" in page
    assert "98.4 % covered" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_what_is_declared_otherwise_is_told_for_it_follows_at_once(package: Write) -> None:
    body = "await player.event(SessionLogin, within=days(2))"
    flows = []
    for ends in ("days(9)", "days(12)"):
        name = package(hello=journey_of(body).replace("ends_after=days(9)", f"ends_after={ends}"))
        flows.append(picture(read_flow(reloaded(name).journeys["hello"])))
    assert declared_changes(*flows) == ["over after: 9 days -> 12 days"]
