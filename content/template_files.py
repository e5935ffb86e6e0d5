"""The files of message templates: read, judged and compiled once, with every mistake told in one go.

What a folder must hold is written in `docs/templates.md`; what its texts may say is decided by
`content/template_syntax.py`. Nothing here renders.
"""

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from babel import Locale, UnknownLocaleError
from jinja2 import (
    BaseLoader,
    DictLoader,
    Environment,
    StrictUndefined,
    Template,
    TemplateSyntaxError,
    nodes,
    pass_context,
)
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from content.survey_questions import QuestionKind, SurveyQuestion, question_mistakes
from content.template_syntax import SHARED, Declared, TemplateReading, read_source
from content.toml_files import read_toml
from content.variable_values import (
    Manner,
    VariableType,
    read,
    write_date,
    write_datetime,
    write_money,
    write_number,
    write_percent,
    write_plural,
)
from workflows.channels import CHANNELS, Channel
from workflows.events import MessageClass

M = TypeVar("M", bound=BaseModel)

_SHOWING_A_WAY_OUT = frozenset[str](channel for channel, spec in CHANNELS.items() if spec.shows_unsubscribe)

_SHARED_TOML = "variables.toml"

_FILE = re.compile(r"(?P<channel>[a-z_]+)\.(?P<language>[A-Za-z-]+)(?P<html>\.html)?\.j2\Z")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


class Variable(BaseModel):
    """A declared variable. Without `fallback` and `optional` it must be given on every send.

    `optional` is for what simply goes unsaid when it is absent: the load check makes sure that every use of it
    stands inside an `if`. `fallback` is for what must be said, and is one text for each language.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: VariableType
    optional: bool = False
    fallback: dict[str, str] | int | float | None = None

    def in_language(self, language: str) -> str | int | float | None:
        """The fallback in this language; None where there is none."""
        return self.fallback.get(language) if isinstance(self.fallback, dict) else self.fallback


class _Declaration(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    message_class: MessageClass = Field(alias="class")
    channels: list[Channel] = Field(min_length=1)
    suppress_if_active_today: bool = False
    terms: bool = False
    question: QuestionKind | None = None
    asks: dict[str, str] = Field(default_factory=dict)
    answers: dict[str, dict[str, str]] = Field(default_factory=dict)
    variables: dict[str, Variable] = Field(default_factory=dict)
    example: dict[str, Any] = Field(default_factory=dict)

    @property
    def survey(self) -> SurveyQuestion | None:
        """What it asks, if it does."""
        return None if self.question is None else SurveyQuestion(self.question, self.asks, self.answers)


class _SharedDeclaration(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    variables: dict[str, Variable] = Field(default_factory=dict)
    example: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class TemplateFacts:
    """What the gate must know of a template."""

    message_class: MessageClass
    suppress_if_active_today: bool = False
    """A "we missed you": not for a player who has been here today."""


@dataclass(frozen=True, kw_only=True)
class MessageTemplate(TemplateFacts):
    """What a template promises, apart from its words."""

    name: str
    channels: tuple[Channel, ...]
    languages: tuple[str, ...]
    variables: Mapping[str, Variable]
    """Those its texts use, the shared ones included."""
    terms: bool
    """It carries an offer, so its texts carry the terms."""
    example: Mapping[str, Any]
    uses: Mapping[Channel, frozenset[str]] = field(repr=False)
    question: SurveyQuestion | None = None
    """What it asks, if it is a survey that is answered by its link."""

    def required(self, channel: Channel) -> frozenset[str]:
        """The variables a send on this channel must give."""
        return frozenset(
            name
            for name in self.uses[channel]
            if not self.variables[name].optional and self.variables[name].fallback is None
        )


def sandbox(loader: BaseLoader | None = None) -> ImmutableSandboxedEnvironment:
    """The environment templates live in: no globals, no tests, no filters but ours, HTML escaped in `.html.j2`."""
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.globals.clear()
    environment.tests.clear()
    environment.filters = {
        "money": _in_manner(write_money),
        "date": _in_manner(write_date),
        "datetime": _in_manner(write_datetime),
        "number": _in_manner(write_number),
        "percent": _in_manner(write_percent),
        "plural": pass_context(lambda context, number, **forms: write_plural(_manner(context), number, forms)),
    }
    return environment


def _in_manner(write: Callable[[Manner, Any], str]) -> Callable[[Context, Any], str]:
    return pass_context(lambda context, value: write(_manner(context), value))


def _manner(context: Context) -> Manner:
    # An underscore no template can name: the syntax check knows declared variables only.
    manner: Manner = context["_manner"]
    return manner


class _ParsedTexts(DictLoader):
    """Compiles what was parsed to be judged, and then forgets the tree: compiling may change it."""

    def __init__(self, sources: Mapping[str, str], trees: dict[str, nodes.Template]) -> None:
        super().__init__(sources)
        self._trees = trees

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's word
    ) -> Template:
        tree = self._trees.pop(name, None)
        if tree is None:
            return super().load(environment, name, globals)
        return environment.template_class.from_code(environment, environment.compile(tree, name), globals or {})


class TemplateFiles:
    """One reading of the directories: what was found, and everything that is wrong with it.

    A template is taken whole from the first directory that has its folder; of the shared pieces, each file is.
    """

    def __init__(self, directories: Sequence[Path], languages: tuple[str, ...]) -> None:
        self.directories = directories
        self.languages = languages
        self.problems: list[str] = []
        self.templates: dict[str, MessageTemplate] = {}
        self.texts: dict[tuple[str, Channel, str], Template] = {}
        self.html: dict[tuple[str, str], Template] = {}
        self.sources: dict[str, str] = {}
        self.trees: dict[str, nodes.Template] = {}
        self.environment = sandbox(_ParsedTexts(self.sources, self.trees))

    def read_all(self) -> None:
        """Fill `templates`, `texts` and `html`, or `problems`."""
        folders: dict[str, Path] = {}
        for directory in self.directories:
            if not directory.is_dir():
                self.problems.append(f"{directory} is no directory; name the one that holds the templates' folders.")
                continue
            for folder in sorted(p for p in directory.iterdir() if p.is_dir() and not p.name.startswith((".", "__"))):
                if folder.name == SHARED or folder.name not in folders:
                    self._read_texts(folder)
                folders.setdefault(folder.name, folder)
        shared = self._shared()
        for name, folder in sorted(folders.items()):
            if name != SHARED:
                self._template(folder, shared)
        if not self.templates and not self.problems:
            self.problems.append("There are no templates; name a directory that holds their folders.")

    def _read_texts(self, folder: Path) -> None:
        for path in sorted(folder.glob("*.j2")):
            try:
                self.sources.setdefault(f"{folder.name}/{path.name}", path.read_text(encoding="utf-8"))
            except UnicodeDecodeError:
                self._complain(f"{folder.name}/{path.name}", "is not UTF-8; save it as UTF-8")

    def _shared(self) -> _SharedDeclaration:
        """The shared variables of all directories, an earlier one's before a later one's."""
        variables: dict[str, Variable] = {}
        example: dict[str, Any] = {}
        for directory in reversed(self.directories):
            if (directory / SHARED / _SHARED_TOML).is_file():
                declaration = self._read_toml(directory / SHARED / _SHARED_TOML, _SharedDeclaration)
                if declaration is not None:
                    variables |= declaration.variables
                    example |= declaration.example
        self._check_variables(f"{SHARED}/{_SHARED_TOML}", variables, self.languages)
        return _SharedDeclaration(variables=variables, example=example)

    def _template(self, folder: Path, shared: _SharedDeclaration) -> None:
        name = folder.name
        file = f"{name}/template.toml"
        if not _NAME.match(name):
            self.problems.append(f"{name} is not a template's name; use small letters, digits and single hyphens.")
        declaration = self._read_toml(folder / "template.toml", _Declaration)
        if declaration is None:
            return
        before = len(self.problems)
        languages = self._languages(folder, declaration)
        self._check_variables(file, declaration.variables, languages)
        for variable in sorted(set(declaration.variables) & set(shared.variables)):
            self._complain(file, f"{variable} is declared for all templates already; take it out or rename it")
        variables = {**shared.variables, **declaration.variables}
        readings = self._readings(name, declaration, languages, variables)
        used = frozenset[str]().union(*(reading.uses for reading in readings.values()))
        for variable in sorted(set(declaration.variables) - used):
            self._complain(file, f"no text uses {variable}; use it or take it out")
        self._check_duties(name, declaration, readings)
        for base in readings:
            if (declaration.question is None) == ("answer_url" in readings[base].uses):
                self._complain(f"{name}/{base}", "says {{ answer_url }} exactly if template.toml has a question")
        for mistake in question_mistakes(declaration.survey, declaration.message_class, languages):
            self._complain(file, mistake)
        if len(self.problems) > before:
            return
        example = {k: v for k, v in {**shared.example, **declaration.example}.items() if k in used}
        for variable in sorted(set(declaration.example) - used):
            self._complain(file, f"[example] names {variable}, which no text uses; take it out")
        for variable in sorted(used - set(example)):
            self._complain(file, f"[example] lacks {variable}; give it a value the text can be tried with")
        self.templates[name] = MessageTemplate(
            name=name,
            message_class=declaration.message_class,
            channels=tuple(declaration.channels),
            languages=languages,
            variables={variable: variables[variable] for variable in sorted(used)},
            suppress_if_active_today=declaration.suppress_if_active_today,
            terms=declaration.terms,
            example=example,
            question=declaration.survey,
            uses={
                channel: frozenset[str]().union(
                    *(reading.uses for key, reading in readings.items() if key.partition(".")[0] == channel)
                )
                for channel in declaration.channels
            },
        )
        self._compile(name, declaration.channels, languages)

    def _languages(self, folder: Path, declaration: _Declaration) -> tuple[str, ...]:
        """The languages the folder's files speak; a file of no known shape or channel is a problem."""
        spoken = set(self.languages)
        for path in sorted(folder.iterdir()):
            if path.name == "template.toml":
                continue
            match = _FILE.match(path.name)
            shape = f"{folder.name}/{path.name}"
            if match is None or match["channel"] not in CHANNELS or (match["html"] and match["channel"] != "email"):
                self._complain(
                    shape, "is no template file; name it <channel>.<language>.j2, or email.<language>.html.j2"
                )
                continue
            if match["channel"] not in declaration.channels:
                self._complain(shape, f"belongs to no declared channel; add {match['channel']} to channels")
            try:
                Locale.parse(match["language"], sep="-")
            except (ValueError, UnknownLocaleError):
                self._complain(shape, f"is in no known language; {match['language']} is not a BCP 47 tag")
                continue
            spoken.add(match["language"])
        return tuple(sorted(spoken))

    def _readings(
        self, name: str, declaration: _Declaration, languages: Sequence[str], variables: Mapping[str, Variable]
    ) -> dict[str, TemplateReading]:
        declared = {variable: Declared(v.type, may_be_absent=v.optional) for variable, v in variables.items()}
        readings: dict[str, TemplateReading] = {}
        with_html = any(f"{name}/email.{language}.html.j2" in self.sources for language in languages)
        for channel in declaration.channels:
            wanted = [(f"{channel}.{language}.j2", language, CHANNELS[channel].blocks) for language in languages]
            if channel == "email" and with_html:
                wanted += [(f"email.{language}.html.j2", language, ("body",)) for language in languages]
            for base, language, blocks in wanted:
                file = f"{name}/{base}"
                if file not in self.sources:
                    self._complain(
                        file, "is missing; write it, for every channel speaks every language of its template"
                    )
                    continue
                locale = Locale.parse(language, sep="-")
                reading = read_source(self.environment, file, self.sources, declared, locale, self.trees)
                self.problems += reading.problems
                readings[base] = reading
                if not reading.problems and reading.blocks != set(blocks):
                    self._complain(file, f"must have the blocks {' and '.join(blocks)}, no more and no fewer")
        for base, reading in readings.items():
            first = f"{base.partition('.')[0]}.{self.languages[0]}.j2"
            model = readings.get(first, reading)
            facts = {v for v in model.uses - reading.uses if not variables[v].optional}
            for variable in sorted(facts):
                self._complain(f"{name}/{base}", f"does not say {variable}, which {first} does; add it")
        return readings

    def _check_variables(self, file: str, variables: Mapping[str, Variable], languages: Sequence[str]) -> None:
        for name, variable in variables.items():
            if not name.isidentifier() or name.startswith("_"):
                self._complain(file, f"{name} is not a variable's name; use letters, digits and underscores")
            if name == "first_name" and not variable.optional and variable.fallback is None:
                self._complain(file, "first_name must be optional or have a fallback, for not every player has one")
            if variable.optional and variable.fallback is not None:
                self._complain(file, f"{name} is optional and has a fallback; choose one")
            if isinstance(variable.fallback, dict):
                missing = [language for language in languages if not variable.fallback.get(language)]
                if missing:
                    self._complain(
                        file, f"{name} lacks a fallback in {', '.join(missing)}; write one for each language"
                    )
            try:
                for language in languages:
                    read(variable.type, variable.in_language(language))
            except ValueError as wanted:
                self._complain(file, f"the fallback of {name} must be {wanted}")

    def _check_duties(self, name: str, declaration: _Declaration, readings: Mapping[str, TemplateReading]) -> None:
        """What the law and the player are owed: a way out of marketing, the terms of an offer."""
        file = f"{name}/template.toml"
        if declaration.terms and declaration.message_class in ("rg", "security"):
            self._complain(file, f"a message of class {declaration.message_class} never carries an offer; drop terms")
        for base, reading in readings.items():
            if declaration.terms and "terms" not in reading.uses:
                self._complain(f"{name}/{base}", "carries an offer but not {{ terms }}; add them")
            wants_out = declaration.message_class == "marketing" and base.partition(".")[0] in _SHOWING_A_WAY_OUT
            if wants_out and "unsubscribe_url" not in reading.uses:
                self._complain(f"{name}/{base}", "is marketing without {{ unsubscribe_url }}; add the way out")

    def _compile(self, name: str, channels: Sequence[Channel], languages: Sequence[str]) -> None:
        for channel in channels:
            for language in languages:
                file = f"{name}/{channel}.{language}.j2"
                try:
                    self.texts[name, channel, language] = self.environment.get_template(file)
                    html = f"{name}/email.{language}.html.j2"
                    if channel == "email" and html in self.sources:
                        self.html[name, language] = self.environment.get_template(html)
                except TemplateSyntaxError as error:
                    self._complain(error.name or file, f"{error.message}; correct the syntax")

    def _read_toml(self, path: Path, model: type[M]) -> M | None:
        file = f"{path.parent.name}/{path.name}"
        try:
            return model.model_validate(read_toml(path))
        except FileNotFoundError:
            self._complain(file, "is missing; write it")
        except ValidationError as error:
            for mistake in error.errors():
                self._complain(file, f"{'.'.join(str(part) for part in mistake['loc'])}: {mistake['msg']}; correct it")
        except ValueError as error:
            self._complain(file, f"is not TOML ({error}); correct it")
        return None

    def _complain(self, file: str, what: str) -> None:
        self.problems.append(f"{file}: {what.rstrip('.')}.")
