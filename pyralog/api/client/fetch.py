"""Fetch (key 1, versions 4-18): served by the plane; here come the requests it has not been told enough about.

Contract
- The plane reads, long-polls and keeps fetch sessions (traps 11, 12). It forwards a request whose topics it does not
  know or for which the asker has no permit. Here: authorise READ, install the permit, hand the request back; what is
  unknown then the plane answers with UNKNOWN_TOPIC_OR_PARTITION (by name) or UNKNOWN_TOPIC_ID (v13+, by id), what
  is not permitted with TOPIC_AUTHORIZATION_FAILED. Fetch never makes a topic.
- Deliberate gaps: fetching as a follower (ReplicaId, ReplicaState) belongs to the peer API; a rack (v11) finds no
  nearer replica on a single node.
"""

from __future__ import annotations

from pyralog.api.context import Context
from pyralog.api.forwarding import install_permits
from pyralog.api.handler import Api, Done
from pyralog.errors import ErrorCode
from pyralog.wire.messages import (
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    FetchResponsePartitionData,
)

IDS_FROM = 13
ERRORS_AT_TOP_FROM = 7
UNKNOWN = -1


def handle(request: FetchRequest, context: Context) -> Done:
    """Teach the plane, and let it answer."""
    if context.version < IDS_FROM:
        install_permits((topic.topic for topic in request.topics), context)
    else:
        names = context.image.topic_names
        install_permits((names[topic.topic_id] for topic in request.topics if topic.topic_id in names), context)
    context.services.plane.resubmit(context.token)
    return Done.HANDED_BACK


def fail(request: FetchRequest, code: ErrorCode, why: str | None) -> FetchResponse:
    """The error at the top (v7+) and on every partition named."""
    return FetchResponse(
        error_code=code,
        responses=[
            FetchableTopicResponse(
                topic=topic.topic,
                topic_id=topic.topic_id,
                partitions=[
                    FetchResponsePartitionData(
                        partition_index=one.partition, error_code=code, high_watermark=UNKNOWN, records=b""
                    )
                    for one in topic.partitions
                ],
            )
            for topic in request.topics
        ],
    )


API = Api(1, "Fetch", 4, 18, handle, fail)
