"""Environment names, their precedence, and compose files written for the apache/kafka image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyralog.config.effective import config_value
from pyralog.config.endpoints import Address, ClusterNode, Listener
from pyralog.config.kafka_names import property_name
from pyralog.config.keys import all_keys, by_env_name
from pyralog.config.loader import Loaded, load
from pyralog.config.problems import ConfigError

# The single-node compose file of the Apache Kafka distribution (docker/examples), as people copy it.
APACHE_SINGLE_NODE = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT",
    "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT_HOST://localhost:9092,PLAINTEXT://broker:19092",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@broker:29093",
    "KAFKA_LISTENERS": "CONTROLLER://:29093,PLAINTEXT_HOST://:9092,PLAINTEXT://:19092",
    "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "CLUSTER_ID": "4L6g3nShT-eMCtK--X86sw",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_LOG_DIRS": "/tmp/kraft-combined-logs",
}


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("KAFKA_LOG_RETENTION_MS", "log.retention.ms"),
        ("KAFKA_A__B_C", "a_b.c"),
        ("KAFKA_A___B", "a-b"),
        ("KAFKA_A____B", "a-.b"),
    ],
)
def test_rule_of_the_image(variable: str, name: str) -> None:
    assert property_name(variable) == name


def test_apache_compose_file() -> None:
    loaded = load(environ=APACHE_SINGLE_NODE)
    config = loaded.config
    assert config.network.client_listeners() == (
        Listener("PLAINTEXT_HOST", Address("0.0.0.0", 9092), Address("localhost", 9092)),
        Listener("PLAINTEXT", Address("0.0.0.0", 19092), Address("broker", 19092)),
    )
    assert config.network.internal_address == Address("0.0.0.0", 29093)
    assert config.node.cluster_nodes == (ClusterNode(1, Address("broker", 29093)),)
    assert config.node.data_dir == "/tmp/kraft-combined-logs"
    assert config.groups.initial_rebalance_delay_ms == 0
    assert (config.groups.offsets_replication_factor, config.transactions.state_min_isr) == (1, 1)
    assert loaded.warnings == ("unused environment variables: KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR",)


def test_one_listener_of_a_test_suite() -> None:
    environ = {
        "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://localhost:29092",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_NUM_PARTITIONS": "4",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_DELETE_TOPIC_ENABLE": "true",
        "KAFKA_MESSAGE_MAX_BYTES": "2000000",
        "KAFKA_LOG_RETENTION_HOURS": "-1",
        "KAFKA_LOG_SEGMENT_BYTES": "1048576",
        "KAFKA_LOG_ROLL_MS": "1000",
        "KAFKA_COMPRESSION_TYPE": "gzip",
        "KAFKA_LOG_CLEANUP_POLICY": "compact,delete",
        "KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE": "LogAppendTime",
        "KAFKA_MAX_CONNECTIONS": "100",
        "KAFKA_MAX_CONNECTIONS_PER_IP": "10",
        "KAFKA_HEAP_OPTS": "-Xmx512m",
        "KAFKA_OPTS": "",
    }
    loaded = load(environ=environ)
    config, defaults = loaded.config, loaded.config.topics.defaults
    assert loaded.warnings == ()
    assert config.network.listeners == ()
    assert (config.network.listen_address, config.network.advertised_address) == (
        Address("0.0.0.0", 9092),
        Address("localhost", 29092),
    )
    assert (config.topics.num_partitions, config.topics.auto_create, config.topics.allow_delete) == (4, False, True)
    assert (defaults.max_message_bytes, defaults.retention_ms, defaults.segment_ms) == (2000000, -1, 1000)
    assert (defaults.compression_type, defaults.cleanup_policy) == ("gzip", ("compact", "delete"))
    assert config.storage.segment_config.max_size == 1048576
    assert (config.network.max_connections, config.network.max_connections_per_ip) == (100, 10)


def test_kafkas_own_order_of_synonyms() -> None:
    environ = {"KAFKA_LOG_RETENTION_HOURS": "1", "KAFKA_LOG_RETENTION_MS": "5", "KAFKA_LOG_RETENTION_MINUTES": "2"}
    assert load(environ=environ).config.topics.defaults.retention_ms == 5
    del environ["KAFKA_LOG_RETENTION_MS"]
    assert load(environ=environ).config.topics.defaults.retention_ms == 120_000
    assert load(environ={"KAFKA_LOG_DIR": "/a", "KAFKA_LOG_DIRS": "/b"}).config.node.data_dir == "/b"
    assert load(environ={"KAFKA_BROKER_ID": "4", "KAFKA_NODE_ID": "5"}).config.node.node_id == 5


@pytest.mark.parametrize(
    ("environ", "report"),
    [
        ({"KAFKA_LISTENERS": "localhost:9092"}, "is not a listener such as"),
        ({"KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://0.0.0.0:9092"}, "clients cannot connect to 0.0.0.0"),
        ({"KAFKA_PROCESS_ROLES": "controller"}, "every node is a broker here"),
        ({"KAFKA_NUM_PARTITIONS": "0"}, "KAFKA_NUM_PARTITIONS topics.num_partitions: 0 is out of range"),
    ],
)
def test_wrong_kafka_variables(environ: dict[str, str], report: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ=environ)
    assert report in str(caught.value)


def test_precedence(load_text: Callable[..., Loaded]) -> None:
    text = "network: {max_connections: 1}\nnode: {node_id: 1}\n"

    def loaded(*settings: str, **environ: str) -> int:
        return load_text(text, environ=environ, settings=settings).config.network.max_connections

    assert loaded() == 1
    assert loaded(KAFKA_MAX_CONNECTIONS="2") == 2
    assert loaded(KAFKA_MAX_CONNECTIONS="2", PYRALOG_NETWORK_MAX_CONNECTIONS="3") == 3
    assert loaded("network.max_connections=4", PYRALOG_NETWORK_MAX_CONNECTIONS="3") == 4
    assert loaded("network.max_connections=4", "network.max_connections=5") == 5


def test_node_id_names(load_text: Callable[..., Loaded]) -> None:
    def node_id(**environ: str) -> int:
        return load(environ=environ).config.node.node_id

    assert node_id(NODE_ID="0") == 0
    assert node_id(KAFKA_NODE_ID="7", NODE_ID="8") == 8
    assert node_id(NODE_ID="8", PYRALOG_NODE_NODE_ID="9") == 9
    assert node_id(NODE_ID="8", PYRALOG_NODE_NODE_ID="9", PYRALOG_NODE_ID="10") == 10


def test_every_key_has_its_systematic_name() -> None:
    names = [name for key in all_keys().values() for name in key.env]
    assert len(names) == len(set(names)), "two keys share a name"
    for key in all_keys().values():
        assert by_env_name()["PYRALOG_" + "_".join(key.path).upper()] is key


def test_empty_variables_count_as_unset() -> None:
    assert load(environ={"PYRALOG_NODE_ID": "", "KAFKA_NUM_PARTITIONS": " "}).config.node.node_id == 1


def test_one_warning_lists_what_is_unused() -> None:
    environ = {"PYRALOG_NODE_DI": "1", "PYRALOG_LOG": "info", "KAFKA_ZOOKEEPER_CONNECT": "zk:2181", "HOME": "/"}
    (warning,) = load(environ=environ).warnings
    assert warning == (
        "unused environment variables: KAFKA_ZOOKEEPER_CONNECT, PYRALOG_NODE_DI (did you mean PYRALOG_NODE_ID?)"
    )


def test_peers_and_lists() -> None:
    environ = {"PYRALOG_CLUSTER_NODES": "1,2@b:9093", "PYRALOG_PEERS": "2=b:9093"}
    config = load(environ=environ).config
    assert config.node.cluster_nodes == (ClusterNode(1), ClusterNode(2, Address("b", 9093)))
    assert config.node.peers == {2: Address("b", 9093)}
    listed = load(environ={"PYRALOG_NODE_CLUSTER_NODES": '[1, {id: 2, internal_address: "b:9093"}]'}).config
    assert listed.node.cluster_nodes == config.node.cluster_nodes


def test_every_value_of_print_config_can_be_given_by_its_variable(tmp_path: Path) -> None:
    from pyralog.config.printing import config_text

    config = load(environ={"PYRALOG_PROFILE": "low-latency", "PYRALOG_NODE_RACK": "r1"}).config
    file = tmp_path / "printed.yaml"
    file.write_text(config_text(config), encoding="utf-8")
    again = load(str(file)).config
    assert again.model_dump() == config.model_dump()
    assert config_value(again, "node.rack") == "r1"
