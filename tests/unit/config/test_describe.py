"""DescribeConfigs (trap 19): compared with what a real Kafka 4.4.0 answers."""

from __future__ import annotations

from pathlib import Path

from pyralog.config.describe import ConfigEntry, Source, describe_broker, describe_cluster, describe_topic, topic_value
from pyralog.config.effective import BrokerDefaults
from pyralog.config.loader import load
from pyralog.config.topics import ConfigType

SOURCES = {
    Source.TOPIC: "DYNAMIC_TOPIC_CONFIG",
    Source.DYNAMIC_BROKER: "DYNAMIC_BROKER_CONFIG",
    Source.DYNAMIC_DEFAULT_BROKER: "DYNAMIC_DEFAULT_BROKER_CONFIG",
    Source.STATIC_BROKER: "STATIC_BROKER_CONFIG",
    Source.DEFAULT: "DEFAULT_CONFIG",
}
RECORDED = Path(__file__).parent / "testdata" / "kafka-4.4.0-topic-configs.txt"


def broker(*settings: str, **layers: dict[str, str]) -> BrokerDefaults:
    return BrokerDefaults(load(settings=settings).config, layers.get("cluster"), layers.get("node"))


def line(entry: ConfigEntry) -> str:
    synonyms = " ".join(f"{name}={value}({SOURCES[source]})" for name, value, source in entry.synonyms)
    kind = ConfigType(entry.kind).name
    return f"{entry.name}|{entry.value}|{SOURCES[entry.source]}|{kind}|{synonyms}"


def by_name(entries: list[ConfigEntry]) -> dict[str, ConfigEntry]:
    return {entry.name: entry for entry in entries}


def test_topic_configs_equal_kafkas() -> None:
    recorded = [text for text in RECORDED.read_text(encoding="utf-8").splitlines() if not text.startswith("#")]
    entries = describe_topic({"retention.ms": "1000", "cleanup.policy": "compact"}, broker())
    ours = {entry.name: line(entry) for entry in entries}
    assert len(ours) == 37
    assert [ours[text.split("|")[0]] for text in recorded] == recorded


def test_types_and_defaults_of_broker_configs_equal_kafkas() -> None:
    entries = by_name(describe_broker(broker()))
    text = (RECORDED.parent / "kafka-4.4.0-broker-configs.txt").read_text(encoding="utf-8")
    recorded = [row.split("|") for row in text.splitlines() if not row.startswith("#")]
    assert len(recorded) > 80
    differs = set()
    for name, kind, default, read_only in recorded:
        entry = entries[name]
        assert ConfigType(entry.kind).name == kind, name
        if default != "-" and str(entry.value) != default:
            differs.add(name)
        # What Kafka lets be set while running can be set here too; and more, which decisions/0001 tells.
        assert not (entry.read_only and read_only == "false") or name == "listeners", name
    # Kafka shows no value where its default is given in another unit; the rest is ours to choose.
    assert differs == {
        "broker.id",
        "controller.quorum.election.timeout.ms",
        "controller.quorum.voters",
        "listeners",
        "log.dir",
        "log.flush.interval.ms",
        "log.retention.minutes",
        "log.retention.ms",
        "log.roll.jitter.ms",
        "log.roll.ms",
        "max.connections",
        "offsets.topic.replication.factor",
        "transaction.state.log.min.isr",
        "transaction.state.log.replication.factor",
    }


def test_cleanup_policy_is_a_default_unless_set() -> None:
    entry = by_name(describe_topic({}, broker()))["cleanup.policy"]
    assert (entry.value, entry.source) == ("delete", Source.DEFAULT)


def test_all_layers_show_as_synonyms() -> None:
    layers = {"cluster": {"compression.type": "zstd"}, "node": {"compression.type": "lz4"}}
    layered = broker("topics.defaults.compression_type=snappy", **layers)
    entry = by_name(describe_topic({"compression.type": "gzip"}, layered))["compression.type"]
    assert entry.value == "gzip"
    assert [(value, SOURCES[source]) for _, value, source in entry.synonyms] == [
        ("gzip", "DYNAMIC_TOPIC_CONFIG"),
        ("lz4", "DYNAMIC_BROKER_CONFIG"),
        ("zstd", "DYNAMIC_DEFAULT_BROKER_CONFIG"),
        ("snappy", "STATIC_BROKER_CONFIG"),
        ("producer", "DEFAULT_CONFIG"),
    ]


def test_values_show_in_their_normal_form() -> None:
    assert topic_value("retention.ms", {"retention.ms": " 077 "}, broker()) == "77"
    assert topic_value("retention.ms", {}, broker(cluster={"log.retention.ms": " 5"})) == "5"


def test_testing_key_shows_only_where_it_is_set() -> None:
    assert "internal.segment.bytes" not in by_name(describe_topic({}, broker()))
    assert by_name(describe_topic({"internal.segment.bytes": "5"}, broker()))["internal.segment.bytes"].value == "5"


def test_broker_configs() -> None:
    entries = by_name(describe_broker(broker("topics.num_partitions=4", "topics.auto_create=false")))
    for name in ("num.partitions", "default.replication.factor", "min.insync.replicas", "auto.create.topics.enable"):
        assert name in entries
    partitions = entries["num.partitions"]
    assert (partitions.value, partitions.source, partitions.read_only) == ("4", Source.STATIC_BROKER, False)
    assert entries["node.id"].read_only
    assert entries["log.retention.hours"].read_only, "only the strongest name can be set while running"
    assert not entries["log.retention.ms"].read_only
    assert not entries["storage.cache_config.max_size"].read_only
    assert [(value, source) for _, value, source in partitions.synonyms] == [
        ("4", Source.STATIC_BROKER),
        ("1", Source.DEFAULT),
    ]
    assert partitions.kind == ConfigType.INT
    assert entries["auto.create.topics.enable"].value == "false"
    assert entries["log.retention.hours"].value == "168"
    assert entries["listeners"].value == "PLAINTEXT://127.0.0.1:9092"
    assert entries["advertised.listeners"].value is None
    assert entries["node.id"].value == "1"
    assert entries["log.dirs"].value == "./pyralog-data"
    assert entries["storage.cache_config.max_size"].value == "67108864"
    assert entries["log.message.timestamp.before.max.ms"].kind == ConfigType.LONG
    assert entries["offsets.topic.replication.factor"].kind == ConfigType.SHORT
    assert all(entry.documentation for entry in entries.values())


def test_dynamic_values_show_in_the_unit_of_each_name() -> None:
    layers = {"cluster": {"offsets.retention.minutes": " 05", "storage.cache_config.max_size": "8MiB"}}
    entries = by_name(describe_broker(broker("network.max_connections=3", **layers, node={"max.connections": "2"})))
    assert line(entries["offsets.retention.minutes"]) == (
        "offsets.retention.minutes|5|DYNAMIC_DEFAULT_BROKER_CONFIG|INT|"
        "offsets.retention.minutes=5(DYNAMIC_DEFAULT_BROKER_CONFIG) offsets.retention.minutes=10080(DEFAULT_CONFIG)"
    )
    assert line(entries["storage.cache_config.max_size"]).startswith(
        "storage.cache_config.max_size|8388608|DYNAMIC_DEFAULT_BROKER_CONFIG|LONG|"
    )
    assert line(entries["max.connections"]) == (
        "max.connections|2|DYNAMIC_BROKER_CONFIG|INT|max.connections=2(DYNAMIC_BROKER_CONFIG) "
        "max.connections=3(STATIC_BROKER_CONFIG) max.connections=10000(DEFAULT_CONFIG)"
    )
    assert [line(entry) for entry in describe_cluster(broker(**layers))] == [
        "offsets.retention.minutes|5|DYNAMIC_DEFAULT_BROKER_CONFIG|INT|"
        "offsets.retention.minutes=5(DYNAMIC_DEFAULT_BROKER_CONFIG)",
        "storage.cache_config.max_size|8388608|DYNAMIC_DEFAULT_BROKER_CONFIG|LONG|"
        "storage.cache_config.max_size=8388608(DYNAMIC_DEFAULT_BROKER_CONFIG)",
    ]


def test_dynamic_broker_configs_show_and_may_be_changed() -> None:
    defaults = broker(cluster={"message.max.bytes": "2000000"}, node={"log.retention.ms": "5000"})
    entries = by_name(describe_broker(defaults))
    assert (entries["message.max.bytes"].value, entries["message.max.bytes"].source) == (
        "2000000",
        Source.DYNAMIC_DEFAULT_BROKER,
    )
    assert not entries["message.max.bytes"].read_only
    assert (entries["log.retention.ms"].value, entries["log.retention.ms"].source) == ("5000", Source.DYNAMIC_BROKER)
    assert [line(entry) for entry in describe_cluster(defaults)] == [
        "message.max.bytes|2000000|DYNAMIC_DEFAULT_BROKER_CONFIG|INT|"
        "message.max.bytes=2000000(DYNAMIC_DEFAULT_BROKER_CONFIG)"
    ]
