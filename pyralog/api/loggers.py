"""The levels of this process's loggers as broker-logger configurations: Kafka's level names, Python's loggers."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pyralog.cluster.requests import ConfigOp, ResourceChange, ResourceResult
from pyralog.config.logspec import TRACE
from pyralog.errors import ErrorCode, KafkaError
from pyralog.logfiles.levels import logger_names, restore

ROOT = "root"
# Kafka's names (Log4j's) for levels of Python's logging.
LEVELS = {
    "OFF": logging.CRITICAL + 10,
    "FATAL": logging.CRITICAL,
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
    "TRACE": TRACE,
}


def logger_levels() -> Mapping[str, str]:
    """The effective level of the root logger and of each of ours, by name."""
    levels = {ROOT: _level_name(logging.getLogger().getEffectiveLevel())}
    levels.update((name, _level_name(logging.getLogger(name).getEffectiveLevel())) for name in logger_names())
    return levels


def alter_loggers(change: ResourceChange, validate_only: bool, node_id: int) -> ResourceResult:
    """Set levels, or give loggers back the level that the start gave them or their parent has; all or none of them."""
    try:
        check_node(change.resource_name, node_id)
        levels = _levels(change)
    except KafkaError as error:
        return ResourceResult(change.resource_type, change.resource_name, error.code, error.why)
    if not validate_only:
        for name, level in levels.items():
            if level is None:
                restore(name)
            else:
                logging.getLogger(None if name == ROOT else name).setLevel(level)
    return ResourceResult(change.resource_type, change.resource_name)


def check_node(name: str, node_id: int) -> None:
    """KafkaError unless the resource name is this node's id: levels are of one process."""
    if name == "":
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Broker id must not be empty")
    if name != str(node_id):
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unexpected broker id, expected {node_id} but received {name}")


def _levels(change: ResourceChange) -> dict[str, int | None]:
    """The level to set by logger; None gives it back what it had."""
    known = logger_levels()
    levels: dict[str, int | None] = {}
    for one in change.changes:
        if one.name in levels:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
        if one.name not in known:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Logger {one.name} does not exist!")
        if one.op == ConfigOp.SET:
            level = LEVELS.get(one.value or "")
            if level is None:
                allowed = ", ".join(LEVELS)
                raise KafkaError(
                    ErrorCode.INVALID_CONFIG, f"Cannot set the log level of {one.name} to {one.value}; try {allowed}"
                )
            levels[one.name] = level
        elif one.op == ConfigOp.DELETE and one.name == ROOT:
            why = f"Removing the log level of the {ROOT} logger is not allowed; set it instead"
            raise KafkaError(ErrorCode.INVALID_REQUEST, why)
        elif one.op == ConfigOp.DELETE:
            levels[one.name] = None
        else:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"Operation {one.op} is not allowed for a logger")
    return levels


def _level_name(level: int) -> str:
    """The most verbose of Kafka's levels that lets through no more than this one does."""
    return next((name for name, number in reversed(LEVELS.items()) if level <= number), "OFF")
