"""How log records look: nothing that a client sends can pass for a record of its own."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from pyralog.logfiles.audit import AuditEvent, masked
from pyralog.logfiles.text import AuditFormatter, TextFormatter, clipped, json_formatter, printable, settled

FORGED = "x\n2026-01-01 00:00:00,000 INFO  pyralog: all is well\x1b[2K\r\x00\u202e\u2028\x85\udc80\x7f"


def record(text: str, *values: Any, level: int = logging.INFO, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("pyralog.test", level, __file__, 1, text, values, None)
    made.__dict__.update(more)
    return made


def test_printable_keeps_what_people_write() -> None:
    assert printable("Grüße, 日本, 😀 \\ ok") == "Grüße, 日本, 😀 \\ ok"


@pytest.mark.parametrize("char", list("\n\x1b\r\x00\u202e\u2028\x85\udc80\x7f\u2066\u200f\ufeff\x9b"))
def test_printable_escapes_what_misleads(char: str) -> None:
    escaped = printable(f"a{char}b")
    assert escaped.isprintable()
    assert escaped.startswith("a\\")


def test_a_client_cannot_forge_a_line() -> None:
    line = TextFormatter().format(record("client %s came", FORGED))
    assert "\n" not in line
    assert line.isprintable()
    assert "client x\\n2026" in line


def test_lines_of_a_traceback_are_indented() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError:
        line = TextFormatter().format(settled(record("failed", level=logging.ERROR, exc_info=sys.exc_info())))
    first, *rest = line.split("\n")
    assert first.endswith("ERROR pyralog.test: failed")
    assert len(rest) >= 4
    assert all(row.startswith("    ") and row.isprintable() for row in rest)


def test_settled_keeps_what_was_said_when_it_was_said() -> None:
    names = ["one"]
    made = settled(record("names: %s", names))
    names.append("two")
    assert TextFormatter().format(made).endswith("pyralog.test: names: ['one']")
    assert made.args is None


def test_long_messages_are_cut() -> None:
    assert clipped("x" * 20, 10) == "x" * 10 + "... (10 more characters)"
    assert len(settled(record("%s", "x" * 1_000_000)).getMessage()) < 17_000


def test_json_lines() -> None:
    formatter = json_formatter(7)
    line = formatter.format(settled(record("client %s", FORGED, audit={"event": "topic.create"})))
    assert line.isascii()
    assert "\n" not in line
    found = json.loads(line)
    assert datetime.fromisoformat(found.pop("time")).tzinfo is UTC
    assert found == {
        "level": "INFO",
        "logger": "pyralog.test",
        "message": f"client {FORGED}",
        "node_id": 7,
        "audit": {"event": "topic.create"},
    }
    try:
        raise ValueError("broken")
    except ValueError:
        failed = json.loads(formatter.format(settled(record("failed", exc_info=sys.exc_info()))))
    assert failed["exception"].endswith("ValueError: broken")


def test_audit_lines() -> None:
    event = AuditEvent("topic.create", "a\nb", principal="User:x", peer="10.0.0.1:5", details={"partitions": 3})
    line = AuditFormatter(1).format(settled(record("%s", event, audit=event.fields())))
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {
        "node_id": 1,
        "event": "topic.create",
        "resource": "a\nb",
        "result": "ok",
        "principal": "User:x",
        "from": "10.0.0.1:5",
        "details": {"partitions": 3},
    }
    assert str(event) == "topic.create a\\nb by User:x from 10.0.0.1:5: ok, partitions 3"
    assert json.loads(AuditFormatter(1).format(record("lost %d", 3)))["message"] == "lost 3"


def test_values_of_an_event_are_bounded() -> None:
    fields = AuditEvent("e", "r" * 1000, client_id="c" * 1000, details={"configs": {"k" * 1000: "v" * 1000}}).fields()
    assert len(json.dumps(fields)) < 2000


@pytest.mark.parametrize("name", ["ssl.keystore.password", "sasl.jaas.config", "my.token", "ssl.keystore.key"])
def test_secrets_are_masked(name: str) -> None:
    assert masked(name, "hunter2") == "********"
    assert masked(name, None) is None


def test_other_values_are_shown() -> None:
    assert masked("retention.ms", "5") == "5"
    assert masked("key.serializer", "5") == "5"
