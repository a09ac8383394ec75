"""Changing topics: schemas by API key (form: see wire/schema.py)."""

SCHEMAS: dict[int, str] = {
    19: """
CreateTopics 2-7 flexible 5+
request
  topics        []CreatableTopic
    name               string
    num_partitions     int32
    replication_factor int16
    assignments        []CreatableReplicaAssignment
      partition_index int32
      broker_ids      []int32
    configs            []CreatableTopicConfig
      name            string
      value           string?
  timeout_ms    int32 = 60000
  validate_only bool
response
  throttle_time_ms int32 ignorable
  topics           []CreatableTopicResult
    name                    string
    topic_id                uuid 7+ ignorable
    error_code              int16
    error_message           string? ignorable
    topic_config_error_code int16 5+ tag=0 ignorable
    num_partitions          int32 5+ ignorable = -1
    replication_factor      int16 5+ ignorable = -1
    configs                 []CreatableTopicConfigs? 5+ ignorable
      name          string
      value         string?
      read_only     bool
      config_source int8 ignorable = -1
      is_sensitive  bool
""",
    20: """
DeleteTopics 1-6 flexible 4+
request
  topics      []DeleteTopicState 6+
    name     string? = null
    topic_id uuid
  topic_names []string 1-5 ignorable
  timeout_ms  int32
response
  throttle_time_ms int32 ignorable
  responses        []DeletableTopicResult
    name          string?6+
    topic_id      uuid 6+ ignorable
    error_code    int16
    error_message string? 5+ ignorable = null
""",
    37: """
CreatePartitions 0-3 flexible 2+
request
  topics        []CreatePartitionsTopic
    name        string
    count       int32
    assignments []CreatePartitionsAssignment?
      broker_ids []int32
  timeout_ms    int32
  validate_only bool
response
  throttle_time_ms int32
  results          []CreatePartitionsTopicResult
    name          string
    error_code    int16
    error_message string? = null
""",
}
