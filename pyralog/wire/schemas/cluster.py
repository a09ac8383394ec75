"""Log directories, elections, reassignments, quorum, features: schemas by API key (form: see wire/schema.py)."""

SCHEMAS: dict[int, str] = {
    34: """
AlterReplicaLogDirs 1-2 flexible 2+
request
  dirs []AlterReplicaLogDir
    path   string
    topics []AlterReplicaLogDirTopic
      name       string
      partitions []int32
response
  throttle_time_ms int32
  results          []AlterReplicaLogDirTopicResult
    topic_name string
    partitions []AlterReplicaLogDirPartitionResult
      partition_index int32
      error_code      int16
""",
    35: """
DescribeLogDirs 1-5 flexible 2+
request
  topics []DescribableLogDirTopic?
    topic      string
    partitions []int32
response
  throttle_time_ms int32
  error_code       int16 3+ ignorable
  results          []DescribeLogDirsResult
    error_code   int16
    log_dir      string
    topics       []DescribeLogDirsTopic
      name       string
      partitions []DescribeLogDirsPartition
        partition_index int32
        partition_size  int64
        offset_lag      int64
        is_future_key   bool
    total_bytes  int64 4+ ignorable = -1
    usable_bytes int64 4+ ignorable = -1
    is_cordoned  bool 5+ ignorable = False
""",
    43: """
ElectLeaders 0-2 flexible 2+
request
  election_type    int8 1+
  topic_partitions []ElectLeadersRequestTopicPartitions?
    topic      string
    partitions []int32
  timeout_ms       int32 = 60000
response
  throttle_time_ms         int32
  error_code               int16 1+ ignorable
  replica_election_results []ReplicaElectionResult
    topic            string
    partition_result []ElectLeadersResponsePartitionResult
      partition_id  int32
      error_code    int16 ignorable
      error_message string?
""",
    45: """
AlterPartitionReassignments 0-1 flexible 0+
request
  timeout_ms                      int32 = 60000
  allow_replication_factor_change bool 1+ = true
  topics                          []ReassignableTopic
    name       string
    partitions []ReassignablePartition
      partition_index int32
      replicas        []int32? = null
response
  throttle_time_ms                int32
  allow_replication_factor_change bool 1+ ignorable = true
  error_code                      int16
  error_message                   string?
  responses                       []ReassignableTopicResponse
    name       string
    partitions []ReassignablePartitionResponse
      partition_index int32
      error_code      int16
      error_message   string?
""",
    46: """
ListPartitionReassignments 0 flexible 0+
request
  timeout_ms int32 = 60000
  topics     []ListPartitionReassignmentsTopics? = null
    name              string
    partition_indexes []int32
response
  throttle_time_ms int32
  error_code       int16
  error_message    string?
  topics           []OngoingTopicReassignment
    name       string
    partitions []OngoingPartitionReassignment
      partition_index   int32
      replicas          []int32
      adding_replicas   []int32
      removing_replicas []int32
""",
    55: """
DescribeQuorum 0-2 flexible 0+
request
  topics []DescribeQuorumRequestTopicData
    topic_name string
    partitions []DescribeQuorumRequestPartitionData
      partition_index int32
response
  error_code    int16
  error_message string? 2+ ignorable
  topics        []DescribeQuorumResponseTopicData
    topic_name string
    partitions []DescribeQuorumResponsePartitionData
      partition_index int32
      error_code      int16
      error_message   string? 2+ ignorable
      leader_id       int32
      leader_epoch    int32
      high_watermark  int64
      current_voters  []DescribeQuorumResponseReplicaState
        replica_id               int32
        replica_directory_id     uuid 2+
        log_end_offset           int64
        last_fetch_timestamp     int64 1+ ignorable = -1
        last_caught_up_timestamp int64 1+ ignorable = -1
      observers       []DescribeQuorumResponseReplicaState
  nodes         []Node 2+
    node_id    int32
    listeners  []DescribeQuorumResponseListener
      name            string
      host            string
      port            uint16
""",
    57: """
UpdateFeatures 0-2 flexible 0+
request
  timeout_ms      int32 = 60000
  feature_updates []FeatureUpdateKey
    feature           string
    max_version_level int16
    allow_downgrade   bool 0
    upgrade_type      int8 1+ = 1
  validate_only   bool 1+ = False
response
  throttle_time_ms int32
  error_code       int16
  error_message    string?
  results          []UpdatableFeatureResult 0-1 ignorable
    feature       string
    error_code    int16
    error_message string?
""",
    64: """
UnregisterBroker 0 flexible 0+
request
  broker_id int32
response
  throttle_time_ms int32
  error_code       int16
  error_message    string?
""",
    80: """
AddRaftVoter 0-1 flexible 0+
request
  cluster_id         string?
  timeout_ms         int32
  voter_id           int32
  voter_directory_id uuid
  listeners          []AddRaftVoterRequestListener
    name string
    host string
    port uint16
  ack_when_committed bool 1+ = true
response
  throttle_time_ms int32
  error_code       int16
  error_message    string? ignorable
""",
    81: """
RemoveRaftVoter 0 flexible 0+
request
  cluster_id         string?
  voter_id           int32
  voter_directory_id uuid
response
  throttle_time_ms int32
  error_code       int16
  error_message    string? ignorable
""",
}
