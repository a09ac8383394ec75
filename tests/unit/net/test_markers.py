"""The order in which markers were issued, as verifications ask for it."""

from __future__ import annotations

from pyralog.model import TopicPartition
from pyralog.net.markers import Markers

T0, T1 = TopicPartition("t", 0), TopicPartition("t", 1)


def test_only_markers_of_the_producer_in_the_partition_count() -> None:
    markers = Markers()
    before = markers.number
    markers.issue(T0, 7)
    assert markers.since(T0, 7, before)
    assert not markers.since(T0, 8, before)
    assert not markers.since(T1, 7, before)
    assert not markers.since(T0, 7, markers.number)


def test_of_a_forgotten_one_the_worst_is_assumed() -> None:
    markers = Markers(most=2)
    markers.issue(T0, 1)
    guard = markers.number
    markers.issue(T0, 2)
    markers.issue(T0, 3)  # forgets the marker of producer 1
    assert not markers.since(T0, 1, guard)
    assert markers.since(T0, 1, guard - 1)
    markers.issue(T0, 1)
    markers.issue(T0, 4)
    assert markers.since(T0, 99, guard), "its last marker may have been the one that was forgotten"
