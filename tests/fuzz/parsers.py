"""Every parser that is fuzzed, by its name."""

from typing import Final

from tests.fuzz import doors, files_and_texts
from tests.fuzz.parser import FuzzedParser

PARSERS: Final[dict[str, FuzzedParser]] = {parser.name: parser for parser in (*doors.PARSERS, *files_and_texts.PARSERS)}
