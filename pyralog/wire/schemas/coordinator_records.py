"""Records of the coordinators' topics: schemas by name (form: see wire/schema.py)."""

SCHEMAS: dict[str, str] = {
    "LegacyOffsetCommitKey": """
LegacyOffsetCommitKey 0
data
  group     string
  topic     string
  partition int32
""",
    "LegacyOffsetCommitValue": """
LegacyOffsetCommitValue 0
data
  offset           int64
  metadata         string
  commit_timestamp int64
""",
    "OffsetCommitKey": """
OffsetCommitKey 0
data
  group     string
  topic     string
  partition int32
""",
    "OffsetCommitValue": """
OffsetCommitValue 0-4 flexible 4+
data
  offset           int64
  leader_epoch     int32 3+ ignorable = -1
  metadata         string
  commit_timestamp int64
  expire_timestamp int64 1 ignorable = -1
  topic_id         uuid 4+ tag=0 ignorable
""",
    "GroupMetadataKey": """
GroupMetadataKey 0
data
  group string
""",
    "GroupMetadataValue": """
GroupMetadataValue 0-4 flexible 4+
data
  protocol_type           string
  generation              int32
  protocol                string?
  leader                  string?
  current_state_timestamp int64 2+ ignorable = -1
  members                 []GroupMetadataValueMemberMetadata
    member_id         string
    group_instance_id string? 3+ ignorable = null
    client_id         string
    client_host       string
    rebalance_timeout int32 1+ ignorable = -1
    session_timeout   int32
    subscription      bytes
    assignment        bytes
""",
    "ConsumerGroupMetadataKey": """
ConsumerGroupMetadataKey 0
data
  group_id string
""",
    "ConsumerGroupMetadataValue": """
ConsumerGroupMetadataValue 0 flexible 0+
data
  epoch         int32
  metadata_hash int64 tag=0 = 0
""",
    "ConsumerGroupPartitionMetadataKey": """
ConsumerGroupPartitionMetadataKey 0
data
  group_id string
""",
    "ConsumerGroupPartitionMetadataValue": """
ConsumerGroupPartitionMetadataValue 0 flexible 0+
data
  topics []ConsumerGroupPartitionMetadataValueTopicMetadata
    topic_id           uuid
    topic_name         string
    num_partitions     int32
    partition_metadata []ConsumerGroupPartitionMetadataValuePartitionMetadata
      partition int32
      racks     []string
""",
    "ConsumerGroupMemberMetadataKey": """
ConsumerGroupMemberMetadataKey 0
data
  group_id  string
  member_id string
""",
    "ConsumerGroupMemberMetadataValue": """
ConsumerGroupMemberMetadataValue 0 flexible 0+
data
  instance_id             string?
  rack_id                 string?
  client_id               string
  client_host             string
  subscribed_topic_names  []string
  subscribed_topic_regex  string?
  rebalance_timeout_ms    int32 = -1
  server_assignor         string?
  classic_member_metadata ConsumerGroupMemberMetadataValueClassicMemberMetadata? tag=0 = null
    session_timeout_ms  int32
    supported_protocols []ConsumerGroupMemberMetadataValueClassicProtocol
      name     string
      metadata bytes
""",
    "ConsumerGroupTargetAssignmentMetadataKey": """
ConsumerGroupTargetAssignmentMetadataKey 0
data
  group_id string
""",
    "ConsumerGroupTargetAssignmentMetadataValue": """
ConsumerGroupTargetAssignmentMetadataValue 0 flexible 0+
data
  assignment_epoch     int32
  assignment_timestamp int64 tag=0 ignorable = 0
""",
    "ConsumerGroupTargetAssignmentMemberKey": """
ConsumerGroupTargetAssignmentMemberKey 0
data
  group_id  string
  member_id string
""",
    "ConsumerGroupTargetAssignmentMemberValue": """
ConsumerGroupTargetAssignmentMemberValue 0 flexible 0+
data
  topic_partitions []ConsumerGroupTargetAssignmentMemberValueTopicPartition
    topic_id   uuid
    partitions []int32
""",
    "ConsumerGroupCurrentMemberAssignmentKey": """
ConsumerGroupCurrentMemberAssignmentKey 0
data
  group_id  string
  member_id string
""",
    "ConsumerGroupCurrentMemberAssignmentValue": """
ConsumerGroupCurrentMemberAssignmentValue 0 flexible 0+
data
  member_epoch                  int32
  previous_member_epoch         int32
  state                         int8
  assigned_partitions           []ConsumerGroupCurrentMemberAssignmentValueTopicPartitions
    topic_id          uuid
    partitions        []int32
    assignment_epochs []int32? tag=0 = null
  partitions_pending_revocation []ConsumerGroupCurrentMemberAssignmentValueTopicPartitions
""",
    "ConsumerGroupRegularExpressionKey": """
ConsumerGroupRegularExpressionKey 0
data
  group_id           string
  regular_expression string
""",
    "ConsumerGroupRegularExpressionValue": """
ConsumerGroupRegularExpressionValue 0 flexible 0+
data
  topics    []string
  version   int64
  timestamp int64
""",
    "TransactionLogKey": """
TransactionLogKey 0
data
  transactional_id string
""",
    "TransactionLogValue": """
TransactionLogValue 0-1 flexible 1+
data
  producer_id                          int64
  previous_producer_id                 int64 1+ tag=0 = -1
  next_producer_id                     int64 1+ tag=1 = -1
  producer_epoch                       int16
  next_producer_epoch                  int16 1+ tag=3 = -1
  transaction_timeout_ms               int32
  transaction_status                   int8
  transaction_partitions               []TransactionLogValuePartitionsSchema?
    topic         string
    partition_ids []int32
  transaction_last_update_timestamp_ms int64
  transaction_start_timestamp_ms       int64
  client_transaction_version           int16 1+ tag=2 = 0
""",
}
