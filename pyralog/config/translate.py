"""Says in the operator's words what the models refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from pyralog.config.keys import Key


def refusal(detail: ErrorDetails, key: Key | None, value: str, *, section: bool = False) -> str:
    """Why `value` (as the user wrote it) is refused, without a full stop; `key` is the key it was given to."""
    kind = detail["type"]
    if kind in ("greater_than_equal", "less_than_equal") and key is not None:
        return f"{value} is out of range ({key.range})"
    if kind == "literal_error" and key is not None:
        return f"{value} is not {key.range}"
    if kind == "value_error":
        return str(detail.get("ctx", {})["error"])
    if section:
        return f"{value} is not a section of keys"
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "too_short":
        return "must not be an empty list"
    return f"{value}: {detail['msg']}"
