"""The report of a rehearsal: one file that opens without a network and says what the figures say."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from stage.backtest.event_log import read_log
from stage.backtest.metrics import BacktestMetrics
from stage.backtest.report import format_elapsed, money, percent, report, rows_of, totals
from stage.testing.answer_files import APPROVE
from tests.support.logs import NOON, happened, rehearse, several, synthetic, table
from tests.support.logs import told as log_of
from workflows.events import SessionLogin

OUTSIDE = {"src", "href", "action", "data", "poster", "srcset", "background", "xlink:href"}


class Page(HTMLParser):
    """What a browser would fetch, the ids it would look up, and the words a person would read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.pictures: list[str] = []
        self.words: list[str] = []
        self.silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in OUTSIDE and value and not value.startswith("#"):
                self.fetched.append(f"{tag} {name}={value}")
            if name == "id" and value:
                self.ids.append(value)
            if tag == "svg" and name == "aria-label" and value:
                self.pictures.append(value)
        if tag in {"link", "iframe", "object", "embed", "base"}:
            self.fetched.append(tag)
        self.silent += tag in {"style", "script"}

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in {"style", "script"}

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def figures() -> BacktestMetrics:
    return rehearse(synthetic(), answers=APPROVE)


@pytest.fixture(scope="module")
def text(figures: BacktestMetrics) -> str:
    return report(figures)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


class TestReport:
    def test_it_asks_the_network_for_nothing(self, text: str, page: Page) -> None:
        assert page.fetched == []
        assert not re.search(
            r"https?:|//[a-z]|@import|url\((?!#)", text.partition('<script type="application/json"')[0]
        )

    def test_it_runs_no_code(self, text: str) -> None:
        assert re.findall(r"<script[^>]*>", text) == ['<script type="application/json" id="figures">']
        assert not re.search(r"\son[a-z]+=", text)

    def test_it_holds_the_very_figures_of_the_last_line(self, text: str, figures: BacktestMetrics) -> None:
        [held] = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
        assert json.loads(held) == json.loads(figures.line())

    def test_every_picture_is_there_for_both_widths(self, page: Page) -> None:
        for label in (
            "Players entered per day, by journey",
            "Contacts per day",
            "Players by their most contacts in a day and a week",
            "Suppressed messages by journey and reason",
            "Expected cost of rewards by month",
            "Tasks per day and team against one person's day",
            "Goal of welcome by days after entry",
            "Silences that ended by themselves",
        ):
            assert page.pictures.count(label) == 2, label

    def test_no_two_parts_share_an_id(self, page: Page) -> None:
        assert len(page.ids) == len(set(page.ids))

    def test_the_table_says_what_the_line_says(self, page: Page, figures: BacktestMetrics) -> None:
        for name in figures.journeys:
            parts = ("entered", "control", "messages", "suppressed", "grants", "tasks", "conversions")
            row = " ".join(f"{getattr(figures, part)[name]:,}" for part in parts)
            assert f"{name} {row}" in page.text

    def test_the_tiles_are_sums_of_the_line(self, page: Page, figures: BacktestMetrics) -> None:
        line = json.loads(figures.line())
        for part, words in (("entered", "entries"), ("messages", "messages sent"), ("tasks", "tasks for people")):
            assert f"{sum(line[part].values()):,} {words}" in page.text
        assert totals(figures)["conversions"] == sum(line["conversions"].values())

    def test_it_says_plainly_what_a_log_cannot_show(self, page: Page) -> None:
        assert "It cannot show the effect of a treatment." in page.text
        assert "detection, timing, load and cost" in page.text

    def test_the_same_figures_give_the_same_page(self, figures: BacktestMetrics, text: str) -> None:
        assert report(figures) == text

    def test_it_is_drawn_in_colours_of_the_page(self, text: str) -> None:
        drawings = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
        assert set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]+|rgb[^"]*|white|black)"', drawings)) <= {"#000"}
        used = set(re.findall(r"var\((--[a-z0-9-]+)\)", text))
        for block in re.findall(r":root \{(.*?)\}", text, re.DOTALL)[:2]:
            assert used - {"--dot"} <= set(re.findall(r"(--[a-z0-9-]+):", block))

    def test_a_name_from_the_log_cannot_become_a_part_of_the_page(self, tmp_path: Path) -> None:
        folder = tmp_path / "logs"
        folder.mkdir()
        path = table(folder / "<script>alert(1)<.csv", *several("ann", 2))
        shown = report(rehearse(read_log(path), "welcome"))
        assert "<script>alert" not in shown
        assert "&lt;script&gt;alert(1)&lt;.csv: 2 events of 1 players" in shown

    def test_a_rehearsal_in_which_nothing_happens_is_told_too(self, tmp_path: Path) -> None:
        log = read_log(log_of(tmp_path / "log", ("ann", happened(SessionLogin, NOON))))
        shown = Page(report(rehearse(log, "failed_deposit", register_first=False))).text
        assert "failed_deposit cannot start on this log: it starts on payment.deposit_failed" in shown
        for sentence in (
            "Nobody was contacted.",
            "No reward was given.",
            "No journey asked anybody.",
            "No run took a step.",
        ):
            assert sentence in shown


class TestRiver:
    def test_it_narrows_by_those_who_leave_and_ends_with_nobody(self, figures: BacktestMetrics) -> None:
        rows = rows_of(figures, "welcome")
        widths = [(edge(row.river, 0), edge(row.river, 1)) for row in rows]
        assert widths[0][0] == 96
        assert all(above[1] == below[0] for above, below in pairwise(widths))
        assert widths[-1][1] == 0

    def test_a_bar_shows_what_became_of_each_run(self, figures: BacktestMetrics) -> None:
        for row in rows_of(figures, "second_deposit"):
            assert sum(part.count for part in row.parts) == row.runs
            assert sum(part.share for part in row.parts) == pytest.approx(100)


class TestWords:
    @pytest.mark.parametrize(
        ("minutes", "words"), [(0, "at once"), (59, "59 min"), (180, "3 h"), (1_500, "1 d 1 h"), (20_160, "14 d")]
    )
    def test_a_time_is_told_in_its_two_largest_units(self, minutes: int, words: str) -> None:
        assert format_elapsed(minutes) == words

    @pytest.mark.parametrize(
        ("minor", "currency", "words"),
        [
            (123_456, "USD", "1,235 USD"),
            (1_500, "JPY", "1,500 JPY"),
            (12_000, "KWD", "12 KWD"),
            (None, "EUR", "\N{EN DASH}"),
        ],
    )
    def test_money_is_told_in_units_of_its_currency(self, minor: int | None, currency: str, words: str) -> None:
        assert money(minor, currency) == words

    @pytest.mark.parametrize(
        ("part", "whole", "words"), [(1, 3, "33 %"), (1, 30, "3.3 %"), (0, 5, "0 %"), (2, 2, "100 %")]
    )
    def test_a_share_is_told_in_percent(self, part: int, whole: int, words: str) -> None:
        assert percent(part, whole) == words


def edge(river: str, at: int) -> float:
    """How wide a stretch of river is, at its top or at its foot."""
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", river)]
    left, right = (numbers[0], numbers[-2]) if at == 0 else (numbers[6], numbers[8])
    return round(right - left, 2)
