"""Reads the environment: PYRALOG_* names, the guide's NODE_ID, and KAFKA_* as the apache/kafka image does."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyralog.config.kafka_names import PREFIX, read_kafka
from pyralog.config.keys import Key, by_env_name
from pyralog.config.marks import Path, scalar
from pyralog.config.problems import Problem

# Read elsewhere, so no key and no typo: log filters, the admin command's address, and the image's topics.
NOT_KEYS = frozenset(
    {
        "PYRALOG_LOG",
        "PYRALOG_CLUSTER",
        "PYRALOG_CREATE_TOPICS",
        "PYRALOG_DEBUG",
        "PYRALOG_SANITIZE",
        "PYRALOG_WERROR",
        "PYRALOG_EXT",
    }
)


@dataclass(slots=True)
class Overlay:
    """Values for single keys, each with the name of the variable or option it came from."""

    values: dict[Path, Any] = field(default_factory=dict)
    names: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def put(self, path: Path, value: Any, name: str) -> None:
        """Set a key; a later call wins."""
        self.values[path] = value
        self.names[path] = name


def as_value(key: Key, text: str) -> Any:
    """A variable's text as a value for this key: texts as they are, everything else as YAML reads it."""
    if key.kind in ("str", "address", "list", "map") and not text.lstrip().startswith(("[", "{")):
        return text
    return scalar(text)


def read_environment(environ: Mapping[str, str]) -> Overlay:
    """All keys set by the environment. Empty variables count as unset, as compose files write them."""
    overlay = Overlay()
    present = {name: text for name, text in environ.items() if text.strip()}
    kafka = read_kafka({name: text for name, text in present.items() if name.startswith(PREFIX)})
    overlay.problems += kafka.problems
    for path, (value, name) in kafka.values.items():
        overlay.put(path, value, name)
    if "NODE_ID" in present:
        overlay.put(("node", "node_id"), scalar(present["NODE_ID"]), "NODE_ID")
    known = by_env_name()
    # The systematic name of a key is the weakest: reversed, so that the guide's short name is put last and wins.
    for name, key in reversed(list(known.items())):
        if name in present:
            overlay.put(key.path, as_value(key, present[name]), name)
    unused = [name for name in present if name.startswith("PYRALOG_") and name not in known and name not in NOT_KEYS]
    if names := sorted([*unused, *kafka.unused]):
        overlay.warnings.append("unused environment variables: " + ", ".join(_with_hint(name) for name in names))
    return overlay


def _with_hint(name: str) -> str:
    if name.startswith("PYRALOG_"):
        close = difflib.get_close_matches(name, sorted(by_env_name()), n=1, cutoff=0.85)
        if close:
            return f"{name} (did you mean {close[0]}?)"
    return name
