"""Configuration keys given in Python, as the texts that `--set` takes."""

from __future__ import annotations

import json
from collections.abc import Mapping


def as_settings(values: Mapping[str, object]) -> list[str]:
    """`key=value` for each; lists, mappings and booleans are written as JSON, which is YAML as well."""
    return [f"{key}={_text(value)}" for key, value in values.items()]


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool | list | dict | tuple) else str(value)
