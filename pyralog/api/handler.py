"""What one API is to the dispatcher: its key, the versions it serves, and the functions that answer it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyralog._speedups.desk import Desk
    from pyralog._speedups.plane.delivery import Lane
    from pyralog.api.context import Context, Services
    from pyralog.errors import ErrorCode


class Done(Enum):
    """What a handler returns instead of a response when there is none to encode."""

    HANDED_BACK = "the plane has the request again"
    SILENT = "the request wants no answer"
    CLOSE = "the connection ends"


# A request and a response are message objects of wire/messages.py; each handler names its own types.
Handle = Callable[[Any, "Context"], Any | Awaitable[Any]]
Fail = Callable[[Any, "ErrorCode", str | None], Any]


# What takes requests before they are forwarded; it answers over the desk those that come to grief.
MakeLane = Callable[["Services", "Desk"], "Lane"]


@dataclass(frozen=True, slots=True)
class Api:
    """One row of the registry.

    `handle(request, context)` answers a message, a `Done`, or an awaitable of these; what must happen in arrival
    order happens before it returns. `fail(request, code, why)` is the well-formed answer to a request that failed
    as a whole, or Done.CLOSE where the schema has no place for an error.
    `lane` is for requests that come by the ten thousand a second: it takes those that nothing speaks against.
    `advertised_min` differs from `min_version` only for Produce (trap 1).
    """

    key: int
    name: str
    min_version: int
    max_version: int
    handle: Handle
    fail: Fail
    advertised_min: int | None = None
    cacheable: bool = False
    lane: MakeLane | None = None

    @property
    def advertised(self) -> tuple[int, int]:
        """The range that ApiVersions shows."""
        return (self.min_version if self.advertised_min is None else self.advertised_min, self.max_version)

    def serves(self, version: int) -> bool:
        """True when requests of this version are decoded and handled."""
        return self.min_version <= version <= self.max_version
