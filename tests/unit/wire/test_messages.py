import pathlib
import runpy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyralog.wire import loading
from pyralog.wire import messages as m

ROOT = pathlib.Path(__file__).parents[3]


def test_the_typed_stub_is_up_to_date() -> None:
    render = runpy.run_path(str(ROOT / "tools" / "make_message_stubs.py"))["render"]
    assert (ROOT / "pyralog" / "wire" / "messages.pyi").read_text() == render()


def test_defaults_are_those_of_kafka_and_not_shared() -> None:
    request = m.FetchRequest()
    assert (request.max_bytes, request.session_epoch, request.cluster_id) == (0x7FFFFFFF, -1, None)
    assert request.replica_state == m.FetchRequestReplicaState(replica_id=-1, replica_epoch=-1)
    request.topics.append(m.FetchRequestFetchTopic(topic="a"))
    assert m.FetchRequest().topics == []
    assert request.replica_state is not m.FetchRequest().replica_state


def test_fields_are_slots_and_names_are_checked() -> None:
    topic = m.CreatableTopic(name="a", num_partitions=3)
    with pytest.raises(AttributeError):
        topic.nmae = "b"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="CreatableTopic has no field 'partitions'"):
        m.CreatableTopic(partitions=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="keyword arguments only"):
        m.CreatableTopic("a")  # type: ignore[misc]
    with pytest.raises(TypeError):
        hash(topic)


def test_equality_and_repr() -> None:
    one = m.MetadataRequestTopic(name="a")
    assert one == m.MetadataRequestTopic(name="a")
    assert one != m.MetadataRequestTopic(name="b")
    assert one != "a"
    assert repr(m.DeleteTopicState(name="t")) == f"DeleteTopicState(name='t', topic_id={bytes(16)!r})"
    assert repr(m.SaslHandshakeRequest(mechanism="PLAIN")) == "SaslHandshakeRequest(mechanism='PLAIN')"


def test_names_of_the_module() -> None:
    assert {"MetadataRequest", "FetchResponsePartitionData", "Message"} <= set(dir(m))
    assert all(getattr(m, name).__name__ == name for name in loading.class_names())
    with pytest.raises(AttributeError, match="NoSuchRequest"):
        m.NoSuchRequest  # type: ignore[attr-defined]  # noqa: B018


def test_threads_that_load_an_api_at_once_get_the_same_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node imports its handlers beside the loop, which serves requests meanwhile."""
    monkeypatch.setattr(loading, "_LOADED", {})
    load, both = loading._load, threading.Barrier(2)

    def slow(module: str, entry: int | str) -> loading.Loaded:
        both.wait(10)
        return load(module, entry)

    monkeypatch.setattr(loading, "_load", slow)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(loading.load_api, (19, 19))
    assert first is second
