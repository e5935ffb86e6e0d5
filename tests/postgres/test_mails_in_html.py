"""Mails as they arrive: text and HTML of the same words, or of the twin that a template has."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from activities.tables import messages
from tests.support.engine import Effects, done, effects, rows
from tests.support.servers import LocalCatchAll
from workflows.effects import Send

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


async def test_the_twin_that_a_template_has_travels_in_the_same_page(parts: Effects, catch_all: LocalCatchAll) -> None:
    mail, kept = await arrives(parts, catch_all, "drawn")
    assert mail["text"].strip() == "Written for Acme & Sons, who knows it well."
    assert "<p>Drawn for Acme &amp; Sons</p>" in mail["html"]
    assert kept == "<p>Drawn for Acme &amp; Sons</p>"
