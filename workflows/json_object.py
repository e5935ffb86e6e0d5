"""A JSON object whose shape nobody promises: payloads, stored documents, forms."""

from typing import Any, TypeAlias

#: Whoever reads one checks what it takes out of it.
JsonObject: TypeAlias = dict[str, Any]
