"""What a route is made of, free of any HTTP library: its arguments, the document it answers, and a refusal (pure)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pyralog.admin.sources import Sources

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

BAD_REQUEST = 400
MAX_DIGITS = 10


class HttpRefusal(Exception):
    """The request cannot be answered as it was made; `status` is HTTP's, the message is for people."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Document(NamedTuple):
    """A JSON answer."""

    value: Mapping[str, Json]
    status: int = 200


class Text(NamedTuple):
    """Any other answer."""

    body: bytes
    content_type: str


class Elsewhere(NamedTuple):
    """Another path of this node."""

    path: str


Answer: TypeAlias = "Document | Text | Elsewhere"


class Args:
    """The names in a path and the parameters behind the question mark."""

    __slots__ = ("_query", "_values")

    def __init__(self, path: Mapping[str, str], query: Mapping[str, str]) -> None:
        self._values = path
        self._query = query

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def get(self, name: str) -> str | None:
        """A parameter, or None."""
        return self._query.get(name)

    def number(self, name: str) -> int:
        """A number in the path; HttpRefusal 400 for anything else."""
        return _whole(name, self._values[name], 2**31 - 1)

    def limit(self, name: str, default: int, most: int) -> int:
        """A whole number among the parameters, at most `most`."""
        text = self._query.get(name)
        return default if text is None else _whole(name, text, most)

    def flag(self, name: str) -> bool:
        """A parameter that is true or false; false when it is not given."""
        text = self._query.get(name, "false").lower()
        if text not in ("true", "false"):
            raise HttpRefusal(BAD_REQUEST, f"{name} is {text!r}; true and false are allowed")
        return text == "true"


def _whole(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and int(text) <= most):
        raise HttpRefusal(BAD_REQUEST, f"{name} is {text!r}; a number from 0 to {most} is allowed")
    return int(text)


Handler = Callable[["Sources", Args], Awaitable[Answer]]


class Parameter(NamedTuple):
    """A parameter behind the question mark; `kind` is JSON Schema's."""

    name: str
    kind: str
    doc: str


class Route(NamedTuple):
    """One line of the routing table. An `open` one will answer without credentials when there are any; what is not
    `listed` is for browsers on their way and not part of the interface."""

    path: str
    handler: Handler
    doc: str
    parameters: tuple[Parameter, ...] = ()
    media: str = "application/json"
    open: bool = False
    listed: bool = True
