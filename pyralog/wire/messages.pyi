# Made by tools/make_message_stubs.py from the tables in wire/schemas; do not edit.

from pyralog._speedups.codec import Message as Message

class ProduceRequest(Message):
    transactional_id: str | None
    acks: int
    timeout_ms: int
    topic_data: list[TopicProduceData]
    def __init__(
        self,
        *,
        transactional_id: str | None = ...,
        acks: int = ...,
        timeout_ms: int = ...,
        topic_data: list[TopicProduceData] = ...,
    ) -> None: ...

class TopicProduceData(Message):
    name: str
    topic_id: bytes
    partition_data: list[PartitionProduceData]
    def __init__(
        self,
        *,
        name: str = ...,
        topic_id: bytes = ...,
        partition_data: list[PartitionProduceData] = ...,
    ) -> None: ...

class PartitionProduceData(Message):
    index: int
    records: bytes | None
    def __init__(self, *, index: int = ..., records: bytes | None = ...) -> None: ...

class ProduceResponse(Message):
    responses: list[TopicProduceResponse]
    throttle_time_ms: int
    node_endpoints: list[ProduceResponseNodeEndpoint]
    def __init__(
        self,
        *,
        responses: list[TopicProduceResponse] = ...,
        throttle_time_ms: int = ...,
        node_endpoints: list[ProduceResponseNodeEndpoint] = ...,
    ) -> None: ...

class TopicProduceResponse(Message):
    name: str
    topic_id: bytes
    partition_responses: list[PartitionProduceResponse]
    def __init__(
        self,
        *,
        name: str = ...,
        topic_id: bytes = ...,
        partition_responses: list[PartitionProduceResponse] = ...,
    ) -> None: ...

class PartitionProduceResponse(Message):
    index: int
    error_code: int
    base_offset: int
    log_append_time_ms: int
    log_start_offset: int
    record_errors: list[BatchIndexAndErrorMessage]
    error_message: str | None
    current_leader: ProduceResponseLeaderIdAndEpoch
    def __init__(
        self,
        *,
        index: int = ...,
        error_code: int = ...,
        base_offset: int = ...,
        log_append_time_ms: int = ...,
        log_start_offset: int = ...,
        record_errors: list[BatchIndexAndErrorMessage] = ...,
        error_message: str | None = ...,
        current_leader: ProduceResponseLeaderIdAndEpoch = ...,
    ) -> None: ...

class BatchIndexAndErrorMessage(Message):
    batch_index: int
    batch_index_error_message: str | None
    def __init__(self, *, batch_index: int = ..., batch_index_error_message: str | None = ...) -> None: ...

class ProduceResponseLeaderIdAndEpoch(Message):
    leader_id: int
    leader_epoch: int
    def __init__(self, *, leader_id: int = ..., leader_epoch: int = ...) -> None: ...

class ProduceResponseNodeEndpoint(Message):
    node_id: int
    host: str
    port: int
    rack: str | None
    def __init__(self, *, node_id: int = ..., host: str = ..., port: int = ..., rack: str | None = ...) -> None: ...

class FetchRequest(Message):
    cluster_id: str | None
    replica_id: int
    replica_state: FetchRequestReplicaState
    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    isolation_level: int
    session_id: int
    session_epoch: int
    topics: list[FetchRequestFetchTopic]
    forgotten_topics_data: list[FetchRequestForgottenTopic]
    rack_id: str
    def __init__(
        self,
        *,
        cluster_id: str | None = ...,
        replica_id: int = ...,
        replica_state: FetchRequestReplicaState = ...,
        max_wait_ms: int = ...,
        min_bytes: int = ...,
        max_bytes: int = ...,
        isolation_level: int = ...,
        session_id: int = ...,
        session_epoch: int = ...,
        topics: list[FetchRequestFetchTopic] = ...,
        forgotten_topics_data: list[FetchRequestForgottenTopic] = ...,
        rack_id: str = ...,
    ) -> None: ...

class FetchRequestReplicaState(Message):
    replica_id: int
    replica_epoch: int
    def __init__(self, *, replica_id: int = ..., replica_epoch: int = ...) -> None: ...

class FetchRequestFetchTopic(Message):
    topic: str
    topic_id: bytes
    partitions: list[FetchRequestFetchPartition]
    def __init__(
        self,
        *,
        topic: str = ...,
        topic_id: bytes = ...,
        partitions: list[FetchRequestFetchPartition] = ...,
    ) -> None: ...

class FetchRequestFetchPartition(Message):
    partition: int
    current_leader_epoch: int
    fetch_offset: int
    last_fetched_epoch: int
    log_start_offset: int
    partition_max_bytes: int
    replica_directory_id: bytes
    high_watermark: int
    def __init__(
        self,
        *,
        partition: int = ...,
        current_leader_epoch: int = ...,
        fetch_offset: int = ...,
        last_fetched_epoch: int = ...,
        log_start_offset: int = ...,
        partition_max_bytes: int = ...,
        replica_directory_id: bytes = ...,
        high_watermark: int = ...,
    ) -> None: ...

class FetchRequestForgottenTopic(Message):
    topic: str
    topic_id: bytes
    partitions: list[int]
    def __init__(self, *, topic: str = ..., topic_id: bytes = ..., partitions: list[int] = ...) -> None: ...

class FetchResponse(Message):
    throttle_time_ms: int
    error_code: int
    session_id: int
    responses: list[FetchableTopicResponse]
    node_endpoints: list[FetchResponseNodeEndpoint]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        session_id: int = ...,
        responses: list[FetchableTopicResponse] = ...,
        node_endpoints: list[FetchResponseNodeEndpoint] = ...,
    ) -> None: ...

class FetchableTopicResponse(Message):
    topic: str
    topic_id: bytes
    partitions: list[FetchResponsePartitionData]
    def __init__(
        self,
        *,
        topic: str = ...,
        topic_id: bytes = ...,
        partitions: list[FetchResponsePartitionData] = ...,
    ) -> None: ...

class FetchResponsePartitionData(Message):
    partition_index: int
    error_code: int
    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    diverging_epoch: FetchResponseEpochEndOffset
    current_leader: FetchResponseLeaderIdAndEpoch
    snapshot_id: FetchResponseSnapshotId
    aborted_transactions: list[AbortedTransaction] | None
    preferred_read_replica: int
    records: bytes | None
    def __init__(
        self,
        *,
        partition_index: int = ...,
        error_code: int = ...,
        high_watermark: int = ...,
        last_stable_offset: int = ...,
        log_start_offset: int = ...,
        diverging_epoch: FetchResponseEpochEndOffset = ...,
        current_leader: FetchResponseLeaderIdAndEpoch = ...,
        snapshot_id: FetchResponseSnapshotId = ...,
        aborted_transactions: list[AbortedTransaction] | None = ...,
        preferred_read_replica: int = ...,
        records: bytes | None = ...,
    ) -> None: ...

class FetchResponseEpochEndOffset(Message):
    epoch: int
    end_offset: int
    def __init__(self, *, epoch: int = ..., end_offset: int = ...) -> None: ...

class FetchResponseLeaderIdAndEpoch(Message):
    leader_id: int
    leader_epoch: int
    def __init__(self, *, leader_id: int = ..., leader_epoch: int = ...) -> None: ...

class FetchResponseSnapshotId(Message):
    end_offset: int
    epoch: int
    def __init__(self, *, end_offset: int = ..., epoch: int = ...) -> None: ...

class AbortedTransaction(Message):
    producer_id: int
    first_offset: int
    def __init__(self, *, producer_id: int = ..., first_offset: int = ...) -> None: ...

class FetchResponseNodeEndpoint(Message):
    node_id: int
    host: str
    port: int
    rack: str | None
    def __init__(self, *, node_id: int = ..., host: str = ..., port: int = ..., rack: str | None = ...) -> None: ...

class ListOffsetsRequest(Message):
    replica_id: int
    isolation_level: int
    topics: list[ListOffsetsTopic]
    timeout_ms: int
    def __init__(
        self,
        *,
        replica_id: int = ...,
        isolation_level: int = ...,
        topics: list[ListOffsetsTopic] = ...,
        timeout_ms: int = ...,
    ) -> None: ...

class ListOffsetsTopic(Message):
    name: str
    partitions: list[ListOffsetsPartition]
    def __init__(self, *, name: str = ..., partitions: list[ListOffsetsPartition] = ...) -> None: ...

class ListOffsetsPartition(Message):
    partition_index: int
    current_leader_epoch: int
    timestamp: int
    def __init__(
        self,
        *,
        partition_index: int = ...,
        current_leader_epoch: int = ...,
        timestamp: int = ...,
    ) -> None: ...

class ListOffsetsResponse(Message):
    throttle_time_ms: int
    topics: list[ListOffsetsTopicResponse]
    def __init__(self, *, throttle_time_ms: int = ..., topics: list[ListOffsetsTopicResponse] = ...) -> None: ...

class ListOffsetsTopicResponse(Message):
    name: str
    partitions: list[ListOffsetsPartitionResponse]
    def __init__(self, *, name: str = ..., partitions: list[ListOffsetsPartitionResponse] = ...) -> None: ...

class ListOffsetsPartitionResponse(Message):
    partition_index: int
    error_code: int
    timestamp: int
    offset: int
    leader_epoch: int
    def __init__(
        self,
        *,
        partition_index: int = ...,
        error_code: int = ...,
        timestamp: int = ...,
        offset: int = ...,
        leader_epoch: int = ...,
    ) -> None: ...

class MetadataRequest(Message):
    topics: list[MetadataRequestTopic] | None
    allow_auto_topic_creation: bool
    include_cluster_authorized_operations: bool
    include_topic_authorized_operations: bool
    def __init__(
        self,
        *,
        topics: list[MetadataRequestTopic] | None = ...,
        allow_auto_topic_creation: bool = ...,
        include_cluster_authorized_operations: bool = ...,
        include_topic_authorized_operations: bool = ...,
    ) -> None: ...

class MetadataRequestTopic(Message):
    topic_id: bytes
    name: str | None
    def __init__(self, *, topic_id: bytes = ..., name: str | None = ...) -> None: ...

class MetadataResponse(Message):
    throttle_time_ms: int
    brokers: list[MetadataResponseBroker]
    cluster_id: str | None
    controller_id: int
    topics: list[MetadataResponseTopic]
    cluster_authorized_operations: int
    error_code: int
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        brokers: list[MetadataResponseBroker] = ...,
        cluster_id: str | None = ...,
        controller_id: int = ...,
        topics: list[MetadataResponseTopic] = ...,
        cluster_authorized_operations: int = ...,
        error_code: int = ...,
    ) -> None: ...

class MetadataResponseBroker(Message):
    node_id: int
    host: str
    port: int
    rack: str | None
    def __init__(self, *, node_id: int = ..., host: str = ..., port: int = ..., rack: str | None = ...) -> None: ...

class MetadataResponseTopic(Message):
    error_code: int
    name: str | None
    topic_id: bytes
    is_internal: bool
    partitions: list[MetadataResponsePartition]
    topic_authorized_operations: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        name: str | None = ...,
        topic_id: bytes = ...,
        is_internal: bool = ...,
        partitions: list[MetadataResponsePartition] = ...,
        topic_authorized_operations: int = ...,
    ) -> None: ...

class MetadataResponsePartition(Message):
    error_code: int
    partition_index: int
    leader_id: int
    leader_epoch: int
    replica_nodes: list[int]
    isr_nodes: list[int]
    offline_replicas: list[int]
    def __init__(
        self,
        *,
        error_code: int = ...,
        partition_index: int = ...,
        leader_id: int = ...,
        leader_epoch: int = ...,
        replica_nodes: list[int] = ...,
        isr_nodes: list[int] = ...,
        offline_replicas: list[int] = ...,
    ) -> None: ...

class OffsetCommitRequest(Message):
    group_id: str
    generation_id_or_member_epoch: int
    member_id: str
    group_instance_id: str | None
    retention_time_ms: int
    topics: list[OffsetCommitRequestTopic]
    def __init__(
        self,
        *,
        group_id: str = ...,
        generation_id_or_member_epoch: int = ...,
        member_id: str = ...,
        group_instance_id: str | None = ...,
        retention_time_ms: int = ...,
        topics: list[OffsetCommitRequestTopic] = ...,
    ) -> None: ...

class OffsetCommitRequestTopic(Message):
    name: str
    topic_id: bytes
    partitions: list[OffsetCommitRequestPartition]
    def __init__(
        self,
        *,
        name: str = ...,
        topic_id: bytes = ...,
        partitions: list[OffsetCommitRequestPartition] = ...,
    ) -> None: ...

class OffsetCommitRequestPartition(Message):
    partition_index: int
    committed_offset: int
    committed_leader_epoch: int
    committed_metadata: str | None
    def __init__(
        self,
        *,
        partition_index: int = ...,
        committed_offset: int = ...,
        committed_leader_epoch: int = ...,
        committed_metadata: str | None = ...,
    ) -> None: ...

class OffsetCommitResponse(Message):
    throttle_time_ms: int
    topics: list[OffsetCommitResponseTopic]
    def __init__(self, *, throttle_time_ms: int = ..., topics: list[OffsetCommitResponseTopic] = ...) -> None: ...

class OffsetCommitResponseTopic(Message):
    name: str
    topic_id: bytes
    partitions: list[OffsetCommitResponsePartition]
    def __init__(
        self,
        *,
        name: str = ...,
        topic_id: bytes = ...,
        partitions: list[OffsetCommitResponsePartition] = ...,
    ) -> None: ...

class OffsetCommitResponsePartition(Message):
    partition_index: int
    error_code: int
    def __init__(self, *, partition_index: int = ..., error_code: int = ...) -> None: ...

class OffsetFetchRequest(Message):
    group_id: str
    topics: list[OffsetFetchRequestTopic] | None
    groups: list[OffsetFetchRequestGroup]
    require_stable: bool
    def __init__(
        self,
        *,
        group_id: str = ...,
        topics: list[OffsetFetchRequestTopic] | None = ...,
        groups: list[OffsetFetchRequestGroup] = ...,
        require_stable: bool = ...,
    ) -> None: ...

class OffsetFetchRequestTopic(Message):
    name: str
    partition_indexes: list[int]
    def __init__(self, *, name: str = ..., partition_indexes: list[int] = ...) -> None: ...

class OffsetFetchRequestGroup(Message):
    group_id: str
    member_id: str | None
    member_epoch: int
    topics: list[OffsetFetchRequestTopics] | None
    def __init__(
        self,
        *,
        group_id: str = ...,
        member_id: str | None = ...,
        member_epoch: int = ...,
        topics: list[OffsetFetchRequestTopics] | None = ...,
    ) -> None: ...

class OffsetFetchRequestTopics(Message):
    name: str
    topic_id: bytes
    partition_indexes: list[int]
    def __init__(self, *, name: str = ..., topic_id: bytes = ..., partition_indexes: list[int] = ...) -> None: ...

class OffsetFetchResponse(Message):
    throttle_time_ms: int
    topics: list[OffsetFetchResponseTopic]
    error_code: int
    groups: list[OffsetFetchResponseGroup]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        topics: list[OffsetFetchResponseTopic] = ...,
        error_code: int = ...,
        groups: list[OffsetFetchResponseGroup] = ...,
    ) -> None: ...

class OffsetFetchResponseTopic(Message):
    name: str
    partitions: list[OffsetFetchResponsePartition]
    def __init__(self, *, name: str = ..., partitions: list[OffsetFetchResponsePartition] = ...) -> None: ...

class OffsetFetchResponsePartition(Message):
    partition_index: int
    committed_offset: int
    committed_leader_epoch: int
    metadata: str | None
    error_code: int
    def __init__(
        self,
        *,
        partition_index: int = ...,
        committed_offset: int = ...,
        committed_leader_epoch: int = ...,
        metadata: str | None = ...,
        error_code: int = ...,
    ) -> None: ...

class OffsetFetchResponseGroup(Message):
    group_id: str
    topics: list[OffsetFetchResponseTopics]
    error_code: int
    def __init__(
        self,
        *,
        group_id: str = ...,
        topics: list[OffsetFetchResponseTopics] = ...,
        error_code: int = ...,
    ) -> None: ...

class OffsetFetchResponseTopics(Message):
    name: str
    topic_id: bytes
    partitions: list[OffsetFetchResponsePartitions]
    def __init__(
        self,
        *,
        name: str = ...,
        topic_id: bytes = ...,
        partitions: list[OffsetFetchResponsePartitions] = ...,
    ) -> None: ...

class OffsetFetchResponsePartitions(Message):
    partition_index: int
    committed_offset: int
    committed_leader_epoch: int
    metadata: str | None
    error_code: int
    def __init__(
        self,
        *,
        partition_index: int = ...,
        committed_offset: int = ...,
        committed_leader_epoch: int = ...,
        metadata: str | None = ...,
        error_code: int = ...,
    ) -> None: ...

class FindCoordinatorRequest(Message):
    key: str
    key_type: int
    coordinator_keys: list[str]
    def __init__(self, *, key: str = ..., key_type: int = ..., coordinator_keys: list[str] = ...) -> None: ...

class FindCoordinatorResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    node_id: int
    host: str
    port: int
    coordinators: list[Coordinator]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        node_id: int = ...,
        host: str = ...,
        port: int = ...,
        coordinators: list[Coordinator] = ...,
    ) -> None: ...

class Coordinator(Message):
    key: str
    node_id: int
    host: str
    port: int
    error_code: int
    error_message: str | None
    def __init__(
        self,
        *,
        key: str = ...,
        node_id: int = ...,
        host: str = ...,
        port: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
    ) -> None: ...

class JoinGroupRequest(Message):
    group_id: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    member_id: str
    group_instance_id: str | None
    protocol_type: str
    protocols: list[JoinGroupRequestProtocol]
    reason: str | None
    def __init__(
        self,
        *,
        group_id: str = ...,
        session_timeout_ms: int = ...,
        rebalance_timeout_ms: int = ...,
        member_id: str = ...,
        group_instance_id: str | None = ...,
        protocol_type: str = ...,
        protocols: list[JoinGroupRequestProtocol] = ...,
        reason: str | None = ...,
    ) -> None: ...

class JoinGroupRequestProtocol(Message):
    name: str
    metadata: bytes
    def __init__(self, *, name: str = ..., metadata: bytes = ...) -> None: ...

class JoinGroupResponse(Message):
    throttle_time_ms: int
    error_code: int
    generation_id: int
    protocol_type: str | None
    protocol_name: str | None
    leader: str
    skip_assignment: bool
    member_id: str
    members: list[JoinGroupResponseMember]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        generation_id: int = ...,
        protocol_type: str | None = ...,
        protocol_name: str | None = ...,
        leader: str = ...,
        skip_assignment: bool = ...,
        member_id: str = ...,
        members: list[JoinGroupResponseMember] = ...,
    ) -> None: ...

class JoinGroupResponseMember(Message):
    member_id: str
    group_instance_id: str | None
    metadata: bytes
    def __init__(self, *, member_id: str = ..., group_instance_id: str | None = ..., metadata: bytes = ...) -> None: ...

class HeartbeatRequest(Message):
    group_id: str
    generation_id: int
    member_id: str
    group_instance_id: str | None
    def __init__(
        self,
        *,
        group_id: str = ...,
        generation_id: int = ...,
        member_id: str = ...,
        group_instance_id: str | None = ...,
    ) -> None: ...

class HeartbeatResponse(Message):
    throttle_time_ms: int
    error_code: int
    def __init__(self, *, throttle_time_ms: int = ..., error_code: int = ...) -> None: ...

class LeaveGroupRequest(Message):
    group_id: str
    member_id: str
    members: list[MemberIdentity]
    def __init__(self, *, group_id: str = ..., member_id: str = ..., members: list[MemberIdentity] = ...) -> None: ...

class MemberIdentity(Message):
    member_id: str
    group_instance_id: str | None
    reason: str | None
    def __init__(
        self,
        *,
        member_id: str = ...,
        group_instance_id: str | None = ...,
        reason: str | None = ...,
    ) -> None: ...

class LeaveGroupResponse(Message):
    throttle_time_ms: int
    error_code: int
    members: list[MemberResponse]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        members: list[MemberResponse] = ...,
    ) -> None: ...

class MemberResponse(Message):
    member_id: str
    group_instance_id: str | None
    error_code: int
    def __init__(self, *, member_id: str = ..., group_instance_id: str | None = ..., error_code: int = ...) -> None: ...

class SyncGroupRequest(Message):
    group_id: str
    generation_id: int
    member_id: str
    group_instance_id: str | None
    protocol_type: str | None
    protocol_name: str | None
    assignments: list[SyncGroupRequestAssignment]
    def __init__(
        self,
        *,
        group_id: str = ...,
        generation_id: int = ...,
        member_id: str = ...,
        group_instance_id: str | None = ...,
        protocol_type: str | None = ...,
        protocol_name: str | None = ...,
        assignments: list[SyncGroupRequestAssignment] = ...,
    ) -> None: ...

class SyncGroupRequestAssignment(Message):
    member_id: str
    assignment: bytes
    def __init__(self, *, member_id: str = ..., assignment: bytes = ...) -> None: ...

class SyncGroupResponse(Message):
    throttle_time_ms: int
    error_code: int
    protocol_type: str | None
    protocol_name: str | None
    assignment: bytes
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        protocol_type: str | None = ...,
        protocol_name: str | None = ...,
        assignment: bytes = ...,
    ) -> None: ...

class DescribeGroupsRequest(Message):
    groups: list[str]
    include_authorized_operations: bool
    def __init__(self, *, groups: list[str] = ..., include_authorized_operations: bool = ...) -> None: ...

class DescribeGroupsResponse(Message):
    throttle_time_ms: int
    groups: list[DescribeGroupsResponseDescribedGroup]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        groups: list[DescribeGroupsResponseDescribedGroup] = ...,
    ) -> None: ...

class DescribeGroupsResponseDescribedGroup(Message):
    error_code: int
    error_message: str | None
    group_id: str
    group_state: str
    protocol_type: str
    protocol_data: str
    members: list[DescribedGroupMember]
    authorized_operations: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        group_id: str = ...,
        group_state: str = ...,
        protocol_type: str = ...,
        protocol_data: str = ...,
        members: list[DescribedGroupMember] = ...,
        authorized_operations: int = ...,
    ) -> None: ...

class DescribedGroupMember(Message):
    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    member_metadata: bytes
    member_assignment: bytes
    def __init__(
        self,
        *,
        member_id: str = ...,
        group_instance_id: str | None = ...,
        client_id: str = ...,
        client_host: str = ...,
        member_metadata: bytes = ...,
        member_assignment: bytes = ...,
    ) -> None: ...

class ListGroupsRequest(Message):
    states_filter: list[str]
    types_filter: list[str]
    def __init__(self, *, states_filter: list[str] = ..., types_filter: list[str] = ...) -> None: ...

class ListGroupsResponse(Message):
    throttle_time_ms: int
    error_code: int
    groups: list[ListedGroup]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        groups: list[ListedGroup] = ...,
    ) -> None: ...

class ListedGroup(Message):
    group_id: str
    protocol_type: str
    group_state: str
    group_type: str
    def __init__(
        self,
        *,
        group_id: str = ...,
        protocol_type: str = ...,
        group_state: str = ...,
        group_type: str = ...,
    ) -> None: ...

class SaslHandshakeRequest(Message):
    mechanism: str
    def __init__(self, *, mechanism: str = ...) -> None: ...

class SaslHandshakeResponse(Message):
    error_code: int
    mechanisms: list[str]
    def __init__(self, *, error_code: int = ..., mechanisms: list[str] = ...) -> None: ...

class ApiVersionsRequest(Message):
    client_software_name: str
    client_software_version: str
    cluster_id: str | None
    node_id: int
    def __init__(
        self,
        *,
        client_software_name: str = ...,
        client_software_version: str = ...,
        cluster_id: str | None = ...,
        node_id: int = ...,
    ) -> None: ...

class ApiVersionsResponse(Message):
    error_code: int
    api_keys: list[ApiVersion]
    throttle_time_ms: int
    supported_features: list[SupportedFeatureKey]
    finalized_features_epoch: int
    finalized_features: list[FinalizedFeatureKey]
    zk_migration_ready: bool
    def __init__(
        self,
        *,
        error_code: int = ...,
        api_keys: list[ApiVersion] = ...,
        throttle_time_ms: int = ...,
        supported_features: list[SupportedFeatureKey] = ...,
        finalized_features_epoch: int = ...,
        finalized_features: list[FinalizedFeatureKey] = ...,
        zk_migration_ready: bool = ...,
    ) -> None: ...

class ApiVersion(Message):
    api_key: int
    min_version: int
    max_version: int
    def __init__(self, *, api_key: int = ..., min_version: int = ..., max_version: int = ...) -> None: ...

class SupportedFeatureKey(Message):
    name: str
    min_version: int
    max_version: int
    def __init__(self, *, name: str = ..., min_version: int = ..., max_version: int = ...) -> None: ...

class FinalizedFeatureKey(Message):
    name: str
    max_version_level: int
    min_version_level: int
    def __init__(self, *, name: str = ..., max_version_level: int = ..., min_version_level: int = ...) -> None: ...

class CreateTopicsRequest(Message):
    topics: list[CreatableTopic]
    timeout_ms: int
    validate_only: bool
    def __init__(
        self,
        *,
        topics: list[CreatableTopic] = ...,
        timeout_ms: int = ...,
        validate_only: bool = ...,
    ) -> None: ...

class CreatableTopic(Message):
    name: str
    num_partitions: int
    replication_factor: int
    assignments: list[CreatableReplicaAssignment]
    configs: list[CreatableTopicConfig]
    def __init__(
        self,
        *,
        name: str = ...,
        num_partitions: int = ...,
        replication_factor: int = ...,
        assignments: list[CreatableReplicaAssignment] = ...,
        configs: list[CreatableTopicConfig] = ...,
    ) -> None: ...

class CreatableReplicaAssignment(Message):
    partition_index: int
    broker_ids: list[int]
    def __init__(self, *, partition_index: int = ..., broker_ids: list[int] = ...) -> None: ...

class CreatableTopicConfig(Message):
    name: str
    value: str | None
    def __init__(self, *, name: str = ..., value: str | None = ...) -> None: ...

class CreateTopicsResponse(Message):
    throttle_time_ms: int
    topics: list[CreatableTopicResult]
    def __init__(self, *, throttle_time_ms: int = ..., topics: list[CreatableTopicResult] = ...) -> None: ...

class CreatableTopicResult(Message):
    name: str
    topic_id: bytes
    error_code: int
    error_message: str | None
    topic_config_error_code: int
    num_partitions: int
    replication_factor: int
    configs: list[CreatableTopicConfigs] | None
    def __init__(
        self,
        *,
        name: str = ...,
        topic_id: bytes = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        topic_config_error_code: int = ...,
        num_partitions: int = ...,
        replication_factor: int = ...,
        configs: list[CreatableTopicConfigs] | None = ...,
    ) -> None: ...

class CreatableTopicConfigs(Message):
    name: str
    value: str | None
    read_only: bool
    config_source: int
    is_sensitive: bool
    def __init__(
        self,
        *,
        name: str = ...,
        value: str | None = ...,
        read_only: bool = ...,
        config_source: int = ...,
        is_sensitive: bool = ...,
    ) -> None: ...

class DeleteTopicsRequest(Message):
    topics: list[DeleteTopicState]
    topic_names: list[str]
    timeout_ms: int
    def __init__(
        self,
        *,
        topics: list[DeleteTopicState] = ...,
        topic_names: list[str] = ...,
        timeout_ms: int = ...,
    ) -> None: ...

class DeleteTopicState(Message):
    name: str | None
    topic_id: bytes
    def __init__(self, *, name: str | None = ..., topic_id: bytes = ...) -> None: ...

class DeleteTopicsResponse(Message):
    throttle_time_ms: int
    responses: list[DeletableTopicResult]
    def __init__(self, *, throttle_time_ms: int = ..., responses: list[DeletableTopicResult] = ...) -> None: ...

class DeletableTopicResult(Message):
    name: str | None
    topic_id: bytes
    error_code: int
    error_message: str | None
    def __init__(
        self,
        *,
        name: str | None = ...,
        topic_id: bytes = ...,
        error_code: int = ...,
        error_message: str | None = ...,
    ) -> None: ...

class DeleteRecordsRequest(Message):
    topics: list[DeleteRecordsTopic]
    timeout_ms: int
    def __init__(self, *, topics: list[DeleteRecordsTopic] = ..., timeout_ms: int = ...) -> None: ...

class DeleteRecordsTopic(Message):
    name: str
    partitions: list[DeleteRecordsPartition]
    def __init__(self, *, name: str = ..., partitions: list[DeleteRecordsPartition] = ...) -> None: ...

class DeleteRecordsPartition(Message):
    partition_index: int
    offset: int
    def __init__(self, *, partition_index: int = ..., offset: int = ...) -> None: ...

class DeleteRecordsResponse(Message):
    throttle_time_ms: int
    topics: list[DeleteRecordsTopicResult]
    def __init__(self, *, throttle_time_ms: int = ..., topics: list[DeleteRecordsTopicResult] = ...) -> None: ...

class DeleteRecordsTopicResult(Message):
    name: str
    partitions: list[DeleteRecordsPartitionResult]
    def __init__(self, *, name: str = ..., partitions: list[DeleteRecordsPartitionResult] = ...) -> None: ...

class DeleteRecordsPartitionResult(Message):
    partition_index: int
    low_watermark: int
    error_code: int
    def __init__(self, *, partition_index: int = ..., low_watermark: int = ..., error_code: int = ...) -> None: ...

class InitProducerIdRequest(Message):
    transactional_id: str | None
    transaction_timeout_ms: int
    producer_id: int
    producer_epoch: int
    def __init__(
        self,
        *,
        transactional_id: str | None = ...,
        transaction_timeout_ms: int = ...,
        producer_id: int = ...,
        producer_epoch: int = ...,
    ) -> None: ...

class InitProducerIdResponse(Message):
    throttle_time_ms: int
    error_code: int
    producer_id: int
    producer_epoch: int
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        producer_id: int = ...,
        producer_epoch: int = ...,
    ) -> None: ...

class OffsetForLeaderEpochRequest(Message):
    replica_id: int
    topics: list[OffsetForLeaderTopic]
    def __init__(self, *, replica_id: int = ..., topics: list[OffsetForLeaderTopic] = ...) -> None: ...

class OffsetForLeaderTopic(Message):
    topic: str
    partitions: list[OffsetForLeaderPartition]
    def __init__(self, *, topic: str = ..., partitions: list[OffsetForLeaderPartition] = ...) -> None: ...

class OffsetForLeaderPartition(Message):
    partition: int
    current_leader_epoch: int
    leader_epoch: int
    def __init__(self, *, partition: int = ..., current_leader_epoch: int = ..., leader_epoch: int = ...) -> None: ...

class OffsetForLeaderEpochResponse(Message):
    throttle_time_ms: int
    topics: list[OffsetForLeaderTopicResult]
    def __init__(self, *, throttle_time_ms: int = ..., topics: list[OffsetForLeaderTopicResult] = ...) -> None: ...

class OffsetForLeaderTopicResult(Message):
    topic: str
    partitions: list[OffsetForLeaderEpochResponseEpochEndOffset]
    def __init__(
        self,
        *,
        topic: str = ...,
        partitions: list[OffsetForLeaderEpochResponseEpochEndOffset] = ...,
    ) -> None: ...

class OffsetForLeaderEpochResponseEpochEndOffset(Message):
    error_code: int
    partition: int
    leader_epoch: int
    end_offset: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        partition: int = ...,
        leader_epoch: int = ...,
        end_offset: int = ...,
    ) -> None: ...

class AddPartitionsToTxnRequest(Message):
    transactions: list[AddPartitionsToTxnTransaction]
    v3_and_below_transactional_id: str
    v3_and_below_producer_id: int
    v3_and_below_producer_epoch: int
    v3_and_below_topics: list[AddPartitionsToTxnTopic]
    def __init__(
        self,
        *,
        transactions: list[AddPartitionsToTxnTransaction] = ...,
        v3_and_below_transactional_id: str = ...,
        v3_and_below_producer_id: int = ...,
        v3_and_below_producer_epoch: int = ...,
        v3_and_below_topics: list[AddPartitionsToTxnTopic] = ...,
    ) -> None: ...

class AddPartitionsToTxnTransaction(Message):
    transactional_id: str
    producer_id: int
    producer_epoch: int
    verify_only: bool
    topics: list[AddPartitionsToTxnTopic]
    def __init__(
        self,
        *,
        transactional_id: str = ...,
        producer_id: int = ...,
        producer_epoch: int = ...,
        verify_only: bool = ...,
        topics: list[AddPartitionsToTxnTopic] = ...,
    ) -> None: ...

class AddPartitionsToTxnTopic(Message):
    name: str
    partitions: list[int]
    def __init__(self, *, name: str = ..., partitions: list[int] = ...) -> None: ...

class AddPartitionsToTxnResponse(Message):
    throttle_time_ms: int
    error_code: int
    results_by_transaction: list[AddPartitionsToTxnResult]
    results_by_topic_v3_and_below: list[AddPartitionsToTxnTopicResult]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        results_by_transaction: list[AddPartitionsToTxnResult] = ...,
        results_by_topic_v3_and_below: list[AddPartitionsToTxnTopicResult] = ...,
    ) -> None: ...

class AddPartitionsToTxnResult(Message):
    transactional_id: str
    topic_results: list[AddPartitionsToTxnTopicResult]
    def __init__(
        self,
        *,
        transactional_id: str = ...,
        topic_results: list[AddPartitionsToTxnTopicResult] = ...,
    ) -> None: ...

class AddPartitionsToTxnTopicResult(Message):
    name: str
    results_by_partition: list[AddPartitionsToTxnPartitionResult]
    def __init__(
        self,
        *,
        name: str = ...,
        results_by_partition: list[AddPartitionsToTxnPartitionResult] = ...,
    ) -> None: ...

class AddPartitionsToTxnPartitionResult(Message):
    partition_index: int
    partition_error_code: int
    def __init__(self, *, partition_index: int = ..., partition_error_code: int = ...) -> None: ...

class AddOffsetsToTxnRequest(Message):
    transactional_id: str
    producer_id: int
    producer_epoch: int
    group_id: str
    def __init__(
        self,
        *,
        transactional_id: str = ...,
        producer_id: int = ...,
        producer_epoch: int = ...,
        group_id: str = ...,
    ) -> None: ...

class AddOffsetsToTxnResponse(Message):
    throttle_time_ms: int
    error_code: int
    def __init__(self, *, throttle_time_ms: int = ..., error_code: int = ...) -> None: ...

class EndTxnRequest(Message):
    transactional_id: str
    producer_id: int
    producer_epoch: int
    committed: bool
    def __init__(
        self,
        *,
        transactional_id: str = ...,
        producer_id: int = ...,
        producer_epoch: int = ...,
        committed: bool = ...,
    ) -> None: ...

class EndTxnResponse(Message):
    throttle_time_ms: int
    error_code: int
    producer_id: int
    producer_epoch: int
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        producer_id: int = ...,
        producer_epoch: int = ...,
    ) -> None: ...

class WriteTxnMarkersRequest(Message):
    markers: list[WritableTxnMarker]
    def __init__(self, *, markers: list[WritableTxnMarker] = ...) -> None: ...

class WritableTxnMarker(Message):
    producer_id: int
    producer_epoch: int
    transaction_result: bool
    topics: list[WritableTxnMarkerTopic]
    coordinator_epoch: int
    transaction_version: int
    def __init__(
        self,
        *,
        producer_id: int = ...,
        producer_epoch: int = ...,
        transaction_result: bool = ...,
        topics: list[WritableTxnMarkerTopic] = ...,
        coordinator_epoch: int = ...,
        transaction_version: int = ...,
    ) -> None: ...

class WritableTxnMarkerTopic(Message):
    name: str
    partition_indexes: list[int]
    def __init__(self, *, name: str = ..., partition_indexes: list[int] = ...) -> None: ...

class WriteTxnMarkersResponse(Message):
    markers: list[WritableTxnMarkerResult]
    def __init__(self, *, markers: list[WritableTxnMarkerResult] = ...) -> None: ...

class WritableTxnMarkerResult(Message):
    producer_id: int
    topics: list[WritableTxnMarkerTopicResult]
    def __init__(self, *, producer_id: int = ..., topics: list[WritableTxnMarkerTopicResult] = ...) -> None: ...

class WritableTxnMarkerTopicResult(Message):
    name: str
    partitions: list[WritableTxnMarkerPartitionResult]
    def __init__(self, *, name: str = ..., partitions: list[WritableTxnMarkerPartitionResult] = ...) -> None: ...

class WritableTxnMarkerPartitionResult(Message):
    partition_index: int
    error_code: int
    def __init__(self, *, partition_index: int = ..., error_code: int = ...) -> None: ...

class TxnOffsetCommitRequest(Message):
    transactional_id: str
    group_id: str
    producer_id: int
    producer_epoch: int
    generation_id_or_member_epoch: int
    member_id: str
    group_instance_id: str | None
    topics: list[TxnOffsetCommitRequestTopic]
    def __init__(
        self,
        *,
        transactional_id: str = ...,
        group_id: str = ...,
        producer_id: int = ...,
        producer_epoch: int = ...,
        generation_id_or_member_epoch: int = ...,
        member_id: str = ...,
        group_instance_id: str | None = ...,
        topics: list[TxnOffsetCommitRequestTopic] = ...,
    ) -> None: ...

class TxnOffsetCommitRequestTopic(Message):
    name: str
    topic_id: bytes
    partitions: list[TxnOffsetCommitRequestPartition]
    def __init__(
        self,
        *,
        name: str = ...,
        topic_id: bytes = ...,
        partitions: list[TxnOffsetCommitRequestPartition] = ...,
    ) -> None: ...

class TxnOffsetCommitRequestPartition(Message):
    partition_index: int
    committed_offset: int
    committed_leader_epoch: int
    committed_metadata: str | None
    def __init__(
        self,
        *,
        partition_index: int = ...,
        committed_offset: int = ...,
        committed_leader_epoch: int = ...,
        committed_metadata: str | None = ...,
    ) -> None: ...

class TxnOffsetCommitResponse(Message):
    throttle_time_ms: int
    topics: list[TxnOffsetCommitResponseTopic]
    def __init__(self, *, throttle_time_ms: int = ..., topics: list[TxnOffsetCommitResponseTopic] = ...) -> None: ...

class TxnOffsetCommitResponseTopic(Message):
    name: str
    topic_id: bytes
    partitions: list[TxnOffsetCommitResponsePartition]
    def __init__(
        self,
        *,
        name: str = ...,
        topic_id: bytes = ...,
        partitions: list[TxnOffsetCommitResponsePartition] = ...,
    ) -> None: ...

class TxnOffsetCommitResponsePartition(Message):
    partition_index: int
    error_code: int
    def __init__(self, *, partition_index: int = ..., error_code: int = ...) -> None: ...

class DescribeAclsRequest(Message):
    resource_type_filter: int
    resource_name_filter: str | None
    pattern_type_filter: int
    principal_filter: str | None
    host_filter: str | None
    operation: int
    permission_type: int
    def __init__(
        self,
        *,
        resource_type_filter: int = ...,
        resource_name_filter: str | None = ...,
        pattern_type_filter: int = ...,
        principal_filter: str | None = ...,
        host_filter: str | None = ...,
        operation: int = ...,
        permission_type: int = ...,
    ) -> None: ...

class DescribeAclsResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    resources: list[DescribeAclsResource]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        resources: list[DescribeAclsResource] = ...,
    ) -> None: ...

class DescribeAclsResource(Message):
    resource_type: int
    resource_name: str
    pattern_type: int
    acls: list[AclDescription]
    def __init__(
        self,
        *,
        resource_type: int = ...,
        resource_name: str = ...,
        pattern_type: int = ...,
        acls: list[AclDescription] = ...,
    ) -> None: ...

class AclDescription(Message):
    principal: str
    host: str
    operation: int
    permission_type: int
    def __init__(
        self,
        *,
        principal: str = ...,
        host: str = ...,
        operation: int = ...,
        permission_type: int = ...,
    ) -> None: ...

class CreateAclsRequest(Message):
    creations: list[AclCreation]
    def __init__(self, *, creations: list[AclCreation] = ...) -> None: ...

class AclCreation(Message):
    resource_type: int
    resource_name: str
    resource_pattern_type: int
    principal: str
    host: str
    operation: int
    permission_type: int
    def __init__(
        self,
        *,
        resource_type: int = ...,
        resource_name: str = ...,
        resource_pattern_type: int = ...,
        principal: str = ...,
        host: str = ...,
        operation: int = ...,
        permission_type: int = ...,
    ) -> None: ...

class CreateAclsResponse(Message):
    throttle_time_ms: int
    results: list[AclCreationResult]
    def __init__(self, *, throttle_time_ms: int = ..., results: list[AclCreationResult] = ...) -> None: ...

class AclCreationResult(Message):
    error_code: int
    error_message: str | None
    def __init__(self, *, error_code: int = ..., error_message: str | None = ...) -> None: ...

class DeleteAclsRequest(Message):
    filters: list[DeleteAclsFilter]
    def __init__(self, *, filters: list[DeleteAclsFilter] = ...) -> None: ...

class DeleteAclsFilter(Message):
    resource_type_filter: int
    resource_name_filter: str | None
    pattern_type_filter: int
    principal_filter: str | None
    host_filter: str | None
    operation: int
    permission_type: int
    def __init__(
        self,
        *,
        resource_type_filter: int = ...,
        resource_name_filter: str | None = ...,
        pattern_type_filter: int = ...,
        principal_filter: str | None = ...,
        host_filter: str | None = ...,
        operation: int = ...,
        permission_type: int = ...,
    ) -> None: ...

class DeleteAclsResponse(Message):
    throttle_time_ms: int
    filter_results: list[DeleteAclsFilterResult]
    def __init__(self, *, throttle_time_ms: int = ..., filter_results: list[DeleteAclsFilterResult] = ...) -> None: ...

class DeleteAclsFilterResult(Message):
    error_code: int
    error_message: str | None
    matching_acls: list[DeleteAclsMatchingAcl]
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        matching_acls: list[DeleteAclsMatchingAcl] = ...,
    ) -> None: ...

class DeleteAclsMatchingAcl(Message):
    error_code: int
    error_message: str | None
    resource_type: int
    resource_name: str
    pattern_type: int
    principal: str
    host: str
    operation: int
    permission_type: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        resource_type: int = ...,
        resource_name: str = ...,
        pattern_type: int = ...,
        principal: str = ...,
        host: str = ...,
        operation: int = ...,
        permission_type: int = ...,
    ) -> None: ...

class DescribeConfigsRequest(Message):
    resources: list[DescribeConfigsResource]
    include_synonyms: bool
    include_documentation: bool
    def __init__(
        self,
        *,
        resources: list[DescribeConfigsResource] = ...,
        include_synonyms: bool = ...,
        include_documentation: bool = ...,
    ) -> None: ...

class DescribeConfigsResource(Message):
    resource_type: int
    resource_name: str
    configuration_keys: list[str] | None
    def __init__(
        self,
        *,
        resource_type: int = ...,
        resource_name: str = ...,
        configuration_keys: list[str] | None = ...,
    ) -> None: ...

class DescribeConfigsResponse(Message):
    throttle_time_ms: int
    results: list[DescribeConfigsResult]
    def __init__(self, *, throttle_time_ms: int = ..., results: list[DescribeConfigsResult] = ...) -> None: ...

class DescribeConfigsResult(Message):
    error_code: int
    error_message: str | None
    resource_type: int
    resource_name: str
    configs: list[DescribeConfigsResourceResult]
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        resource_type: int = ...,
        resource_name: str = ...,
        configs: list[DescribeConfigsResourceResult] = ...,
    ) -> None: ...

class DescribeConfigsResourceResult(Message):
    name: str
    value: str | None
    read_only: bool
    config_source: int
    is_sensitive: bool
    synonyms: list[DescribeConfigsSynonym]
    config_type: int
    documentation: str | None
    def __init__(
        self,
        *,
        name: str = ...,
        value: str | None = ...,
        read_only: bool = ...,
        config_source: int = ...,
        is_sensitive: bool = ...,
        synonyms: list[DescribeConfigsSynonym] = ...,
        config_type: int = ...,
        documentation: str | None = ...,
    ) -> None: ...

class DescribeConfigsSynonym(Message):
    name: str
    value: str | None
    source: int
    def __init__(self, *, name: str = ..., value: str | None = ..., source: int = ...) -> None: ...

class AlterConfigsRequest(Message):
    resources: list[AlterConfigsRequestAlterConfigsResource]
    validate_only: bool
    def __init__(
        self,
        *,
        resources: list[AlterConfigsRequestAlterConfigsResource] = ...,
        validate_only: bool = ...,
    ) -> None: ...

class AlterConfigsRequestAlterConfigsResource(Message):
    resource_type: int
    resource_name: str
    configs: list[AlterConfigsRequestAlterableConfig]
    def __init__(
        self,
        *,
        resource_type: int = ...,
        resource_name: str = ...,
        configs: list[AlterConfigsRequestAlterableConfig] = ...,
    ) -> None: ...

class AlterConfigsRequestAlterableConfig(Message):
    name: str
    value: str | None
    def __init__(self, *, name: str = ..., value: str | None = ...) -> None: ...

class AlterConfigsResponse(Message):
    throttle_time_ms: int
    responses: list[AlterConfigsResponseAlterConfigsResourceResponse]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        responses: list[AlterConfigsResponseAlterConfigsResourceResponse] = ...,
    ) -> None: ...

class AlterConfigsResponseAlterConfigsResourceResponse(Message):
    error_code: int
    error_message: str | None
    resource_type: int
    resource_name: str
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        resource_type: int = ...,
        resource_name: str = ...,
    ) -> None: ...

class AlterReplicaLogDirsRequest(Message):
    dirs: list[AlterReplicaLogDir]
    def __init__(self, *, dirs: list[AlterReplicaLogDir] = ...) -> None: ...

class AlterReplicaLogDir(Message):
    path: str
    topics: list[AlterReplicaLogDirTopic]
    def __init__(self, *, path: str = ..., topics: list[AlterReplicaLogDirTopic] = ...) -> None: ...

class AlterReplicaLogDirTopic(Message):
    name: str
    partitions: list[int]
    def __init__(self, *, name: str = ..., partitions: list[int] = ...) -> None: ...

class AlterReplicaLogDirsResponse(Message):
    throttle_time_ms: int
    results: list[AlterReplicaLogDirTopicResult]
    def __init__(self, *, throttle_time_ms: int = ..., results: list[AlterReplicaLogDirTopicResult] = ...) -> None: ...

class AlterReplicaLogDirTopicResult(Message):
    topic_name: str
    partitions: list[AlterReplicaLogDirPartitionResult]
    def __init__(self, *, topic_name: str = ..., partitions: list[AlterReplicaLogDirPartitionResult] = ...) -> None: ...

class AlterReplicaLogDirPartitionResult(Message):
    partition_index: int
    error_code: int
    def __init__(self, *, partition_index: int = ..., error_code: int = ...) -> None: ...

class DescribeLogDirsRequest(Message):
    topics: list[DescribableLogDirTopic] | None
    def __init__(self, *, topics: list[DescribableLogDirTopic] | None = ...) -> None: ...

class DescribableLogDirTopic(Message):
    topic: str
    partitions: list[int]
    def __init__(self, *, topic: str = ..., partitions: list[int] = ...) -> None: ...

class DescribeLogDirsResponse(Message):
    throttle_time_ms: int
    error_code: int
    results: list[DescribeLogDirsResult]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        results: list[DescribeLogDirsResult] = ...,
    ) -> None: ...

class DescribeLogDirsResult(Message):
    error_code: int
    log_dir: str
    topics: list[DescribeLogDirsTopic]
    total_bytes: int
    usable_bytes: int
    is_cordoned: bool
    def __init__(
        self,
        *,
        error_code: int = ...,
        log_dir: str = ...,
        topics: list[DescribeLogDirsTopic] = ...,
        total_bytes: int = ...,
        usable_bytes: int = ...,
        is_cordoned: bool = ...,
    ) -> None: ...

class DescribeLogDirsTopic(Message):
    name: str
    partitions: list[DescribeLogDirsPartition]
    def __init__(self, *, name: str = ..., partitions: list[DescribeLogDirsPartition] = ...) -> None: ...

class DescribeLogDirsPartition(Message):
    partition_index: int
    partition_size: int
    offset_lag: int
    is_future_key: bool
    def __init__(
        self,
        *,
        partition_index: int = ...,
        partition_size: int = ...,
        offset_lag: int = ...,
        is_future_key: bool = ...,
    ) -> None: ...

class SaslAuthenticateRequest(Message):
    auth_bytes: bytes
    def __init__(self, *, auth_bytes: bytes = ...) -> None: ...

class SaslAuthenticateResponse(Message):
    error_code: int
    error_message: str | None
    auth_bytes: bytes
    session_lifetime_ms: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        auth_bytes: bytes = ...,
        session_lifetime_ms: int = ...,
    ) -> None: ...

class CreatePartitionsRequest(Message):
    topics: list[CreatePartitionsTopic]
    timeout_ms: int
    validate_only: bool
    def __init__(
        self,
        *,
        topics: list[CreatePartitionsTopic] = ...,
        timeout_ms: int = ...,
        validate_only: bool = ...,
    ) -> None: ...

class CreatePartitionsTopic(Message):
    name: str
    count: int
    assignments: list[CreatePartitionsAssignment] | None
    def __init__(
        self,
        *,
        name: str = ...,
        count: int = ...,
        assignments: list[CreatePartitionsAssignment] | None = ...,
    ) -> None: ...

class CreatePartitionsAssignment(Message):
    broker_ids: list[int]
    def __init__(self, *, broker_ids: list[int] = ...) -> None: ...

class CreatePartitionsResponse(Message):
    throttle_time_ms: int
    results: list[CreatePartitionsTopicResult]
    def __init__(self, *, throttle_time_ms: int = ..., results: list[CreatePartitionsTopicResult] = ...) -> None: ...

class CreatePartitionsTopicResult(Message):
    name: str
    error_code: int
    error_message: str | None
    def __init__(self, *, name: str = ..., error_code: int = ..., error_message: str | None = ...) -> None: ...

class CreateDelegationTokenRequest(Message):
    owner_principal_type: str | None
    owner_principal_name: str | None
    renewers: list[CreatableRenewers]
    max_lifetime_ms: int
    def __init__(
        self,
        *,
        owner_principal_type: str | None = ...,
        owner_principal_name: str | None = ...,
        renewers: list[CreatableRenewers] = ...,
        max_lifetime_ms: int = ...,
    ) -> None: ...

class CreatableRenewers(Message):
    principal_type: str
    principal_name: str
    def __init__(self, *, principal_type: str = ..., principal_name: str = ...) -> None: ...

class CreateDelegationTokenResponse(Message):
    error_code: int
    principal_type: str
    principal_name: str
    token_requester_principal_type: str
    token_requester_principal_name: str
    issue_timestamp_ms: int
    expiry_timestamp_ms: int
    max_timestamp_ms: int
    token_id: str
    hmac: bytes
    throttle_time_ms: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        principal_type: str = ...,
        principal_name: str = ...,
        token_requester_principal_type: str = ...,
        token_requester_principal_name: str = ...,
        issue_timestamp_ms: int = ...,
        expiry_timestamp_ms: int = ...,
        max_timestamp_ms: int = ...,
        token_id: str = ...,
        hmac: bytes = ...,
        throttle_time_ms: int = ...,
    ) -> None: ...

class RenewDelegationTokenRequest(Message):
    hmac: bytes
    renew_period_ms: int
    def __init__(self, *, hmac: bytes = ..., renew_period_ms: int = ...) -> None: ...

class RenewDelegationTokenResponse(Message):
    error_code: int
    expiry_timestamp_ms: int
    throttle_time_ms: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        expiry_timestamp_ms: int = ...,
        throttle_time_ms: int = ...,
    ) -> None: ...

class ExpireDelegationTokenRequest(Message):
    hmac: bytes
    expiry_time_period_ms: int
    def __init__(self, *, hmac: bytes = ..., expiry_time_period_ms: int = ...) -> None: ...

class ExpireDelegationTokenResponse(Message):
    error_code: int
    expiry_timestamp_ms: int
    throttle_time_ms: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        expiry_timestamp_ms: int = ...,
        throttle_time_ms: int = ...,
    ) -> None: ...

class DescribeDelegationTokenRequest(Message):
    owners: list[DescribeDelegationTokenOwner] | None
    def __init__(self, *, owners: list[DescribeDelegationTokenOwner] | None = ...) -> None: ...

class DescribeDelegationTokenOwner(Message):
    principal_type: str
    principal_name: str
    def __init__(self, *, principal_type: str = ..., principal_name: str = ...) -> None: ...

class DescribeDelegationTokenResponse(Message):
    error_code: int
    tokens: list[DescribedDelegationToken]
    throttle_time_ms: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        tokens: list[DescribedDelegationToken] = ...,
        throttle_time_ms: int = ...,
    ) -> None: ...

class DescribedDelegationToken(Message):
    principal_type: str
    principal_name: str
    token_requester_principal_type: str
    token_requester_principal_name: str
    issue_timestamp: int
    expiry_timestamp: int
    max_timestamp: int
    token_id: str
    hmac: bytes
    renewers: list[DescribedDelegationTokenRenewer]
    def __init__(
        self,
        *,
        principal_type: str = ...,
        principal_name: str = ...,
        token_requester_principal_type: str = ...,
        token_requester_principal_name: str = ...,
        issue_timestamp: int = ...,
        expiry_timestamp: int = ...,
        max_timestamp: int = ...,
        token_id: str = ...,
        hmac: bytes = ...,
        renewers: list[DescribedDelegationTokenRenewer] = ...,
    ) -> None: ...

class DescribedDelegationTokenRenewer(Message):
    principal_type: str
    principal_name: str
    def __init__(self, *, principal_type: str = ..., principal_name: str = ...) -> None: ...

class DeleteGroupsRequest(Message):
    groups_names: list[str]
    def __init__(self, *, groups_names: list[str] = ...) -> None: ...

class DeleteGroupsResponse(Message):
    throttle_time_ms: int
    results: list[DeletableGroupResult]
    def __init__(self, *, throttle_time_ms: int = ..., results: list[DeletableGroupResult] = ...) -> None: ...

class DeletableGroupResult(Message):
    group_id: str
    error_code: int
    error_message: str | None
    def __init__(self, *, group_id: str = ..., error_code: int = ..., error_message: str | None = ...) -> None: ...

class ElectLeadersRequest(Message):
    election_type: int
    topic_partitions: list[ElectLeadersRequestTopicPartitions] | None
    timeout_ms: int
    def __init__(
        self,
        *,
        election_type: int = ...,
        topic_partitions: list[ElectLeadersRequestTopicPartitions] | None = ...,
        timeout_ms: int = ...,
    ) -> None: ...

class ElectLeadersRequestTopicPartitions(Message):
    topic: str
    partitions: list[int]
    def __init__(self, *, topic: str = ..., partitions: list[int] = ...) -> None: ...

class ElectLeadersResponse(Message):
    throttle_time_ms: int
    error_code: int
    replica_election_results: list[ReplicaElectionResult]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        replica_election_results: list[ReplicaElectionResult] = ...,
    ) -> None: ...

class ReplicaElectionResult(Message):
    topic: str
    partition_result: list[ElectLeadersResponsePartitionResult]
    def __init__(
        self,
        *,
        topic: str = ...,
        partition_result: list[ElectLeadersResponsePartitionResult] = ...,
    ) -> None: ...

class ElectLeadersResponsePartitionResult(Message):
    partition_id: int
    error_code: int
    error_message: str | None
    def __init__(self, *, partition_id: int = ..., error_code: int = ..., error_message: str | None = ...) -> None: ...

class IncrementalAlterConfigsRequest(Message):
    resources: list[IncrementalAlterConfigsRequestAlterConfigsResource]
    validate_only: bool
    def __init__(
        self,
        *,
        resources: list[IncrementalAlterConfigsRequestAlterConfigsResource] = ...,
        validate_only: bool = ...,
    ) -> None: ...

class IncrementalAlterConfigsRequestAlterConfigsResource(Message):
    resource_type: int
    resource_name: str
    configs: list[IncrementalAlterConfigsRequestAlterableConfig]
    def __init__(
        self,
        *,
        resource_type: int = ...,
        resource_name: str = ...,
        configs: list[IncrementalAlterConfigsRequestAlterableConfig] = ...,
    ) -> None: ...

class IncrementalAlterConfigsRequestAlterableConfig(Message):
    name: str
    config_operation: int
    value: str | None
    def __init__(self, *, name: str = ..., config_operation: int = ..., value: str | None = ...) -> None: ...

class IncrementalAlterConfigsResponse(Message):
    throttle_time_ms: int
    responses: list[IncrementalAlterConfigsResponseAlterConfigsResourceResponse]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        responses: list[IncrementalAlterConfigsResponseAlterConfigsResourceResponse] = ...,
    ) -> None: ...

class IncrementalAlterConfigsResponseAlterConfigsResourceResponse(Message):
    error_code: int
    error_message: str | None
    resource_type: int
    resource_name: str
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        resource_type: int = ...,
        resource_name: str = ...,
    ) -> None: ...

class AlterPartitionReassignmentsRequest(Message):
    timeout_ms: int
    allow_replication_factor_change: bool
    topics: list[ReassignableTopic]
    def __init__(
        self,
        *,
        timeout_ms: int = ...,
        allow_replication_factor_change: bool = ...,
        topics: list[ReassignableTopic] = ...,
    ) -> None: ...

class ReassignableTopic(Message):
    name: str
    partitions: list[ReassignablePartition]
    def __init__(self, *, name: str = ..., partitions: list[ReassignablePartition] = ...) -> None: ...

class ReassignablePartition(Message):
    partition_index: int
    replicas: list[int] | None
    def __init__(self, *, partition_index: int = ..., replicas: list[int] | None = ...) -> None: ...

class AlterPartitionReassignmentsResponse(Message):
    throttle_time_ms: int
    allow_replication_factor_change: bool
    error_code: int
    error_message: str | None
    responses: list[ReassignableTopicResponse]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        allow_replication_factor_change: bool = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        responses: list[ReassignableTopicResponse] = ...,
    ) -> None: ...

class ReassignableTopicResponse(Message):
    name: str
    partitions: list[ReassignablePartitionResponse]
    def __init__(self, *, name: str = ..., partitions: list[ReassignablePartitionResponse] = ...) -> None: ...

class ReassignablePartitionResponse(Message):
    partition_index: int
    error_code: int
    error_message: str | None
    def __init__(
        self,
        *,
        partition_index: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
    ) -> None: ...

class ListPartitionReassignmentsRequest(Message):
    timeout_ms: int
    topics: list[ListPartitionReassignmentsTopics] | None
    def __init__(
        self,
        *,
        timeout_ms: int = ...,
        topics: list[ListPartitionReassignmentsTopics] | None = ...,
    ) -> None: ...

class ListPartitionReassignmentsTopics(Message):
    name: str
    partition_indexes: list[int]
    def __init__(self, *, name: str = ..., partition_indexes: list[int] = ...) -> None: ...

class ListPartitionReassignmentsResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    topics: list[OngoingTopicReassignment]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        topics: list[OngoingTopicReassignment] = ...,
    ) -> None: ...

class OngoingTopicReassignment(Message):
    name: str
    partitions: list[OngoingPartitionReassignment]
    def __init__(self, *, name: str = ..., partitions: list[OngoingPartitionReassignment] = ...) -> None: ...

class OngoingPartitionReassignment(Message):
    partition_index: int
    replicas: list[int]
    adding_replicas: list[int]
    removing_replicas: list[int]
    def __init__(
        self,
        *,
        partition_index: int = ...,
        replicas: list[int] = ...,
        adding_replicas: list[int] = ...,
        removing_replicas: list[int] = ...,
    ) -> None: ...

class OffsetDeleteRequest(Message):
    group_id: str
    topics: list[OffsetDeleteRequestTopic]
    def __init__(self, *, group_id: str = ..., topics: list[OffsetDeleteRequestTopic] = ...) -> None: ...

class OffsetDeleteRequestTopic(Message):
    name: str
    partitions: list[OffsetDeleteRequestPartition]
    def __init__(self, *, name: str = ..., partitions: list[OffsetDeleteRequestPartition] = ...) -> None: ...

class OffsetDeleteRequestPartition(Message):
    partition_index: int
    def __init__(self, *, partition_index: int = ...) -> None: ...

class OffsetDeleteResponse(Message):
    error_code: int
    throttle_time_ms: int
    topics: list[OffsetDeleteResponseTopic]
    def __init__(
        self,
        *,
        error_code: int = ...,
        throttle_time_ms: int = ...,
        topics: list[OffsetDeleteResponseTopic] = ...,
    ) -> None: ...

class OffsetDeleteResponseTopic(Message):
    name: str
    partitions: list[OffsetDeleteResponsePartition]
    def __init__(self, *, name: str = ..., partitions: list[OffsetDeleteResponsePartition] = ...) -> None: ...

class OffsetDeleteResponsePartition(Message):
    partition_index: int
    error_code: int
    def __init__(self, *, partition_index: int = ..., error_code: int = ...) -> None: ...

class DescribeClientQuotasRequest(Message):
    components: list[ComponentData]
    strict: bool
    def __init__(self, *, components: list[ComponentData] = ..., strict: bool = ...) -> None: ...

class ComponentData(Message):
    entity_type: str
    match_type: int
    match: str | None
    def __init__(self, *, entity_type: str = ..., match_type: int = ..., match: str | None = ...) -> None: ...

class DescribeClientQuotasResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    entries: list[DescribeClientQuotasResponseEntryData] | None
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        entries: list[DescribeClientQuotasResponseEntryData] | None = ...,
    ) -> None: ...

class DescribeClientQuotasResponseEntryData(Message):
    entity: list[DescribeClientQuotasResponseEntityData]
    values: list[ValueData]
    def __init__(
        self,
        *,
        entity: list[DescribeClientQuotasResponseEntityData] = ...,
        values: list[ValueData] = ...,
    ) -> None: ...

class DescribeClientQuotasResponseEntityData(Message):
    entity_type: str
    entity_name: str | None
    def __init__(self, *, entity_type: str = ..., entity_name: str | None = ...) -> None: ...

class ValueData(Message):
    key: str
    value: float
    def __init__(self, *, key: str = ..., value: float = ...) -> None: ...

class AlterClientQuotasRequest(Message):
    entries: list[AlterClientQuotasRequestEntryData]
    validate_only: bool
    def __init__(
        self,
        *,
        entries: list[AlterClientQuotasRequestEntryData] = ...,
        validate_only: bool = ...,
    ) -> None: ...

class AlterClientQuotasRequestEntryData(Message):
    entity: list[AlterClientQuotasRequestEntityData]
    ops: list[OpData]
    def __init__(self, *, entity: list[AlterClientQuotasRequestEntityData] = ..., ops: list[OpData] = ...) -> None: ...

class AlterClientQuotasRequestEntityData(Message):
    entity_type: str
    entity_name: str | None
    def __init__(self, *, entity_type: str = ..., entity_name: str | None = ...) -> None: ...

class OpData(Message):
    key: str
    value: float
    remove: bool
    def __init__(self, *, key: str = ..., value: float = ..., remove: bool = ...) -> None: ...

class AlterClientQuotasResponse(Message):
    throttle_time_ms: int
    entries: list[AlterClientQuotasResponseEntryData]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        entries: list[AlterClientQuotasResponseEntryData] = ...,
    ) -> None: ...

class AlterClientQuotasResponseEntryData(Message):
    error_code: int
    error_message: str | None
    entity: list[AlterClientQuotasResponseEntityData]
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        entity: list[AlterClientQuotasResponseEntityData] = ...,
    ) -> None: ...

class AlterClientQuotasResponseEntityData(Message):
    entity_type: str
    entity_name: str | None
    def __init__(self, *, entity_type: str = ..., entity_name: str | None = ...) -> None: ...

class DescribeUserScramCredentialsRequest(Message):
    users: list[UserName] | None
    def __init__(self, *, users: list[UserName] | None = ...) -> None: ...

class UserName(Message):
    name: str
    def __init__(self, *, name: str = ...) -> None: ...

class DescribeUserScramCredentialsResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    results: list[DescribeUserScramCredentialsResult]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        results: list[DescribeUserScramCredentialsResult] = ...,
    ) -> None: ...

class DescribeUserScramCredentialsResult(Message):
    user: str
    error_code: int
    error_message: str | None
    credential_infos: list[CredentialInfo]
    def __init__(
        self,
        *,
        user: str = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        credential_infos: list[CredentialInfo] = ...,
    ) -> None: ...

class CredentialInfo(Message):
    mechanism: int
    iterations: int
    def __init__(self, *, mechanism: int = ..., iterations: int = ...) -> None: ...

class AlterUserScramCredentialsRequest(Message):
    deletions: list[ScramCredentialDeletion]
    upsertions: list[ScramCredentialUpsertion]
    def __init__(
        self,
        *,
        deletions: list[ScramCredentialDeletion] = ...,
        upsertions: list[ScramCredentialUpsertion] = ...,
    ) -> None: ...

class ScramCredentialDeletion(Message):
    name: str
    mechanism: int
    def __init__(self, *, name: str = ..., mechanism: int = ...) -> None: ...

class ScramCredentialUpsertion(Message):
    name: str
    mechanism: int
    iterations: int
    salt: bytes
    salted_password: bytes
    def __init__(
        self,
        *,
        name: str = ...,
        mechanism: int = ...,
        iterations: int = ...,
        salt: bytes = ...,
        salted_password: bytes = ...,
    ) -> None: ...

class AlterUserScramCredentialsResponse(Message):
    throttle_time_ms: int
    results: list[AlterUserScramCredentialsResult]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        results: list[AlterUserScramCredentialsResult] = ...,
    ) -> None: ...

class AlterUserScramCredentialsResult(Message):
    user: str
    error_code: int
    error_message: str | None
    def __init__(self, *, user: str = ..., error_code: int = ..., error_message: str | None = ...) -> None: ...

class DescribeQuorumRequest(Message):
    topics: list[DescribeQuorumRequestTopicData]
    def __init__(self, *, topics: list[DescribeQuorumRequestTopicData] = ...) -> None: ...

class DescribeQuorumRequestTopicData(Message):
    topic_name: str
    partitions: list[DescribeQuorumRequestPartitionData]
    def __init__(
        self,
        *,
        topic_name: str = ...,
        partitions: list[DescribeQuorumRequestPartitionData] = ...,
    ) -> None: ...

class DescribeQuorumRequestPartitionData(Message):
    partition_index: int
    def __init__(self, *, partition_index: int = ...) -> None: ...

class DescribeQuorumResponse(Message):
    error_code: int
    error_message: str | None
    topics: list[DescribeQuorumResponseTopicData]
    nodes: list[Node]
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        topics: list[DescribeQuorumResponseTopicData] = ...,
        nodes: list[Node] = ...,
    ) -> None: ...

class DescribeQuorumResponseTopicData(Message):
    topic_name: str
    partitions: list[DescribeQuorumResponsePartitionData]
    def __init__(
        self,
        *,
        topic_name: str = ...,
        partitions: list[DescribeQuorumResponsePartitionData] = ...,
    ) -> None: ...

class DescribeQuorumResponsePartitionData(Message):
    partition_index: int
    error_code: int
    error_message: str | None
    leader_id: int
    leader_epoch: int
    high_watermark: int
    current_voters: list[DescribeQuorumResponseReplicaState]
    observers: list[DescribeQuorumResponseReplicaState]
    def __init__(
        self,
        *,
        partition_index: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        leader_id: int = ...,
        leader_epoch: int = ...,
        high_watermark: int = ...,
        current_voters: list[DescribeQuorumResponseReplicaState] = ...,
        observers: list[DescribeQuorumResponseReplicaState] = ...,
    ) -> None: ...

class DescribeQuorumResponseReplicaState(Message):
    replica_id: int
    replica_directory_id: bytes
    log_end_offset: int
    last_fetch_timestamp: int
    last_caught_up_timestamp: int
    def __init__(
        self,
        *,
        replica_id: int = ...,
        replica_directory_id: bytes = ...,
        log_end_offset: int = ...,
        last_fetch_timestamp: int = ...,
        last_caught_up_timestamp: int = ...,
    ) -> None: ...

class Node(Message):
    node_id: int
    listeners: list[DescribeQuorumResponseListener]
    def __init__(self, *, node_id: int = ..., listeners: list[DescribeQuorumResponseListener] = ...) -> None: ...

class DescribeQuorumResponseListener(Message):
    name: str
    host: str
    port: int
    def __init__(self, *, name: str = ..., host: str = ..., port: int = ...) -> None: ...

class UpdateFeaturesRequest(Message):
    timeout_ms: int
    feature_updates: list[FeatureUpdateKey]
    validate_only: bool
    def __init__(
        self,
        *,
        timeout_ms: int = ...,
        feature_updates: list[FeatureUpdateKey] = ...,
        validate_only: bool = ...,
    ) -> None: ...

class FeatureUpdateKey(Message):
    feature: str
    max_version_level: int
    allow_downgrade: bool
    upgrade_type: int
    def __init__(
        self,
        *,
        feature: str = ...,
        max_version_level: int = ...,
        allow_downgrade: bool = ...,
        upgrade_type: int = ...,
    ) -> None: ...

class UpdateFeaturesResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    results: list[UpdatableFeatureResult]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        results: list[UpdatableFeatureResult] = ...,
    ) -> None: ...

class UpdatableFeatureResult(Message):
    feature: str
    error_code: int
    error_message: str | None
    def __init__(self, *, feature: str = ..., error_code: int = ..., error_message: str | None = ...) -> None: ...

class DescribeClusterRequest(Message):
    include_cluster_authorized_operations: bool
    endpoint_type: int
    include_fenced_brokers: bool
    def __init__(
        self,
        *,
        include_cluster_authorized_operations: bool = ...,
        endpoint_type: int = ...,
        include_fenced_brokers: bool = ...,
    ) -> None: ...

class DescribeClusterResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    endpoint_type: int
    cluster_id: str
    controller_id: int
    brokers: list[DescribeClusterBroker]
    cluster_authorized_operations: int
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        endpoint_type: int = ...,
        cluster_id: str = ...,
        controller_id: int = ...,
        brokers: list[DescribeClusterBroker] = ...,
        cluster_authorized_operations: int = ...,
    ) -> None: ...

class DescribeClusterBroker(Message):
    broker_id: int
    host: str
    port: int
    rack: str | None
    is_fenced: bool
    def __init__(
        self,
        *,
        broker_id: int = ...,
        host: str = ...,
        port: int = ...,
        rack: str | None = ...,
        is_fenced: bool = ...,
    ) -> None: ...

class DescribeProducersRequest(Message):
    topics: list[DescribeProducersRequestTopicRequest]
    def __init__(self, *, topics: list[DescribeProducersRequestTopicRequest] = ...) -> None: ...

class DescribeProducersRequestTopicRequest(Message):
    name: str
    partition_indexes: list[int]
    def __init__(self, *, name: str = ..., partition_indexes: list[int] = ...) -> None: ...

class DescribeProducersResponse(Message):
    throttle_time_ms: int
    topics: list[TopicResponse]
    def __init__(self, *, throttle_time_ms: int = ..., topics: list[TopicResponse] = ...) -> None: ...

class TopicResponse(Message):
    name: str
    partitions: list[PartitionResponse]
    def __init__(self, *, name: str = ..., partitions: list[PartitionResponse] = ...) -> None: ...

class PartitionResponse(Message):
    partition_index: int
    error_code: int
    error_message: str | None
    active_producers: list[ProducerState]
    def __init__(
        self,
        *,
        partition_index: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        active_producers: list[ProducerState] = ...,
    ) -> None: ...

class ProducerState(Message):
    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_timestamp: int
    coordinator_epoch: int
    current_txn_start_offset: int
    def __init__(
        self,
        *,
        producer_id: int = ...,
        producer_epoch: int = ...,
        last_sequence: int = ...,
        last_timestamp: int = ...,
        coordinator_epoch: int = ...,
        current_txn_start_offset: int = ...,
    ) -> None: ...

class UnregisterBrokerRequest(Message):
    broker_id: int
    def __init__(self, *, broker_id: int = ...) -> None: ...

class UnregisterBrokerResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
    ) -> None: ...

class DescribeTransactionsRequest(Message):
    transactional_ids: list[str]
    def __init__(self, *, transactional_ids: list[str] = ...) -> None: ...

class DescribeTransactionsResponse(Message):
    throttle_time_ms: int
    transaction_states: list[DescribeTransactionsResponseTransactionState]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        transaction_states: list[DescribeTransactionsResponseTransactionState] = ...,
    ) -> None: ...

class DescribeTransactionsResponseTransactionState(Message):
    error_code: int
    transactional_id: str
    transaction_state: str
    transaction_timeout_ms: int
    transaction_start_time_ms: int
    producer_id: int
    producer_epoch: int
    topics: list[DescribeTransactionsResponseTopicData]
    def __init__(
        self,
        *,
        error_code: int = ...,
        transactional_id: str = ...,
        transaction_state: str = ...,
        transaction_timeout_ms: int = ...,
        transaction_start_time_ms: int = ...,
        producer_id: int = ...,
        producer_epoch: int = ...,
        topics: list[DescribeTransactionsResponseTopicData] = ...,
    ) -> None: ...

class DescribeTransactionsResponseTopicData(Message):
    topic: str
    partitions: list[int]
    def __init__(self, *, topic: str = ..., partitions: list[int] = ...) -> None: ...

class ListTransactionsRequest(Message):
    state_filters: list[str]
    producer_id_filters: list[int]
    duration_filter: int
    transactional_id_pattern: str | None
    def __init__(
        self,
        *,
        state_filters: list[str] = ...,
        producer_id_filters: list[int] = ...,
        duration_filter: int = ...,
        transactional_id_pattern: str | None = ...,
    ) -> None: ...

class ListTransactionsResponse(Message):
    throttle_time_ms: int
    error_code: int
    unknown_state_filters: list[str]
    transaction_states: list[ListTransactionsResponseTransactionState]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        unknown_state_filters: list[str] = ...,
        transaction_states: list[ListTransactionsResponseTransactionState] = ...,
    ) -> None: ...

class ListTransactionsResponseTransactionState(Message):
    transactional_id: str
    producer_id: int
    transaction_state: str
    def __init__(
        self,
        *,
        transactional_id: str = ...,
        producer_id: int = ...,
        transaction_state: str = ...,
    ) -> None: ...

class ConsumerGroupHeartbeatRequest(Message):
    group_id: str
    member_id: str
    member_epoch: int
    instance_id: str | None
    rack_id: str | None
    rebalance_timeout_ms: int
    subscribed_topic_names: list[str] | None
    subscribed_topic_regex: str | None
    server_assignor: str | None
    topic_partitions: list[ConsumerGroupHeartbeatRequestTopicPartitions] | None
    def __init__(
        self,
        *,
        group_id: str = ...,
        member_id: str = ...,
        member_epoch: int = ...,
        instance_id: str | None = ...,
        rack_id: str | None = ...,
        rebalance_timeout_ms: int = ...,
        subscribed_topic_names: list[str] | None = ...,
        subscribed_topic_regex: str | None = ...,
        server_assignor: str | None = ...,
        topic_partitions: list[ConsumerGroupHeartbeatRequestTopicPartitions] | None = ...,
    ) -> None: ...

class ConsumerGroupHeartbeatRequestTopicPartitions(Message):
    topic_id: bytes
    partitions: list[int]
    def __init__(self, *, topic_id: bytes = ..., partitions: list[int] = ...) -> None: ...

class ConsumerGroupHeartbeatResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    member_id: str | None
    member_epoch: int
    heartbeat_interval_ms: int
    assignment: ConsumerGroupHeartbeatResponseAssignment | None
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        member_id: str | None = ...,
        member_epoch: int = ...,
        heartbeat_interval_ms: int = ...,
        assignment: ConsumerGroupHeartbeatResponseAssignment | None = ...,
    ) -> None: ...

class ConsumerGroupHeartbeatResponseAssignment(Message):
    topic_partitions: list[ConsumerGroupHeartbeatResponseTopicPartitions]
    def __init__(self, *, topic_partitions: list[ConsumerGroupHeartbeatResponseTopicPartitions] = ...) -> None: ...

class ConsumerGroupHeartbeatResponseTopicPartitions(Message):
    topic_id: bytes
    partitions: list[int]
    def __init__(self, *, topic_id: bytes = ..., partitions: list[int] = ...) -> None: ...

class ConsumerGroupDescribeRequest(Message):
    group_ids: list[str]
    include_authorized_operations: bool
    def __init__(self, *, group_ids: list[str] = ..., include_authorized_operations: bool = ...) -> None: ...

class ConsumerGroupDescribeResponse(Message):
    throttle_time_ms: int
    groups: list[ConsumerGroupDescribeResponseDescribedGroup]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        groups: list[ConsumerGroupDescribeResponseDescribedGroup] = ...,
    ) -> None: ...

class ConsumerGroupDescribeResponseDescribedGroup(Message):
    error_code: int
    error_message: str | None
    group_id: str
    group_state: str
    group_epoch: int
    assignment_epoch: int
    assignor_name: str
    members: list[ConsumerGroupDescribeResponseMember]
    authorized_operations: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        group_id: str = ...,
        group_state: str = ...,
        group_epoch: int = ...,
        assignment_epoch: int = ...,
        assignor_name: str = ...,
        members: list[ConsumerGroupDescribeResponseMember] = ...,
        authorized_operations: int = ...,
    ) -> None: ...

class ConsumerGroupDescribeResponseMember(Message):
    member_id: str
    instance_id: str | None
    rack_id: str | None
    member_epoch: int
    client_id: str
    client_host: str
    subscribed_topic_names: list[str]
    subscribed_topic_regex: str | None
    assignment: ConsumerGroupDescribeResponseAssignment
    target_assignment: ConsumerGroupDescribeResponseAssignment
    member_type: int
    def __init__(
        self,
        *,
        member_id: str = ...,
        instance_id: str | None = ...,
        rack_id: str | None = ...,
        member_epoch: int = ...,
        client_id: str = ...,
        client_host: str = ...,
        subscribed_topic_names: list[str] = ...,
        subscribed_topic_regex: str | None = ...,
        assignment: ConsumerGroupDescribeResponseAssignment = ...,
        target_assignment: ConsumerGroupDescribeResponseAssignment = ...,
        member_type: int = ...,
    ) -> None: ...

class ConsumerGroupDescribeResponseAssignment(Message):
    topic_partitions: list[ConsumerGroupDescribeResponseTopicPartitions]
    def __init__(self, *, topic_partitions: list[ConsumerGroupDescribeResponseTopicPartitions] = ...) -> None: ...

class ConsumerGroupDescribeResponseTopicPartitions(Message):
    topic_id: bytes
    topic_name: str
    partitions: list[int]
    def __init__(self, *, topic_id: bytes = ..., topic_name: str = ..., partitions: list[int] = ...) -> None: ...

class GetTelemetrySubscriptionsRequest(Message):
    client_instance_id: bytes
    def __init__(self, *, client_instance_id: bytes = ...) -> None: ...

class GetTelemetrySubscriptionsResponse(Message):
    throttle_time_ms: int
    error_code: int
    client_instance_id: bytes
    subscription_id: int
    accepted_compression_types: list[int]
    push_interval_ms: int
    telemetry_max_bytes: int
    delta_temporality: bool
    requested_metrics: list[str]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        client_instance_id: bytes = ...,
        subscription_id: int = ...,
        accepted_compression_types: list[int] = ...,
        push_interval_ms: int = ...,
        telemetry_max_bytes: int = ...,
        delta_temporality: bool = ...,
        requested_metrics: list[str] = ...,
    ) -> None: ...

class PushTelemetryRequest(Message):
    client_instance_id: bytes
    subscription_id: int
    terminating: bool
    compression_type: int
    metrics: bytes
    def __init__(
        self,
        *,
        client_instance_id: bytes = ...,
        subscription_id: int = ...,
        terminating: bool = ...,
        compression_type: int = ...,
        metrics: bytes = ...,
    ) -> None: ...

class PushTelemetryResponse(Message):
    throttle_time_ms: int
    error_code: int
    def __init__(self, *, throttle_time_ms: int = ..., error_code: int = ...) -> None: ...

class ListConfigResourcesRequest(Message):
    resource_types: list[int]
    def __init__(self, *, resource_types: list[int] = ...) -> None: ...

class ListConfigResourcesResponse(Message):
    throttle_time_ms: int
    error_code: int
    config_resources: list[ConfigResource]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        config_resources: list[ConfigResource] = ...,
    ) -> None: ...

class ConfigResource(Message):
    resource_name: str
    resource_type: int
    def __init__(self, *, resource_name: str = ..., resource_type: int = ...) -> None: ...

class DescribeTopicPartitionsRequest(Message):
    topics: list[DescribeTopicPartitionsRequestTopicRequest]
    response_partition_limit: int
    cursor: DescribeTopicPartitionsRequestCursor | None
    def __init__(
        self,
        *,
        topics: list[DescribeTopicPartitionsRequestTopicRequest] = ...,
        response_partition_limit: int = ...,
        cursor: DescribeTopicPartitionsRequestCursor | None = ...,
    ) -> None: ...

class DescribeTopicPartitionsRequestTopicRequest(Message):
    name: str
    def __init__(self, *, name: str = ...) -> None: ...

class DescribeTopicPartitionsRequestCursor(Message):
    topic_name: str
    partition_index: int
    def __init__(self, *, topic_name: str = ..., partition_index: int = ...) -> None: ...

class DescribeTopicPartitionsResponse(Message):
    throttle_time_ms: int
    topics: list[DescribeTopicPartitionsResponseTopic]
    next_cursor: DescribeTopicPartitionsResponseCursor | None
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        topics: list[DescribeTopicPartitionsResponseTopic] = ...,
        next_cursor: DescribeTopicPartitionsResponseCursor | None = ...,
    ) -> None: ...

class DescribeTopicPartitionsResponseTopic(Message):
    error_code: int
    name: str | None
    topic_id: bytes
    is_internal: bool
    partitions: list[DescribeTopicPartitionsResponsePartition]
    topic_authorized_operations: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        name: str | None = ...,
        topic_id: bytes = ...,
        is_internal: bool = ...,
        partitions: list[DescribeTopicPartitionsResponsePartition] = ...,
        topic_authorized_operations: int = ...,
    ) -> None: ...

class DescribeTopicPartitionsResponsePartition(Message):
    error_code: int
    partition_index: int
    leader_id: int
    leader_epoch: int
    replica_nodes: list[int]
    isr_nodes: list[int]
    eligible_leader_replicas: list[int] | None
    last_known_elr: list[int] | None
    offline_replicas: list[int]
    def __init__(
        self,
        *,
        error_code: int = ...,
        partition_index: int = ...,
        leader_id: int = ...,
        leader_epoch: int = ...,
        replica_nodes: list[int] = ...,
        isr_nodes: list[int] = ...,
        eligible_leader_replicas: list[int] | None = ...,
        last_known_elr: list[int] | None = ...,
        offline_replicas: list[int] = ...,
    ) -> None: ...

class DescribeTopicPartitionsResponseCursor(Message):
    topic_name: str
    partition_index: int
    def __init__(self, *, topic_name: str = ..., partition_index: int = ...) -> None: ...

class ShareGroupHeartbeatRequest(Message):
    group_id: str
    member_id: str
    member_epoch: int
    rack_id: str | None
    subscribed_topic_names: list[str] | None
    def __init__(
        self,
        *,
        group_id: str = ...,
        member_id: str = ...,
        member_epoch: int = ...,
        rack_id: str | None = ...,
        subscribed_topic_names: list[str] | None = ...,
    ) -> None: ...

class ShareGroupHeartbeatResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    member_id: str | None
    member_epoch: int
    heartbeat_interval_ms: int
    assignment: ShareGroupHeartbeatResponseAssignment | None
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        member_id: str | None = ...,
        member_epoch: int = ...,
        heartbeat_interval_ms: int = ...,
        assignment: ShareGroupHeartbeatResponseAssignment | None = ...,
    ) -> None: ...

class ShareGroupHeartbeatResponseAssignment(Message):
    topic_partitions: list[ShareGroupHeartbeatResponseTopicPartitions]
    def __init__(self, *, topic_partitions: list[ShareGroupHeartbeatResponseTopicPartitions] = ...) -> None: ...

class ShareGroupHeartbeatResponseTopicPartitions(Message):
    topic_id: bytes
    partitions: list[int]
    def __init__(self, *, topic_id: bytes = ..., partitions: list[int] = ...) -> None: ...

class ShareGroupDescribeRequest(Message):
    group_ids: list[str]
    include_authorized_operations: bool
    def __init__(self, *, group_ids: list[str] = ..., include_authorized_operations: bool = ...) -> None: ...

class ShareGroupDescribeResponse(Message):
    throttle_time_ms: int
    groups: list[ShareGroupDescribeResponseDescribedGroup]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        groups: list[ShareGroupDescribeResponseDescribedGroup] = ...,
    ) -> None: ...

class ShareGroupDescribeResponseDescribedGroup(Message):
    error_code: int
    error_message: str | None
    group_id: str
    group_state: str
    group_epoch: int
    assignment_epoch: int
    assignor_name: str
    members: list[ShareGroupDescribeResponseMember]
    authorized_operations: int
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        group_id: str = ...,
        group_state: str = ...,
        group_epoch: int = ...,
        assignment_epoch: int = ...,
        assignor_name: str = ...,
        members: list[ShareGroupDescribeResponseMember] = ...,
        authorized_operations: int = ...,
    ) -> None: ...

class ShareGroupDescribeResponseMember(Message):
    member_id: str
    rack_id: str | None
    member_epoch: int
    client_id: str
    client_host: str
    subscribed_topic_names: list[str]
    assignment: ShareGroupDescribeResponseAssignment
    def __init__(
        self,
        *,
        member_id: str = ...,
        rack_id: str | None = ...,
        member_epoch: int = ...,
        client_id: str = ...,
        client_host: str = ...,
        subscribed_topic_names: list[str] = ...,
        assignment: ShareGroupDescribeResponseAssignment = ...,
    ) -> None: ...

class ShareGroupDescribeResponseAssignment(Message):
    topic_partitions: list[ShareGroupDescribeResponseTopicPartitions]
    def __init__(self, *, topic_partitions: list[ShareGroupDescribeResponseTopicPartitions] = ...) -> None: ...

class ShareGroupDescribeResponseTopicPartitions(Message):
    topic_id: bytes
    topic_name: str
    partitions: list[int]
    def __init__(self, *, topic_id: bytes = ..., topic_name: str = ..., partitions: list[int] = ...) -> None: ...

class ShareFetchRequest(Message):
    group_id: str | None
    member_id: str | None
    share_session_epoch: int
    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    max_records: int
    batch_size: int
    share_acquire_mode: int
    is_renew_ack: bool
    topics: list[ShareFetchRequestFetchTopic]
    forgotten_topics_data: list[ShareFetchRequestForgottenTopic]
    def __init__(
        self,
        *,
        group_id: str | None = ...,
        member_id: str | None = ...,
        share_session_epoch: int = ...,
        max_wait_ms: int = ...,
        min_bytes: int = ...,
        max_bytes: int = ...,
        max_records: int = ...,
        batch_size: int = ...,
        share_acquire_mode: int = ...,
        is_renew_ack: bool = ...,
        topics: list[ShareFetchRequestFetchTopic] = ...,
        forgotten_topics_data: list[ShareFetchRequestForgottenTopic] = ...,
    ) -> None: ...

class ShareFetchRequestFetchTopic(Message):
    topic_id: bytes
    partitions: list[ShareFetchRequestFetchPartition]
    def __init__(self, *, topic_id: bytes = ..., partitions: list[ShareFetchRequestFetchPartition] = ...) -> None: ...

class ShareFetchRequestFetchPartition(Message):
    partition_index: int
    acknowledgement_batches: list[ShareFetchRequestAcknowledgementBatch]
    def __init__(
        self,
        *,
        partition_index: int = ...,
        acknowledgement_batches: list[ShareFetchRequestAcknowledgementBatch] = ...,
    ) -> None: ...

class ShareFetchRequestAcknowledgementBatch(Message):
    first_offset: int
    last_offset: int
    acknowledge_types: list[int]
    def __init__(
        self,
        *,
        first_offset: int = ...,
        last_offset: int = ...,
        acknowledge_types: list[int] = ...,
    ) -> None: ...

class ShareFetchRequestForgottenTopic(Message):
    topic_id: bytes
    partitions: list[int]
    def __init__(self, *, topic_id: bytes = ..., partitions: list[int] = ...) -> None: ...

class ShareFetchResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    acquisition_lock_timeout_ms: int
    responses: list[ShareFetchableTopicResponse]
    node_endpoints: list[ShareFetchResponseNodeEndpoint]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        acquisition_lock_timeout_ms: int = ...,
        responses: list[ShareFetchableTopicResponse] = ...,
        node_endpoints: list[ShareFetchResponseNodeEndpoint] = ...,
    ) -> None: ...

class ShareFetchableTopicResponse(Message):
    topic_id: bytes
    partitions: list[ShareFetchResponsePartitionData]
    def __init__(self, *, topic_id: bytes = ..., partitions: list[ShareFetchResponsePartitionData] = ...) -> None: ...

class ShareFetchResponsePartitionData(Message):
    partition_index: int
    error_code: int
    error_message: str | None
    acknowledge_error_code: int
    acknowledge_error_message: str | None
    current_leader: ShareFetchResponseLeaderIdAndEpoch
    records: bytes
    acquired_records: list[AcquiredRecords]
    def __init__(
        self,
        *,
        partition_index: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        acknowledge_error_code: int = ...,
        acknowledge_error_message: str | None = ...,
        current_leader: ShareFetchResponseLeaderIdAndEpoch = ...,
        records: bytes = ...,
        acquired_records: list[AcquiredRecords] = ...,
    ) -> None: ...

class ShareFetchResponseLeaderIdAndEpoch(Message):
    leader_id: int
    leader_epoch: int
    def __init__(self, *, leader_id: int = ..., leader_epoch: int = ...) -> None: ...

class AcquiredRecords(Message):
    first_offset: int
    last_offset: int
    delivery_count: int
    def __init__(self, *, first_offset: int = ..., last_offset: int = ..., delivery_count: int = ...) -> None: ...

class ShareFetchResponseNodeEndpoint(Message):
    node_id: int
    host: str
    port: int
    rack: str | None
    def __init__(self, *, node_id: int = ..., host: str = ..., port: int = ..., rack: str | None = ...) -> None: ...

class ShareAcknowledgeRequest(Message):
    group_id: str | None
    member_id: str | None
    share_session_epoch: int
    is_renew_ack: bool
    topics: list[AcknowledgeTopic]
    def __init__(
        self,
        *,
        group_id: str | None = ...,
        member_id: str | None = ...,
        share_session_epoch: int = ...,
        is_renew_ack: bool = ...,
        topics: list[AcknowledgeTopic] = ...,
    ) -> None: ...

class AcknowledgeTopic(Message):
    topic_id: bytes
    partitions: list[AcknowledgePartition]
    def __init__(self, *, topic_id: bytes = ..., partitions: list[AcknowledgePartition] = ...) -> None: ...

class AcknowledgePartition(Message):
    partition_index: int
    acknowledgement_batches: list[ShareAcknowledgeRequestAcknowledgementBatch]
    def __init__(
        self,
        *,
        partition_index: int = ...,
        acknowledgement_batches: list[ShareAcknowledgeRequestAcknowledgementBatch] = ...,
    ) -> None: ...

class ShareAcknowledgeRequestAcknowledgementBatch(Message):
    first_offset: int
    last_offset: int
    acknowledge_types: list[int]
    def __init__(
        self,
        *,
        first_offset: int = ...,
        last_offset: int = ...,
        acknowledge_types: list[int] = ...,
    ) -> None: ...

class ShareAcknowledgeResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    acquisition_lock_timeout_ms: int
    responses: list[ShareAcknowledgeTopicResponse]
    node_endpoints: list[ShareAcknowledgeResponseNodeEndpoint]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        acquisition_lock_timeout_ms: int = ...,
        responses: list[ShareAcknowledgeTopicResponse] = ...,
        node_endpoints: list[ShareAcknowledgeResponseNodeEndpoint] = ...,
    ) -> None: ...

class ShareAcknowledgeTopicResponse(Message):
    topic_id: bytes
    partitions: list[ShareAcknowledgeResponsePartitionData]
    def __init__(
        self,
        *,
        topic_id: bytes = ...,
        partitions: list[ShareAcknowledgeResponsePartitionData] = ...,
    ) -> None: ...

class ShareAcknowledgeResponsePartitionData(Message):
    partition_index: int
    error_code: int
    error_message: str | None
    current_leader: ShareAcknowledgeResponseLeaderIdAndEpoch
    def __init__(
        self,
        *,
        partition_index: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        current_leader: ShareAcknowledgeResponseLeaderIdAndEpoch = ...,
    ) -> None: ...

class ShareAcknowledgeResponseLeaderIdAndEpoch(Message):
    leader_id: int
    leader_epoch: int
    def __init__(self, *, leader_id: int = ..., leader_epoch: int = ...) -> None: ...

class ShareAcknowledgeResponseNodeEndpoint(Message):
    node_id: int
    host: str
    port: int
    rack: str | None
    def __init__(self, *, node_id: int = ..., host: str = ..., port: int = ..., rack: str | None = ...) -> None: ...

class AddRaftVoterRequest(Message):
    cluster_id: str | None
    timeout_ms: int
    voter_id: int
    voter_directory_id: bytes
    listeners: list[AddRaftVoterRequestListener]
    ack_when_committed: bool
    def __init__(
        self,
        *,
        cluster_id: str | None = ...,
        timeout_ms: int = ...,
        voter_id: int = ...,
        voter_directory_id: bytes = ...,
        listeners: list[AddRaftVoterRequestListener] = ...,
        ack_when_committed: bool = ...,
    ) -> None: ...

class AddRaftVoterRequestListener(Message):
    name: str
    host: str
    port: int
    def __init__(self, *, name: str = ..., host: str = ..., port: int = ...) -> None: ...

class AddRaftVoterResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
    ) -> None: ...

class RemoveRaftVoterRequest(Message):
    cluster_id: str | None
    voter_id: int
    voter_directory_id: bytes
    def __init__(
        self,
        *,
        cluster_id: str | None = ...,
        voter_id: int = ...,
        voter_directory_id: bytes = ...,
    ) -> None: ...

class RemoveRaftVoterResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
    ) -> None: ...

class StreamsGroupHeartbeatRequest(Message):
    group_id: str
    member_id: str
    member_epoch: int
    endpoint_information_epoch: int
    instance_id: str | None
    rack_id: str | None
    rebalance_timeout_ms: int
    topology: StreamsGroupHeartbeatRequestTopology | None
    active_tasks: list[StreamsGroupHeartbeatRequestTaskIds] | None
    standby_tasks: list[StreamsGroupHeartbeatRequestTaskIds] | None
    warmup_tasks: list[StreamsGroupHeartbeatRequestTaskIds] | None
    process_id: str | None
    user_endpoint: StreamsGroupHeartbeatRequestEndpoint | None
    client_tags: list[StreamsGroupHeartbeatRequestKeyValue] | None
    task_offsets: list[StreamsGroupHeartbeatRequestTaskOffset] | None
    task_end_offsets: list[StreamsGroupHeartbeatRequestTaskOffset] | None
    shutdown_application: bool
    def __init__(
        self,
        *,
        group_id: str = ...,
        member_id: str = ...,
        member_epoch: int = ...,
        endpoint_information_epoch: int = ...,
        instance_id: str | None = ...,
        rack_id: str | None = ...,
        rebalance_timeout_ms: int = ...,
        topology: StreamsGroupHeartbeatRequestTopology | None = ...,
        active_tasks: list[StreamsGroupHeartbeatRequestTaskIds] | None = ...,
        standby_tasks: list[StreamsGroupHeartbeatRequestTaskIds] | None = ...,
        warmup_tasks: list[StreamsGroupHeartbeatRequestTaskIds] | None = ...,
        process_id: str | None = ...,
        user_endpoint: StreamsGroupHeartbeatRequestEndpoint | None = ...,
        client_tags: list[StreamsGroupHeartbeatRequestKeyValue] | None = ...,
        task_offsets: list[StreamsGroupHeartbeatRequestTaskOffset] | None = ...,
        task_end_offsets: list[StreamsGroupHeartbeatRequestTaskOffset] | None = ...,
        shutdown_application: bool = ...,
    ) -> None: ...

class StreamsGroupHeartbeatRequestTopology(Message):
    epoch: int
    subtopologies: list[StreamsGroupHeartbeatRequestSubtopology]
    def __init__(
        self,
        *,
        epoch: int = ...,
        subtopologies: list[StreamsGroupHeartbeatRequestSubtopology] = ...,
    ) -> None: ...

class StreamsGroupHeartbeatRequestSubtopology(Message):
    subtopology_id: str
    source_topics: list[str]
    source_topic_regex: list[str]
    state_changelog_topics: list[StreamsGroupHeartbeatRequestTopicInfo]
    repartition_sink_topics: list[str]
    repartition_source_topics: list[StreamsGroupHeartbeatRequestTopicInfo]
    copartition_groups: list[CopartitionGroup]
    def __init__(
        self,
        *,
        subtopology_id: str = ...,
        source_topics: list[str] = ...,
        source_topic_regex: list[str] = ...,
        state_changelog_topics: list[StreamsGroupHeartbeatRequestTopicInfo] = ...,
        repartition_sink_topics: list[str] = ...,
        repartition_source_topics: list[StreamsGroupHeartbeatRequestTopicInfo] = ...,
        copartition_groups: list[CopartitionGroup] = ...,
    ) -> None: ...

class StreamsGroupHeartbeatRequestTopicInfo(Message):
    name: str
    partitions: int
    replication_factor: int
    topic_configs: list[StreamsGroupHeartbeatRequestKeyValue]
    def __init__(
        self,
        *,
        name: str = ...,
        partitions: int = ...,
        replication_factor: int = ...,
        topic_configs: list[StreamsGroupHeartbeatRequestKeyValue] = ...,
    ) -> None: ...

class StreamsGroupHeartbeatRequestKeyValue(Message):
    key: str
    value: str
    def __init__(self, *, key: str = ..., value: str = ...) -> None: ...

class CopartitionGroup(Message):
    source_topics: list[int]
    source_topic_regex: list[int]
    repartition_source_topics: list[int]
    def __init__(
        self,
        *,
        source_topics: list[int] = ...,
        source_topic_regex: list[int] = ...,
        repartition_source_topics: list[int] = ...,
    ) -> None: ...

class StreamsGroupHeartbeatRequestTaskIds(Message):
    subtopology_id: str
    partitions: list[int]
    def __init__(self, *, subtopology_id: str = ..., partitions: list[int] = ...) -> None: ...

class StreamsGroupHeartbeatRequestEndpoint(Message):
    host: str
    port: int
    def __init__(self, *, host: str = ..., port: int = ...) -> None: ...

class StreamsGroupHeartbeatRequestTaskOffset(Message):
    subtopology_id: str
    partition: int
    offset: int
    def __init__(self, *, subtopology_id: str = ..., partition: int = ..., offset: int = ...) -> None: ...

class StreamsGroupHeartbeatResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    member_id: str
    member_epoch: int
    heartbeat_interval_ms: int
    acceptable_recovery_lag_legacy: int
    task_offset_interval_ms: int
    acceptable_recovery_lag: int
    status: list[Status] | None
    active_tasks: list[StreamsGroupHeartbeatResponseTaskIds] | None
    standby_tasks: list[StreamsGroupHeartbeatResponseTaskIds] | None
    warmup_tasks: list[StreamsGroupHeartbeatResponseTaskIds] | None
    topology_description_required: bool
    endpoint_information_epoch: int
    partitions_by_user_endpoint: list[EndpointToPartitions] | None
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        member_id: str = ...,
        member_epoch: int = ...,
        heartbeat_interval_ms: int = ...,
        acceptable_recovery_lag_legacy: int = ...,
        task_offset_interval_ms: int = ...,
        acceptable_recovery_lag: int = ...,
        status: list[Status] | None = ...,
        active_tasks: list[StreamsGroupHeartbeatResponseTaskIds] | None = ...,
        standby_tasks: list[StreamsGroupHeartbeatResponseTaskIds] | None = ...,
        warmup_tasks: list[StreamsGroupHeartbeatResponseTaskIds] | None = ...,
        topology_description_required: bool = ...,
        endpoint_information_epoch: int = ...,
        partitions_by_user_endpoint: list[EndpointToPartitions] | None = ...,
    ) -> None: ...

class Status(Message):
    status_code: int
    status_detail: str
    def __init__(self, *, status_code: int = ..., status_detail: str = ...) -> None: ...

class StreamsGroupHeartbeatResponseTaskIds(Message):
    subtopology_id: str
    partitions: list[int]
    def __init__(self, *, subtopology_id: str = ..., partitions: list[int] = ...) -> None: ...

class EndpointToPartitions(Message):
    user_endpoint: StreamsGroupHeartbeatResponseEndpoint
    active_partitions: list[StreamsGroupHeartbeatResponseTopicPartition]
    standby_partitions: list[StreamsGroupHeartbeatResponseTopicPartition]
    def __init__(
        self,
        *,
        user_endpoint: StreamsGroupHeartbeatResponseEndpoint = ...,
        active_partitions: list[StreamsGroupHeartbeatResponseTopicPartition] = ...,
        standby_partitions: list[StreamsGroupHeartbeatResponseTopicPartition] = ...,
    ) -> None: ...

class StreamsGroupHeartbeatResponseEndpoint(Message):
    host: str
    port: int
    def __init__(self, *, host: str = ..., port: int = ...) -> None: ...

class StreamsGroupHeartbeatResponseTopicPartition(Message):
    topic: str
    partitions: list[int]
    def __init__(self, *, topic: str = ..., partitions: list[int] = ...) -> None: ...

class StreamsGroupDescribeRequest(Message):
    group_ids: list[str]
    include_authorized_operations: bool
    include_topology_description: bool
    def __init__(
        self,
        *,
        group_ids: list[str] = ...,
        include_authorized_operations: bool = ...,
        include_topology_description: bool = ...,
    ) -> None: ...

class StreamsGroupDescribeResponse(Message):
    throttle_time_ms: int
    groups: list[StreamsGroupDescribeResponseDescribedGroup]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        groups: list[StreamsGroupDescribeResponseDescribedGroup] = ...,
    ) -> None: ...

class StreamsGroupDescribeResponseDescribedGroup(Message):
    error_code: int
    error_message: str | None
    group_id: str
    group_state: str
    group_epoch: int
    assignment_epoch: int
    topology: StreamsGroupDescribeResponseTopology | None
    members: list[StreamsGroupDescribeResponseMember]
    authorized_operations: int
    topology_description: StreamsGroupDescribeResponseTopologyDescription | None
    topology_description_status: int
    assignor_name: str | None
    def __init__(
        self,
        *,
        error_code: int = ...,
        error_message: str | None = ...,
        group_id: str = ...,
        group_state: str = ...,
        group_epoch: int = ...,
        assignment_epoch: int = ...,
        topology: StreamsGroupDescribeResponseTopology | None = ...,
        members: list[StreamsGroupDescribeResponseMember] = ...,
        authorized_operations: int = ...,
        topology_description: StreamsGroupDescribeResponseTopologyDescription | None = ...,
        topology_description_status: int = ...,
        assignor_name: str | None = ...,
    ) -> None: ...

class StreamsGroupDescribeResponseTopology(Message):
    epoch: int
    subtopologies: list[StreamsGroupDescribeResponseSubtopology] | None
    def __init__(
        self,
        *,
        epoch: int = ...,
        subtopologies: list[StreamsGroupDescribeResponseSubtopology] | None = ...,
    ) -> None: ...

class StreamsGroupDescribeResponseSubtopology(Message):
    subtopology_id: str
    source_topics: list[str]
    repartition_sink_topics: list[str]
    state_changelog_topics: list[StreamsGroupDescribeResponseTopicInfo]
    repartition_source_topics: list[StreamsGroupDescribeResponseTopicInfo]
    def __init__(
        self,
        *,
        subtopology_id: str = ...,
        source_topics: list[str] = ...,
        repartition_sink_topics: list[str] = ...,
        state_changelog_topics: list[StreamsGroupDescribeResponseTopicInfo] = ...,
        repartition_source_topics: list[StreamsGroupDescribeResponseTopicInfo] = ...,
    ) -> None: ...

class StreamsGroupDescribeResponseTopicInfo(Message):
    name: str
    partitions: int
    replication_factor: int
    topic_configs: list[StreamsGroupDescribeResponseKeyValue]
    def __init__(
        self,
        *,
        name: str = ...,
        partitions: int = ...,
        replication_factor: int = ...,
        topic_configs: list[StreamsGroupDescribeResponseKeyValue] = ...,
    ) -> None: ...

class StreamsGroupDescribeResponseKeyValue(Message):
    key: str
    value: str
    def __init__(self, *, key: str = ..., value: str = ...) -> None: ...

class StreamsGroupDescribeResponseMember(Message):
    member_id: str
    member_epoch: int
    instance_id: str | None
    rack_id: str | None
    client_id: str
    client_host: str
    topology_epoch: int
    process_id: str
    user_endpoint: StreamsGroupDescribeResponseEndpoint | None
    client_tags: list[StreamsGroupDescribeResponseKeyValue]
    task_offsets: list[StreamsGroupDescribeResponseTaskOffset]
    task_end_offsets: list[StreamsGroupDescribeResponseTaskOffset]
    assignment: StreamsGroupDescribeResponseAssignment
    target_assignment: StreamsGroupDescribeResponseAssignment
    is_classic: bool
    def __init__(
        self,
        *,
        member_id: str = ...,
        member_epoch: int = ...,
        instance_id: str | None = ...,
        rack_id: str | None = ...,
        client_id: str = ...,
        client_host: str = ...,
        topology_epoch: int = ...,
        process_id: str = ...,
        user_endpoint: StreamsGroupDescribeResponseEndpoint | None = ...,
        client_tags: list[StreamsGroupDescribeResponseKeyValue] = ...,
        task_offsets: list[StreamsGroupDescribeResponseTaskOffset] = ...,
        task_end_offsets: list[StreamsGroupDescribeResponseTaskOffset] = ...,
        assignment: StreamsGroupDescribeResponseAssignment = ...,
        target_assignment: StreamsGroupDescribeResponseAssignment = ...,
        is_classic: bool = ...,
    ) -> None: ...

class StreamsGroupDescribeResponseEndpoint(Message):
    host: str
    port: int
    def __init__(self, *, host: str = ..., port: int = ...) -> None: ...

class StreamsGroupDescribeResponseTaskOffset(Message):
    subtopology_id: str
    partition: int
    offset: int
    def __init__(self, *, subtopology_id: str = ..., partition: int = ..., offset: int = ...) -> None: ...

class StreamsGroupDescribeResponseAssignment(Message):
    active_tasks: list[StreamsGroupDescribeResponseTaskIds]
    standby_tasks: list[StreamsGroupDescribeResponseTaskIds]
    warmup_tasks: list[StreamsGroupDescribeResponseTaskIds]
    def __init__(
        self,
        *,
        active_tasks: list[StreamsGroupDescribeResponseTaskIds] = ...,
        standby_tasks: list[StreamsGroupDescribeResponseTaskIds] = ...,
        warmup_tasks: list[StreamsGroupDescribeResponseTaskIds] = ...,
    ) -> None: ...

class StreamsGroupDescribeResponseTaskIds(Message):
    subtopology_id: str
    partitions: list[int]
    def __init__(self, *, subtopology_id: str = ..., partitions: list[int] = ...) -> None: ...

class StreamsGroupDescribeResponseTopologyDescription(Message):
    subtopologies: list[StreamsGroupDescribeResponseTopologyDescriptionSubtopology]
    global_stores: list[StreamsGroupDescribeResponseTopologyDescriptionGlobalStore]
    def __init__(
        self,
        *,
        subtopologies: list[StreamsGroupDescribeResponseTopologyDescriptionSubtopology] = ...,
        global_stores: list[StreamsGroupDescribeResponseTopologyDescriptionGlobalStore] = ...,
    ) -> None: ...

class StreamsGroupDescribeResponseTopologyDescriptionSubtopology(Message):
    subtopology_id: str
    nodes: list[StreamsGroupDescribeResponseTopologyDescriptionNode]
    def __init__(
        self,
        *,
        subtopology_id: str = ...,
        nodes: list[StreamsGroupDescribeResponseTopologyDescriptionNode] = ...,
    ) -> None: ...

class StreamsGroupDescribeResponseTopologyDescriptionNode(Message):
    name: str
    node_type: int
    source_topics: list[str]
    sink_topic: str | None
    stores: list[str]
    successors: list[str]
    def __init__(
        self,
        *,
        name: str = ...,
        node_type: int = ...,
        source_topics: list[str] = ...,
        sink_topic: str | None = ...,
        stores: list[str] = ...,
        successors: list[str] = ...,
    ) -> None: ...

class StreamsGroupDescribeResponseTopologyDescriptionGlobalStore(Message):
    source: StreamsGroupDescribeResponseTopologyDescriptionNode
    processor: StreamsGroupDescribeResponseTopologyDescriptionNode
    def __init__(
        self,
        *,
        source: StreamsGroupDescribeResponseTopologyDescriptionNode = ...,
        processor: StreamsGroupDescribeResponseTopologyDescriptionNode = ...,
    ) -> None: ...

class DescribeShareGroupOffsetsRequest(Message):
    groups: list[DescribeShareGroupOffsetsRequestGroup]
    def __init__(self, *, groups: list[DescribeShareGroupOffsetsRequestGroup] = ...) -> None: ...

class DescribeShareGroupOffsetsRequestGroup(Message):
    group_id: str
    topics: list[DescribeShareGroupOffsetsRequestTopic] | None
    def __init__(
        self,
        *,
        group_id: str = ...,
        topics: list[DescribeShareGroupOffsetsRequestTopic] | None = ...,
    ) -> None: ...

class DescribeShareGroupOffsetsRequestTopic(Message):
    topic_name: str
    partitions: list[int]
    def __init__(self, *, topic_name: str = ..., partitions: list[int] = ...) -> None: ...

class DescribeShareGroupOffsetsResponse(Message):
    throttle_time_ms: int
    groups: list[DescribeShareGroupOffsetsResponseGroup]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        groups: list[DescribeShareGroupOffsetsResponseGroup] = ...,
    ) -> None: ...

class DescribeShareGroupOffsetsResponseGroup(Message):
    group_id: str
    topics: list[DescribeShareGroupOffsetsResponseTopic]
    error_code: int
    error_message: str | None
    def __init__(
        self,
        *,
        group_id: str = ...,
        topics: list[DescribeShareGroupOffsetsResponseTopic] = ...,
        error_code: int = ...,
        error_message: str | None = ...,
    ) -> None: ...

class DescribeShareGroupOffsetsResponseTopic(Message):
    topic_name: str
    topic_id: bytes
    partitions: list[DescribeShareGroupOffsetsResponsePartition]
    def __init__(
        self,
        *,
        topic_name: str = ...,
        topic_id: bytes = ...,
        partitions: list[DescribeShareGroupOffsetsResponsePartition] = ...,
    ) -> None: ...

class DescribeShareGroupOffsetsResponsePartition(Message):
    partition_index: int
    start_offset: int
    leader_epoch: int
    lag: int
    error_code: int
    error_message: str | None
    def __init__(
        self,
        *,
        partition_index: int = ...,
        start_offset: int = ...,
        leader_epoch: int = ...,
        lag: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
    ) -> None: ...

class AlterShareGroupOffsetsRequest(Message):
    group_id: str
    topics: list[AlterShareGroupOffsetsRequestTopic]
    def __init__(self, *, group_id: str = ..., topics: list[AlterShareGroupOffsetsRequestTopic] = ...) -> None: ...

class AlterShareGroupOffsetsRequestTopic(Message):
    topic_name: str
    partitions: list[AlterShareGroupOffsetsRequestPartition]
    def __init__(
        self,
        *,
        topic_name: str = ...,
        partitions: list[AlterShareGroupOffsetsRequestPartition] = ...,
    ) -> None: ...

class AlterShareGroupOffsetsRequestPartition(Message):
    partition_index: int
    start_offset: int
    def __init__(self, *, partition_index: int = ..., start_offset: int = ...) -> None: ...

class AlterShareGroupOffsetsResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    responses: list[AlterShareGroupOffsetsResponseTopic]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        responses: list[AlterShareGroupOffsetsResponseTopic] = ...,
    ) -> None: ...

class AlterShareGroupOffsetsResponseTopic(Message):
    topic_name: str
    topic_id: bytes
    partitions: list[AlterShareGroupOffsetsResponsePartition]
    def __init__(
        self,
        *,
        topic_name: str = ...,
        topic_id: bytes = ...,
        partitions: list[AlterShareGroupOffsetsResponsePartition] = ...,
    ) -> None: ...

class AlterShareGroupOffsetsResponsePartition(Message):
    partition_index: int
    error_code: int
    error_message: str | None
    def __init__(
        self,
        *,
        partition_index: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
    ) -> None: ...

class DeleteShareGroupOffsetsRequest(Message):
    group_id: str
    topics: list[DeleteShareGroupOffsetsRequestTopic]
    def __init__(self, *, group_id: str = ..., topics: list[DeleteShareGroupOffsetsRequestTopic] = ...) -> None: ...

class DeleteShareGroupOffsetsRequestTopic(Message):
    topic_name: str
    def __init__(self, *, topic_name: str = ...) -> None: ...

class DeleteShareGroupOffsetsResponse(Message):
    throttle_time_ms: int
    error_code: int
    error_message: str | None
    responses: list[DeleteShareGroupOffsetsResponseTopic]
    def __init__(
        self,
        *,
        throttle_time_ms: int = ...,
        error_code: int = ...,
        error_message: str | None = ...,
        responses: list[DeleteShareGroupOffsetsResponseTopic] = ...,
    ) -> None: ...

class DeleteShareGroupOffsetsResponseTopic(Message):
    topic_name: str
    topic_id: bytes
    error_code: int
    error_message: str | None
    def __init__(
        self,
        *,
        topic_name: str = ...,
        topic_id: bytes = ...,
        error_code: int = ...,
        error_message: str | None = ...,
    ) -> None: ...

class ConsumerProtocolSubscription(Message):
    topics: list[str]
    user_data: bytes | None
    owned_partitions: list[ConsumerProtocolSubscriptionTopicPartition]
    generation_id: int
    rack_id: str | None
    def __init__(
        self,
        *,
        topics: list[str] = ...,
        user_data: bytes | None = ...,
        owned_partitions: list[ConsumerProtocolSubscriptionTopicPartition] = ...,
        generation_id: int = ...,
        rack_id: str | None = ...,
    ) -> None: ...

class ConsumerProtocolSubscriptionTopicPartition(Message):
    topic: str
    partitions: list[int]
    def __init__(self, *, topic: str = ..., partitions: list[int] = ...) -> None: ...

class ConsumerProtocolAssignment(Message):
    assigned_partitions: list[ConsumerProtocolAssignmentTopicPartition]
    user_data: bytes | None
    def __init__(
        self,
        *,
        assigned_partitions: list[ConsumerProtocolAssignmentTopicPartition] = ...,
        user_data: bytes | None = ...,
    ) -> None: ...

class ConsumerProtocolAssignmentTopicPartition(Message):
    topic: str
    partitions: list[int]
    def __init__(self, *, topic: str = ..., partitions: list[int] = ...) -> None: ...

class LegacyOffsetCommitKey(Message):
    group: str
    topic: str
    partition: int
    def __init__(self, *, group: str = ..., topic: str = ..., partition: int = ...) -> None: ...

class LegacyOffsetCommitValue(Message):
    offset: int
    metadata: str
    commit_timestamp: int
    def __init__(self, *, offset: int = ..., metadata: str = ..., commit_timestamp: int = ...) -> None: ...

class OffsetCommitKey(Message):
    group: str
    topic: str
    partition: int
    def __init__(self, *, group: str = ..., topic: str = ..., partition: int = ...) -> None: ...

class OffsetCommitValue(Message):
    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp: int
    expire_timestamp: int
    topic_id: bytes
    def __init__(
        self,
        *,
        offset: int = ...,
        leader_epoch: int = ...,
        metadata: str = ...,
        commit_timestamp: int = ...,
        expire_timestamp: int = ...,
        topic_id: bytes = ...,
    ) -> None: ...

class GroupMetadataKey(Message):
    group: str
    def __init__(self, *, group: str = ...) -> None: ...

class GroupMetadataValue(Message):
    protocol_type: str
    generation: int
    protocol: str | None
    leader: str | None
    current_state_timestamp: int
    members: list[GroupMetadataValueMemberMetadata]
    def __init__(
        self,
        *,
        protocol_type: str = ...,
        generation: int = ...,
        protocol: str | None = ...,
        leader: str | None = ...,
        current_state_timestamp: int = ...,
        members: list[GroupMetadataValueMemberMetadata] = ...,
    ) -> None: ...

class GroupMetadataValueMemberMetadata(Message):
    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout: int
    session_timeout: int
    subscription: bytes
    assignment: bytes
    def __init__(
        self,
        *,
        member_id: str = ...,
        group_instance_id: str | None = ...,
        client_id: str = ...,
        client_host: str = ...,
        rebalance_timeout: int = ...,
        session_timeout: int = ...,
        subscription: bytes = ...,
        assignment: bytes = ...,
    ) -> None: ...

class ConsumerGroupMetadataKey(Message):
    group_id: str
    def __init__(self, *, group_id: str = ...) -> None: ...

class ConsumerGroupMetadataValue(Message):
    epoch: int
    metadata_hash: int
    def __init__(self, *, epoch: int = ..., metadata_hash: int = ...) -> None: ...

class ConsumerGroupPartitionMetadataKey(Message):
    group_id: str
    def __init__(self, *, group_id: str = ...) -> None: ...

class ConsumerGroupPartitionMetadataValue(Message):
    topics: list[ConsumerGroupPartitionMetadataValueTopicMetadata]
    def __init__(self, *, topics: list[ConsumerGroupPartitionMetadataValueTopicMetadata] = ...) -> None: ...

class ConsumerGroupPartitionMetadataValueTopicMetadata(Message):
    topic_id: bytes
    topic_name: str
    num_partitions: int
    partition_metadata: list[ConsumerGroupPartitionMetadataValuePartitionMetadata]
    def __init__(
        self,
        *,
        topic_id: bytes = ...,
        topic_name: str = ...,
        num_partitions: int = ...,
        partition_metadata: list[ConsumerGroupPartitionMetadataValuePartitionMetadata] = ...,
    ) -> None: ...

class ConsumerGroupPartitionMetadataValuePartitionMetadata(Message):
    partition: int
    racks: list[str]
    def __init__(self, *, partition: int = ..., racks: list[str] = ...) -> None: ...

class ConsumerGroupMemberMetadataKey(Message):
    group_id: str
    member_id: str
    def __init__(self, *, group_id: str = ..., member_id: str = ...) -> None: ...

class ConsumerGroupMemberMetadataValue(Message):
    instance_id: str | None
    rack_id: str | None
    client_id: str
    client_host: str
    subscribed_topic_names: list[str]
    subscribed_topic_regex: str | None
    rebalance_timeout_ms: int
    server_assignor: str | None
    classic_member_metadata: ConsumerGroupMemberMetadataValueClassicMemberMetadata | None
    def __init__(
        self,
        *,
        instance_id: str | None = ...,
        rack_id: str | None = ...,
        client_id: str = ...,
        client_host: str = ...,
        subscribed_topic_names: list[str] = ...,
        subscribed_topic_regex: str | None = ...,
        rebalance_timeout_ms: int = ...,
        server_assignor: str | None = ...,
        classic_member_metadata: ConsumerGroupMemberMetadataValueClassicMemberMetadata | None = ...,
    ) -> None: ...

class ConsumerGroupMemberMetadataValueClassicMemberMetadata(Message):
    session_timeout_ms: int
    supported_protocols: list[ConsumerGroupMemberMetadataValueClassicProtocol]
    def __init__(
        self,
        *,
        session_timeout_ms: int = ...,
        supported_protocols: list[ConsumerGroupMemberMetadataValueClassicProtocol] = ...,
    ) -> None: ...

class ConsumerGroupMemberMetadataValueClassicProtocol(Message):
    name: str
    metadata: bytes
    def __init__(self, *, name: str = ..., metadata: bytes = ...) -> None: ...

class ConsumerGroupTargetAssignmentMetadataKey(Message):
    group_id: str
    def __init__(self, *, group_id: str = ...) -> None: ...

class ConsumerGroupTargetAssignmentMetadataValue(Message):
    assignment_epoch: int
    assignment_timestamp: int
    def __init__(self, *, assignment_epoch: int = ..., assignment_timestamp: int = ...) -> None: ...

class ConsumerGroupTargetAssignmentMemberKey(Message):
    group_id: str
    member_id: str
    def __init__(self, *, group_id: str = ..., member_id: str = ...) -> None: ...

class ConsumerGroupTargetAssignmentMemberValue(Message):
    topic_partitions: list[ConsumerGroupTargetAssignmentMemberValueTopicPartition]
    def __init__(
        self,
        *,
        topic_partitions: list[ConsumerGroupTargetAssignmentMemberValueTopicPartition] = ...,
    ) -> None: ...

class ConsumerGroupTargetAssignmentMemberValueTopicPartition(Message):
    topic_id: bytes
    partitions: list[int]
    def __init__(self, *, topic_id: bytes = ..., partitions: list[int] = ...) -> None: ...

class ConsumerGroupCurrentMemberAssignmentKey(Message):
    group_id: str
    member_id: str
    def __init__(self, *, group_id: str = ..., member_id: str = ...) -> None: ...

class ConsumerGroupCurrentMemberAssignmentValue(Message):
    member_epoch: int
    previous_member_epoch: int
    state: int
    assigned_partitions: list[ConsumerGroupCurrentMemberAssignmentValueTopicPartitions]
    partitions_pending_revocation: list[ConsumerGroupCurrentMemberAssignmentValueTopicPartitions]
    def __init__(
        self,
        *,
        member_epoch: int = ...,
        previous_member_epoch: int = ...,
        state: int = ...,
        assigned_partitions: list[ConsumerGroupCurrentMemberAssignmentValueTopicPartitions] = ...,
        partitions_pending_revocation: list[ConsumerGroupCurrentMemberAssignmentValueTopicPartitions] = ...,
    ) -> None: ...

class ConsumerGroupCurrentMemberAssignmentValueTopicPartitions(Message):
    topic_id: bytes
    partitions: list[int]
    assignment_epochs: list[int] | None
    def __init__(
        self,
        *,
        topic_id: bytes = ...,
        partitions: list[int] = ...,
        assignment_epochs: list[int] | None = ...,
    ) -> None: ...

class ConsumerGroupRegularExpressionKey(Message):
    group_id: str
    regular_expression: str
    def __init__(self, *, group_id: str = ..., regular_expression: str = ...) -> None: ...

class ConsumerGroupRegularExpressionValue(Message):
    topics: list[str]
    version: int
    timestamp: int
    def __init__(self, *, topics: list[str] = ..., version: int = ..., timestamp: int = ...) -> None: ...

class TransactionLogKey(Message):
    transactional_id: str
    def __init__(self, *, transactional_id: str = ...) -> None: ...

class TransactionLogValue(Message):
    producer_id: int
    previous_producer_id: int
    next_producer_id: int
    producer_epoch: int
    next_producer_epoch: int
    transaction_timeout_ms: int
    transaction_status: int
    transaction_partitions: list[TransactionLogValuePartitionsSchema] | None
    transaction_last_update_timestamp_ms: int
    transaction_start_timestamp_ms: int
    client_transaction_version: int
    def __init__(
        self,
        *,
        producer_id: int = ...,
        previous_producer_id: int = ...,
        next_producer_id: int = ...,
        producer_epoch: int = ...,
        next_producer_epoch: int = ...,
        transaction_timeout_ms: int = ...,
        transaction_status: int = ...,
        transaction_partitions: list[TransactionLogValuePartitionsSchema] | None = ...,
        transaction_last_update_timestamp_ms: int = ...,
        transaction_start_timestamp_ms: int = ...,
        client_transaction_version: int = ...,
    ) -> None: ...

class TransactionLogValuePartitionsSchema(Message):
    topic: str
    partition_ids: list[int]
    def __init__(self, *, topic: str = ..., partition_ids: list[int] = ...) -> None: ...
