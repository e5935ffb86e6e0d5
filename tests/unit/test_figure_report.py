"""The report: every figure with its interval or its reason, and nothing that a page may not hold."""

import re
import xml.dom.minidom
from dataclasses import replace
from datetime import date, timedelta

from content.figure_pictures import SIDE, calibration_plot, gain_curve, interval_bar, sparkline
from content.figure_report import FigureReport, report_html, report_text
from content.figure_words import EFFECT_PARTS, EFFECTS, GROUPS, NAMES, figure_text, interval_text
from workflows.figures.definitions import FIGURES, Taken
from workflows.figures.targets import judge, target

WEEK = date(2026, 1, 5)
CHURN = Taken("churn_30", "week", WEEK, 2_604, 0.412, 0.393, 0.431)
NONE = Taken("nps", "week", WEEK, 12, reason="12 answers, and 50 are needed")
GAIN = Taken("goal_difference", "week", WEEK, 900, 0.041, -0.01, 0.09, split_by="journey", part="<b>welcome</b>")
REPORT = FigureReport(
    "acme",
    date(2026, 1, 11),
    [CHURN, NONE, GAIN, Taken("ngr", "week", WEEK, 0, 123_456.0, currency="EUR")],
    [Taken("churn_30", "week", WEEK - timedelta(weeks=n), 2_000, 0.4 + n / 100) for n in (3, 2, 1)] + [CHURN],
    [judge(target("churn_30", at_most=0.4), CHURN, None, date(2026, 1, 11))],
)


def test_every_figure_has_a_name_and_a_place() -> None:
    placed = {name for names in GROUPS.values() for name in names} | {*EFFECTS, *EFFECT_PARTS}
    assert placed == FIGURES.keys() == NAMES.keys()


def test_a_value_stands_with_its_interval_and_of_how_many_it_is() -> None:
    page, plain = report_html(REPORT), report_text(REPORT)
    for told in (page, plain):
        assert "41.2 %" in told
        assert "39.3 % to 43.1 %" in told
        assert "of 2,604" in told


def test_no_number_is_an_answer_with_its_reason() -> None:
    for told in (report_html(REPORT), report_text(REPORT)):
        assert "no number: 12 answers, and 50 are needed" in told


def test_a_target_says_where_it_stands() -> None:
    assert "at risk" in report_html(REPORT)
    assert "Target Churn, 30 days, at most 40 %: at risk" in report_text(REPORT)


def test_nothing_of_a_name_becomes_part_of_the_page_and_nothing_comes_from_elsewhere() -> None:
    page = report_html(REPORT)
    assert "<b>welcome" not in page
    assert "&lt;b&gt;welcome" in page
    assert not re.search(r"<script|https?://|\son\w+=", page)


def test_a_month_says_what_it_was_before_and_nothing_of_weeks() -> None:
    months = [Taken("churn_30", "month", date(2025, month, 1), 9_000, 0.4 + month / 1_000) for month in (11, 12)]
    month = FigureReport("acme", date(2026, 1, 2), [CHURN, months[1]], months, [], "month")
    assert month.subject == "acme: figures of December 2025"
    for told in (report_html(month), report_text(month)):
        assert "41.2 %" in told
        assert "before: 41.1 %" in told
        assert "of 2,604" not in told
    assert "before:" not in report_html(REPORT)
    assert {month.key, REPORT.key} == {"month:", ""}, "Both may be mailed on one day."


def test_what_has_changed_comes_first() -> None:
    found = replace(REPORT, changes=[(date(2026, 1, 9), "Nobody has entered <welcome> for 3 days.")])
    page, plain = report_html(found), report_text(found)
    assert "Nobody has entered &lt;welcome&gt; for 3 days." in page
    assert page.index("What has changed") < page.index("Targets")
    assert "2026-01-09: Nobody has entered <welcome> for 3 days." in plain
    assert "What has changed" not in report_html(REPORT)


def test_pictures_are_whole_and_have_no_style_of_their_own() -> None:
    for picture in (
        sparkline([1.0, None, 3.0, 2.0], "a < b"),
        interval_bar(0.1, -0.2, 0.4, "x"),
        calibration_plot([(0.1, 0.2), (0.7, 1.0)], "a < b"),
        gain_curve([(5.0, 3.0), (0.0, 0.0)], "x"),
    ):
        xml.dom.minidom.parseString(picture)
        assert "style=" not in picture
        assert 'aria-label="' in picture


def test_a_line_needs_two_points_and_the_same_twice_is_one() -> None:
    assert sparkline([None, 1.0, None], "x") == ""
    assert 'points="3.0,14.0 117.0,14.0"' in sparkline([2.0, 2.0], "x")


def test_true_chances_lie_on_the_diagonal_and_what_the_best_brought_comes_first() -> None:
    places = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', calibration_plot([(0.0, 0.0), (0.3, 0.3), (1.0, 1.0)], "x"))
    assert [float(across) + float(up) for across, up in places] == [SIDE] * 3
    said, came = re.findall(r'points="([^"]+)"', gain_curve([(9.0, 6.0), (1.0, 3.0), (0.0, 1.0)], "x"))
    assert came.split()[0] == said.split()[0] == "8.0,212.0"
    assert came.split()[-1] == said.split()[-1] == "212.0,8.0"
    assert came.split()[1] == "76.0,89.6", "a third of the players, six of ten of the money"


def test_values_are_said_in_their_units() -> None:
    assert figure_text("ngr", 123_456.0, "EUR") == "1,234.56 EUR"
    assert figure_text("ngr", 1_500.0, "JPY").startswith("1,500")
    assert figure_text("nps", -12.4) == "-12"
    assert figure_text("recognition_p50", 42.04) == "42.0 s"
    assert figure_text("recognition_p99", 10_800) == "3.0 h"
    assert figure_text("churn_30", None) == "\N{EN DASH}"
    assert figure_text("goal_difference", -0.0123) == "-1.2 points"
    assert interval_text(NONE) == ""
    assert interval_text(GAIN) == "-1.0 to +9.0 points"
    assert interval_text(Taken("clv_90", "week", WEEK, 900, 200.0, 150.0, 250.0, currency="EUR")) == "1.50 to 2.50"


def test_what_has_no_interval_and_no_number_of_players_begins_with_no_mark_between() -> None:
    months = [Taken("registered", "month", date(2025, month, 1), 10, 10.0) for month in (11, 12)]
    told = FigureReport("acme", date(2026, 1, 2), [months[1]], months, [], "month")
    assert '<td class="quiet">before: 10</td>' in report_html(told)
    assert "Registered: 10, before: 10\n" in report_text(told)
    assert "41.2 % (39.3 % to 43.1 %), of 2,604" in report_text(REPORT)


def test_a_report_in_plain_text_has_no_heading_without_anything_below_it() -> None:
    told = report_text(FigureReport("acme", date(2026, 1, 2), [Taken("registered", "week", WEEK, 10, 10.0)], [], []))
    headings = [line for line in told.splitlines()[1:] if line and not line.startswith(" ")]
    assert headings == ["Players"]
