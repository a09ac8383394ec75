"""A class for each message and nested struct of the protocol, made on first use; messages.pyi shows their fields."""

from pyralog._speedups.codec import Message as Message
from pyralog.wire.loading import class_names, find_class


def __getattr__(name: str) -> type[Message]:
    try:
        found = find_class(name)
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *class_names()])
