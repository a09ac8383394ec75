"""What there is: versions, brokers, topics: schemas by API key (form: see wire/schema.py)."""

SCHEMAS: dict[int, str] = {
    3: """
Metadata 0-13 flexible 9+
request
  topics                                []MetadataRequestTopic?1+
    topic_id uuid 10+ ignorable
    name     string?10+
  allow_auto_topic_creation             bool 4+ = true
  include_cluster_authorized_operations bool 8-10
  include_topic_authorized_operations   bool 8+
response
  throttle_time_ms              int32 3+ ignorable
  brokers                       []MetadataResponseBroker
    node_id                     int32
    host                        string
    port                        int32
    rack                        string? 1+ ignorable = null
  cluster_id                    string? 2+ ignorable = null
  controller_id                 int32 1+ ignorable = -1
  topics                        []MetadataResponseTopic
    error_code                  int16
    name                        string?12+
    topic_id                    uuid 10+ ignorable
    is_internal                 bool 1+ ignorable
    partitions                  []MetadataResponsePartition
      error_code       int16
      partition_index  int32
      leader_id        int32
      leader_epoch     int32 7+ ignorable = -1
      replica_nodes    []int32
      isr_nodes        []int32
      offline_replicas []int32 5+ ignorable
    topic_authorized_operations int32 8+ = -2147483648
  cluster_authorized_operations int32 8-10 = -2147483648
  error_code                    int16 13+ ignorable
""",
    18: """
ApiVersions 0-5 flexible 3+
request
  client_software_name    string 3+ ignorable
  client_software_version string 3+ ignorable
  cluster_id              string? 5+ ignorable = null
  node_id                 int32 5+ ignorable = -1
response
  error_code               int16
  api_keys                 []ApiVersion
    api_key           int16
    min_version       int16
    max_version       int16
  throttle_time_ms         int32 1+ ignorable
  supported_features       []SupportedFeatureKey 3+ tag=0 ignorable
    name              string
    min_version       int16
    max_version       int16
  finalized_features_epoch int64 3+ tag=1 ignorable = -1
  finalized_features       []FinalizedFeatureKey 3+ tag=2 ignorable
    name              string
    max_version_level int16
    min_version_level int16
  zk_migration_ready       bool 3+ tag=3 ignorable
""",
    60: """
DescribeCluster 0-2 flexible 0+
request
  include_cluster_authorized_operations bool
  endpoint_type                         int8 1+ = 1
  include_fenced_brokers                bool 2+
response
  throttle_time_ms              int32
  error_code                    int16
  error_message                 string? = null
  endpoint_type                 int8 1+ = 1
  cluster_id                    string
  controller_id                 int32 = -1
  brokers                       []DescribeClusterBroker
    broker_id int32
    host      string
    port      int32
    rack      string? = null
    is_fenced bool 2+
  cluster_authorized_operations int32 = -2147483648
""",
    75: """
DescribeTopicPartitions 0 flexible 0+
request
  topics                   []DescribeTopicPartitionsRequestTopicRequest
    name            string
  response_partition_limit int32 = 2000
  cursor                   DescribeTopicPartitionsRequestCursor? = null
    topic_name      string
    partition_index int32
response
  throttle_time_ms int32 ignorable
  topics           []DescribeTopicPartitionsResponseTopic
    error_code                  int16
    name                        string?
    topic_id                    uuid ignorable
    is_internal                 bool ignorable
    partitions                  []DescribeTopicPartitionsResponsePartition
      error_code               int16
      partition_index          int32
      leader_id                int32
      leader_epoch             int32 ignorable = -1
      replica_nodes            []int32
      isr_nodes                []int32
      eligible_leader_replicas []int32? = null
      last_known_elr           []int32? = null
      offline_replicas         []int32 ignorable
    topic_authorized_operations int32 = -2147483648
  next_cursor      DescribeTopicPartitionsResponseCursor? = null
    topic_name                  string
    partition_index             int32
""",
}
