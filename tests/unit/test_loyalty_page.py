"""The examples of docs/loyalty.md are what the engine loads, and what stands alone in vain is told."""

import re
from pathlib import Path

from tests.support.outside_packages import Write, mistakes
from workflows.source.journey_loading import SHIPPED, load

PAGE = Path(__file__).parent.parent.parent / "docs" / "loyalty.md"


def test_the_example_of_the_page_loads_as_a_program(package: Write) -> None:
    source = "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    registry = load([SHIPPED, package({"house": source})])
    program = registry.loyalty
    assert [*program.currencies] == ["points"]
    assert [(kind, [rule.name for rule in rules]) for kind, rules in program.earn_rules.items()] == [
        ("game.round_completed", ["wagered"])
    ]
    assert registry.rules.loyalty == program
    assert program.ladder is not None
    assert [one.name for one in program.ladder.tiers] == ["bronze", "silver", "gold"]
    assert {"risen", "thanks"} <= {*registry.journeys}


def test_a_rule_without_a_name_in_its_module_is_told(package: Write) -> None:
    source = (
        "from workflows import DepositApproved, currency, earn\n"
        "coins = currency('coins')\n"
        "earn(coins, DepositApproved, 'amount_minor', rate=(1, 100), most=5)\n"
    )
    told = mistakes(package({"house": source}))
    assert told == [
        ("house, line 3: earn(...) stands alone and nobody finds it; give it a name, such as wagering = earn(...).")
    ]


def test_two_currencies_of_one_name_are_told(package: Write) -> None:
    source = "from workflows import currency, days\na = currency('coins')\nb = currency('coins', expires=days(2))\n"
    assert mistakes(package({"house": source})) == [
        "The currency coins is declared twice and differently; share one declaration."
    ]
