"""`journeys preview`: writes what messages say into a folder, to be looked at in a browser."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Annotated

import typer

from cli._console import plural, say


def preview(
    templates: Annotated[list[str] | None, typer.Argument(help="Names of templates; without one all.")] = None,
    *,
    folder: Annotated[Path, typer.Option(help="Where the pages are written.")] = Path("previews"),
    search: Annotated[
        list[Path] | None, typer.Option("--templates", help="Folders of templates before the shipped one; repeat it.")
    ] = None,
) -> None:
    """Write every text of the templates, by channel and language, with their examples. Nothing is sent."""
    from content.previews import previews
    from content.settings import SHIPPED_TEMPLATES
    from content.templates import Catalogue

    catalogue = Catalogue.load(*(search or ()), SHIPPED_TEMPLATES)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for one in previews(catalogue, *(templates or ())):
        page = one.html or _page(one.text.title, one.text.body, one.language)
        name = f"{one.template}.{one.channel}.{one.language}.html"
        (folder / name).write_text(page, encoding="utf-8")
        said = html.escape(one.text.title or one.text.body[:80])
        lines.append(f'<li><a href="{name}">{one.template} · {one.channel} · {one.language}</a> {said}</li>')
    index = folder / "index.html"
    index.write_text(_page("Previews", "", "en", f"<ul>{''.join(lines)}</ul>"), encoding="utf-8")
    say(f"{plural(len(lines), 'text')} in {index}.")


def _page(title: str, body: str, language: str, inner: str = "") -> str:
    shown = inner or f"<p>{html.escape(body).replace(chr(10), '<br>')}</p>"
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<body style="font:16px/1.5 sans-serif;max-width:40em;margin:2em auto"><h1>{html.escape(title)}</h1>{shown}'
    )
