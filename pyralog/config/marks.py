"""A configuration file's values with the places they were given at, and the meaning of a plain scalar."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pyralog.config.problems import Place, Problem

Path = tuple[str, ...]

# YAML 1.2's scalars: only true and false are booleans, no base 60, no octal, and 1e3 is a number.
NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
FLOAT = re.compile(r"^[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$")
MAX_DIGITS = 400


@dataclass(slots=True)
class Document:
    """A file's tree, the places of its keys and of its values, and what is wrong with its form."""

    tree: dict[str, Any] = field(default_factory=dict)
    key_places: dict[Path, Place] = field(default_factory=dict)
    value_places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def plain(text: str) -> Any:
    """The value of a plain scalar."""
    if len(text) > MAX_DIGITS:
        return text
    if NULL.match(text):
        return None
    if BOOL.match(text):
        return text.lower() == "true"
    if INT.match(text):
        return int(text)
    return float(text) if FLOAT.match(text) else text


def scalar(text: str) -> Any:
    """The value of a variable or of --set: a plain scalar, or a bracketed list or map as in a file."""
    if text.lstrip().startswith(("[", "{")):
        from pyralog.config.document import bracketed  # yaml is slow to import, and seldom needed here

        return bracketed(text)
    return plain(text.strip())
