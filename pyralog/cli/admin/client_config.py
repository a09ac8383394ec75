"""`--command-config`: a client's properties, as Kafka's own tools and librdkafka spell them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.cafile": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.certfile": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.keyfile": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
    "request.timeout.ms": "request_timeout_ms",
    "client.id": "client_id",
}
JAAS = "sasl.jaas.config"
HOSTNAME_CHECK = "ssl.endpoint.identification.algorithm"


def client_options(file: str, note: Callable[[str], None]) -> dict[str, Any]:
    """Options of kafka-python; what is not known is said and left out."""
    options: dict[str, Any] = {}
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.lstrip().startswith(("#", "!")):
            continue
        key, _, value = (part.strip() for part in line.partition("="))
        if key == JAAS:
            options |= _jaas(value)
        elif key == HOSTNAME_CHECK:
            options["ssl_check_hostname"] = bool(value)
        elif key in NAMES:
            options[NAMES[key]] = int(value) if key.endswith(".ms") else value
        else:
            note(f"pyralog-admin: {file}: {key} is not known and left out")
    return options


def _jaas(value: str) -> dict[str, str]:
    found: dict[str, str] = dict(re.findall(r'(username|password)="([^"]*)"', value))
    return {f"sasl_plain_{name}": text for name, text in found.items()}
