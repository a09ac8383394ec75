"""Fuzz target of the quick way of offset commits: what it takes is what the schemas read, and has the same effect."""

from __future__ import annotations

import random
from collections.abc import Callable

from pyralog._speedups.commits import parse_commit
from pyralog._speedups.journal import Entry
from pyralog.coordinator.group.offsets import MAKE_COMMITTED, Offsets, commit_record
from pyralog.wire.coordinator_records import encode_key, encode_value
from tests.speedups.test_commits import MOST, VERSIONS, answer_to, decoded, fields, frame_of, rows_of, some_request

NOW = 77
NAME, ID = "named by its id", bytes([9]) * 16


def commit_seeds() -> list[bytes]:
    rng = random.Random(8)
    return [frame_of(version, some_request(rng, version), "fuzz") for version in VERSIONS for _ in range(6)]


def open_commits() -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        """A frame with its header, without its length."""
        commit = parse_commit(data, MOST)
        if commit is None:
            return
        message = decoded(data)
        assert fields(commit) == fields(message)
        assert commit.answer == answer_to(data, message)
        assert message.retention_time_ms < 0
        for topic in (*commit.topics, *message.topics):
            topic.name, topic.topic_id = topic.name or NAME, ID
        made, wanted, known = Entry(None, 0), Entry(None, 0), Offsets()
        for at, row in enumerate(rows_of(message, NOW)):
            key, value, version = commit_record(message.group_id, *row)
            wanted.add(NOW, encode_key(key), encode_value(value, version))
            known.replay(key, value, at, None)
        commit.records(made, NOW)
        assert made.batch() == wanted.batch()
        kept = Offsets()
        kept.count = commit.store(kept.groups, MAKE_COMMITTED, 0, NOW)
        assert kept.groups == known.groups
        assert kept.count == known.count

    return run
