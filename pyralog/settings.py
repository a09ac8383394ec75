"""What each part of a node takes from its configuration: at the start, and again when that changes while it runs."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from pyralog._speedups.plane.driver import PlaneEngine
from pyralog.api.registry import CLIENT_APIS
from pyralog.cluster.controller import Controller, ControllerSettings
from pyralog.config.host import fit_connections
from pyralog.config.logspec import log_filters
from pyralog.config.schema import Config
from pyralog.logfiles import levels
from pyralog.net.plane import Plane
from pyralog.replication.maintenance import Maintenance, maintenance_settings

if TYPE_CHECKING:
    from pyralog._speedups.fileops import Files
    from pyralog.admin.http import HttpFront
    from pyralog.admin.sources import Sources
    from pyralog.api.context import ApiSettings
    from pyralog.config.live import LiveConfiguration
    from pyralog.coordinator.wiring import Coordinators

log = logging.getLogger(__name__)

PRODUCE, FETCH = 0, 1
CONTROLLER = ("topics.num_partitions", "topics.allow_delete", "replication.quorum.replication_factor")
PLANE = ("network", "storage.segment_config", "storage.cache_config")


def controller_settings(config: Config) -> ControllerSettings:
    """The controller's part."""
    return ControllerSettings(
        num_partitions=config.topics.num_partitions,
        default_replication_factor=config.replication.quorum.replication_factor,
        delete_topic_enable=config.topics.allow_delete,
    )


def plane_limits(config: Config) -> dict[str, Any]:
    """The data plane's part, by the names of its limits."""
    network, storage = config.network, config.storage
    return {
        "max_connections": network.max_connections,
        "max_connections_per_ip": network.max_connections_per_ip,
        "max_request_bytes": network.max_request_bytes,
        "fetch_max_bytes": network.fetch_max_bytes,
        "max_sessions": network.fetch_sessions,
        "idle_ms": network.connections_max_idle_ms,
        "handshake_ms": network.handshake_timeout_ms,
        "sync_on_write": storage.segment_config.sync_on_write,
        "inline_sync": not storage.cache_config.enabled,
        "cache_bytes": storage.cache_config.max_size,
        "cache_ms": storage.cache_config.max_buffer_time_ms,
    }


def controller_follows(live: LiveConfiguration, controller: Controller) -> None:
    """The next request is decided by the new settings."""

    def take(config: Config) -> None:
        controller.settings = controller_settings(config)

    live.follow(CONTROLLER, take)


def build_plane(files: Files, config: Config, live: LiveConfiguration) -> Plane:
    """The data plane, which goes by new limits from the next cycle on."""
    engine = PlaneEngine(
        files,
        produce_max_version=CLIENT_APIS[PRODUCE].max_version,
        fetch_max_version=CLIENT_APIS[FETCH].max_version,
        **plane_limits(fit_connections(config)[0]),
    )
    plane = Plane(engine)
    plane_follows(live, plane)
    return plane


def plane_follows(live: LiveConfiguration, plane: Plane) -> None:
    """The next cycle goes by the new limits."""

    def take(config: Config) -> None:
        fitting, warnings = fit_connections(config)
        for warning in warnings:
            log.warning("%s", warning)
        plane.engine.limit(**plane_limits(fitting))

    live.follow(PLANE, take)


def maintenance_follows(live: LiveConfiguration, maintenance: Maintenance) -> None:
    """Intervals at hand are cut or made longer."""
    live.follow(("storage",), lambda config: maintenance.reconfigure(maintenance_settings(config.storage)))


def http_follows(live: LiveConfiguration, front: HttpFront, sources: Sources) -> None:
    """What is shown, and the time that connections to come have."""

    def take(config: Config) -> None:
        front.timeout_ms = config.network.handshake_timeout_ms
        sources.config = config

    live.follow(tuple(Config.model_fields), take)


def logging_follows(live: LiveConfiguration) -> None:
    """Levels at once. The variables of the environment are stronger, as at the start."""

    def take(config: Config) -> None:
        wanted, wrong = log_filters(os.environ, config.logging.level)
        for why in wrong:
            log.warning("%s", why)
        levels.configure(wanted)

    live.follow(("logging.level",), take)


def clients_follow(live: LiveConfiguration, api: ApiSettings, coordinators: Coordinators) -> None:
    """What answers clients."""
    live.follow(("topics", "network"), api.take)
    live.follow(("groups", "transactions"), lambda config: coordinators.reconfigure(config.groups, config.transactions))
