"""Journeys and templates are held against each other before a player needs them."""

import sys
from pathlib import Path

import pytest

from activities.engine import load_deployment
from activities.settings import Settings
from workflows.errors import DesignError

JOURNEY = '''
from workflows import DepositApproved, Player, days, journey, on

@journey(on(DepositApproved), ends_after=days(1))
async def {name}(player: Player, deposit: DepositApproved) -> None:
    """Send one message."""
    {send}
'''


def mistakes(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, send: str) -> str:
    """What a deployment with this one more journey is told."""
    package = f"casino_of_{name}"
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(JOURNEY.format(name=name, send=send))
    monkeypatch.syspath_prepend(folder)
    try:
        with pytest.raises(DesignError) as told:
            load_deployment(Settings(database_url="", journeys=(package,)))
    finally:
        sys.modules.pop(package, None)
    return str(told.value)


def test_an_unknown_template_is_told_with_the_ones_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = mistakes(tmp_path, monkeypatch, "unknown", 'await player.send("wellcome")')
    assert "wellcome" in told
    assert "welcome" in told


def test_a_channel_without_a_text_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = mistakes(tmp_path, monkeypatch, "voiceless", 'await player.send("welcome", via=["sms"])')
    assert "the template welcome via sms" in told


def test_a_forgotten_variable_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = mistakes(
        tmp_path, monkeypatch, "forgetful", 'await player.send("reload-offer", via=["push"], percent=50, cap=5000)'
    )
    assert told == (
        "Journey forgetful, line 7: the template reload-offer needs valid_hours; add valid_hours=… to the send."
    )


def test_a_variable_no_text_uses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = mistakes(tmp_path, monkeypatch, "misspelt", 'await player.send("deposit-thanks", amont=5000)')
    assert told.startswith("Journey misspelt, line 7: the template deposit-thanks says nothing with amont; it knows ")
    assert "amount" in told


def test_the_shipped_journeys_and_templates_fit() -> None:
    deployment = load_deployment(Settings(database_url=""))
    assert {use.template for use in deployment.registry.templates} <= set(deployment.templates.names)
