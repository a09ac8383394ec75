"""Share groups (KIP-932): schemas by API key (form: see wire/schema.py)."""

SCHEMAS: dict[int, str] = {
    76: """
ShareGroupHeartbeat 1 flexible 0+
request
  group_id               string
  member_id              string
  member_epoch           int32
  rack_id                string? = null
  subscribed_topic_names []string? = null
response
  throttle_time_ms      int32
  error_code            int16
  error_message         string? = null
  member_id             string? = null
  member_epoch          int32
  heartbeat_interval_ms int32
  assignment            ShareGroupHeartbeatResponseAssignment? = null
    topic_partitions []ShareGroupHeartbeatResponseTopicPartitions
      topic_id   uuid
      partitions []int32
""",
    77: """
ShareGroupDescribe 1 flexible 0+
request
  group_ids                     []string
  include_authorized_operations bool
response
  throttle_time_ms int32
  groups           []ShareGroupDescribeResponseDescribedGroup
    error_code            int16
    error_message         string? = null
    group_id              string
    group_state           string
    group_epoch           int32
    assignment_epoch      int32
    assignor_name         string
    members               []ShareGroupDescribeResponseMember
      member_id              string
      rack_id                string? = null
      member_epoch           int32
      client_id              string
      client_host            string
      subscribed_topic_names []string
      assignment             ShareGroupDescribeResponseAssignment
        topic_partitions []ShareGroupDescribeResponseTopicPartitions
          topic_id   uuid
          topic_name string
          partitions []int32
    authorized_operations int32 = -2147483648
""",
    78: """
ShareFetch 1-2 flexible 0+
request
  group_id              string? = null
  member_id             string?
  share_session_epoch   int32
  max_wait_ms           int32
  min_bytes             int32
  max_bytes             int32 = 0x7fffffff
  max_records           int32
  batch_size            int32
  share_acquire_mode    int8 2+ ignorable
  is_renew_ack          bool 2+
  topics                []ShareFetchRequestFetchTopic
    topic_id   uuid
    partitions []ShareFetchRequestFetchPartition
      partition_index         int32
      acknowledgement_batches []ShareFetchRequestAcknowledgementBatch
        first_offset      int64
        last_offset       int64
        acknowledge_types []int8
  forgotten_topics_data []ShareFetchRequestForgottenTopic
    topic_id   uuid
    partitions []int32
response
  throttle_time_ms            int32
  error_code                  int16
  error_message               string? = null
  acquisition_lock_timeout_ms int32
  responses                   []ShareFetchableTopicResponse
    topic_id   uuid
    partitions []ShareFetchResponsePartitionData
      partition_index           int32
      error_code                int16
      error_message             string? = null
      acknowledge_error_code    int16
      acknowledge_error_message string? = null
      current_leader            ShareFetchResponseLeaderIdAndEpoch
        leader_id      int32
        leader_epoch   int32
      records                   records = null
      acquired_records          []AcquiredRecords
        first_offset   int64
        last_offset    int64
        delivery_count int16
  node_endpoints              []ShareFetchResponseNodeEndpoint
    node_id    int32
    host       string
    port       int32
    rack       string? = null
""",
    79: """
ShareAcknowledge 1-2 flexible 0+
request
  group_id            string? = null
  member_id           string?
  share_session_epoch int32
  is_renew_ack        bool 2+
  topics              []AcknowledgeTopic
    topic_id   uuid
    partitions []AcknowledgePartition
      partition_index         int32
      acknowledgement_batches []ShareAcknowledgeRequestAcknowledgementBatch
        first_offset      int64
        last_offset       int64
        acknowledge_types []int8
response
  throttle_time_ms            int32
  error_code                  int16
  error_message               string? = null
  acquisition_lock_timeout_ms int32 2+ ignorable
  responses                   []ShareAcknowledgeTopicResponse
    topic_id   uuid
    partitions []ShareAcknowledgeResponsePartitionData
      partition_index int32
      error_code      int16
      error_message   string? = null
      current_leader  ShareAcknowledgeResponseLeaderIdAndEpoch
        leader_id    int32
        leader_epoch int32
  node_endpoints              []ShareAcknowledgeResponseNodeEndpoint
    node_id    int32
    host       string
    port       int32
    rack       string? = null
""",
    90: """
DescribeShareGroupOffsets 0-1 flexible 0+
request
  groups []DescribeShareGroupOffsetsRequestGroup
    group_id string
    topics   []DescribeShareGroupOffsetsRequestTopic?
      topic_name string
      partitions []int32
response
  throttle_time_ms int32
  groups           []DescribeShareGroupOffsetsResponseGroup
    group_id      string
    topics        []DescribeShareGroupOffsetsResponseTopic
      topic_name string
      topic_id   uuid
      partitions []DescribeShareGroupOffsetsResponsePartition
        partition_index int32
        start_offset    int64
        leader_epoch    int32
        lag             int64 1+ ignorable = -1
        error_code      int16
        error_message   string? = null
    error_code    int16
    error_message string? = null
""",
    91: """
AlterShareGroupOffsets 0 flexible 0+
request
  group_id string
  topics   []AlterShareGroupOffsetsRequestTopic
    topic_name string
    partitions []AlterShareGroupOffsetsRequestPartition
      partition_index int32
      start_offset    int64
response
  throttle_time_ms int32
  error_code       int16
  error_message    string? = null
  responses        []AlterShareGroupOffsetsResponseTopic
    topic_name string
    topic_id   uuid
    partitions []AlterShareGroupOffsetsResponsePartition
      partition_index int32
      error_code      int16
      error_message   string? = null
""",
    92: """
DeleteShareGroupOffsets 0 flexible 0+
request
  group_id string
  topics   []DeleteShareGroupOffsetsRequestTopic
    topic_name string
response
  throttle_time_ms int32
  error_code       int16
  error_message    string? = null
  responses        []DeleteShareGroupOffsetsResponseTopic
    topic_name    string
    topic_id      uuid
    error_code    int16
    error_message string? = null
""",
}
