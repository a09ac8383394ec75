"""Groups of the newer protocol (KIP-848), of which the client library knows no ConsumerGroupDescribe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kafka.errors import IncompatibleBrokerVersion
from kafka.protocol.api_message import ApiMessage

from pyralog.cli.admin.configs import send

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

SCHEMAS = "pyralog.cli.admin.messages"


class ConsumerGroupDescribeRequest(ApiMessage, load_json=SCHEMAS):  # type: ignore[call-arg, misc]
    """The request, of the schema beside this module."""


class ConsumerGroupDescribeResponse(ApiMessage, load_json=SCHEMAS):  # type: ignore[call-arg, misc]
    """Its answer: the library finds it by the number of the API."""


def describe_newer(client: KafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Those of the groups that are of the newer protocol, told as `describe_groups` tells of the others."""
    wanted = list(names)
    if not wanted:
        return {}
    found: dict[str, dict[str, Any]] = {}
    coordinators: dict[str, int] = client._manager.run(client._find_coordinator_ids, wanted)
    for node in sorted(set(coordinators.values())):
        asked = [name for name in wanted if coordinators[name] == node]
        request = ConsumerGroupDescribeRequest(group_ids=asked, include_authorized_operations=False)
        try:
            answer = send(client, request, node)
        except IncompatibleBrokerVersion:
            return {}
        found |= {each.group_id: _told(each) for each in answer.groups if not each.error_code}
    return found


def _told(group: Any) -> dict[str, Any]:
    return {
        "group_state": group.group_state,
        "members": [
            {
                "member_id": each.member_id,
                "group_instance_id": each.instance_id,
                "client_id": each.client_id,
                "client_host": each.client_host,
                "member_assignment": {
                    "assigned_partitions": [
                        {"topic": part.topic_name, "partitions": list(part.partitions)}
                        for part in each.assignment.topic_partitions
                    ]
                },
            }
            for each in group.members
        ],
    }
