"""Which methods a path knows, whatever modules its operations stand in."""

from typing import Any, Final

from starlette.routing import compile_path

#: Of an operation in an OpenAPI document, not of the path as a whole.
_METHODS: Final = frozenset({"get", "put", "post", "delete", "patch"})


def allowed_methods(document: dict[str, Any], path: str) -> str:
    """The methods of every operation whose path fits, as an Allow header lists them; empty when none does.

    The router itself names only those of the first module that knows the path.
    """
    fitting = (described for known, described in document["paths"].items() if compile_path(known)[0].match(path))
    return ", ".join(sorted({method.upper() for described in fitting for method in described if method in _METHODS}))
