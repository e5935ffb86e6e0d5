"""Recognises sentences that are kept, or told by the API, in English, part by part, to say them in another language."""

import re
from collections.abc import Callable, Mapping

Shapes = list[tuple[re.Pattern[str], str]]


def shapes_of(sentences: Mapping[str, str]) -> Shapes:
    """Shapes of parts, and what each is called in the catalogues."""
    return [(re.compile(f"{shape}(?: |$)"), said) for shape, said in sentences.items()]


def said_anew(kept: str, shapes: Shapes, say: Callable[[str, Mapping[str, str]], str]) -> str:
    """Each part by `say`, given its text and what stands in its holes; as kept where a part has no known shape."""
    said, at = [], 0
    while at < len(kept):
        found = next(((text, one) for part, text in shapes if (one := part.match(kept, at))), None)
        if found is None:
            return kept
        said.append(say(found[0], found[1].groupdict()))
        at = found[1].end()
    return " ".join(said)
