"""Understands KAFKA_* variables as compose files for the apache/kafka image write them, listeners included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyralog.config.endpoints import Address, Listener, parse_address, split_list
from pyralog.config.keys import KafkaName, by_kafka_name
from pyralog.config.marks import Path, plain
from pyralog.config.problems import Place, Problem
from pyralog.config.units import shown, whole

PREFIX = "KAFKA_"
LISTENERS = "listeners"
ADVERTISED = "advertised.listeners"
PROTOCOLS = "listener.security.protocol.map"
CONTROLLER_NAMES = "controller.listener.names"
LOG_DIRS = ("log.dirs", "log.dir")

# Consumed together with the listeners, or saying what is so here anyway.
STRUCTURAL = frozenset({PROTOCOLS, CONTROLLER_NAMES, "inter.broker.listener.name", "process.roles"})
# Settings of the Java virtual machine and its logging: the image does not take them for broker settings either.
JVM = frozenset(
    {
        "KAFKA_VERSION",
        "KAFKA_HEAP_OPTS",
        "KAFKA_OPTS",
        "KAFKA_JMX_OPTS",
        "KAFKA_JMX_PORT",
        "KAFKA_JMX_HOSTNAME",
        "KAFKA_JVM_PERFORMANCE_OPTS",
        "KAFKA_GC_LOG_OPTS",
        "KAFKA_LOG4J_OPTS",
        "KAFKA_LOG4J_ROOT_LOGLEVEL",
        "KAFKA_LOG4J_LOGGERS",
        "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    }
)


@dataclass(slots=True)
class KafkaValues:
    """What the KAFKA_* variables set: path to (value, variable), the variables that set nothing, and mistakes."""

    values: dict[Path, tuple[Any, str]] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def property_name(variable: str) -> str:
    """The property of a variable by the image's rule: ___ is a dash, __ an underscore, _ a dot."""
    name = variable[len(PREFIX) :].lower()
    return name.replace("___", "-").replace("__", "\0").replace("_", ".").replace("\0", "_")


def to_ours(value: Any, kafka: KafkaName) -> Any:
    """A Kafka number in our unit (hours to ms); negative numbers mean "no limit" and stay."""
    if kafka.factor == 1:
        return value
    count = whole(value)
    return count if count < 0 else count * kafka.factor


def read_kafka(variables: Mapping[str, str]) -> KafkaValues:
    """Translate KAFKA_* variables."""
    return read_names(
        {property_name(name): (name, text.strip()) for name, text in variables.items() if name not in JVM}
    )


def read_names(properties: Mapping[str, tuple[str, str]]) -> KafkaValues:
    """Translate properties: name to (where it is given, text). Of several synonyms of a key Kafka's order decides."""
    result = KafkaValues()
    strength: dict[Path, int] = {}
    for name, (variable, text) in properties.items():
        if name in (LISTENERS, ADVERTISED) or name in STRUCTURAL:
            continue
        if name in LOG_DIRS:
            _data_dirs(result, name, variable, text)
            continue
        found = by_kafka_name().get(name)
        if found is None:
            result.unused.append(variable)
            continue
        key, kafka = found
        rank = key.kafka.index(kafka)
        if rank >= strength.get(key.path, len(key.kafka)):
            continue
        strength[key.path] = rank
        try:
            value = plain(text) if key.kind in ("int", "bool", "float") else text
            result.values[key.path] = (to_ours(value, kafka), variable)
        except ValueError as error:
            result.problems.append(Problem(key.name, str(error), Place(name=variable)))
    _ListenerReader(properties, result).read()
    _check_roles(properties, result)
    return result


def _data_dirs(result: KafkaValues, name: str, variable: str, text: str) -> None:
    if name == "log.dir" and ("node", "data_dir") in result.values:
        return  # log.dirs is the stronger name
    folders = [str(folder) for folder in split_list(text)]
    result.values["node", "data_dir"] = (folders[0], variable)
    if len(folders) > 1:
        result.values["node", "data_dirs"] = (folders, variable)


def _check_roles(properties: Mapping[str, tuple[str, str]], result: KafkaValues) -> None:
    variable, text = properties.get("process.roles", ("", "broker"))
    if "broker" not in [str(role) for role in split_list(text)]:
        message = f"{shown(text)}: every node is a broker here; a node that is only a controller does not exist"
        result.problems.append(Problem("node", message, Place(name=variable)))


class _ListenerReader:
    """Kafka's listeners, advertised.listeners and protocol map as network.listeners and internal_address."""

    def __init__(self, properties: Mapping[str, tuple[str, str]], result: KafkaValues) -> None:
        self._properties = properties
        self._result = result
        self._controllers = self._names(CONTROLLER_NAMES, "CONTROLLER")
        pairs = (str(item).partition(":") for item in split_list(self._text(PROTOCOLS)))
        self._protocols = {name.strip().upper(): protocol.strip().upper() for name, _, protocol in pairs}

    def _text(self, name: str) -> str:
        return self._properties.get(name, ("", ""))[1]

    def _names(self, name: str, default: str) -> set[str]:
        return {str(item).upper() for item in split_list(self._text(name) or default)}

    def read(self) -> None:
        """Put the listeners into the result."""
        listen = self._parse(LISTENERS)
        advertised = self._parse(ADVERTISED)
        clients = {name: address for name, address in listen.items() if name not in self._controllers}
        variable = self._properties.get(LISTENERS, ("", ""))[0]
        for name in listen.keys() & self._controllers:
            self._result.values["network", "internal_address"] = (listen[name], variable)
        advertised = {name: address for name, address in advertised.items() if name not in self._controllers}
        if not clients:
            if advertised:
                self._advertised_only(advertised)
            return
        listeners = [
            Listener(name, address, advertised.get(name), self._protocol(name)) for name, address in clients.items()
        ]
        first = listeners[0]
        self._result.values["network", "listen_address"] = (first.listen, variable)
        if first.advertised is not None:
            variable_told = self._properties[ADVERTISED][0]
            self._result.values["network", "advertised_address"] = (first.advertised, variable_told)
        if len(listeners) > 1 or first.protocol != "PLAINTEXT":
            self._result.values["network", "listeners"] = (listeners, variable)

    def _advertised_only(self, advertised: Mapping[str, Address]) -> None:
        """Without listeners Kafka opens PLAINTEXT on 9092; only one advertised address makes sense then."""
        variable = self._properties[ADVERTISED][0]
        address = advertised.get("PLAINTEXT") or next(iter(advertised.values()))
        self._result.values["network", "advertised_address"] = (address, variable)

    def _protocol(self, name: str) -> str:
        return self._protocols.get(name, name if name in ("SSL", "SASL_PLAINTEXT", "SASL_SSL") else "PLAINTEXT")

    def _parse(self, name: str) -> dict[str, Address]:
        variable, text = self._properties.get(name, ("", ""))
        found: dict[str, Address] = {}
        for item in split_list(text):
            listener, mark, address = str(item).partition("://")
            try:
                if not mark:
                    raise ValueError(f'{shown(item)} is not a listener such as "PLAINTEXT://:9092"')
                found[listener.upper()] = parse_address(address)
            except ValueError as error:
                self._result.problems.append(Problem(f"network.{_OUR_NAME[name]}", str(error), Place(name=variable)))
        return found


_OUR_NAME = {LISTENERS: "listen_address", ADVERTISED: "advertised_address"}
