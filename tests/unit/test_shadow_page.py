"""The HTML page of a shadow: what its text and JSON tell, with both versions side by side."""

import asyncio
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from api.shadows import ShadowReport
from stage.release_impact.shadow_page import runs_at, shadow_page, totals
from tests.support.loopback_server import answer, scripted
from tests.support.outside_packages import Write
from tests.support.releases import journeys_command
from tests.support.shadowed_package import shadowed
from workflows.source.flow_graph import Flow
from workflows.source.flow_reader import read_flow

WELL_FORMED = "jx_000000000000000000000000000000_2C8GjS"
NO_COST = {"grants": 0, "most": 0, "expected": 0, "unlimited": 0}
TOLD: dict[str, Any] = {
    "journey": "hello",
    "version": 2,
    "beside": 1,
    "percent": 5.0,
    "running": True,
    "started_by": "olena@example.com",
    "started_at": "2026-01-15T12:00:00Z",
    "stopped_by": None,
    "stopped_at": None,
    "runs": 1_412,
    "under_way": 31,
    "steps": [
        {"step": "send:guide#1", "live": {"sent": 1_398}, "shadow": {"sent": 1_398}},
        {"step": "send:favourite-tip#1", "live": {}, "shadow": {"sent": 205, "suppressed: daily_cap": 207}},
        {"step": "grant:points#1", "live": {"confirmed": 120}, "shadow": {}},
        {"step": "grant:free_spins#1", "live": {}, "shadow": {"confirmed": 140, "refused: cap": 3}},
        {"step": "ask:Call#1", "live": {"opened": 90, "answered": 80}, "shadow": {"opened": 88, "answered": 80}},
    ],
    "costs": [
        {
            "currency": "EUR",
            "live": NO_COST,
            "shadow": {"grants": 140, "most": 70_000, "expected": 16_128, "unlimited": 1},
        }
    ],
    "ends": [
        {"live": "completed", "shadow": "ended", "runs": 3, "example": "hello:acme:p-17:1"},
        {"live": "completed", "shadow": "completed", "runs": 1_378, "example": "hello:acme:p-2:1"},
    ],
}
EMPTY = {**TOLD, "runs": 0, "under_way": 0, "steps": [], "costs": [], "ends": []}


@pytest.fixture
def flows(package: Write, tmp_path: Path) -> tuple[Flow, Flow]:
    journey = shadowed(package, tmp_path).journeys["hello"]
    return read_flow(journey.at(1)), read_flow(journey.at(2))


def words(page: str) -> str:
    """What a reader sees of a page, on one line."""
    shown = re.sub(r"<(style|head)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", shown)).split())


def test_both_sides_are_summed_and_what_neither_did_is_left_out() -> None:
    assert [tuple(one) for one in totals(TOLD)] == [
        ("messages sent", "1,398", "1,603", "+205"),
        ("messages not sent", "0", "207", "+207"),
        ("rewards given", "120", "140", "+20"),
        ("rewards refused", "0", "3", "+3"),
        ("tasks put before people", "90", "88", "-2"),
        ("cost in EUR, at most", "0.00", "700.00", "+700.00"),
        ("cost in EUR, expected", "0.00", "161.28", "+161.28"),
        ("rewards in EUR without a ceiling", "0", "1", "+1"),
    ]


def test_a_run_counts_once_at_a_step_that_has_several_lines() -> None:
    assert (runs_at(TOLD["steps"], "live")["ask:Call#1"], runs_at(TOLD["steps"], "shadow")["ask:Call#1"]) == (90, 88)
    assert runs_at(TOLD["steps"], "shadow")["send:favourite-tip#1"] == 412


def test_the_page_tells_what_the_text_does_with_both_versions_drawn(flows: tuple[Flow, Flow]) -> None:
    page = shadow_page(TOLD, flows)
    told = words(page)
    for said in (
        "hello: v2 beside v1",
        "1,412 live runs with a shadow, 31 of the shadows under way; 5 % of the players, since 2026-01-15 12:00 UTC",
        "started by olena@example.com. Nothing that the shadows did was done.",
        "cost in EUR, at most 0.00 700.00 +700.00",
        "send:favourite-tip#1 - 205 sent 207 suppressed: daily_cap",
        "3 completed ended such as hello:acme:p-17:1",
        "1,378 completed completed",
    ):
        assert said in told
    assert told.count("such as") == 1
    assert page.count('<tr class="differs"') == 5
    assert page.count("<svg") == 2
    live, shadow = (part.partition("</svg>")[0] for part in page.split("<svg")[1:])
    assert ">90<" in live
    assert ">88<" in shadow
    # A wait that is over in time leaves no line, so it is not counted.
    assert live.count(">0<") == 1  # the mark
    # What the live version alone does is drawn in both; what it alone counts is not.
    assert ">removed<" in shadow
    assert ">120<" in live
    assert ">120<" not in shadow
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_page_takes_what_the_api_tells() -> None:
    (example,) = ShadowReport.model_json_schema()["examples"]
    told = ShadowReport.model_validate(example).model_dump(mode="json")
    assert "cost in EUR, at most 600.00 700.00 +100.00" in words(shadow_page(told, None))


def test_before_anybody_has_entered_the_page_says_what_it_waits_for(flows: tuple[Flow, Flow]) -> None:
    told = words(shadow_page(EMPTY, flows))
    assert "No run has a shadow yet. A run gets one when a player who is drawn enters." in told
    assert "Step by step" not in told
    stopped = EMPTY | {"running": False, "stopped_at": "2026-01-19T08:30:00Z"}
    told = words(shadow_page(stopped, flows))
    assert "2026-01-15 12:00 to 2026-01-19 08:30 UTC" in told
    assert "this shadow is stopped, so none will." in told


def test_runs_that_have_done_nothing_yet_are_told(flows: tuple[Flow, Flow]) -> None:
    begun = EMPTY | {"runs": 2, "under_way": 2}
    begun["ends"] = [{"live": "under way", "shadow": "under way", "runs": 2, "example": "hello:acme:p-1:1"}]
    told = words(shadow_page(begun, flows))
    assert "Neither side has sent, given or asked anything so far." in told
    assert "No step is over yet." in told


def test_what_designers_wrote_is_text_and_no_page(flows: tuple[Flow, Flow]) -> None:
    hostile = '<script>alert("x")</script>&amp;'
    told = json.loads(json.dumps(TOLD).replace("favourite-tip", "EVIL").replace("olena", "EVIL"))
    told = json.loads(json.dumps(told).replace("EVIL", json.dumps(hostile)[1:-1]))
    told["ends"][0] |= {"shadow": hostile, "example": hostile}
    page = shadow_page(told, flows)
    assert "<script" not in page
    assert words(page).count('<script>alert("x")</script>&amp;') == 4


def test_where_the_code_is_not_at_hand_nothing_is_drawn_and_the_rest_is_told() -> None:
    page = shadow_page(TOLD, None, "there is no v2 of hello here.")
    assert "<svg" not in page
    assert "Neither version is drawn: there is no v2 of hello here." in words(page)
    assert "send:favourite-tip#1" in page


async def test_the_command_writes_the_page_the_json_and_the_text(
    package: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadowed(package, tmp_path)
    (name,) = (one.parent.name for one in tmp_path.glob("*/hello.py"))
    monkeypatch.setenv("JOURNEYS_KEY", WELL_FORMED)
    page, kept, text = (tmp_path / f"shadow.{ending}" for ending in ("html", "json", "txt"))
    async with scripted(answer(200, TOLD, Content_Type="application/json")) as api:
        monkeypatch.setenv("JOURNEYS_URL", api.url)
        for file in (page, kept, text):
            said = await asyncio.to_thread(journeys_command, name, "shadow", "hello", "-o", str(file))
            assert "What the shadow of hello would have done is told in" in said
    assert page.read_text().count("<svg") == 2
    assert json.loads(kept.read_text()) == TOLD
    assert text.read_text().startswith("hello: v2 beside v1, 5 % of the players, since 2026-01-15 12:00\n")
    journeys_command(name, "shadow", "hello", "-o", str(page), "--stop", code=2)
