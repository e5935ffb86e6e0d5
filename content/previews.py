"""What every template says, on every channel and in every language, by its own example: nothing is sent."""

from collections.abc import Iterator
from dataclasses import dataclass

from content.mail_layout import COLOUR, MailText, mail_html
from content.templates import Catalogue, Rendered
from workflows.channels import Channel


@dataclass(frozen=True)
class TextPreview:
    """One text of a template as a player would get it; `html` is the whole page of a mail."""

    template: str
    channel: Channel
    language: str
    text: Rendered
    html: str | None = None


def preview(
    catalogue: Catalogue, template: str, channel: Channel, language: str, *, colour: str = COLOUR, brand_name: str = ""
) -> TextPreview:
    """One preview, with the example of the template. Raises `RenderError`."""
    example = dict(catalogue[template].example)
    if brand_name:
        example["brand_name"] = brand_name
    text = catalogue.render(template, channel, language, example)
    html = None
    if channel == "email":
        named = str(example.get("brand_name", ""))
        out = str(example["unsubscribe_url"]) if "unsubscribe_url" in example else None
        html = mail_html(MailText(text.title, text.body, text.language, named, colour, text.html, out))
    return TextPreview(template, channel, text.language, text, html)


def previews(catalogue: Catalogue, *names: str) -> Iterator[TextPreview]:
    """Every preview of these templates, or of all."""
    for name in names or catalogue.names:
        template = catalogue[name]
        for channel in template.channels:
            for language in template.languages:
                yield preview(catalogue, name, channel, language)
