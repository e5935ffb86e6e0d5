"""Mails as they arrive: text and HTML of the same words, or of the twin that a template has."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from activities.tables import grants, messages
from tests.support.engine import NOON, Effects, done, effects, rows
from tests.support.servers import LocalCatchAll
from workflows.effects import Send
from workflows.rewards import free_spins

GIFT = 'class = "service"\nchannels = ["in_app"]\nterms = true\n'
GIVEN = "{% block title %}{{ offer }}{% endblock %}{% block body %}{{ terms }}{% endblock %}"
TWIN = "{% block body %}<p>Drawn for {{ brand_name }}</p>{% endblock %}"
TEXT = (
    "{% block subject %}Hi{% endblock %}{% block body %}Written for {{ brand_name }}, who knows it well.{% endblock %}"
)


@pytest.fixture(scope="module")
async def parts(
    module_postgres_url: str, catch_all: LocalCatchAll, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Effects]:
    own: Path = tmp_path_factory.mktemp("templates")
    (own / "drawn").mkdir()
    (own / "drawn" / "template.toml").write_text('class = "service"\nchannels = ["email"]')
    for language in ("en", "ru", "uk"):
        (own / "drawn" / f"email.{language}.j2").write_text(TEXT)
        (own / "drawn" / f"email.{language}.html.j2").write_text(TWIN)
    (own / "gift-given").mkdir()
    (own / "gift-given" / "template.toml").write_text(GIFT)
    for language in ("en", "ru", "uk"):
        (own / "gift-given" / f"in_app.{language}.j2").write_text(GIVEN)
    settings = {
        "smtp_url": catch_all.smtp_url,
        "templates": str(own),
        "brand_names": {"acme": "Acme & Sons"},
        "brand_colours": {"acme": "#7a1f2b"},
    }
    async with effects(module_postgres_url, **settings) as built:
        yield built


async def arrives(parts: Effects, catch_all: LocalCatchAll, template: str) -> tuple[dict[str, Any], str | None]:
    """The mail that comes of sending a template, and what is kept of its HTML."""
    player = parts.casino.player(template)
    await parts.casino.registers(player)
    run = await parts.enters(player)
    asked = parts.given(Send, run, f"send:{template}#1", template=template, via=["email"])
    assert done(await parts.messages.send(asked)).sent == ["email"]
    (kept,) = await rows(parts.database, messages, run_id=run)
    async with httpx.AsyncClient() as http:
        (mail,) = (await http.get(f"{catch_all.url}/mails", params={"key": kept["id"]})).json()["items"]
    return mail, kept["html"]


async def test_a_mail_travels_as_text_and_as_html_of_the_same_words(parts: Effects, catch_all: LocalCatchAll) -> None:
    mail, kept = await arrives(parts, catch_all, "content-news")
    assert "<" not in mail["text"]
    assert '<html lang="en" dir="ltr">' in mail["html"]
    assert all(line.split()[0] in mail["html"] for line in mail["text"].splitlines() if line.strip())
    assert 'class="small"' in mail["html"]
    assert "border-top:4px solid #7a1f2b" in mail["html"]
    assert kept is None, "it is made of the text, and is not kept beside it"


async def test_a_mail_about_a_grant_says_what_was_granted_and_one_about_none_is_not_sent(parts: Effects) -> None:
    player = parts.casino.player("gift")
    await parts.casino.registers(player, language="ru")
    run = await parts.enters(player)
    key = f"{run}/grant:free_spins#1"
    reward = free_spins(3, max_win=500, valid=timedelta(days=2))
    given: dict[str, Any] = {
        "id": key,
        "brand": "acme",
        "player_id": player,
        "run_id": run,
        "step": "grant:free_spins#1",
    }
    given |= {"journey": "tested", "kind": "free_spins", "reward": reward.model_dump(mode="json"), "decision": {}}
    async with parts.database.transaction() as connection:
        await connection.execute(grants.insert().values(**given, status="confirmed", resolved_at=NOON))
        refused = given | {"id": "refused", "status": "refused"}
        await connection.execute(grants.insert().values(**refused, resolved_at=NOON))

    for step, offer in (("send:gift-given#1", key), ("send:gift-given#2", "refused"), ("send:gift-given#3", "no")):
        asked = parts.given(Send, run, step, template="gift-given", via=["in_app"], offer=offer)
        await parts.messages.send(asked)

    sent, *others = await rows(parts.database, messages, run_id=run)
    assert sent["subject"].endswith("3 бесплатных вращения")
    words = sent["body"].replace("\N{NO-BREAK SPACE}", " ")
    assert "выигрыш до 5,00 €" in words
    until = NOON + timedelta(days=2)
    assert f"до {until.day} " in words
    assert [one["reason"] for one in others] == ["not_renderable", "not_renderable"]


async def test_the_twin_that_a_template_has_travels_in_the_same_page(parts: Effects, catch_all: LocalCatchAll) -> None:
    mail, kept = await arrives(parts, catch_all, "drawn")
    assert mail["text"].strip() == "Written for Acme & Sons, who knows it well."
    assert "<p>Drawn for Acme &amp; Sons</p>" in mail["html"]
    assert kept == "<p>Drawn for Acme &amp; Sons</p>"
