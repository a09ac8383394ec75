"""Blobs inside requests: schemas by name (form: see wire/schema.py)."""

SCHEMAS: dict[str, str] = {
    "ConsumerProtocolSubscription": """
ConsumerProtocolSubscription 0-3
data
  topics           []string
  user_data        bytes? = null
  owned_partitions []ConsumerProtocolSubscriptionTopicPartition 1+ ignorable
    topic      string
    partitions []int32
  generation_id    int32 2+ ignorable = -1
  rack_id          string? 3+ ignorable = null
""",
    "ConsumerProtocolAssignment": """
ConsumerProtocolAssignment 0-3
data
  assigned_partitions []ConsumerProtocolAssignmentTopicPartition
    topic      string
    partitions []int32
  user_data           bytes? = null
""",
}
