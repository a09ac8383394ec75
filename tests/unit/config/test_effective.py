"""Settings of a topic: its own values over dynamic broker configs over the file over defaults."""

from __future__ import annotations

import pytest

from pyralog.config.effective import BrokerDefaults, check_together, effective
from pyralog.config.loader import load
from pyralog.errors import ErrorCode, KafkaError

GIB = 1024**3


def broker(*settings: str, **layers: dict[str, str]) -> BrokerDefaults:
    return BrokerDefaults(load(settings=settings).config, layers.get("cluster"), layers.get("node"))


def test_defaults() -> None:
    settings = effective({}, broker())
    assert settings.max_message_bytes == 1048588
    assert settings.compression == -1
    assert settings.compression_level is None
    assert (settings.append_time, settings.compacted, settings.deletes) == (False, False, True)
    assert (settings.segment_bytes, settings.segment_ms, settings.segment_jitter_ms) == (GIB, 604800000, 0)
    assert (settings.retention_ms, settings.retention_bytes) == (604800000, -1)
    assert (settings.min_insync_replicas, settings.use_mmap, settings.preallocate) == (1, True, False)
    assert settings.flush_messages == settings.flush_ms == 2**63 - 1
    assert (settings.timestamp_before_max_ms, settings.timestamp_after_max_ms) == (2**63 - 1, 3600000)
    assert (settings.index_interval_bytes, settings.segment_index_bytes) == (4096, 10485760)
    assert settings.file_delete_delay_ms == 60000


def test_layers() -> None:
    file = ["topics.defaults.retention_ms=1"]
    cluster, node = {"log.retention.ms": "2"}, {"log.retention.ms": "3"}
    assert effective({}, broker(*file)).retention_ms == 1
    assert effective({}, broker(*file, cluster=cluster)).retention_ms == 2
    assert effective({}, broker(*file, cluster=cluster, node=node)).retention_ms == 3
    assert effective({"retention.ms": " 4 "}, broker(*file, cluster=cluster, node=node)).retention_ms == 4


def test_an_empty_dynamic_list_is_a_value() -> None:
    settings = effective({}, broker(cluster={"log.cleanup.policy": ""}))
    assert (settings.compacted, settings.deletes) == (False, False)


def test_topics_without_overrides_share_one_object() -> None:
    defaults = broker()
    assert effective({}, defaults) is effective({}, defaults)


def test_write_quorum_is_the_floor_of_min_insync_replicas() -> None:
    three = broker("node.cluster_nodes=1,2,3")
    assert effective({}, three).min_insync_replicas == 2
    assert effective({"min.insync.replicas": "3"}, three).min_insync_replicas == 3


def test_segments_beyond_int32_come_from_the_file_only() -> None:
    """SL-8: the guide's 4 GiB segments; Kafka's segment.bytes is an int32."""
    big = broker("storage.segment_config.max_size=4GiB")
    assert effective({}, big).segment_bytes == 4 * GIB
    assert big.inherited("segment.bytes").text == "2147483647"
    assert effective({"segment.bytes": "2147483647"}, big).segment_bytes == 2147483647
    assert effective({"segment.bytes": "1048576", "internal.segment.bytes": "100"}, big).segment_bytes == 100


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"compression.type": "uncompressed"}, (0, None)),
        ({"compression.type": "gzip"}, (1, None)),
        ({"compression.type": "gzip", "compression.gzip.level": "5"}, (1, 5)),
        ({"compression.type": "snappy"}, (2, None)),
        ({"compression.type": "lz4"}, (3, 9)),
        ({"compression.type": "zstd", "compression.zstd.level": "-5"}, (4, -5)),
    ],
)
def test_compression(overrides: dict[str, str], expected: tuple[int, int | None]) -> None:
    settings = effective(overrides, broker())
    assert (settings.compression, settings.compression_level) == expected


def test_a_compacted_topic_closes_its_segment_in_time_for_its_oldest_record() -> None:
    overrides = {"max.compaction.lag.ms": "1000"}
    assert effective(overrides, broker()).segment_ms == 604800000
    compacted = effective({**overrides, "cleanup.policy": "compact"}, broker())
    assert (compacted.segment_ms, compacted.compacted, compacted.deletes) == (1000, True, False)


def test_jitter_never_exceeds_the_roll_time() -> None:
    assert effective({"segment.ms": "10", "segment.jitter.ms": "99"}, broker()).segment_jitter_ms == 10


def test_compaction_lags_must_agree() -> None:
    overrides = {"min.compaction.lag.ms": "99", "max.compaction.lag.ms": "9"}
    with pytest.raises(KafkaError) as caught:
        check_together(overrides, broker())
    assert caught.value.code is ErrorCode.INVALID_CONFIG
    assert caught.value.why == "conflict topic config setting min.compaction.lag.ms (99) > max.compaction.lag.ms (9)"
