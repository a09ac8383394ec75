"""The answers to OffsetCommit and TxnOffsetCommit, which differ only in their classes: an error for each partition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from pyralog.errors import ErrorCode

R = TypeVar("R")

# Topic, id, partition, and why it was not given to the group (coordinators.judge_offset_topics).
Refused = tuple[str, bytes, int, ErrorCode]


class OffsetAnswers(NamedTuple, Generic[R]):
    """The classes of an answer, of its topics and of their partitions."""

    response: Callable[..., R]
    topic: Callable[..., Any]
    partition: Callable[..., Any]

    def merged(self, answered: Sequence[Any], refused: Iterable[Refused]) -> R:
        """The topics that the group has answered, and what was refused before it was asked."""
        topics = {(topic.name, topic.topic_id): topic for topic in answered}
        for name, topic_id, index, code in refused:
            topic = topics.setdefault((name, topic_id), self.topic(name=name, topic_id=topic_id))
            topic.partitions.append(self.partition(partition_index=index, error_code=code))
        return self.response(topics=list(topics.values()))

    def failed(self, topics: Sequence[Any], code: ErrorCode) -> R:
        """The error on every partition of a request."""
        return self.response(
            topics=[
                self.topic(
                    name=topic.name,
                    topic_id=topic.topic_id,
                    partitions=[
                        self.partition(partition_index=one.partition_index, error_code=code) for one in topic.partitions
                    ],
                )
                for topic in topics
            ]
        )


def written_code(code: ErrorCode) -> ErrorCode:
    """What clients call it when the records of a commit are too large for the log."""
    return ErrorCode.INVALID_COMMIT_OFFSET_SIZE if code is ErrorCode.RECORD_LIST_TOO_LARGE else code
