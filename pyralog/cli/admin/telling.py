"""Errors and addresses as people read and write them; the client library's are for programs."""

from __future__ import annotations

import re
import urllib.error

DEFAULT_PORT = 9092
RESULT = re.compile(r"(?:\[Error -?\d+\] )?(\w+)(?:: (.*))?", re.DOTALL)


def error_of(code: int) -> str:
    """Kafka's name of an error code, empty for none."""
    if not code:
        return ""
    from pyralog.errors import ErrorCode

    known = {int(each): each.name for each in ErrorCode}
    return known.get(code, f"error {code}")


def named(kind: type[BaseException]) -> str:
    """The kind of an error: Kafka's name where a broker answered it, else that of the class without `Error`."""
    code = getattr(kind, "errno", None)
    return error_of(code) if isinstance(code, int) and code > 0 else kind.__name__.removesuffix("Error")


def said(error: BaseException) -> str:
    """What an exception says; a system error its message alone, any other after its kind."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    name = named(type(error))
    text = ": ".join(str(each) for each in error.args if each not in (None, "")) or name
    text = text.split(f"{type(error).__name__}: ", 1)[-1]
    return f"{name}: {text}" if text != name else name


def answered(result: str) -> str:
    """What the client library makes of a broker's answer: empty for `OK`, its classes by Kafka's names."""
    if result == "OK":
        return ""
    from kafka import errors

    found = RESULT.fullmatch(result)
    kind = getattr(errors, found[1], None) if found else None
    if found is None or kind is None:
        return result
    return f"{named(kind)}: {found[2]}" if found[2] else named(kind)


def count(number: int, what: str) -> str:
    """`1 record`, `2 records`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def whole_address(text: str) -> str:
    """`HOST[:PORT]` with its port, IPv6 in brackets; ValueError when it is none."""
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    if ":" not in text or text.endswith("]"):
        text = f"{text}:{DEFAULT_PORT}"
    host, _, port = text.rpartition(":")
    if "/" in text or not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is no address: write HOST:PORT, such as localhost:{DEFAULT_PORT}")
    return text
