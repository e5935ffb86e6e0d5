"""What is reported of a designer's function that raises, to the letter: people and dashboards read it."""

from typing import Literal

import pytest

from workflows.rules.failures import RuleFailure


@pytest.mark.parametrize(
    ("rule", "kind", "event_type", "sentence", "logged"),
    [
        (
            "large",
            "where",
            "payment.deposit_approved",
            "where=large raised KeyError on a payment.deposit_approved event ('ann@example.com'); it was taken for no.",
            "where=large raised KeyError on a payment.deposit_approved event; it was taken for no.",
        ),
        (
            "total:game.round:net:day",
            "measure",
            "game.round",
            "The measure total:game.round:net:day raised KeyError on a game.round event ('ann@example.com').",
            "The measure total:game.round:net:day raised KeyError on a game.round event.",
        ),
        (
            "rich",
            "segment",
            None,
            "Segment rich raised KeyError ('ann@example.com'); its members stay as they were.",
            "Segment rich raised KeyError ('ann@example.com'); its members stay as they were.",
        ),
        (
            "days:lost:3",
            "day",
            None,
            "where= of days:lost:3 raised KeyError ('ann@example.com'); it was taken for no.",
            "where= of days:lost:3 raised KeyError ('ann@example.com'); it was taken for no.",
        ),
    ],
)
def test_a_failure_names_the_rule_and_leaves_what_an_event_held_out_of_the_log(
    rule: str,
    kind: Literal["where", "day", "segment", "measure"],
    event_type: str | None,
    sentence: str,
    logged: str,
) -> None:
    failure = RuleFailure(rule, kind, KeyError("ann@example.com"), event_type)
    assert str(failure) == sentence
    assert failure.without_event == logged
