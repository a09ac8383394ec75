"""What a key carries besides its type: names elsewhere, unit, scope, and the release from which it takes effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pyralog.config.units import boolean, duration, number, size, text, whole

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

# static: read at start. cluster: may also be set while running, for all nodes or one (IncrementalAlterConfigs).
# controller: likewise, but only for all nodes at once, as the controller or every node must go by the same value.
Scope = Literal["static", "cluster", "controller"]
# now, or the later release (by its subject) whose code reads the key; until then it is checked and kept, no more.
Effect = Literal["now", "cluster", "groups", "transactions", "operations"]


@dataclass(frozen=True, slots=True)
class Opt:
    """Facts of a key that pydantic has no place for.

    kafka: synonyms, strongest first; a pair gives the factor by which Kafka's number is multiplied (hours to ms).
    env: names beside the systematic PYRALOG_<PATH>, strongest first. default: the rule, where the default is computed.
    """

    kafka: tuple[str | tuple[str, int], ...] = ()
    env: tuple[str, ...] = ()
    unit: Literal["ms", "bytes"] | None = None
    scope: Scope = "static"
    sensitive: bool = False
    effect: Effect = "now"
    default: str | None = None


class Section(BaseModel):
    """A frozen group of keys; an unknown key is an error. Built with the root, not one by one: start time counts."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def group(section: type[Section], description: str) -> Any:
    """A section inside another; left out, it has its defaults."""
    return Field(default_factory=section, description=description)


Whole = Annotated[int, BeforeValidator(whole)]
Bytes = Annotated[int, BeforeValidator(size)]
Millis = Annotated[int, BeforeValidator(duration)]
Ratio = Annotated[float, BeforeValidator(number)]
Flag = Annotated[bool, BeforeValidator(boolean)]
Text = Annotated[str, BeforeValidator(text)]
