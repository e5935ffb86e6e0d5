"""No page speaks English to somebody who reads another language, but for names, codes and what others have written.

Every page that can be opened is read as a Russian and a Ukrainian reader get it, and of what it shows every word in
Latin letters must be one of those. What is added in English alone fails here.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final, get_args

import pytest

from activities.roles import ROLES
from api.console.players import Tab as PlayerTab
from api.console.rendering import LANGUAGES
from content.readable_names import words
from content.templates import Catalogue
from tests.console.test_console_access import DOORS, Door
from tests.support.api_journeys import TRIED, Affordability
from tests.support.api_seed import seeded
from tests.support.console import Console
from workflows.player_facts import ScoreName
from workflows.task_kinds import TASK_KINDS

#: Elements without an end.
VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta"})
#: Elements whose text is a code, a key, a person's name or a moment.
CODES: Final = frozenset({"bdi", "code", "kbd", "script", "time"})
#: Attributes that people read or hear.
SAID: Final = ("alt", "aria-label", "placeholder", "title")
#: Words that are the same in every language: brands, abbreviations, currencies, units of the trade.
SAME: Final = frozenset({"API", "EUR", "KYC", "SMS", "UTC", "VIP", "Push", "Telegram", "Viber", "WhatsApp", "Temporal"})
#: What stands in the seed as designers, players, providers and clocks write it.
WRITTEN: Final = (
    "Deposits tripled in a week.",
    "Is this player's spend affordable and sustainable?",
    "the bonus engine never answered",
    "Hello Anna",
    "Hello",
    "Refused.",
    "Europe/Kyiv",
    "/example",
    "journeys keys",
    "ivan@example.com",
)
LATIN: Final = re.compile(r"[A-Za-z]{3,}")


class Reader(HTMLParser):
    """What a page says in its own language."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.language = language
        #: The elements around, and whether what is in them is somebody else's.
        self.around: list[tuple[str, bool]] = []
        self.said: list[str] = []

    @property
    def passes_over(self) -> bool:
        return bool(self.around) and self.around[-1][1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        foreign = given.get("lang", self.language) != self.language
        theirs = self.passes_over or foreign or tag in CODES or "id" in given.get("class", "").split()
        if not theirs:
            self.said += [given[name] for name in SAID if given.get(name)]
            self.said += [value for name, value in given.items() if name.startswith("data-") and " " in value]
        if tag not in VOID:
            self.around.append((tag, theirs))

    def handle_endtag(self, tag: str) -> None:
        while self.around and self.around.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self.passes_over and data.strip():
            self.said.append(" ".join(data.split()))


def named(console: Console) -> list[str]:
    """Names and texts of whoever designed what is deployed, and of whoever works in the test, the longest first."""
    registry = console.api.engine.registry
    measures = console.api.engine.intake.rules.measures
    found = {*WRITTEN, *ROLES, *get_args(ScoreName), console.api.brand, Affordability.__name__, *TRIED.arms, TRIED.name}
    for designed in (registry.journeys, registry.segments):
        found |= {words(name) for name in designed}
        # What is shipped is described in each language; the tests' own journeys are not.
        found |= {one.description for name, one in designed.items() if name.startswith("api_")}
    found |= {words(one.name) for one in measures if one.name}
    found |= {use.template for use in registry.templates} | {words(use.template) for use in registry.templates}
    found |= {*Catalogue.load(*console.api.engine.settings.template_folders)}
    found |= {scope for role in ROLES.values() for scope in role.scopes}
    found |= {team for kind in TASK_KINDS.values() for team in (kind.team, kind.skill) if team}
    found |= {words(name) for name in ("seen", *Affordability.model_fields)}
    return sorted(found, key=len, reverse=True)


def english(page: str, language: str, known: list[str]) -> set[str]:
    """The texts of a page in which a word of English is left."""
    reader = Reader(language)
    reader.feed(page)
    left = set()
    for said in reader.said:
        rest = re.sub(r"(?:api:)?[\w.+-]+@[\w.-]+", " ", said)
        for name in known:
            rest = re.sub(rf"(?<![A-Za-z]){re.escape(name)}(?![A-Za-z])", " ", rest)
        if {*LATIN.findall(rest)} - SAME:
            left.add(said)
    return left


def addresses(door: Door, address: str) -> Iterator[str]:
    """A page in each of its kinds."""
    yield address
    if door.path == "/players/{player_id}":
        yield from (f"{address}?tab={tab}" for tab in get_args(PlayerTab))
    if door.path == "/players":
        yield from (f"{address}?{one}" for one in ("mine=true", "mine=true&silent=30", "q=nobody"))
    if door.path == "/inbox":
        yield from (f"{address}?tab={tab}" for tab in ("team", "unclaimed", "overdue", "later"))
    if door.path == "/audit":
        yield f"{address}?player=nobody"


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
async def test_no_page_says_anything_in_english_to_who_reads_another_language(console: Console, language: str) -> None:
    ids = await seeded(console.api)
    answered, kept = await console.task("p-1001", name="Anna"), await console.task("p-1002", name="Mia")
    desk = await console.desk(*ROLES, locale=language)
    home = f"/console/{console.api.brand}"
    for path, fields in {
        f"tasks/{answered}/answer": {"answer.outcome": "more_documents", "answer.note": "Документы придут завтра."},
        f"tasks/{kept}/claim": {},
        f"tasks/{kept}/comment": {"text": "Позвонить ещё раз."},
        "players/p-1002/exclude": {"kind": "time_out", "reason": "Просьба игрока."},
        f"journeys/{ids['name']}/close": {"reason": "Ошибка в тексте."},
        "absence": {"since": "2099-07-01", "until": "2099-07-14"},
    }.items():
        assert (await desk.post(f"{home}/{path}", fields)).status_code == 303, path
    refused = {f"tasks/{answered}/claim": 409, "journeys/welcome/close": 422, "players/nobody": 404}
    known = [*named(console), desk.person.name, "Seed", "tester", "vip", "aml", ids["instance"]]
    left: dict[str, set[str]] = {}
    read = 0
    for door in DOORS:
        # A picture and a mail are what their designers made of them.
        if door.method != "GET" or door.path.endswith((".svg", ".html")):
            continue
        for address in addresses(door, door.address(console.api.brand, ids)):
            answer = await desk.get(address)
            assert answer.status_code == 200, address
            read += 1
            if found := english(answer.text, language, known):
                left[address] = found
    for path in (f"tasks/{answered}", f"tasks/{kept}", "players/p-1002", "players/p-1002?tab=protection"):
        if found := english((await desk.get(f"{home}/{path}")).text, language, known):
            left[path] = found
    for path, status in refused.items():
        answer = await (desk.get(f"{home}/{path}") if status == 404 else desk.post(f"{home}/{path}"))
        assert answer.status_code == status, path
        if found := english(answer.text, language, known):
            left[path] = found
    assert sorted(f"{path}: {said}" for path, found in left.items() for said in found) == []
    assert read > 35, "They are really read."


def test_a_word_of_english_is_found_wherever_it_is_said() -> None:
    page = '<p title="Not yet">Ещё <code>raw</code> нет <span lang="en">error text</span><b>Stuck here</b></p>'
    assert english(page, "ru", []) == {"Not yet", "Stuck here"}
    assert english("<p>Сценарий «Win back»: 3 SMS</p>", "ru", ["Win back"]) == set()
