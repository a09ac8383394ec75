"""What the audit log is told: who did what to which resource, from where, and what came of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyralog.logfiles.text import clipped, printable
from pyralog.metrics import AUDIT_EVENTS

AUDIT = "pyralog.audit"
OK = "ok"
DENIED = "denied"
MAX_TEXT = 300
MASK = "********"
# A part of a key that says that its value must be seen by nobody.
_SECRET = re.compile(r"passw|secret|token|credential|jaas|private|keystore\.key|ssl\.key", re.IGNORECASE)

log = logging.getLogger(AUDIT)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """`event` is subject.verb (topic.create); `result` is ok, denied, or the name of an error code."""

    event: str
    resource: str
    result: str = OK
    principal: str = ""
    peer: str = ""
    client_id: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    def fields(self) -> dict[str, object]:
        """What audit.log holds of it; empty fields are left out."""
        found: dict[str, object] = {
            "event": self.event,
            "resource": clipped(self.resource, MAX_TEXT),
            "result": self.result,
            "principal": self.principal,
            "from": self.peer,
            "client_id": clipped(self.client_id, MAX_TEXT),
            "details": {name: _short(value) for name, value in self.details.items()},
        }
        return {name: value for name, value in found.items() if value not in ("", {})}

    def __str__(self) -> str:
        """For people, where there is no audit.log."""
        who = f" by {self.principal} from {self.peer}" if self.principal else ""
        details = "".join(f", {name} {_short(value)}" for name, value in self.details.items())
        resource = f" {printable(clipped(self.resource, MAX_TEXT))}" if self.resource else ""
        return f"{self.event}{resource}{who}: {self.result}{details}"


def audit(event: AuditEvent) -> None:
    """Hand an event to the audit log: audit.log, synced in order, or the ordinary log where there are no files."""
    AUDIT_EVENTS.add(event.event)
    if log.isEnabledFor(logging.INFO):
        log.info("%s", event, extra={"audit": event.fields()})


def masked(name: str, value: object) -> object:
    """The value of a setting, unless its name says that it is a secret."""
    return MASK if value is not None and _SECRET.search(name) else value


def _short(value: object) -> object:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, Mapping):
        return {clipped(str(name), MAX_TEXT): _short(inner) for name, inner in value.items()}
    return clipped(str(value), MAX_TEXT)
