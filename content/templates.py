"""Message templates: read and judged once at start-up, rendered as a pure function of their arguments.

A template is a folder, `<name>/template.toml` and `<channel>.<language>.j2` files; see `docs/templates.md`.
Two walls stand between a template and the process: an allow-list over its syntax tree, when it is loaded, and
Jinja's immutable sandbox, when it is rendered. There are no loops and no calls, so a text is as long as its
source and its variables make it and never more.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Self

from babel import Locale, UnknownLocaleError
from jinja2 import Template
from pydantic import TypeAdapter, ValidationError

from content.template_files import MessageTemplate, TemplateFacts, TemplateFiles
from content.toml_files import read_toml
from content.variable_values import Manner, Value, read
from workflows.channels import CHANNELS, Channel
from workflows.errors import DesignError, JourneysError
from workflows.events import MessageClass

LANGUAGES = ("en", "ru", "uk")
"""What every template must speak. A template may speak more, each completely."""

_LONGEST_TITLE = 250
_CLASS: TypeAdapter[MessageClass] = TypeAdapter(MessageClass)

#: Shared variables that `send` itself gives.
FILLED_IN = frozenset({"first_name", "brand_name", "unsubscribe_url", "answer_url"})


class CatalogueInvalid(DesignError):
    """The message templates are wrong; `problems` holds one sentence for each mistake and its mend."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


class RenderError(JourneysError):
    """A message could not be rendered, and nothing was sent; correct what the message names and try again."""


class TemplateUnknown(RenderError):
    """No such template, or it does not speak this channel; name one the catalogue has."""


class TemplateVariableMissing(RenderError):
    """A variable without a fallback was not given; pass it where the message is sent."""

    def __init__(self, template: str, variable: str) -> None:
        self.template = template
        self.variable = variable
        super().__init__(f"The template {template} needs the variable {variable}; pass it where the message is sent.")


class TemplateVariableInvalid(RenderError):
    """A variable has a value of another type than the template declares; pass what the message asks for."""

    def __init__(self, template: str, variable: str, wanted: str) -> None:
        self.template = template
        self.variable = variable
        super().__init__(f"The variable {variable} of the template {template} must be {wanted}.")


class TemplateTooLong(RenderError):
    """The rendered text is longer than its channel carries; shorten the template or its variables."""


@dataclass(frozen=True)
class Rendered:
    """A message ready to be handed over, in the language it was found in."""

    title: str
    """The subject of an e-mail, the title of an in-app message or a push, empty for an SMS."""
    body: str
    language: str
    html: str | None = None
    """The HTML twin of an e-mail's body, where the template has one; `content.mail_layout` puts the page around it."""


class Catalogue:
    """Every message template, checked. Loading reads the files; after that nothing touches the disk.

    A catalogue that loads will render: what can still go wrong is a variable not given, given with the wrong
    type, or so long that the channel would not carry the text, and each is raised before anything is sent.
    """

    def __init__(
        self,
        templates: Mapping[str, MessageTemplate],
        texts: Mapping[tuple[str, Channel, str], Template],
        html: Mapping[tuple[str, str], Template],
    ) -> None:
        self._templates = dict(templates)
        self._texts = dict(texts)
        self._html = dict(html)

    @classmethod
    def load(cls, *directories: Path, languages: Sequence[str] = LANGUAGES) -> Self:
        """Read and check every template below the directories; of two with one name, the first directory's counts.

        Raises CatalogueInvalid with all the mistakes at once, each naming its file and its mend.
        """
        files = TemplateFiles(directories, tuple(languages))
        files.read_all()
        catalogue = cls(files.templates, files.texts, files.html)
        problems = files.problems or [problem for name in catalogue for problem in catalogue.try_out(name)]
        if problems:
            raise CatalogueInvalid(problems)
        return catalogue

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the templates, sorted."""
        return tuple(sorted(self._templates))

    def __getitem__(self, name: str) -> MessageTemplate:
        if name not in self._templates:
            raise TemplateUnknown(f"There is no template {name}; the catalogue has {', '.join(self.names)}.")
        return self._templates[name]

    def __contains__(self, name: object) -> bool:
        return name in self._templates

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self._templates)

    def render(
        self,
        name: str,
        channel: Channel,
        language: str,
        variables: Mapping[str, object],
        *,
        zone: tzinfo = UTC,
        currency: str | None = None,
    ) -> Rendered:
        """The text of `name` for a player of this language.

        The language is a BCP 47 tag; its text is the one in exactly that language, else in its base language
        (`uk-UA` → `uk`), else English. Numbers and dates follow the tag where the base language is kept (`en-GB`
        gets English words and British dates). `zone` is the player's, for times of day; `currency` is the player's, for
        money given as a bare number of minor units.

        Variables the template does not know are ignored, so the same set can go to every channel; a variable of
        None or "" counts as not given. Raises TemplateUnknown, TemplateVariableMissing, TemplateVariableInvalid
        or TemplateTooLong; no message of theirs repeats a value.
        """
        template = self[name]
        if channel not in template.channels:
            raise TemplateUnknown(f"The template {name} has no {channel} text; it has {', '.join(template.channels)}.")
        chosen = _chosen(language, template.languages)
        context: dict[str, object] = {
            variable: _value(template, variable, chosen, variables.get(variable), currency)
            for variable in sorted(template.uses[channel])
        }
        context["_manner"] = Manner(_locale(language, chosen), zone)

        text = self._texts[name, channel, chosen]
        blocks = {block: _block(text, block, context) for block in CHANNELS[channel].blocks}
        title = " ".join((blocks.get("subject") or blocks.get("title") or "").split())
        body = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", blocks["body"])).strip()
        html = None
        if channel == "email" and (name, chosen) in self._html:
            html = _block(self._html[name, chosen], "body", context).strip()
        if len(title) > _LONGEST_TITLE or max(len(body), len(html or "")) > CHANNELS[channel].longest:
            raise TemplateTooLong(
                f"The {channel} text of {name} in {chosen} exceeds {_LONGEST_TITLE} characters of title or "
                f"{CHANNELS[channel].longest} of body; shorten the template or its variables."
            )
        return Rendered(title=title, body=body, language=chosen, html=html)

    def try_out(self, name: str) -> list[str]:
        """Render every text of a template with its example, whole and with what is required only."""
        template = self[name]
        problems = []
        for channel in template.channels:
            needed = template.required(channel)
            barest = {variable: value for variable, value in template.example.items() if variable in needed}
            for language in template.languages:
                try:
                    self.render(name, channel, language, barest)
                    self.render(name, channel, language, template.example)
                except RenderError as error:
                    problems.append(f"{name}/{channel}.{language}.j2: its example fails. {error}")
        return problems

    def check(self, used: Mapping[str, set[Channel]], named_by: Mapping[str, str] | None = None) -> list[str]:
        """What is wrong with the templates and channels journeys name; empty if all is well.

        `named_by` tells for a template which journey names it and where, such as "Journey welcome, line 12,".
        """
        problems = []
        for name in sorted(used):
            journey = (named_by or {}).get(name, "A journey")
            if name not in self:
                problems.append(
                    f"{journey} sends the template {name}, which does not exist; "
                    f"write templates/{name}/template.toml or name one of {', '.join(self.names)}."
                )
                continue
            known = self._templates[name].channels
            problems += [
                f"{journey} sends the template {name} via {channel}, which it has no text for; "
                f"add {channel} to its channels with its files, or send it via {', '.join(known)}."
                for channel in sorted(used[name] - set(known))
            ]
        return problems

    def forgotten(self, name: str, channels: Collection[str], given: Collection[str]) -> list[str]:
        """Required variables that a send on these channels would lack, those the engine fills in aside."""
        template = self[name]
        used = [channel for channel in template.channels if channel in channels]
        needed = {variable for channel in used for variable in template.required(channel)}
        return sorted(needed - set(given) - FILLED_IN)

    def unknown(self, name: str, given: Collection[str]) -> list[str]:
        """Variables that no text of the template uses, so that a send gives them for nothing."""
        return sorted(set(given) - set(self[name].variables))


def read_template_facts(folders: Iterable[Path]) -> dict[str, TemplateFacts]:
    """The gate's facts of every template below the folders; of two with one name the first folder's counts.

    Raises CatalogueInvalid for a declaration that cannot be read. Whether the texts are complete is judged by
    `Catalogue.load`: a journey can be rehearsed before its messages are written in every language.
    """
    facts: dict[str, TemplateFacts] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/template.toml")):
            facts.setdefault(path.parent.name, _facts_in(path))
    return facts


def _facts_in(path: Path) -> TemplateFacts:
    try:
        declared = read_toml(path)
        return TemplateFacts(
            _CLASS.validate_python(declared.get("class")), bool(declared.get("suppress_if_active_today", False))
        )
    except ValidationError:
        sentence = f'{path} has no class the gate knows; write class = "marketing" or one of its like.'
        raise CatalogueInvalid([sentence]) from None
    except ValueError as error:
        raise CatalogueInvalid([f"{path} is not TOML ({error}); correct it."]) from None


def _block(template: Template, block: str, context: Mapping[str, object]) -> str:
    return "".join(template.blocks[block](template.new_context(dict(context))))


def _chosen(wanted: str, available: Sequence[str]) -> str:
    tag = wanted.replace("_", "-").casefold()
    by_tag = {language.casefold(): language for language in available}
    return by_tag.get(tag) or by_tag.get(tag.partition("-")[0]) or "en"


def _locale(wanted: str, chosen: str) -> Locale:
    try:
        locale = Locale.parse(wanted.replace("_", "-"), sep="-")
    except (ValueError, TypeError, UnknownLocaleError):
        locale = None
    if locale is not None and locale.language == chosen.partition("-")[0]:
        return locale
    return Locale.parse(chosen, sep="-")


def _value(
    template: MessageTemplate, variable: str, language: str, given: object, currency: str | None
) -> Value | None:
    declared = template.variables[variable]
    try:
        value = read(declared.type, given, currency)
    except ValueError as wanted:
        raise TemplateVariableInvalid(template.name, variable, str(wanted)) from None
    if value is None and declared.fallback is not None:
        value = read(declared.type, declared.in_language(language))
    if value is None and not declared.optional:
        raise TemplateVariableMissing(template.name, variable)
    return value
