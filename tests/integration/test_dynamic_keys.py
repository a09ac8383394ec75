"""Every config that can be set while running is set, shown, reaches the part that goes by it, and is taken back."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from pyralog.config.dynamic import DynamicConfig, dynamic_configs, read
from pyralog.config.topics import TOPIC_CONFIGS
from pyralog.model import TopicPartition
from pyralog.testing import Broker
from tests.integration.conftest import until
from tests.integration.dynamic import Admin, running
from tests.integration.test_dynamic_config import commit, join
from tests.log_batches import make_batch

pytestmark = pytest.mark.pyralog_only

# A value other than the default for each. None is forgotten: the first test compares the names.
VALUES = """\
max.connections=77  max.connections.per.ip=78  connections.max.idle.ms=79000  network.handshake_timeout_ms=8s
request.timeout.ms=29000  socket.request.max.bytes=1000000  fetch.max.bytes=1000000
max.incremental.fetch.session.cache.slots=7
log.segment.bytes=2000000  storage.segment_config.use_mmap=false  storage.segment_config.sync_on_write=true
storage.cache_config.max_size=8MiB  storage.cache_config.max_buffer_time_ms=20ms  storage.cache_config.enabled=false
log.cleaner.enable=false  log.cleaner.backoff.ms=7000  log.cleaner.dedupe.buffer.size=2000000
log.cleaner.io.max.bytes.per.second=3000000  log.retention.check.interval.ms=9000  producer.id.expiration.ms=90000
leader.replication.throttled.rate=1000000  follower.replication.throttled.rate=2000000
replica.alter.log.dirs.io.max.bytes.per.second=3000000
num.partitions=3  auto.create.topics.enable=false  delete.topic.enable=false  max.request.partition.size.limit=9
log.cleanup.policy=delete,compact  compression.type=zstd  compression.gzip.level=3  compression.lz4.level=4
compression.zstd.level=5  message.max.bytes=900000  max.decompressed.message.bytes=800000
log.message.timestamp.type=LogAppendTime  log.message.timestamp.before.max.ms=700000
log.message.timestamp.after.max.ms=600000  log.retention.ms=500000  log.retention.bytes=400000  log.roll.ms=300000
log.roll.jitter.ms=2000  log.index.size.max.bytes=100000  log.index.interval.bytes=2000
log.flush.interval.messages=3000  log.flush.interval.ms=4000  log.segment.delete.delay.ms=5000  log.preallocate=true
log.cleaner.delete.retention.ms=6000  log.cleaner.min.cleanable.ratio=0.25  log.cleaner.min.compaction.lag.ms=7000
log.cleaner.max.compaction.lag.ms=8000  unclean.leader.election.enable=true
group.initial.rebalance.delay.ms=9  group.min.session.timeout.ms=7000  group.max.session.timeout.ms=80000
group.max.size=9  group.consumer.session.timeout.ms=50000  group.consumer.min.session.timeout.ms=40000
group.consumer.max.session.timeout.ms=70000  group.consumer.heartbeat.interval.ms=6000
group.consumer.min.heartbeat.interval.ms=4000  group.consumer.max.heartbeat.interval.ms=16000
group.consumer.assignment.interval.ms=2000  group.consumer.min.assignment.interval.ms=1
group.consumer.max.assignment.interval.ms=17000  group.consumer.assignors=range
group.consumer.migration.policy=bidirectional  group.consumer.max.size=11  offsets.retention.minutes=12
offsets.retention.check.interval.ms=13000  offset.metadata.max.bytes=14
transaction.max.timeout.ms=15000  transactional.id.expiration.ms=16000
transaction.remove.expired.transaction.cleanup.interval.ms=17000
metrics.families=native,process  metrics.max_series=5000  logging.level=info,pyralog.wire=debug
"""
WANTED = dict(entry.split("=", 1) for line in VALUES.splitlines() for entry in line.split("  "))
# One node has room for these values alone, which are their defaults.
AS_THEY_ARE = {"default.replication.factor": "1", "min.insync.replicas": "1"}


def test_none_is_forgotten() -> None:
    assert WANTED.keys() | AS_THEY_ARE.keys() == dynamic_configs().keys()


# A level can be seen at work only beside its codec.
BESIDE = {f"compression.{codec}.level": {"compression.type": codec} for codec in ("gzip", "lz4", "zstd")}


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[Broker, Admin]]:
    with running(groups__consumer_migration_policy="disabled") as (broker, admin):
        assert commit(admin, "g") == 0
        yield broker, admin


def parts(broker: Broker) -> Any:
    assert broker._node is not None
    return broker._node


def seen(broker: Broker, dynamic: DynamicConfig) -> Any:
    """The value as the part has it that goes by it; the whole configuration's where a part cannot be asked."""
    node, section, leaf = parts(broker), dynamic.key.path[0], dynamic.key.path[-1]
    if any(topic.path == dynamic.key.name for topic in TOPIC_CONFIGS.values()):
        return node._lifecycle.replicas[TopicPartition("t", 0)].settings
    if section == "groups":
        machines = list(node._coordinators.groups.runtime.machines())
        assert machines
        assert all(machine.settings == node._coordinators.groups.settings for machine in machines)
        return getattr(machines[0].settings, leaf)
    if dynamic.key.path[:2] == ("storage", "cleaner"):
        cleaner = node._maintenance.cleaner.settings
        return node._maintenance._settings.clean_interval_ms if leaf == "check_interval_ms" else (cleaner, leaf)
    if dynamic.key.path[:1] == ("storage",) and len(dynamic.key.path) == 2:
        return getattr(node._maintenance._settings, leaf)
    if section == "metrics":
        return getattr(node._http._sources.config.metrics, leaf)
    if leaf in ("auto_create", "request_timeout_ms", "max_described_partitions"):
        names = {"auto_create": "auto_create_topics"}
        return getattr(node.api, names.get(leaf, leaf))
    if section == "topics":
        return node._quorum._controller.settings
    if section == "transactions":
        return node._coordinators.transactions.settings
    value: Any = node.live.current
    for name in dynamic.key.path:
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("name", WANTED)
def test_a_value_is_set_shown_used_and_taken_back(name: str, node: tuple[Broker, Admin]) -> None:
    broker, admin = node
    assert admin.alter(BESIDE.get(name, {})) == (0, None)
    dynamic, before = dynamic_configs()[name], seen(broker, dynamic_configs()[name])
    shown_before = admin.configs()[name].value
    assert admin.alter({name: WANTED[name]}) == (0, None)
    after = seen(broker, dynamic)
    wanted = read(dynamic, WANTED[name], parts(broker).live.current)
    assert after != before
    if type(after) is type(wanted):
        assert after == wanted
    shown = admin.configs()[name]
    assert (shown.config_source, shown.is_sensitive, shown.read_only) == (3, False, False)
    assert shown.synonyms[0].source == 3
    assert read(dynamic, shown.value, parts(broker).live.current) == wanted, "what is shown can be set again"
    assert admin.alter({name: None}) == (0, None)
    assert seen(broker, dynamic) == before
    assert admin.configs()[name].value == shown_before
    assert admin.alter(dict.fromkeys(BESIDE.get(name, {}))) == (0, None)


def test_all_at_once_and_back(node: tuple[Broker, Admin]) -> None:
    broker, admin = node
    before = parts(broker).live.current.model_dump()
    assert admin.alter({**WANTED, **AS_THEY_ARE}) == (0, None)
    shown = admin.configs()
    assert all(shown[name].config_source == 3 for name in WANTED)
    assert admin.alter(dict.fromkeys({**WANTED, **AS_THEY_ARE})) == (0, None)
    assert parts(broker).live.current.model_dump() == before


def test_families_of_metrics(node: tuple[Broker, Admin]) -> None:
    broker, admin = node

    def families() -> set[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{broker.port}/metrics", timeout=30) as answer:
            return {line.split("_")[0].split()[-1] for line in answer.read().decode().splitlines() if line[0] != "#"}

    assert families() == {"pyralog", "process", "kafka"}
    assert admin.alter({"metrics.families": "process"}) == (0, None)
    assert families() == {"process"}
    assert admin.alter({"metrics.families": None}) == (0, None)


def test_the_cleaner(node: tuple[Broker, Admin]) -> None:
    broker, admin = node
    admin.create_topics(["c"], 1, 1, {"internal.segment.bytes": 200})
    for _ in range(10):
        assert admin.produce("c", data=make_batch(0, key=b"k", timestamp=2**40, value=b"v" * 100)) == 0
    settings = {"log.cleanup.policy": "compact", "log.cleaner.min.cleanable.ratio": "0", "log.cleaner.backoff.ms": "50"}
    passes = parts(broker)._maintenance.cleaner.counters.passes
    assert admin.alter(settings) == (0, None)
    until(lambda: parts(broker)._maintenance.cleaner.counters.passes > passes, "the log is compacted")
    assert admin.alter({"log.cleaner.enable": "false"}) == (0, None)
    assert admin.alter(dict.fromkeys((*settings, "log.cleaner.enable"))) == (0, None)


def test_the_wait_for_members(node: tuple[Broker, Admin]) -> None:
    """A group's first rebalance waits 3 s for more members; without the wait its answer comes at once."""
    broker, admin = node
    assert admin.alter({"group.initial.rebalance.delay.ms": "0"}) == (0, None)
    with Admin(broker.port, timeout_s=2) as member:
        assert join(member, "waits-for-nobody").error_code == 0
    assert admin.alter({"group.initial.rebalance.delay.ms": None}) == (0, None)
