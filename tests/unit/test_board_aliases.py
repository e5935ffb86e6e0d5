"""What players are called on boards, which who knows their ids cannot work out."""

from activities.leaderboards import BoardAliases
from workflows.loyalty.tournaments import board_of, draw_of

BOARD, OTHER = board_of("acme", "race:2026-01-12"), board_of("acme", "race:2026-01-19")


def test_nobody_is_followed_from_board_to_board_or_found_by_their_id() -> None:
    mine, others = BoardAliases(("our-secret",)), BoardAliases(("another-secret",))
    name = mine.of(BOARD, "p-1")
    assert name == mine.of(BOARD, "p-1")
    assert len({name, mine.of(OTHER, "p-1"), mine.of(BOARD, "p-2"), others.of(BOARD, "p-1")}) == 4
    assert name is not None
    assert f"{draw_of(BOARD, 'p-1') & 0xFFFFFF:06x}" not in name, "the draw is anybody's to work out"


def test_without_a_secret_nobody_has_a_name() -> None:
    assert BoardAliases(()).of(BOARD, "p-1") is None
