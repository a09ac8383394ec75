"""Reading and writing records: schemas by API key (form: see wire/schema.py)."""

SCHEMAS: dict[int, str] = {
    0: """
Produce 3-13 flexible 9+
request
  transactional_id string? = null
  acks             int16
  timeout_ms       int32
  topic_data       []TopicProduceData
    name           string 3-12 ignorable
    topic_id       uuid 13+ ignorable
    partition_data []PartitionProduceData
      index   int32
      records records? = null
response
  responses        []TopicProduceResponse
    name                string 3-12 ignorable
    topic_id            uuid 13+ ignorable
    partition_responses []PartitionProduceResponse
      index              int32
      error_code         int16
      base_offset        int64
      log_append_time_ms int64 ignorable = -1
      log_start_offset   int64 5+ ignorable = -1
      record_errors      []BatchIndexAndErrorMessage 8+ ignorable
        batch_index               int32
        batch_index_error_message string? = null
      error_message      string? 8+ ignorable = null
      current_leader     ProduceResponseLeaderIdAndEpoch 10+ tag=0
        leader_id                 int32 = -1
        leader_epoch              int32 = -1
  throttle_time_ms int32 ignorable
  node_endpoints   []ProduceResponseNodeEndpoint 10+ tag=0
    node_id             int32
    host                string
    port                int32
    rack                string? = null
""",
    1: """
Fetch 4-18 flexible 12+
request
  cluster_id            string? 12+ tag=0 ignorable = null
  replica_id            int32 4-14 = -1
  replica_state         FetchRequestReplicaState 15+ tag=1
    replica_id    int32 = -1
    replica_epoch int64 = -1
  max_wait_ms           int32
  min_bytes             int32
  max_bytes             int32 ignorable = 0x7fffffff
  isolation_level       int8 ignorable
  session_id            int32 7+ ignorable
  session_epoch         int32 7+ ignorable = -1
  topics                []FetchRequestFetchTopic
    topic         string 4-12 ignorable
    topic_id      uuid 13+ ignorable
    partitions    []FetchRequestFetchPartition
      partition            int32
      current_leader_epoch int32 9+ ignorable = -1
      fetch_offset         int64
      last_fetched_epoch   int32 12+ = -1
      log_start_offset     int64 5+ ignorable = -1
      partition_max_bytes  int32
      replica_directory_id uuid 17+ tag=0 ignorable
      high_watermark       int64 18+ tag=1 ignorable = 9223372036854775807
  forgotten_topics_data []FetchRequestForgottenTopic 7+
    topic         string 7-12 ignorable
    topic_id      uuid 13+ ignorable
    partitions    []int32
  rack_id               string 11+ ignorable
response
  throttle_time_ms int32 ignorable
  error_code       int16 7+ ignorable
  session_id       int32 7+
  responses        []FetchableTopicResponse
    topic      string 4-12 ignorable
    topic_id   uuid 13+ ignorable
    partitions []FetchResponsePartitionData
      partition_index        int32
      error_code             int16
      high_watermark         int64
      last_stable_offset     int64 ignorable = -1
      log_start_offset       int64 5+ ignorable = -1
      diverging_epoch        FetchResponseEpochEndOffset 12+ tag=0
        epoch        int32 = -1
        end_offset   int64 = -1
      current_leader         FetchResponseLeaderIdAndEpoch 12+ tag=1
        leader_id    int32 = -1
        leader_epoch int32 = -1
      snapshot_id            FetchResponseSnapshotId 12+ tag=2
        end_offset   int64 = -1
        epoch        int32 = -1
      aborted_transactions   []AbortedTransaction? ignorable
        producer_id  int64
        first_offset int64
      preferred_read_replica int32 11+ = -1
      records                records? = null
  node_endpoints   []FetchResponseNodeEndpoint 16+ tag=0
    node_id    int32
    host       string
    port       int32
    rack       string? = null
""",
    2: """
ListOffsets 1-11 flexible 6+
request
  replica_id      int32
  isolation_level int8 2+
  topics          []ListOffsetsTopic
    name       string
    partitions []ListOffsetsPartition
      partition_index      int32
      current_leader_epoch int32 4+ ignorable = -1
      timestamp            int64
  timeout_ms      int32 10+ ignorable
response
  throttle_time_ms int32 2+ ignorable
  topics           []ListOffsetsTopicResponse
    name       string
    partitions []ListOffsetsPartitionResponse
      partition_index int32
      error_code      int16
      timestamp       int64 = -1
      offset          int64 = -1
      leader_epoch    int32 4+ = -1
""",
    21: """
DeleteRecords 0-2 flexible 2+
request
  topics     []DeleteRecordsTopic
    name       string
    partitions []DeleteRecordsPartition
      partition_index int32
      offset          int64
  timeout_ms int32
response
  throttle_time_ms int32
  topics           []DeleteRecordsTopicResult
    name       string
    partitions []DeleteRecordsPartitionResult
      partition_index int32
      low_watermark   int64
      error_code      int16
""",
    23: """
OffsetForLeaderEpoch 2-4 flexible 4+
request
  replica_id int32 3+ ignorable = -2
  topics     []OffsetForLeaderTopic
    topic      string
    partitions []OffsetForLeaderPartition
      partition            int32
      current_leader_epoch int32 ignorable = -1
      leader_epoch         int32
response
  throttle_time_ms int32 ignorable
  topics           []OffsetForLeaderTopicResult
    topic      string
    partitions []OffsetForLeaderEpochResponseEpochEndOffset
      error_code   int16
      partition    int32
      leader_epoch int32 ignorable = -1
      end_offset   int64 = -1
""",
}
