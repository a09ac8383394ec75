"""Classic groups and committed offsets: schemas by API key (form: see wire/schema.py)."""

SCHEMAS: dict[int, str] = {
    8: """
OffsetCommit 2-10 flexible 8+
request
  group_id                      string
  generation_id_or_member_epoch int32 ignorable = -1
  member_id                     string ignorable
  group_instance_id             string? 7+ = null
  retention_time_ms             int64 2-4 ignorable = -1
  topics                        []OffsetCommitRequestTopic
    name       string 2-9 ignorable
    topic_id   uuid 10+ ignorable
    partitions []OffsetCommitRequestPartition
      partition_index        int32
      committed_offset       int64
      committed_leader_epoch int32 6+ ignorable = -1
      committed_metadata     string?
response
  throttle_time_ms int32 3+ ignorable
  topics           []OffsetCommitResponseTopic
    name       string 2-9 ignorable
    topic_id   uuid 10+ ignorable
    partitions []OffsetCommitResponsePartition
      partition_index int32
      error_code      int16
""",
    9: """
OffsetFetch 1-10 flexible 6+
request
  group_id       string 1-7
  topics         []OffsetFetchRequestTopic?2+ 1-7
    name              string
    partition_indexes []int32
  groups         []OffsetFetchRequestGroup 8+
    group_id          string
    member_id         string? 9+ ignorable = null
    member_epoch      int32 9+ ignorable = -1
    topics            []OffsetFetchRequestTopics?
      name              string 8-9 ignorable
      topic_id          uuid 10+ ignorable
      partition_indexes []int32
  require_stable bool 7+
response
  throttle_time_ms int32 3+ ignorable
  topics           []OffsetFetchResponseTopic 1-7
    name       string
    partitions []OffsetFetchResponsePartition
      partition_index        int32
      committed_offset       int64
      committed_leader_epoch int32 5+ ignorable = -1
      metadata               string?
      error_code             int16
  error_code       int16 2-7 ignorable
  groups           []OffsetFetchResponseGroup 8+
    group_id   string
    topics     []OffsetFetchResponseTopics
      name                   string 8-9 ignorable
      topic_id               uuid 10+ ignorable
      partitions             []OffsetFetchResponsePartitions
        partition_index        int32
        committed_offset       int64
        committed_leader_epoch int32 ignorable = -1
        metadata               string?
        error_code             int16
    error_code int16
""",
    10: """
FindCoordinator 0-6 flexible 3+
request
  key              string 0-3
  key_type         int8 1+
  coordinator_keys []string 4+
response
  throttle_time_ms int32 1+ ignorable
  error_code       int16 0-3
  error_message    string? 1-3 ignorable
  node_id          int32 0-3
  host             string 0-3
  port             int32 0-3
  coordinators     []Coordinator 4+
    key           string
    node_id       int32
    host          string
    port          int32
    error_code    int16
    error_message string? ignorable
""",
    11: """
JoinGroup 0-9 flexible 6+
request
  group_id             string
  session_timeout_ms   int32
  rebalance_timeout_ms int32 1+ ignorable = -1
  member_id            string
  group_instance_id    string? 5+ = null
  protocol_type        string
  protocols            []JoinGroupRequestProtocol
    name     string
    metadata bytes
  reason               string? 8+ ignorable = null
response
  throttle_time_ms int32 2+ ignorable
  error_code       int16
  generation_id    int32 = -1
  protocol_type    string? 7+ ignorable = null
  protocol_name    string?7+
  leader           string
  skip_assignment  bool 9+
  member_id        string
  members          []JoinGroupResponseMember
    member_id         string
    group_instance_id string? 5+ ignorable = null
    metadata          bytes
""",
    12: """
Heartbeat 0-4 flexible 4+
request
  group_id          string
  generation_id     int32
  member_id         string
  group_instance_id string? 3+ = null
response
  throttle_time_ms int32 1+ ignorable
  error_code       int16
""",
    13: """
LeaveGroup 0-5 flexible 4+
request
  group_id  string
  member_id string 0-2
  members   []MemberIdentity 3+
    member_id         string
    group_instance_id string? = null
    reason            string? 5+ ignorable = null
response
  throttle_time_ms int32 1+ ignorable
  error_code       int16
  members          []MemberResponse 3+
    member_id         string
    group_instance_id string?
    error_code        int16
""",
    14: """
SyncGroup 0-5 flexible 4+
request
  group_id          string
  generation_id     int32
  member_id         string
  group_instance_id string? 3+ = null
  protocol_type     string? 5+ ignorable = null
  protocol_name     string? 5+ ignorable = null
  assignments       []SyncGroupRequestAssignment
    member_id  string
    assignment bytes
response
  throttle_time_ms int32 1+ ignorable
  error_code       int16
  protocol_type    string? 5+ ignorable = null
  protocol_name    string? 5+ ignorable = null
  assignment       bytes
""",
    15: """
DescribeGroups 0-6 flexible 5+
request
  groups                        []string
  include_authorized_operations bool 3+
response
  throttle_time_ms int32 1+ ignorable
  groups           []DescribeGroupsResponseDescribedGroup
    error_code            int16
    error_message         string? 6+ = null
    group_id              string
    group_state           string
    protocol_type         string
    protocol_data         string
    members               []DescribedGroupMember
      member_id         string
      group_instance_id string? 4+ ignorable = null
      client_id         string
      client_host       string
      member_metadata   bytes
      member_assignment bytes
    authorized_operations int32 3+ = -2147483648
""",
    16: """
ListGroups 0-5 flexible 3+
request
  states_filter []string 4+
  types_filter  []string 5+
response
  throttle_time_ms int32 1+ ignorable
  error_code       int16
  groups           []ListedGroup
    group_id      string
    protocol_type string
    group_state   string 4+ ignorable
    group_type    string 5+ ignorable
""",
    42: """
DeleteGroups 0-3 flexible 2+
request
  groups_names []string
response
  throttle_time_ms int32
  results          []DeletableGroupResult
    group_id      string
    error_code    int16
    error_message string? 3+ ignorable = null
""",
    47: """
OffsetDelete 0
request
  group_id string
  topics   []OffsetDeleteRequestTopic
    name       string
    partitions []OffsetDeleteRequestPartition
      partition_index int32
response
  error_code       int16
  throttle_time_ms int32 ignorable
  topics           []OffsetDeleteResponseTopic
    name       string
    partitions []OffsetDeleteResponsePartition
      partition_index int32
      error_code      int16
""",
}
