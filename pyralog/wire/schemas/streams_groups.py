"""Streams groups (KIP-1071): schemas by API key (form: see wire/schema.py)."""

SCHEMAS: dict[int, str] = {
    88: """
StreamsGroupHeartbeat 0-1 flexible 0+
request
  group_id                   string
  member_id                  string
  member_epoch               int32
  endpoint_information_epoch int32
  instance_id                string? = null
  rack_id                    string? = null
  rebalance_timeout_ms       int32 = -1
  topology                   StreamsGroupHeartbeatRequestTopology? = null
    epoch          int32
    subtopologies  []StreamsGroupHeartbeatRequestSubtopology
      subtopology_id            string
      source_topics             []string
      source_topic_regex        []string
      state_changelog_topics    []StreamsGroupHeartbeatRequestTopicInfo
        name                      string
        partitions                int32
        replication_factor        int16
        topic_configs             []StreamsGroupHeartbeatRequestKeyValue
          key   string
          value string
      repartition_sink_topics   []string
      repartition_source_topics []StreamsGroupHeartbeatRequestTopicInfo
      copartition_groups        []CopartitionGroup
        source_topics             []int16
        source_topic_regex        []int16
        repartition_source_topics []int16
  active_tasks               []StreamsGroupHeartbeatRequestTaskIds? = null
    subtopology_id string
    partitions     []int32
  standby_tasks              []StreamsGroupHeartbeatRequestTaskIds? = null
  warmup_tasks               []StreamsGroupHeartbeatRequestTaskIds? = null
  process_id                 string? = null
  user_endpoint              StreamsGroupHeartbeatRequestEndpoint? = null
    host           string
    port           uint16
  client_tags                []StreamsGroupHeartbeatRequestKeyValue? = null
  task_offsets               []StreamsGroupHeartbeatRequestTaskOffset? = null
    subtopology_id string
    partition      int32
    offset         int64
  task_end_offsets           []StreamsGroupHeartbeatRequestTaskOffset? = null
  shutdown_application       bool = False
response
  throttle_time_ms               int32
  error_code                     int16
  error_message                  string? = null
  member_id                      string
  member_epoch                   int32
  heartbeat_interval_ms          int32
  acceptable_recovery_lag_legacy int32 0
  task_offset_interval_ms        int32
  acceptable_recovery_lag        int64 1+ ignorable = -1
  status                         []Status?
    status_code        int8
    status_detail      string
  active_tasks                   []StreamsGroupHeartbeatResponseTaskIds? = null
    subtopology_id     string
    partitions         []int32
  standby_tasks                  []StreamsGroupHeartbeatResponseTaskIds? = null
  warmup_tasks                   []StreamsGroupHeartbeatResponseTaskIds? = null
  topology_description_required  bool 1+
  endpoint_information_epoch     int32
  partitions_by_user_endpoint    []EndpointToPartitions? = null
    user_endpoint      StreamsGroupHeartbeatResponseEndpoint
      host       string
      port       uint16
    active_partitions  []StreamsGroupHeartbeatResponseTopicPartition
      topic      string
      partitions []int32
    standby_partitions []StreamsGroupHeartbeatResponseTopicPartition
""",
    89: """
StreamsGroupDescribe 0-1 flexible 0+
request
  group_ids                     []string
  include_authorized_operations bool
  include_topology_description  bool 1+
response
  throttle_time_ms int32
  groups           []StreamsGroupDescribeResponseDescribedGroup
    error_code                  int16
    error_message               string? = null
    group_id                    string
    group_state                 string
    group_epoch                 int32
    assignment_epoch            int32
    topology                    StreamsGroupDescribeResponseTopology? = null
      epoch             int32
      subtopologies     []StreamsGroupDescribeResponseSubtopology? = null
        subtopology_id            string
        source_topics             []string
        repartition_sink_topics   []string
        state_changelog_topics    []StreamsGroupDescribeResponseTopicInfo
          name               string
          partitions         int32
          replication_factor int16
          topic_configs      []StreamsGroupDescribeResponseKeyValue
            key   string
            value string
        repartition_source_topics []StreamsGroupDescribeResponseTopicInfo
    members                     []StreamsGroupDescribeResponseMember
      member_id         string
      member_epoch      int32
      instance_id       string? = null
      rack_id           string? = null
      client_id         string
      client_host       string
      topology_epoch    int32
      process_id        string
      user_endpoint     StreamsGroupDescribeResponseEndpoint? = null
        host                      string
        port                      uint16
      client_tags       []StreamsGroupDescribeResponseKeyValue
      task_offsets      []StreamsGroupDescribeResponseTaskOffset
        subtopology_id            string
        partition                 int32
        offset                    int64
      task_end_offsets  []StreamsGroupDescribeResponseTaskOffset
      assignment        StreamsGroupDescribeResponseAssignment
        active_tasks              []StreamsGroupDescribeResponseTaskIds
          subtopology_id     string
          partitions         []int32
        standby_tasks             []StreamsGroupDescribeResponseTaskIds
        warmup_tasks              []StreamsGroupDescribeResponseTaskIds
      target_assignment StreamsGroupDescribeResponseAssignment
      is_classic        bool
    authorized_operations       int32 = -2147483648
    topology_description        StreamsGroupDescribeResponseTopologyDescription? 1+ = null
      subtopologies     []StreamsGroupDescribeResponseTopologyDescriptionSubtopology 1+
        subtopology_id            string 1+
        nodes                     []StreamsGroupDescribeResponseTopologyDescriptionNode 1+
          name               string 1+
          node_type          int8 1+
          source_topics      []string 1+
          sink_topic         string? 1+ = null
          stores             []string 1+
          successors         []string 1+
      global_stores     []StreamsGroupDescribeResponseTopologyDescriptionGlobalStore 1+
        source                    StreamsGroupDescribeResponseTopologyDescriptionNode 1+
        processor                 StreamsGroupDescribeResponseTopologyDescriptionNode 1+
    topology_description_status int8 1+
    assignor_name               string? 1+ ignorable = null
""",
}
