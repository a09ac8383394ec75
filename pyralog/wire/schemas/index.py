"""Which APIs and structs there are, and in which module, so that one API can load at a time."""

# key: name, module in this folder, first and last version, first flexible version
# fmt: off
APIS: dict[int, tuple[str, str, int, int, int | None]] = {
    0: ("Produce", "records", 3, 13, 9),
    1: ("Fetch", "records", 4, 18, 12),
    2: ("ListOffsets", "records", 1, 11, 6),
    3: ("Metadata", "metadata", 0, 13, 9),
    8: ("OffsetCommit", "groups", 2, 10, 8),
    9: ("OffsetFetch", "groups", 1, 10, 6),
    10: ("FindCoordinator", "groups", 0, 6, 3),
    11: ("JoinGroup", "groups", 0, 9, 6),
    12: ("Heartbeat", "groups", 0, 4, 4),
    13: ("LeaveGroup", "groups", 0, 5, 4),
    14: ("SyncGroup", "groups", 0, 5, 4),
    15: ("DescribeGroups", "groups", 0, 6, 5),
    16: ("ListGroups", "groups", 0, 5, 3),
    17: ("SaslHandshake", "security", 0, 1, None),
    18: ("ApiVersions", "metadata", 0, 5, 3),
    19: ("CreateTopics", "topics", 2, 7, 5),
    20: ("DeleteTopics", "topics", 1, 6, 4),
    21: ("DeleteRecords", "records", 0, 2, 2),
    22: ("InitProducerId", "transactions", 0, 5, 2),
    23: ("OffsetForLeaderEpoch", "records", 2, 4, 4),
    24: ("AddPartitionsToTxn", "transactions", 0, 5, 3),
    25: ("AddOffsetsToTxn", "transactions", 0, 4, 3),
    26: ("EndTxn", "transactions", 0, 5, 3),
    27: ("WriteTxnMarkers", "transactions", 1, 2, 1),
    28: ("TxnOffsetCommit", "transactions", 0, 6, 3),
    29: ("DescribeAcls", "security", 1, 3, 2),
    30: ("CreateAcls", "security", 1, 3, 2),
    31: ("DeleteAcls", "security", 1, 3, 2),
    32: ("DescribeConfigs", "configs", 1, 4, 4),
    33: ("AlterConfigs", "configs", 0, 2, 2),
    34: ("AlterReplicaLogDirs", "cluster", 1, 2, 2),
    35: ("DescribeLogDirs", "cluster", 1, 5, 2),
    36: ("SaslAuthenticate", "security", 0, 2, 2),
    37: ("CreatePartitions", "topics", 0, 3, 2),
    38: ("CreateDelegationToken", "security", 1, 3, 2),
    39: ("RenewDelegationToken", "security", 1, 2, 2),
    40: ("ExpireDelegationToken", "security", 1, 2, 2),
    41: ("DescribeDelegationToken", "security", 1, 3, 2),
    42: ("DeleteGroups", "groups", 0, 3, 2),
    43: ("ElectLeaders", "cluster", 0, 2, 2),
    44: ("IncrementalAlterConfigs", "configs", 0, 1, 1),
    45: ("AlterPartitionReassignments", "cluster", 0, 1, 0),
    46: ("ListPartitionReassignments", "cluster", 0, 0, 0),
    47: ("OffsetDelete", "groups", 0, 0, None),
    48: ("DescribeClientQuotas", "configs", 0, 1, 1),
    49: ("AlterClientQuotas", "configs", 0, 1, 1),
    50: ("DescribeUserScramCredentials", "security", 0, 0, 0),
    51: ("AlterUserScramCredentials", "security", 0, 0, 0),
    55: ("DescribeQuorum", "cluster", 0, 2, 0),
    57: ("UpdateFeatures", "cluster", 0, 2, 0),
    60: ("DescribeCluster", "metadata", 0, 2, 0),
    61: ("DescribeProducers", "transactions", 0, 0, 0),
    64: ("UnregisterBroker", "cluster", 0, 0, 0),
    65: ("DescribeTransactions", "transactions", 0, 0, 0),
    66: ("ListTransactions", "transactions", 0, 2, 0),
    68: ("ConsumerGroupHeartbeat", "consumer_groups", 0, 1, 0),
    69: ("ConsumerGroupDescribe", "consumer_groups", 0, 1, 0),
    71: ("GetTelemetrySubscriptions", "telemetry", 0, 0, 0),
    72: ("PushTelemetry", "telemetry", 0, 0, 0),
    74: ("ListConfigResources", "configs", 0, 1, 0),
    75: ("DescribeTopicPartitions", "metadata", 0, 0, 0),
    76: ("ShareGroupHeartbeat", "share_groups", 1, 1, 0),
    77: ("ShareGroupDescribe", "share_groups", 1, 1, 0),
    78: ("ShareFetch", "share_groups", 1, 2, 0),
    79: ("ShareAcknowledge", "share_groups", 1, 2, 0),
    80: ("AddRaftVoter", "cluster", 0, 1, 0),
    81: ("RemoveRaftVoter", "cluster", 0, 0, 0),
    88: ("StreamsGroupHeartbeat", "streams_groups", 0, 1, 0),
    89: ("StreamsGroupDescribe", "streams_groups", 0, 1, 0),
    90: ("DescribeShareGroupOffsets", "share_groups", 0, 1, 0),
    91: ("AlterShareGroupOffsets", "share_groups", 0, 0, 0),
    92: ("DeleteShareGroupOffsets", "share_groups", 0, 0, 0),
}

# key: structs inside request and response
STRUCTS: dict[int, str] = {
    0: (
        "TopicProduceData PartitionProduceData TopicProduceResponse PartitionProduceResponse "
        "BatchIndexAndErrorMessage ProduceResponseLeaderIdAndEpoch ProduceResponseNodeEndpoint"
    ),
    1: (
        "FetchRequestReplicaState FetchRequestFetchTopic FetchRequestFetchPartition "
        "FetchRequestForgottenTopic FetchableTopicResponse FetchResponsePartitionData "
        "FetchResponseEpochEndOffset FetchResponseLeaderIdAndEpoch FetchResponseSnapshotId AbortedTransaction "
        "FetchResponseNodeEndpoint"
    ),
    2: "ListOffsetsTopic ListOffsetsPartition ListOffsetsTopicResponse ListOffsetsPartitionResponse",
    3: "MetadataRequestTopic MetadataResponseBroker MetadataResponseTopic MetadataResponsePartition",
    8: (
        "OffsetCommitRequestTopic OffsetCommitRequestPartition OffsetCommitResponseTopic "
        "OffsetCommitResponsePartition"
    ),
    9: (
        "OffsetFetchRequestTopic OffsetFetchRequestGroup OffsetFetchRequestTopics OffsetFetchResponseTopic "
        "OffsetFetchResponsePartition OffsetFetchResponseGroup OffsetFetchResponseTopics "
        "OffsetFetchResponsePartitions"
    ),
    10: "Coordinator",
    11: "JoinGroupRequestProtocol JoinGroupResponseMember",
    13: "MemberIdentity MemberResponse",
    14: "SyncGroupRequestAssignment",
    15: "DescribeGroupsResponseDescribedGroup DescribedGroupMember",
    16: "ListedGroup",
    18: "ApiVersion SupportedFeatureKey FinalizedFeatureKey",
    19: (
        "CreatableTopic CreatableReplicaAssignment CreatableTopicConfig CreatableTopicResult "
        "CreatableTopicConfigs"
    ),
    20: "DeleteTopicState DeletableTopicResult",
    21: "DeleteRecordsTopic DeleteRecordsPartition DeleteRecordsTopicResult DeleteRecordsPartitionResult",
    23: (
        "OffsetForLeaderTopic OffsetForLeaderPartition OffsetForLeaderTopicResult "
        "OffsetForLeaderEpochResponseEpochEndOffset"
    ),
    24: (
        "AddPartitionsToTxnTransaction AddPartitionsToTxnTopic AddPartitionsToTxnResult "
        "AddPartitionsToTxnTopicResult AddPartitionsToTxnPartitionResult"
    ),
    27: (
        "WritableTxnMarker WritableTxnMarkerTopic WritableTxnMarkerResult WritableTxnMarkerTopicResult "
        "WritableTxnMarkerPartitionResult"
    ),
    28: (
        "TxnOffsetCommitRequestTopic TxnOffsetCommitRequestPartition TxnOffsetCommitResponseTopic "
        "TxnOffsetCommitResponsePartition"
    ),
    29: "DescribeAclsResource AclDescription",
    30: "AclCreation AclCreationResult",
    31: "DeleteAclsFilter DeleteAclsFilterResult DeleteAclsMatchingAcl",
    32: "DescribeConfigsResource DescribeConfigsResult DescribeConfigsResourceResult DescribeConfigsSynonym",
    33: (
        "AlterConfigsRequestAlterConfigsResource AlterConfigsRequestAlterableConfig "
        "AlterConfigsResponseAlterConfigsResourceResponse"
    ),
    34: (
        "AlterReplicaLogDir AlterReplicaLogDirTopic AlterReplicaLogDirTopicResult "
        "AlterReplicaLogDirPartitionResult"
    ),
    35: "DescribableLogDirTopic DescribeLogDirsResult DescribeLogDirsTopic DescribeLogDirsPartition",
    37: "CreatePartitionsTopic CreatePartitionsAssignment CreatePartitionsTopicResult",
    38: "CreatableRenewers",
    41: "DescribeDelegationTokenOwner DescribedDelegationToken DescribedDelegationTokenRenewer",
    42: "DeletableGroupResult",
    43: "ElectLeadersRequestTopicPartitions ReplicaElectionResult ElectLeadersResponsePartitionResult",
    44: (
        "IncrementalAlterConfigsRequestAlterConfigsResource IncrementalAlterConfigsRequestAlterableConfig "
        "IncrementalAlterConfigsResponseAlterConfigsResourceResponse"
    ),
    45: "ReassignableTopic ReassignablePartition ReassignableTopicResponse ReassignablePartitionResponse",
    46: "ListPartitionReassignmentsTopics OngoingTopicReassignment OngoingPartitionReassignment",
    47: (
        "OffsetDeleteRequestTopic OffsetDeleteRequestPartition OffsetDeleteResponseTopic "
        "OffsetDeleteResponsePartition"
    ),
    48: "ComponentData DescribeClientQuotasResponseEntryData DescribeClientQuotasResponseEntityData ValueData",
    49: (
        "AlterClientQuotasRequestEntryData AlterClientQuotasRequestEntityData OpData "
        "AlterClientQuotasResponseEntryData AlterClientQuotasResponseEntityData"
    ),
    50: "UserName DescribeUserScramCredentialsResult CredentialInfo",
    51: "ScramCredentialDeletion ScramCredentialUpsertion AlterUserScramCredentialsResult",
    55: (
        "DescribeQuorumRequestTopicData DescribeQuorumRequestPartitionData DescribeQuorumResponseTopicData "
        "DescribeQuorumResponsePartitionData DescribeQuorumResponseReplicaState Node "
        "DescribeQuorumResponseListener"
    ),
    57: "FeatureUpdateKey UpdatableFeatureResult",
    60: "DescribeClusterBroker",
    61: "DescribeProducersRequestTopicRequest TopicResponse PartitionResponse ProducerState",
    65: "DescribeTransactionsResponseTransactionState DescribeTransactionsResponseTopicData",
    66: "ListTransactionsResponseTransactionState",
    68: (
        "ConsumerGroupHeartbeatRequestTopicPartitions ConsumerGroupHeartbeatResponseAssignment "
        "ConsumerGroupHeartbeatResponseTopicPartitions"
    ),
    69: (
        "ConsumerGroupDescribeResponseDescribedGroup ConsumerGroupDescribeResponseMember "
        "ConsumerGroupDescribeResponseAssignment ConsumerGroupDescribeResponseTopicPartitions"
    ),
    74: "ConfigResource",
    75: (
        "DescribeTopicPartitionsRequestTopicRequest DescribeTopicPartitionsRequestCursor "
        "DescribeTopicPartitionsResponseTopic DescribeTopicPartitionsResponsePartition "
        "DescribeTopicPartitionsResponseCursor"
    ),
    76: "ShareGroupHeartbeatResponseAssignment ShareGroupHeartbeatResponseTopicPartitions",
    77: (
        "ShareGroupDescribeResponseDescribedGroup ShareGroupDescribeResponseMember "
        "ShareGroupDescribeResponseAssignment ShareGroupDescribeResponseTopicPartitions"
    ),
    78: (
        "ShareFetchRequestFetchTopic ShareFetchRequestFetchPartition ShareFetchRequestAcknowledgementBatch "
        "ShareFetchRequestForgottenTopic ShareFetchableTopicResponse ShareFetchResponsePartitionData "
        "ShareFetchResponseLeaderIdAndEpoch AcquiredRecords ShareFetchResponseNodeEndpoint"
    ),
    79: (
        "AcknowledgeTopic AcknowledgePartition ShareAcknowledgeRequestAcknowledgementBatch "
        "ShareAcknowledgeTopicResponse ShareAcknowledgeResponsePartitionData "
        "ShareAcknowledgeResponseLeaderIdAndEpoch ShareAcknowledgeResponseNodeEndpoint"
    ),
    80: "AddRaftVoterRequestListener",
    88: (
        "StreamsGroupHeartbeatRequestTopology StreamsGroupHeartbeatRequestSubtopology "
        "StreamsGroupHeartbeatRequestTopicInfo StreamsGroupHeartbeatRequestKeyValue CopartitionGroup "
        "StreamsGroupHeartbeatRequestTaskIds StreamsGroupHeartbeatRequestEndpoint "
        "StreamsGroupHeartbeatRequestTaskOffset Status StreamsGroupHeartbeatResponseTaskIds "
        "EndpointToPartitions StreamsGroupHeartbeatResponseEndpoint "
        "StreamsGroupHeartbeatResponseTopicPartition"
    ),
    89: (
        "StreamsGroupDescribeResponseDescribedGroup StreamsGroupDescribeResponseTopology "
        "StreamsGroupDescribeResponseSubtopology StreamsGroupDescribeResponseTopicInfo "
        "StreamsGroupDescribeResponseKeyValue StreamsGroupDescribeResponseMember "
        "StreamsGroupDescribeResponseEndpoint StreamsGroupDescribeResponseTaskOffset "
        "StreamsGroupDescribeResponseAssignment StreamsGroupDescribeResponseTaskIds "
        "StreamsGroupDescribeResponseTopologyDescription "
        "StreamsGroupDescribeResponseTopologyDescriptionSubtopology "
        "StreamsGroupDescribeResponseTopologyDescriptionNode "
        "StreamsGroupDescribeResponseTopologyDescriptionGlobalStore"
    ),
    90: (
        "DescribeShareGroupOffsetsRequestGroup DescribeShareGroupOffsetsRequestTopic "
        "DescribeShareGroupOffsetsResponseGroup DescribeShareGroupOffsetsResponseTopic "
        "DescribeShareGroupOffsetsResponsePartition"
    ),
    91: (
        "AlterShareGroupOffsetsRequestTopic AlterShareGroupOffsetsRequestPartition "
        "AlterShareGroupOffsetsResponseTopic AlterShareGroupOffsetsResponsePartition"
    ),
    92: "DeleteShareGroupOffsetsRequestTopic DeleteShareGroupOffsetsResponseTopic",
}

# blob: structs inside
BLOBS: dict[str, str] = {
    "ConsumerProtocolSubscription": "ConsumerProtocolSubscriptionTopicPartition",
    "ConsumerProtocolAssignment": "ConsumerProtocolAssignmentTopicPartition",
}

# record of a coordinator's topic: the type that its key begins with
RECORD_TYPES: dict[str, int] = {
    "LegacyOffsetCommit": 0,
    "OffsetCommit": 1,
    "GroupMetadata": 2,
    "ConsumerGroupMetadata": 3,
    "ConsumerGroupPartitionMetadata": 4,
    "ConsumerGroupMemberMetadata": 5,
    "ConsumerGroupTargetAssignmentMetadata": 6,
    "ConsumerGroupTargetAssignmentMember": 7,
    "ConsumerGroupCurrentMemberAssignment": 8,
    "ConsumerGroupRegularExpression": 16,
    "TransactionLog": 0,
}

# its key and value: structs inside
RECORDS: dict[str, str] = {
    "LegacyOffsetCommitKey": "",
    "LegacyOffsetCommitValue": "",
    "OffsetCommitKey": "",
    "OffsetCommitValue": "",
    "GroupMetadataKey": "",
    "GroupMetadataValue": "GroupMetadataValueMemberMetadata",
    "ConsumerGroupMetadataKey": "",
    "ConsumerGroupMetadataValue": "",
    "ConsumerGroupPartitionMetadataKey": "",
    "ConsumerGroupPartitionMetadataValue": (
        "ConsumerGroupPartitionMetadataValueTopicMetadata "
        "ConsumerGroupPartitionMetadataValuePartitionMetadata"
    ),
    "ConsumerGroupMemberMetadataKey": "",
    "ConsumerGroupMemberMetadataValue": (
        "ConsumerGroupMemberMetadataValueClassicMemberMetadata "
        "ConsumerGroupMemberMetadataValueClassicProtocol"
    ),
    "ConsumerGroupTargetAssignmentMetadataKey": "",
    "ConsumerGroupTargetAssignmentMetadataValue": "",
    "ConsumerGroupTargetAssignmentMemberKey": "",
    "ConsumerGroupTargetAssignmentMemberValue": "ConsumerGroupTargetAssignmentMemberValueTopicPartition",
    "ConsumerGroupCurrentMemberAssignmentKey": "",
    "ConsumerGroupCurrentMemberAssignmentValue": "ConsumerGroupCurrentMemberAssignmentValueTopicPartitions",
    "ConsumerGroupRegularExpressionKey": "",
    "ConsumerGroupRegularExpressionValue": "",
    "TransactionLogKey": "",
    "TransactionLogValue": "TransactionLogValuePartitionsSchema",
}
# fmt: on
