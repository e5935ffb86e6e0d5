"""A mail's text as HTML: what mail programs show instead of it, and the page around it. Pure.

One template says a mail once, as text. Here its paragraphs, lists and links become HTML with every style written at its
element, because half of the mail programs read no style sheet; the one there is turns the colours for dark screens. The
direction and the language stand on the page, which no mail program can know.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from babel import Locale

#: What a brand without a colour of its own has.
COLOUR: Final = "#1f4e8c"
#: Characters of the line that inboxes show beside the subject.
LONGEST_PREHEADER: Final = 110
#: Greetings are shorter; what says something is longer.
SHORTEST_SENTENCE: Final = 40

_LINK: Final = re.compile(r"https?://[^\s<>\"]+")
#: Of what follows a link, what belongs to the sentence and not to it.
_AFTER: Final = ".,;:!?)»”\"'"
_FONT: Final = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_TEXT: Final = "margin:0 0 16px;font-size:16px;line-height:1.5;color:#1c1e21;"
_SMALL: Final = "margin:0 0 12px;font-size:13px;line-height:1.5;color:#5f6368;"
_DARK: Final = (
    "@media (prefers-color-scheme: dark){"
    ".page{background:#121314!important}.card{background:#1e2022!important}"
    ".text{color:#e8eaed!important}.small{color:#a8adb4!important}.link{color:#8ab4f8!important}}"
)


@dataclass(frozen=True)
class MailText:
    """A rendered mail: its words, and what the page around them says of the brand."""

    title: str
    body: str
    language: str
    brand_name: str
    colour: str = COLOUR
    #: What a designer wrote in HTML instead of the body.
    twin: str | None = None
    #: The way out; the paragraph that names it stands below the text, smaller.
    unsubscribe_url: str | None = None


def mail_html(mail: MailText) -> str:
    """The whole page, with the text of `mail.body` or with its twin."""
    direction = Locale.parse(mail.language, sep="-").text_direction
    inner = mail.twin if mail.twin is not None else "\n".join(_paragraphs(mail))
    attributes = f'lang="{html.escape(mail.language)}" dir="{direction}"'
    align = "right" if direction == "rtl" else "left"
    return f"""\
<!doctype html>
<html {attributes}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>{html.escape(mail.title)}</title>
<style>{_DARK}</style>
</head>
<body class="page" {attributes} style="margin:0;padding:0;background:#f2f3f5;">
<div style="display:none;max-height:0;overflow:hidden;mso-hide:all;">{html.escape(preheader(mail.body))}</div>
<table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" style="background:#f2f3f5;">
<tr><td align="center" style="padding:24px 12px;">
<table role="presentation" class="card" width="100%" cellpadding="0" cellspacing="0"
 style="max-width:600px;background:#ffffff;border-top:4px solid {html.escape(mail.colour)};border-radius:4px;">
<tr><td align="{align}" style="padding:28px 32px 16px;font-family:{_FONT};">
<p class="text" style="margin:0 0 20px;font-size:18px;font-weight:600;color:#1c1e21;">{html.escape(mail.brand_name)}</p>
{inner}
</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
"""


def preheader(body: str) -> str:
    """What inboxes show beside the subject: the first paragraph that says something, cut between words."""
    paragraphs = [" ".join(part.split()) for part in _split(body)]
    said = next((part for part in paragraphs if len(part) >= SHORTEST_SENTENCE), " ".join(paragraphs))
    if len(said) <= LONGEST_PREHEADER:
        return said
    return said[: LONGEST_PREHEADER - 1].rpartition(" ")[0].rstrip(_AFTER) + "…"


def _split(body: str) -> list[str]:
    return [part for part in re.split(r"\n\s*\n", body.strip()) if part.strip()]


def _paragraphs(mail: MailText) -> Iterator[str]:
    for part in _split(mail.body):
        lines = part.splitlines()
        is_small = mail.unsubscribe_url is not None and mail.unsubscribe_url in part
        kind, style = ("small", _SMALL) if is_small else ("text", _TEXT)
        before = [line for line in lines if not line.startswith("- ")]
        items = [line[2:] for line in lines if line.startswith("- ")]
        if items and lines[-len(items) :] == [f"- {item}" for item in items]:
            if before:
                yield f'<p class="{kind}" style="{style}">{_inline(before, mail.colour)}</p>'
            told = "".join(f'<li style="margin:0 0 8px;">{_inline([item], mail.colour)}</li>' for item in items)
            yield f'<ul class="{kind}" style="{style}padding:0 24px;">{told}</ul>'
        else:
            yield f'<p class="{kind}" style="{style}">{_inline(lines, mail.colour)}</p>'


def _inline(lines: list[str], colour: str) -> str:
    return "<br>\n".join(_linked(line.rstrip(), colour) for line in lines)


def _linked(line: str, colour: str) -> str:
    """Text with its addresses as links that show where they lead."""
    told, end = list[str](), 0
    for found in _LINK.finditer(line):
        address = found[0].rstrip(_AFTER)
        target = html.escape(address)
        style = f"color:{html.escape(colour)};word-break:break-all;"
        told += [
            html.escape(line[end : found.start()]),
            f'<a class="link" href="{target}" style="{style}">{target}</a>',
        ]
        end = found.start() + len(address)
    return "".join([*told, html.escape(line[end:])])
