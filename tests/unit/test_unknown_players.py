"""Of whom nobody knows the age or the law that holds for them, nothing is sold to, unless somebody vouches."""

from dataclasses import replace

import pytest

from activities.settings import Settings
from tests.support.gate import FREE, NOON, SPINS, message
from workflows.gate.decide import may_grant, may_send
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import GateFacts
from workflows.gate.policy_book import PolicyBook, of_deployment

NOBODY_VOUCHES = of_deployment((), adults_only=False, licences={})
ADULTS = of_deployment((), adults_only=True, licences={})
LICENSED = of_deployment((), adults_only=False, licences={"acme": "MT", "*": "UA"})
UNKNOWN = replace(FREE, jurisdiction=None, age=None)


def rules(book: PolicyBook, facts: GateFacts, brand: str = "acme") -> tuple[str | None, str | None]:
    policy = book.of(brand, facts, NOON)
    answers = may_send(facts, message(), policy, NOON), may_grant(facts, SPINS, policy, NOON)
    first, second = (None if isinstance(one, Allowed) else one.rule for one in answers)
    return first, second


@pytest.mark.parametrize(
    ("book", "jurisdiction", "age", "rule"),
    [
        (NOBODY_VOUCHES, "UA", 30, None),
        (NOBODY_VOUCHES, None, 30, "jurisdiction"),
        (NOBODY_VOUCHES, "UA", None, "age"),
        (NOBODY_VOUCHES, "UA", 17, "age"),
        (NOBODY_VOUCHES, "UA", 18, None),
        (NOBODY_VOUCHES, None, None, "jurisdiction"),
        (ADULTS, "UA", None, None),
        (ADULTS, "UA", 17, "age"),
        (ADULTS, "NL", None, "age"),
        (ADULTS, None, None, "jurisdiction"),
        (LICENSED, None, 30, None),
        (LICENSED, None, None, "age"),
    ],
)
def test_unknown_means_no_unless_somebody_vouches(
    book: PolicyBook, jurisdiction: str | None, age: int | None, rule: str | None
) -> None:
    assert rules(book, replace(FREE, jurisdiction=jurisdiction, age=age)) == (rule, rule)


@pytest.mark.parametrize("kind", ["service", "rg", "security"])
def test_what_is_necessary_reaches_an_unknown_player(kind: str) -> None:
    policy = NOBODY_VOUCHES.of("acme", UNKNOWN, NOON)
    assert isinstance(may_send(UNKNOWN, message(kind=kind), policy, NOON), Allowed)  # type: ignore[arg-type]  # one of them


def test_where_a_players_law_is_unknown_that_of_the_brands_licence_holds() -> None:
    back = replace(FREE, jurisdiction=None, ended_exclusions=[NOON])
    answer = may_send(back, message(), LICENSED.of("acme", back, NOON), NOON)
    assert isinstance(answer, Refusal)
    assert answer.rule == "cooling-off"
    assert rules(LICENSED, back, brand="another") == (None, None)
    assert LICENSED.of("acme", replace(back, jurisdiction="GB"), NOON).one_product, (
        "a law that is known is the player's"
    )


def test_a_deployment_vouches_for_nothing_that_its_settings_do_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADULTS_ONLY", "BRAND_LICENCES"):
        monkeypatch.delenv(name)
    settings = Settings(database_url="postgresql://nowhere")
    assert (settings.adults_only, settings.brand_licences) == (False, {})
