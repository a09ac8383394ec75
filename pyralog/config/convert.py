"""Turns Kafka's server.properties into a configuration file of ours, and says what has no counterpart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pyralog.config.effective import config_value
from pyralog.config.kafka_names import read_names
from pyralog.config.keys import all_keys
from pyralog.config.loader import load_tree
from pyralog.config.marks import Path
from pyralog.config.printing import lines_of
from pyralog.config.problems import ConfigError, Place, Problem
from pyralog.config.properties import Property, read_properties

# Why a property of Kafka's is not needed or not there, by its beginning; the longest that fits is told.
REASONS: Mapping[str, str] = {
    "": "no counterpart",
    "alter.config.policy": "plugins of Java classes cannot be loaded",
    "authorizer.": "access control is not available yet",
    "background.threads": "threads are not configured; there is one data plane",
    "client.quota": "plugins of Java classes cannot be loaded",
    "compression.": "no counterpart",
    "config.providers": "plugins of Java classes cannot be loaded; the environment gives secrets",
    "controller.": "the metadata quorum has no listener of its own",
    "controlled.shutdown": "leadership is always handed over on SIGTERM",
    "create.topic.policy": "plugins of Java classes cannot be loaded",
    "group.share": "share groups are not available",
    "group.streams": "streams groups are not available",
    "inter.broker": "nodes speak to each other on network.internal_address",
    "kafka.metrics": "metrics are served over HTTP, see docs/HTTP.md",
    "log.cleaner": "the cleaner has no such knob",
    "log.dir.failure": "a node whose disk fails serves what was committed",
    "log.flush.offset": "checkpoints are written every 5 s",
    "log.flush.scheduler": "storage.cache_config.max_buffer_time_ms bounds how long records stay unsynced",
    "log.flush.start": "checkpoints are written every 5 s",
    "metadata.log": "the metadata log keeps itself small by snapshots",
    "metric": "metrics are served over HTTP, see docs/HTTP.md",
    "num.": "threads are not configured; there is one data plane",
    "offsets.topic.compression": "the codec of __consumer_offsets is not configured",
    "password.encoder": "secrets are not kept in the metadata",
    "queued.": "requests wait in the sockets of their clients, bounded by memory",
    "remote.": "tiered storage is not available",
    "replica.": "the node has its own way to replicate",
    "sasl.": "SASL is not available yet",
    "security.": "security is not available yet",
    "share.": "share groups are not available",
    "socket.": "the system sizes socket buffers",
    "ssl.": "TLS is not available yet",
    "super.users": "access control is not available yet",
    "telemetry.": "client metrics are not received",
    "unstable.": "the level of features is not configured",
    "zookeeper.": "there is no ZooKeeper",
}


class Converted(NamedTuple):
    """The file, what was left out ("line 3 num.io.threads: ..."), and what the operator should hear."""

    text: str
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]


def convert(data: bytes, name: str) -> Converted:
    """YAML that means what a server.properties says. ConfigError names each line that no configuration can be made of.

    Only what the file sets is written, so that defaults stay defaults.
    """
    properties, problems = read_properties(data)
    kafka = read_names({key: (key, one.text.strip()) for key, one in properties.items()})
    problems += [_at_line(problem, properties) for problem in kafka.problems]
    labels: dict[Path, str] = {path: label for path, (_, label) in kafka.values.items()}
    try:
        loaded = load_tree({path: value for path, (value, _) in kafka.values.items()}, labels)
    except ConfigError as error:
        raise ConfigError([*problems, *(_at_line(each, properties) for each in error.problems)], name) from error
    if problems:
        raise ConfigError(problems, name)
    keys = [key for key in all_keys().values() if key.path in kafka.values]
    entries = [(key, config_value(loaded.config, key.name), _source(labels[key.path], properties)) for key in keys]
    left_out = tuple(_left_out(kafka.unused, properties))
    text = "\n".join([f"# Made from {name} by pyralog config convert.", *lines_of(entries)])
    if left_out:
        text += "\n\n# Left out:\n" + "\n".join(f"# {line}" for line in left_out)
    return Converted(text + "\n", left_out, loaded.warnings)


def _source(label: str, properties: Mapping[str, Property]) -> str:
    value = properties[label].text.strip()
    return f"{label}={value}".replace("\n", " ")


def _at_line(problem: Problem, properties: Mapping[str, Property]) -> Problem:
    """The problem at the line of its property, under the property's name."""
    name = problem.place.name
    if name not in properties:
        return problem
    return Problem(name, problem.message, Place(properties[name].line, 1))


def _left_out(unused: list[str], properties: Mapping[str, Property]) -> Iterator[str]:
    for name in sorted(unused, key=lambda one: properties[one].line):
        reason = REASONS[max((start for start in REASONS if name.startswith(start)), key=len)]
        yield f"line {properties[name].line} {name}: {reason}"
