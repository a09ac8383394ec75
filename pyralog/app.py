"""Composition root: builds the node in order, connects its parts, runs it, and takes it down again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyralog import settings
from pyralog.admin.http import HttpFront
from pyralog.admin.sources import Sources
from pyralog.api.context import ApiSettings, Services
from pyralog.api.dispatch import Dispatcher
from pyralog.api.producer_ids import ProducerIds
from pyralog.api.registry import CLIENT_APIS, import_handlers, install_answers
from pyralog.cluster.controller import Controller
from pyralog.cluster.identity import Identity, IdentityError, load_identity, save_identity
from pyralog.cluster.image import ClusterImage, ResourceType
from pyralog.cluster.quorum import Quorum
from pyralog.cluster.raft_storage import MetadataCorrupt, MetadataLog
from pyralog.cluster.requests import RegisterBroker
from pyralog.cluster.voter import SingleVoter
from pyralog.config.endpoints import LOOPBACK, Address, Listener
from pyralog.config.live import LiveConfiguration
from pyralog.config.rules import Rules
from pyralog.config.schema import Config
from pyralog.config.topics import TopicSettings
from pyralog.config.view import ConfigurationView
from pyralog.coordinator import wiring
from pyralog.coordinator.runtime import Ports
from pyralog.errors import StorageError
from pyralog.model import uuid_text
from pyralog.net.advertised import AdvertisedAddress, container_gateway, registered_address
from pyralog.net.listeners import bind_listeners, host_names
from pyralog.net.notify import PlaneHeart, Supervision
from pyralog.net.plane import Plane
from pyralog.reloading import Read, Reloading
from pyralog.replication.lifecycle import Lifecycle
from pyralog.replication.local_logs import LocalLogs
from pyralog.replication.maintenance import Maintenance, compaction_pool, maintenance_settings
from pyralog.replication.opening import PartitionStore
from pyralog.runtime import SteadyClock, TaskScope, WorkPool, now_ms, start_thread, until_files_open, work_threads
from pyralog.runtime import run as run_loop
from pyralog.storage.log_dir import LogDir, LogDirInUseError
from pyralog.version import __version__

log = logging.getLogger(__name__)

EXIT_STOPPED = 0
EXIT_FAILED = 1
# What a stop waits for requests that are being answered.
DRAIN_MS = 5_000
BACKLOG = 1024


def run(config: Config, read: Read | None = None) -> int:
    """Run a node until SIGTERM or SIGINT; its exit code. OSError and StorageError are the caller's to explain.

    `read` reads the configuration again, on SIGHUP.
    """
    log_dir = LogDir(Path(config.node.data_dir))
    try:
        log_dir.lock()
        node = Node(config, log_dir)
        settings.logging_follows(node.live)
        return run_loop(node.run(read))
    except (LogDirInUseError, IdentityError, MetadataCorrupt) as error:
        sys.stderr.write(f"pyralog: {error}\n")
        return EXIT_FAILED
    finally:
        log_dir.unlock()


def ready_line(listeners: list[Listener]) -> str:
    """The one line that says that clients may come, and where to."""
    places = ", ".join(str(_where(listener)) for listener in listeners)
    return f"Pyralog {__version__} ready: Kafka on {places}"


def _where(listener: Listener) -> Address:
    if listener.advertised is not None:
        return listener.advertised
    host = listener.listen.host
    local = listener.listen.wildcard or host in (LOOPBACK, "::1")
    return Address("localhost" if local else host, listener.listen.port)


class Node:
    """One node: its parts, and the order in which they start and stop."""

    def __init__(self, config: Config, log_dir: LogDir, *, clock: Callable[[], int] = now_ms) -> None:
        self._config = config
        self._log_dir = log_dir
        self._clock = clock
        self._node_id = config.node.node_id
        self._scope = TaskScope("node")
        self._api_scope = TaskScope("api")
        self._meta = WorkPool("meta", 1)
        self._work = WorkPool("work", work_threads())
        self._compacting = compaction_pool()
        self._view = ConfigurationView(config)
        self.live = LiveConfiguration(self._view)
        self.api = ApiSettings(self._node_id)
        self._metadata = MetadataLog(log_dir.path)
        self._quorum = self._build_quorum()
        # How a part gets its thread; a test may put a body of its own in place of the plane's.
        self.start_thread = start_thread
        # What is left undone at the end; a test sets it to stop as a killed process would.
        self.abandoned = False
        # What systemd is told; of a node inside another process, nothing.
        self.supervision = Supervision()
        self._bound: list[tuple[socket.socket, Listener]] = []
        self._admin_bound: list[tuple[socket.socket, Listener]] = []
        self._plane: Plane | None = None
        self._lifecycle: Lifecycle | None = None
        self._maintenance: Maintenance | None = None
        self._http: HttpFront | None = None
        self._dispatcher: Dispatcher | None = None
        self._reloading: Reloading | None = None
        self._coordinators: wiring.Coordinators | None = None
        self._quorum_started = False

    @property
    def plane(self) -> Plane | None:
        """The data plane, once there is one."""
        return self._plane

    @property
    def listeners(self) -> list[Listener]:
        """Where clients are served, with the ports that were really got."""
        return [listener for _, listener in self._bound]

    async def run(self, read: Read | None = None) -> int:
        """Be the only node of a process: serve until SIGTERM or SIGINT, and say on stdout when clients may come.

        SIGHUP has the configuration read again, by `read`; without that it ends the node as well.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_requested, stop, number)
        self.supervision = Supervision(os.environ)
        self.supervision.begin(self._progress)
        if read is None:
            loop.add_signal_handler(signal.SIGHUP, self._stop_requested, stop, signal.SIGHUP)
        else:
            self._reloading = Reloading(self.live, read, lambda: self._quorum.image, self._refresh, self.supervision)
            loop.add_signal_handler(signal.SIGHUP, self._reloading.request)
        try:
            return await self.serve(stop, self._say_ready)
        finally:
            self.supervision.end()

    async def serve(self, stop: asyncio.Event, ready: Callable[[], None]) -> int:
        """Start, serve until `stop` is set, stop; no signal is handled and nothing printed.

        A failure of a part that the node cannot do without ends it with an error code.
        """
        failed = self._scope.failed
        stopping = self._scope.start(stop.wait(), name="stop signal")
        starting = self._scope.start(self._start(), name="start", quiet=True)
        waiting: set[asyncio.Future[Any]] = {stopping, failed}
        try:
            await asyncio.wait({starting, *waiting}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                ready()
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            else:
                starting.cancel()
                await asyncio.wait({starting})
            clean = not failed.done()
        finally:
            await (self._abandon() if self.abandoned else self._stop())
        return EXIT_STOPPED if clean else EXIT_FAILED

    def _say_ready(self) -> None:
        line = ready_line(self.listeners)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        assert self._plane is not None
        if self._reloading is not None:
            self._reloading.start(self._scope, self._work)
        self.supervision.ready(PlaneHeart(self._plane.engine), line)

    async def _refresh(self) -> None:
        """The configuration was read again: what it has changed for topics, and in answers that were kept."""
        assert self._lifecycle is not None
        await self._lifecycle.refresh()
        if self._dispatcher is not None:
            self._dispatcher.forget_answers()

    def _progress(self) -> str:
        done, of = (0, 0) if self._lifecycle is None else self._lifecycle.recovered
        return f"Starting: {done} of {of} partitions recovered" if of else "Starting"

    def _stop_requested(self, stop: asyncio.Event, number: int) -> None:
        log.info("%s: %s", signal.Signals(number).name, "already stopping" if stop.is_set() else "stopping")
        stop.set()

    # --- start ---

    async def _start(self) -> None:
        network = self._config.network
        self._bound = bind_listeners(network.client_listeners())
        if network.admin_address is not None:
            self._admin_bound = bind_listeners((Listener("HTTP", network.admin_address),))
        image = await self._join()
        self._config = self.live.begin(image)
        plane = self._plane = settings.build_plane(self._log_dir.files, self._config, self.live)
        lifecycle = self._lifecycle = self._build_lifecycle(plane)
        plane.attach(asyncio.get_running_loop())
        plane.start(self.start_thread)
        await lifecycle.start(image)
        self._quorum.set_applier(lifecycle.apply)
        assert self._maintenance is not None
        self._maintenance.begin()
        await self._maintenance.checkpoint()
        self._maintenance.start(lambda: self._quorum.image)
        self._connect(plane)
        for sock, _ in self._bound:
            sock.listen(BACKLOG)
            await plane.listen(sock)
        assert self._coordinators is not None
        self._scope.start(self._begin_coordinators(), name="coordinators", critical=True)

    def _build_quorum(self) -> Quorum:
        rules = Rules(self._view)
        voter = SingleVoter(self._metadata, self._node_id, self._scope, self._meta, self._work, self._clock)
        controller = Controller(settings.controller_settings(self._config), rules, os.urandom)
        settings.controller_follows(self.live, controller)
        return Quorum(voter, controller, self._scope, self._node_id)

    async def _join(self) -> ClusterImage:
        """Recover the metadata and register: a new incarnation of this node, with new leader epochs."""
        path = self._log_dir.path
        identity = load_identity(path, self._node_id)
        self._quorum_started = True
        image = await self._quorum.start(uuid_text(os.urandom(16)) if identity is None else None)
        image = self._quorum.image
        if identity is None:
            identity = Identity(image.cluster_id, self._node_id, os.urandom(16))
            await self._work.run(save_identity, path, identity)
        elif identity.cluster_id != image.cluster_id:
            raise MetadataCorrupt(
                f"{path}: meta.properties names the cluster {identity.cluster_id}, the metadata log "
                f"{image.cluster_id}. One of them is from elsewhere; nothing was changed."
            )
        host, port = registered_address(self._bound[0][1], socket.gethostname())
        await self._quorum.submit(
            RegisterBroker(self._node_id, os.urandom(16), identity.directory_id, host, port, self._config.node.rack)
        )
        return self._quorum.image

    def _build_lifecycle(self, plane: Plane) -> Lifecycle:
        store = PartitionStore(self._log_dir, self._clock)
        lifecycle = Lifecycle(self._node_id, plane, store, self._work, self._settings_of, self._clock)
        begin, pools = maintenance_settings(self._config.storage), (self._work, self._compacting)
        self._maintenance = Maintenance(begin, lifecycle, plane, store, *pools, self._scope, self._clock)
        settings.maintenance_follows(self.live, self._maintenance)
        lifecycle.set_follow(self._maintenance)
        plane.events.detached = self._maintenance.detached
        plane.events.failed = lifecycle.lost_disk
        return lifecycle

    def _settings_of(self, topic: str, image: ClusterImage) -> TopicSettings:
        return self._view.settings(image.config(ResourceType.TOPIC, topic), image)

    def _connect(self, plane: Plane) -> None:
        """Everything that answers clients."""
        assert self._lifecycle is not None
        assert self._maintenance is not None
        config = self._config
        listeners = self.listeners
        advertised = AdvertisedAddress(listeners, container_gateway())
        producer_ids = ProducerIds(self._node_id, self._quorum)
        coordinators = self._coordinators = self._build_coordinators(plane, producer_ids)
        self._quorum.subscribe(coordinators.on_image)
        self.api.take(config)
        settings.clients_follow(self.live, self.api, coordinators)
        self._quorum.subscribe(self.live.on_image)
        services = Services(
            settings=self.api,
            quorum=self._quorum,
            plane=plane,
            logs=LocalLogs(self._log_dir, plane, self._lifecycle, self._maintenance, self._work),
            configs=self._view,
            scope=self._api_scope,
            work=self._work,
            address_for=advertised.address_for,
            groups=coordinators.groups,
            transactions=coordinators.transactions,
            producer_ids=producer_ids,
        )
        dispatcher = self._dispatcher = Dispatcher(CLIENT_APIS, services)
        plane.events.request = dispatcher.dispatch
        install_answers(plane, CLIENT_APIS)
        sources = Sources(
            config,
            self._quorum,
            plane,
            self._lifecycle,
            self._view,
            coordinators.groups,
            coordinators.transactions,
            dispatcher.stats,
            self._work,
            services.logs.directory,
            self._maintenance,
            self._clock,
        )
        self._http = HttpFront(self._scope, sources, host_names(listeners), config.network.handshake_timeout_ms)
        settings.http_follows(self.live, self._http, sources)
        for sock, _ in self._admin_bound:
            self._http.listen(sock)
        plane.events.handover = self._http.adopt
        log.info("console on http://%s/console/", _where(listeners[0]))

    async def _begin_coordinators(self) -> None:
        """What a ready node does next: handlers are imported beside the loop, then coordinators load their logs."""
        assert self._coordinators is not None
        await until_files_open(self._work, import_handlers, "groups and transactions")
        self._coordinators.begin(self._quorum.image)

    def _build_coordinators(self, plane: Plane, producer_ids: ProducerIds) -> wiring.Coordinators:
        assert self._lifecycle is not None
        clock = SteadyClock(lambda: self._clock() * 1_000_000)
        ports = Ports(self._node_id, plane, self._work, self._scope, clock, self._lifecycle.folder_of)
        return wiring.build(self._config.groups, self._config.transactions, self._quorum, ports, producer_ids)

    # --- stop ---

    async def _stop(self) -> None:
        """Take down what has been built, in the opposite order; whatever fails, the next step is still taken."""
        clean = not self._scope.failed.done()
        self.supervision.stopping()
        try:
            await self._drain()
        finally:
            try:
                if self._quorum_started:
                    await self._quorum.stop()
            finally:
                await self._scope.close()
                try:
                    await self._stop_plane(clean)
                finally:
                    for pool in (self._compacting, self._work, self._meta):
                        pool.close()

    async def _abandon(self) -> None:
        """End as a killed process would: nobody is answered, no log is flushed, no mark of a clean stop is left."""
        for sock, _ in (*self._bound, *self._admin_bound):
            sock.close()
        await self._api_scope.close()
        await self._scope.close()
        if self._plane is not None:
            self._plane.stop()
        if self._http is not None:
            await self._http.close()
        for pool in (self._compacting, self._work, self._meta):
            pool.close()
        self._metadata.close()
        if self._lifecycle is not None:
            # Its logs close their files when nobody holds them any more.
            self._lifecycle.replicas.clear()

    async def _drain(self) -> None:
        """No new connections; what is being answered gets some time."""
        if self._plane is not None and self._http is not None:
            self._http.drain()
            await self._plane.drain()
        for sock, _ in (*self._bound, *self._admin_bound):
            sock.close()
        if self._coordinators is not None:
            await self._coordinators.stop(DRAIN_MS)
        await self._api_scope.settle(DRAIN_MS)
        if self._http is not None:
            await self._http.close()
        await self._api_scope.close()

    async def _stop_plane(self, clean: bool) -> None:
        if self._plane is None:
            return
        self._plane.stop()
        assert self._lifecycle is not None
        assert self._maintenance is not None
        try:
            closed = await self._lifecycle.close()
            # Offsets of logs that were not reached are in the files of the last run, where they must stay.
            if self._lifecycle.started:
                await self._maintenance.save_final(clean and closed)
        except (StorageError, OSError) as error:
            log.error("the stop was not clean, the next start will scan the logs: %s", error)
