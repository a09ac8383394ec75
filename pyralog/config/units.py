"""Turns what people write ("2GiB", "30s", "true", 1e3) into numbers, and numbers into what people read."""

from __future__ import annotations

import re
from collections.abc import Mapping

INT_MAX = 2**31 - 1
LONG_MAX = 2**63 - 1

_NUMBER_AND_UNIT = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)

SIZE_UNITS = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
    "TIB": 1024**4,
}
TIME_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


def shown(value: object) -> str:
    """A value as the user wrote it, for an error text: strings quoted, true, false and null as in the file."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    return str(value)


def whole(value: object) -> int:
    """A whole number from an int, an integral float (1e3) or decimal digits. A leading zero is an error, not octal."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(text := value.strip()):
        digits = text.lstrip("+-")
        if len(digits) > 1 and digits.startswith("0"):
            raise ValueError(f'{shown(value)} is not a whole number. Write it without the leading zero: "{int(text)}"')
        return int(text)
    raise ValueError(f"{shown(value)} is not a whole number")


def number(value: object) -> float:
    """A finite decimal number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            result = float(value)
        except ValueError:
            pass
        else:
            if result - result == 0:  # neither NaN nor infinite
                return result
    raise ValueError(f"{shown(value)} is not a number")


def boolean(value: object) -> bool:
    """True or false; YAML 1.1's yes, no, on and off are refused, so that they cannot mean two things."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise ValueError(f"{shown(value)} is neither true nor false")


def text(value: object) -> str:
    """A string; a number is taken as its digits (a rack called 1)."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{shown(value)} is not a text")


def size(value: object) -> int:
    """Bytes: a whole number, or one with a unit: B, kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (of 1024)."""
    return _measure(value, SIZE_UNITS, str.upper, 'a size in bytes such as 1048576, "64MiB" or "2GB"')


def duration(value: object) -> int:
    """Milliseconds: a whole number, or a number with a unit: ms, s, m (or min), h, d."""
    return _measure(value, TIME_UNITS, str.lower, 'a time in milliseconds such as 5000, "10ms", "30s" or "7d"')


def _measure(value: object, units: Mapping[str, int], fold: object, wanted: str) -> int:
    if not isinstance(value, str):
        try:
            return whole(value)
        except ValueError:
            raise ValueError(f"{shown(value)} is not {wanted}") from None
    match = _NUMBER_AND_UNIT.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{shown(value)} is not {wanted}")
    digits, unit = match.groups()
    if not unit:
        return whole(value)
    unit = unit.upper() if fold is str.upper else unit.lower()
    if unit not in units:
        known = "B, kB, KiB, MB, MiB, GB, GiB, TB, TiB" if units is SIZE_UNITS else "ms, s, m, h, d"
        raise ValueError(f"{shown(value)} has an unknown unit. The units are {known}")
    whole_part, _, fraction = digits.partition(".")
    scale: int = 10 ** len(fraction)
    total = int(whole_part + fraction) * units[unit]
    if total % scale:
        raise ValueError(
            f"{shown(value)} is not a whole number of {'bytes' if units is SIZE_UNITS else 'milliseconds'}"
        )
    return total // scale


def readable_size(value: int) -> str:
    """1073741824 as "1 GiB": for the reference page, where a unit divides the value."""
    for name, unit in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if value >= unit and value % unit == 0:
            return f"{value // unit} {name}"
    return f"{value} B"


def readable_duration(value: int) -> str:
    """604800000 as "7 d"."""
    for name, unit in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if value >= unit and value % unit == 0:
            return f"{value // unit} {name}"
    return f"{value} ms"
