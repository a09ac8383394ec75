"""Kafka's error codes and the exceptions that carry them through the broker."""

from __future__ import annotations

import errno as errnos
from enum import IntEnum


class ErrorCode(IntEnum):
    """Every error code of the Kafka 4.4 protocol: the number, whether a client may retry, and what it means."""

    retriable: bool
    message: str

    def __new__(cls, code: int, retriable: bool, message: str) -> ErrorCode:
        member = int.__new__(cls, code)
        member._value_ = code
        member.retriable = retriable
        member.message = message
        return member

    # fmt: off
    UNKNOWN_SERVER_ERROR = -1, False, "The server met an unexpected error"
    NONE = 0, False, ""
    OFFSET_OUT_OF_RANGE = 1, False, "The offset lies outside the range that the partition holds"
    CORRUPT_MESSAGE = 2, True, "The record batch is damaged: checksum, size or format do not hold"
    UNKNOWN_TOPIC_OR_PARTITION = 3, True, "This server does not host this partition"
    INVALID_FETCH_SIZE = 4, False, "The fetch size is not valid"
    LEADER_NOT_AVAILABLE = 5, True, "The partition has no leader at the moment"
    NOT_LEADER_OR_FOLLOWER = 6, True, "This broker is not the leader, or not a replica, of the partition"
    REQUEST_TIMED_OUT = 7, True, "The request timed out"
    BROKER_NOT_AVAILABLE = 8, False, "The broker is not available"
    REPLICA_NOT_AVAILABLE = 9, True, "The replica is not available on this broker"
    MESSAGE_TOO_LARGE = 10, False, "The message is larger than the server accepts"
    STALE_CONTROLLER_EPOCH = 11, False, "The controller has moved to another node"
    OFFSET_METADATA_TOO_LARGE = 12, False, "The metadata of the committed offset is too large"
    NETWORK_EXCEPTION = 13, True, "The server went away before it answered"
    COORDINATOR_LOAD_IN_PROGRESS = 14, True, "The coordinator is still loading"
    COORDINATOR_NOT_AVAILABLE = 15, True, "The coordinator is not available"
    NOT_COORDINATOR = 16, True, "This broker is not the coordinator"
    INVALID_TOPIC_EXCEPTION = 17, False, "The topic is not valid for this operation"
    RECORD_LIST_TOO_LARGE = 18, False, "The record batch is larger than a segment may be"
    NOT_ENOUGH_REPLICAS = 19, True, "There are fewer in-sync replicas than required"
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20, True, "Written, but to fewer in-sync replicas than required"
    INVALID_REQUIRED_ACKS = 21, False, "acks must be -1, 0 or 1"
    ILLEGAL_GENERATION = 22, False, "The generation of the group is not the current one"
    INCONSISTENT_GROUP_PROTOCOL = 23, False, "The member shares no protocol with the group, or offers none"
    INVALID_GROUP_ID = 24, False, "The group id is not valid"
    UNKNOWN_MEMBER_ID = 25, False, "The coordinator does not know this member"
    INVALID_SESSION_TIMEOUT = 26, False, "The session timeout is outside the limits of the broker"
    REBALANCE_IN_PROGRESS = 27, False, "The group is rebalancing; join again"
    INVALID_COMMIT_OFFSET_SIZE = 28, False, "The offset commit is too large"
    TOPIC_AUTHORIZATION_FAILED = 29, False, "Not authorised for the topic"
    GROUP_AUTHORIZATION_FAILED = 30, False, "Not authorised for the group"
    CLUSTER_AUTHORIZATION_FAILED = 31, False, "Not authorised for the cluster"
    INVALID_TIMESTAMP = 32, False, "The timestamp is outside the accepted range"
    UNSUPPORTED_SASL_MECHANISM = 33, False, "The broker does not offer this SASL mechanism"
    ILLEGAL_SASL_STATE = 34, False, "The request does not fit the state of the SASL exchange"
    UNSUPPORTED_VERSION = 35, False, "The version of the API is not supported"
    TOPIC_ALREADY_EXISTS = 36, False, "A topic of this name exists"
    INVALID_PARTITIONS = 37, False, "The number of partitions is not valid"
    INVALID_REPLICATION_FACTOR = 38, False, "The replication factor is below 1 or above the number of brokers"
    INVALID_REPLICA_ASSIGNMENT = 39, False, "The replica assignment is not valid"
    INVALID_CONFIG = 40, False, "The configuration is not valid"
    NOT_CONTROLLER = 41, True, "This node is not the controller of the cluster"
    INVALID_REQUEST = 42, False, "The request is malformed or contradicts itself"
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43, False, "The record format does not support this request"
    POLICY_VIOLATION = 44, False, "The request breaks a policy of the cluster"
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45, False, "The producer's sequence number is out of order"
    DUPLICATE_SEQUENCE_NUMBER = 46, False, "The producer's sequence number was seen before"
    INVALID_PRODUCER_EPOCH = 47, False, "The producer's epoch is not the current one"
    INVALID_TXN_STATE = 48, False, "The transaction's state does not allow this operation"
    INVALID_PRODUCER_ID_MAPPING = 49, False, "The producer id does not belong to the transactional id"
    INVALID_TRANSACTION_TIMEOUT = 50, False, "The transaction timeout is outside the limits of the broker"
    CONCURRENT_TRANSACTIONS = 51, True, "Another operation on the same transaction is under way"
    TRANSACTION_COORDINATOR_FENCED = 52, False, "The sender no longer coordinates this producer's transactions"
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53, False, "Not authorised for the transactional id"
    SECURITY_DISABLED = 54, False, "Security is disabled"
    OPERATION_NOT_ATTEMPTED = 55, False, "Not attempted, because another part of the request failed"
    KAFKA_STORAGE_ERROR = 56, True, "The disk failed while the log was used"
    LOG_DIR_NOT_FOUND = 57, False, "The log directory is not one of the broker's"
    SASL_AUTHENTICATION_FAILED = 58, False, "Authentication failed"
    UNKNOWN_PRODUCER_ID = 59, False, "The broker holds no state of this producer id"
    REASSIGNMENT_IN_PROGRESS = 60, False, "The partition is being reassigned"
    DELEGATION_TOKEN_AUTH_DISABLED = 61, False, "Delegation tokens are not enabled"
    DELEGATION_TOKEN_NOT_FOUND = 62, False, "The delegation token is not known"
    DELEGATION_TOKEN_OWNER_MISMATCH = 63, False, "The principal is neither owner nor renewer of the token"
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = 64, False, "Delegation tokens cannot be requested on this connection"
    DELEGATION_TOKEN_AUTHORIZATION_FAILED = 65, False, "Not authorised for the delegation token"
    DELEGATION_TOKEN_EXPIRED = 66, False, "The delegation token has expired"
    INVALID_PRINCIPAL_TYPE = 67, False, "The type of the principal is not supported"
    NON_EMPTY_GROUP = 68, False, "The group is not empty"
    GROUP_ID_NOT_FOUND = 69, False, "The group does not exist"
    FETCH_SESSION_ID_NOT_FOUND = 70, True, "The fetch session does not exist"
    INVALID_FETCH_SESSION_EPOCH = 71, True, "The epoch of the fetch session is not the expected one"
    LISTENER_NOT_FOUND = 72, True, "The leader has no listener of this name"
    TOPIC_DELETION_DISABLED = 73, False, "Topic deletion is disabled"
    FENCED_LEADER_EPOCH = 74, True, "The leader epoch of the request is older than the broker's"
    UNKNOWN_LEADER_EPOCH = 75, True, "The leader epoch of the request is newer than the broker's"
    UNSUPPORTED_COMPRESSION_TYPE = 76, False, "This version of the request does not allow the compression type"
    STALE_BROKER_EPOCH = 77, False, "The broker epoch is not the current one"
    OFFSET_NOT_AVAILABLE = 78, True, "The new leader's high watermark has not caught up yet"
    MEMBER_ID_REQUIRED = 79, False, "Join again with the member id of this answer"
    PREFERRED_LEADER_NOT_AVAILABLE = 80, True, "The preferred leader is not available"
    GROUP_MAX_SIZE_REACHED = 81, False, "The group is full"
    FENCED_INSTANCE_ID = 82, False, "Another member has taken over this group instance id"
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83, True, "No eligible leader is available"
    ELECTION_NOT_NEEDED = 84, True, "The partition needs no election"
    NO_REASSIGNMENT_IN_PROGRESS = 85, False, "The partition is not being reassigned"
    GROUP_SUBSCRIBED_TO_TOPIC = 86, False, "The group is subscribed to the topic"
    INVALID_RECORD = 87, False, "The broker's validation refuses the record"
    UNSTABLE_OFFSET_COMMIT = 88, True, "Some offsets belong to a transaction that has not ended"
    THROTTLING_QUOTA_EXCEEDED = 89, True, "The quota is exceeded"
    PRODUCER_FENCED = 90, False, "A newer producer of the same transactional id fences this one"
    RESOURCE_NOT_FOUND = 91, False, "The resource does not exist"
    DUPLICATE_RESOURCE = 92, False, "The request names a resource twice"
    UNACCEPTABLE_CREDENTIAL = 93, False, "The credential does not meet the requirements"
    INCONSISTENT_VOTER_SET = 94, False, "Sender or receiver is not one of the expected voters"
    INVALID_UPDATE_VERSION = 95, False, "The version of the update is not valid"
    FEATURE_UPDATE_FAILED = 96, False, "The finalized features could not be updated"
    PRINCIPAL_DESERIALIZATION_FAILURE = 97, False, "The forwarded principal cannot be read"
    SNAPSHOT_NOT_FOUND = 98, False, "The snapshot does not exist"
    POSITION_OUT_OF_RANGE = 99, False, "The position lies outside the snapshot"
    UNKNOWN_TOPIC_ID = 100, True, "This server does not host this topic id"
    DUPLICATE_BROKER_REGISTRATION = 101, False, "The broker id is in use"
    BROKER_ID_NOT_REGISTERED = 102, False, "The broker id is not registered"
    INCONSISTENT_TOPIC_ID = 103, True, "The topic id of the log differs from that of the request"
    INCONSISTENT_CLUSTER_ID = 104, False, "The cluster id of the request is not this cluster's"
    TRANSACTIONAL_ID_NOT_FOUND = 105, False, "The transactional id does not exist"
    FETCH_SESSION_TOPIC_ID_ERROR = 106, True, "A fetch session must not change between topic names and ids"
    INELIGIBLE_REPLICA = 107, False, "The new ISR holds an ineligible replica"
    NEW_LEADER_ELECTED = 108, False, "The partition was updated, but its leader has changed"
    OFFSET_MOVED_TO_TIERED_STORAGE = 109, False, "The offset has moved to tiered storage"
    FENCED_MEMBER_EPOCH = 110, False, "The member's epoch is fenced; give up all partitions and join again"
    UNRELEASED_INSTANCE_ID = 111, False, "Another member still holds this instance id"
    UNSUPPORTED_ASSIGNOR = 112, False, "The group does not support this assignor or its version"
    STALE_MEMBER_EPOCH = 113, False, "The member's epoch is stale; retry after the next heartbeat"
    MISMATCHED_ENDPOINT_TYPE = 114, False, "The request reached an endpoint of the wrong type"
    UNSUPPORTED_ENDPOINT_TYPE = 115, False, "The type of the endpoint is not supported"
    UNKNOWN_CONTROLLER_ID = 116, False, "The controller id is not known"
    UNKNOWN_SUBSCRIPTION_ID = 117, False, "The telemetry subscription id is not valid or outdated"
    TELEMETRY_TOO_LARGE = 118, False, "The telemetry is larger than the broker accepts"
    INVALID_REGISTRATION = 119, False, "The controller refuses the registration of the broker"
    TRANSACTION_ABORTABLE = 120, False, "The transaction failed; abort it to go on with this transactional id"
    INVALID_RECORD_STATE = 121, False, "The state of the record does not allow the acknowledgement"
    SHARE_SESSION_NOT_FOUND = 122, True, "The share session does not exist"
    INVALID_SHARE_SESSION_EPOCH = 123, True, "The epoch of the share session is not the expected one"
    FENCED_STATE_EPOCH = 124, False, "The state epoch is not the current one"
    INVALID_VOTER_KEY = 125, False, "The voter key is not that of the receiving replica"
    DUPLICATE_VOTER = 126, False, "The voter already belongs to the voters"
    VOTER_NOT_FOUND = 127, False, "The voter does not belong to the voters"
    INVALID_REGULAR_EXPRESSION = 128, False, "The regular expression is not valid"
    REBOOTSTRAP_REQUIRED = 129, False, "The client's metadata is stale; it must bootstrap again"
    STREAMS_INVALID_TOPOLOGY = 130, False, "The topology is not valid"
    STREAMS_INVALID_TOPOLOGY_EPOCH = 131, False, "The epoch of the topology is not valid"
    STREAMS_TOPOLOGY_FENCED = 132, False, "The epoch of the topology is outdated"
    SHARE_SESSION_LIMIT_REACHED = 133, True, "There are too many share sessions"
    GROUP_DELETION_FAILED = 134, False, "The group could not be deleted; its result says why"
    STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED = 135, False, "The topology description could not be updated"
    CONTROLLER_ID_NOT_REGISTERED = 136, False, "The controller id is not registered"
    # fmt: on


def known_code(value: int) -> ErrorCode:
    """The code of this number; the data plane also refuses with an errno, which is a matter of storage."""
    try:
        return ErrorCode(value)  # type: ignore[call-arg]
    except ValueError:
        return ErrorCode.KAFKA_STORAGE_ERROR


class KafkaError(Exception):
    """A request, or a part of it, fails with a Kafka error code; `why` is the text for the client, if any."""

    def __init__(self, code: ErrorCode, why: str | None = None) -> None:
        super().__init__(code, why)
        self.code = code
        self.why = why

    def __str__(self) -> str:
        return f"{self.code.name}: {self.why or self.code.message}"


class StorageError(Exception):
    """A file operation failed: the operation, the path and the errno. Its log directory is no longer trusted."""

    def __init__(self, op: str, path: str, errno: int) -> None:
        super().__init__(op, path, errno)
        self.op = op
        self.path = path
        self.errno = errno

    def __str__(self) -> str:
        return f"{self.op} {self.path}: {errnos.errorcode.get(self.errno, self.errno)}"


class CorruptRecordError(ValueError):
    """Bytes that should be record batches are not."""
