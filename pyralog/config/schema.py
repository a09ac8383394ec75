"""The configuration tree: one frozen section for each component, every key with type, range, default and synonyms."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field, PrivateAttr

from pyralog.config.endpoints import (
    Address,
    ClusterNode,
    Listener,
    parse_address,
    parse_advertised,
    parse_cluster_node,
    parse_listener,
    parse_node_id,
    parse_optional_address,
    parse_peers,
    split_list,
)
from pyralog.config.options import DAY_MS, Bytes, Flag, Millis, Opt, Section, Text, Whole, group
from pyralog.config.schema_groups import GroupsSection, TransactionsSection
from pyralog.config.schema_operations import LoggingSection, MetricsSection
from pyralog.config.schema_topics import TopicsSection
from pyralog.config.units import INT_MAX, LONG_MAX

MIB = 1024**2
# Above 200 MiB the first four bytes of a request could read "GET " or a TLS hello (ecosystem.md 4.1).
MAX_REQUEST_LIMIT_BYTES = 200 * MIB

OneAddress = Annotated[Address, BeforeValidator(parse_address)]
Member = Annotated[ClusterNode, BeforeValidator(parse_cluster_node)]
ClientListener = Annotated[Listener, BeforeValidator(parse_listener)]


class NodeSection(Section):
    """This node: who it is, where its data lies, who else belongs to the cluster."""

    node_id: Annotated[
        int, BeforeValidator(parse_node_id), Opt(kafka=("node.id", "broker.id"), env=("PYRALOG_NODE_ID",))
    ] = Field(1, ge=0, le=INT_MAX, description="Id of this node, unique in the cluster.")
    data_dir: Annotated[
        Text,
        Opt(kafka=("log.dirs", "log.dir"), env=("PYRALOG_DATA_DIR",), default="./pyralog-data without a file"),
    ] = Field("/var/lib/pyralog", min_length=1, description="All state of the node lies under this folder.")
    data_dirs: Annotated[
        tuple[Text, ...],
        BeforeValidator(split_list),
        Opt(default="[data_dir]", effect="operations"),
    ] = Field((), description="Several data disks. This release takes one.")
    log_dir: Annotated[Text, Opt(default="none without a file")] = Field(
        "/var/log/pyralog",
        description="Folder of pyralog.log, audit.log and error.log; the default where it is there. Empty: stdout.",
    )
    cluster_nodes: Annotated[
        tuple[Member, ...],
        BeforeValidator(split_list),
        Opt(kafka=("controller.quorum.voters",), env=("PYRALOG_CLUSTER_NODES",), default="[node_id]"),
    ] = Field((), description='Members: ids, or "2@node2.example.com:9093". This release runs a single node.')
    peers: Annotated[
        Mapping[int, Address],
        BeforeValidator(parse_peers),
        Opt(env=("PYRALOG_PEERS",), effect="cluster", default="none"),
    ] = Field({}, description="Internal addresses of the other members by node id.")
    rack: Annotated[Text | None, Opt(kafka=("broker.rack",), default="none")] = Field(
        None, description="Rack or zone of this node, told to clients."
    )


class NetworkSection(Section):
    """Ports, and what a connection may do."""

    listen_address: Annotated[
        OneAddress,
        Opt(kafka=("listeners",), env=("PYRALOG_LISTEN_ADDRESS",), default="127.0.0.1:9092 without a file"),
    ] = Field(Address("0.0.0.0", 9092), description="Client port: Kafka protocol and HTTP.")
    internal_address: Annotated[OneAddress, Opt(effect="cluster", default="127.0.0.1:9093 without a file")] = Field(
        Address("0.0.0.0", 9093), description="Node-to-node port, as the other nodes reach it."
    )
    advertised_address: Annotated[
        Address | None, BeforeValidator(parse_advertised), Opt(kafka=("advertised.listeners",), default="auto")
    ] = Field(None, description="What clients are told to connect to; auto derives it for each connection.")
    listeners: Annotated[tuple[ClientListener, ...], Opt(default="one, from listen_address")] = Field(
        (), description="Several client ports: a list of {name, listen, advertised, protocol}."
    )
    admin_address: Annotated[Address | None, BeforeValidator(parse_optional_address), Opt(default="none")] = Field(
        None, description="A port for HTTP alone, with what the client port serves over HTTP as well."
    )
    max_connections: Annotated[Whole, Opt(kafka=("max.connections",), scope="cluster")] = Field(
        10000, ge=1, le=INT_MAX, description="Client connections above this number are closed and counted."
    )
    max_connections_per_ip: Annotated[Whole, Opt(kafka=("max.connections.per.ip",), scope="cluster")] = Field(
        INT_MAX, ge=0, le=INT_MAX, description="The same limit for one client address."
    )
    connections_max_idle_ms: Annotated[Millis, Opt(kafka=("connections.max.idle.ms",), unit="ms", scope="cluster")] = (
        Field(
            600_000, ge=-1, le=LONG_MAX, description="Idle time after which a connection is closed; -1 never closes it."
        )
    )
    handshake_timeout_ms: Annotated[Millis, Opt(unit="ms", scope="cluster")] = Field(
        10000, ge=1, le=INT_MAX, description="Time a new connection has to send its first request."
    )
    request_timeout_ms: Annotated[Millis, Opt(kafka=("request.timeout.ms",), unit="ms", scope="cluster")] = Field(
        30000, ge=1, le=INT_MAX, description="Server-side bound on the waits of produce and admin requests."
    )
    max_request_bytes: Annotated[Bytes, Opt(kafka=("socket.request.max.bytes",), unit="bytes", scope="cluster")] = (
        Field(
            100 * MIB,
            ge=1024,
            le=MAX_REQUEST_LIMIT_BYTES,
            description="Largest request; a larger one ends the connection.",
        )
    )
    fetch_max_bytes: Annotated[Bytes, Opt(kafka=("fetch.max.bytes",), unit="bytes", scope="cluster")] = Field(
        55 * MIB, ge=1024, le=INT_MAX, description="Most bytes in one fetch answer, whatever the client asks for."
    )
    fetch_sessions: Annotated[Whole, Opt(kafka=("max.incremental.fetch.session.cache.slots",), scope="cluster")] = (
        Field(1000, ge=0, le=INT_MAX, description="Incremental fetch sessions kept.")
    )

    def client_listeners(self) -> tuple[Listener, ...]:
        """Every client port to open: `listeners`, or the one made of listen_address and advertised_address."""
        if self.listeners:
            return self.listeners
        return (Listener("PLAINTEXT", self.listen_address, self.advertised_address),)


class SegmentSection(Section):
    """Segment files."""

    max_size: Annotated[Bytes, Opt(kafka=("log.segment.bytes",), unit="bytes", scope="cluster")] = Field(
        1024 * MIB, ge=MIB, le=2**40, description="Default of the topic config segment.bytes; may exceed 4 GiB."
    )
    use_mmap: Annotated[Flag, Opt(scope="cluster")] = Field(
        True, description="Memory-map closed segments and indexes for cold reads."
    )
    sync_on_write: Annotated[Flag, Opt(scope="cluster")] = Field(
        False,
        description="Acknowledge only what is synced to disk; otherwise a power failure may lose acknowledged records.",
    )


class CacheSection(Section):
    """The write cache: how much may be written but not yet synced, and for how long."""

    max_size: Annotated[Bytes, Opt(unit="bytes", scope="cluster")] = Field(
        64 * MIB, ge=4096, le=2**40, description="Unsynced bytes at which a group sync starts."
    )
    max_buffer_time_ms: Annotated[Millis, Opt(unit="ms", scope="cluster")] = Field(
        10, ge=0, le=60_000, description="Longest time written records stay unsynced."
    )
    enabled: Annotated[Flag, Opt(scope="cluster")] = Field(
        True, description="false syncs in line with each cycle, without grouping."
    )


class CleanerSection(Section):
    """The log cleaner, which compacts topics with cleanup.policy=compact."""

    enabled: Annotated[Flag, Opt(kafka=("log.cleaner.enable",), scope="cluster")] = Field(
        True, description="false compacts nothing."
    )
    check_interval_ms: Annotated[Millis, Opt(kafka=("log.cleaner.backoff.ms",), unit="ms", scope="cluster")] = Field(
        15_000, ge=1, le=LONG_MAX, description="How often partitions that need compaction are looked for."
    )
    key_map_bytes: Annotated[Bytes, Opt(kafka=("log.cleaner.dedupe.buffer.size",), unit="bytes", scope="cluster")] = (
        Field(128 * MIB, ge=MIB, le=2**40, description="Memory for the keys of one pass, 24 bytes each.")
    )
    max_bytes_per_s: Annotated[
        Bytes, Opt(kafka=("log.cleaner.io.max.bytes.per.second",), unit="bytes", scope="cluster")
    ] = Field(0, ge=0, le=LONG_MAX, description="Most bytes a second that compaction reads; 0 sets no limit.")


class StorageSection(Section):
    """Logs on disk."""

    segment_config: SegmentSection = group(SegmentSection, "Segment files.")
    cache_config: CacheSection = group(CacheSection, "The write cache.")
    cleaner: CleanerSection = group(CleanerSection, "The log cleaner.")
    retention_check_interval_ms: Annotated[
        Millis, Opt(kafka=("log.retention.check.interval.ms",), unit="ms", scope="cluster")
    ] = Field(300_000, ge=1, le=LONG_MAX, description="How often segments past their retention are looked for.")
    producer_id_expiration_ms: Annotated[
        Millis, Opt(kafka=("producer.id.expiration.ms",), unit="ms", scope="cluster")
    ] = Field(DAY_MS, ge=1, le=INT_MAX, description="Idle time after which a partition forgets an idempotent producer.")


class QuorumSection(Section):
    """How many replicas there are, must acknowledge a write, and must take part in an election."""

    replication_factor: Annotated[
        Whole, Opt(kafka=("default.replication.factor",), default="min(3, nodes)", scope="controller")
    ] = Field(1, ge=1, le=32767, description="Replicas of a topic whose creator names no number.")
    write_quorum: Annotated[
        Whole, Opt(kafka=("min.insync.replicas",), default="min(2, replication_factor)", scope="controller")
    ] = Field(1, ge=1, le=32767, description="Replicas that hold a batch before acks=all is answered.")
    read_quorum: Annotated[Whole, Opt(default="replication_factor - write_quorum + 1", effect="cluster")] = Field(
        1, ge=1, le=32767, description="Replicas an election must reach."
    )


class ReplicationSection(Section):
    """Replication."""

    quorum: QuorumSection = group(QuorumSection, "Replicas and quorums.")
    leader_throttle_bytes_per_s: Annotated[
        Bytes, Opt(kafka=("leader.replication.throttled.rate",), unit="bytes", scope="cluster", effect="cluster")
    ] = Field(LONG_MAX, ge=0, le=LONG_MAX, description="Most bytes a second sent to throttled replicas.")
    follower_throttle_bytes_per_s: Annotated[
        Bytes, Opt(kafka=("follower.replication.throttled.rate",), unit="bytes", scope="cluster", effect="cluster")
    ] = Field(LONG_MAX, ge=0, le=LONG_MAX, description="Most bytes a second fetched for throttled replicas.")
    move_throttle_bytes_per_s: Annotated[
        Bytes,
        Opt(
            kafka=("replica.alter.log.dirs.io.max.bytes.per.second",),
            unit="bytes",
            scope="cluster",
            effect="operations",
        ),
    ] = Field(LONG_MAX, ge=0, le=LONG_MAX, description="Most bytes a second moved between the disks of a node.")


class ElectionTimeoutSection(Section):
    """Election timeout of the metadata quorum: random between min_ms and max_ms."""

    min_ms: Annotated[Millis, Opt(kafka=("controller.quorum.election.timeout.ms",), unit="ms", effect="cluster")] = (
        Field(150, ge=10, le=INT_MAX, description="Shortest election timeout.")
    )
    max_ms: Annotated[Millis, Opt(unit="ms", effect="cluster", default="300, at least twice min_ms")] = Field(
        300, ge=10, le=INT_MAX, description="Longest election timeout."
    )


class Origin(NamedTuple):
    """Where a value comes from: kind is default, profile, dev, file, env or set; where names the line or variable."""

    kind: str
    where: str = ""


class Config(Section):
    """Configuration of a Pyralog node."""

    profile: Annotated[
        Literal["low-latency", "high-throughput", "durable"] | None, Opt(env=("PYRALOG_PRESET",), default="none")
    ] = Field(
        None, description="A preset of storage and quorum keys, also called preset; keys that are set win over it."
    )
    node: NodeSection = group(NodeSection, "This node.")
    network: NetworkSection = group(NetworkSection, "Ports and connections.")
    storage: StorageSection = group(StorageSection, "Logs on disk.")
    topics: TopicsSection = group(TopicsSection, "Topics and their defaults.")
    replication: ReplicationSection = group(ReplicationSection, "Replication.")
    election_timeout: ElectionTimeoutSection = group(
        ElectionTimeoutSection, "Election timeout, also accepted under replication."
    )
    groups: GroupsSection = group(GroupsSection, "Consumer groups.")
    transactions: TransactionsSection = group(TransactionsSection, "Transactions.")
    metrics: MetricsSection = group(MetricsSection, "Metrics.")
    logging: LoggingSection = group(LoggingSection, "Log files.")

    _origins: Mapping[str, Origin] = PrivateAttr(default_factory=lambda: MappingProxyType({}))

    @property
    def origins(self) -> Mapping[str, Origin]:
        """Source of each key that is not at its default, by dotted path."""
        return self._origins

    def with_origins(self, origins: Mapping[str, Origin]) -> "Config":
        """This configuration, remembering where its values came from."""
        copy = self.model_copy()
        copy._origins = MappingProxyType(dict(origins))
        return copy
