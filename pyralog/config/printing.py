"""The effective configuration as YAML, every line with the source of its value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pyralog.config.effective import config_value
from pyralog.config.keys import Key, all_keys
from pyralog.config.schema import Config
from pyralog.config.units import shown

COMMENT_COLUMN = 56


def config_text(config: Config) -> str:
    """A file that, given to --config, makes this very configuration."""
    entries = [(key, config_value(config, key.name), _source(key, config)) for key in all_keys().values()]
    return "\n".join(lines_of(entries)) + "\n"


def lines_of(entries: Iterable[tuple[Key, Any, str]]) -> list[str]:
    """Keys with their values as lines of YAML, each with a comment; they come in the order of the models."""
    lines: list[str] = []
    open_sections: tuple[str, ...] = ()
    for key, value, comment in entries:
        parents = key.path[:-1]
        common = 0
        while common < min(len(parents), len(open_sections)) and parents[common] == open_sections[common]:
            common += 1
        lines += ["  " * depth + f"{parents[depth]}:" for depth in range(common, len(parents))]
        open_sections = parents
        text = "  " * len(parents) + f"{key.path[-1]}: {_yaml('***' if key.opt.sensitive else value, key)}"
        lines.append(f"{text:<{COMMENT_COLUMN}} # {comment}")
    return lines


def _source(key: Key, config: Config) -> str:
    exact = config.origins.get(key.name)
    if exact is not None:
        return exact.where or exact.kind
    return "default"


def _yaml(value: Any, key: Key) -> str:
    if value is None:
        return "auto" if key.opt.default == "auto" else "null"
    if isinstance(value, bool | int | float):
        return shown(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {json.dumps(str(item))}" for name, item in value.items()) + "}"
    if key.kind == "list":
        return "[" + ", ".join(_items(value)) + "]"
    return json.dumps(str(value), ensure_ascii=False)


def _items(values: Any) -> Iterator[str]:
    for item in values:
        if hasattr(item, "listen"):
            told = "auto" if item.advertised is None else str(item.advertised)
            pairs = {"name": item.name, "listen": str(item.listen), "advertised": told, "protocol": item.protocol}
            yield json.dumps(pairs)
        elif hasattr(item, "address"):
            yield str(item.node_id) if item.address is None else json.dumps(str(item))
        else:
            yield json.dumps(str(item), ensure_ascii=False)
