// What kafka_exporter asks of a broker, by the library that it is made of: every figure of its kafka_* metrics.
package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

const exporterRecords, exporterPartitions = 30, 3

// prepare makes a topic with records, and a group that has consumed a third of them.
func prepare(version sarama.KafkaVersion) (string, string) {
	topic, group := fresh("compat"), fresh("readers")
	config := settings(version)
	admin, err := sarama.NewClusterAdmin([]string{bootstrap}, config)
	must(err)
	defer admin.Close()
	must(admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: exporterPartitions, ReplicationFactor: 1}, false))
	client, err := sarama.NewClient([]string{bootstrap}, config)
	must(err)
	defer client.Close()
	until("leaders", 20*time.Second, func() bool {
		_ = client.RefreshMetadata(topic)
		found, err := client.WritablePartitions(topic)
		return err == nil && len(found) == exporterPartitions
	})
	producer, err := sarama.NewSyncProducerFromClient(client)
	must(err)
	for i := 0; i < exporterRecords; i++ {
		message := &sarama.ProducerMessage{Topic: topic, Partition: int32(i % exporterPartitions), Value: sarama.StringEncoder("x")}
		_, _, err := producer.SendMessage(message)
		must(err)
	}
	must(producer.Close())
	// Sarama's own coordinator cache is filled by the first look-up, which may come before the topic is made.
	until("a coordinator", 20*time.Second, func() bool { return client.RefreshCoordinator(group) == nil })
	manager, err := sarama.NewOffsetManagerFromClient(group, client)
	must(err)
	for i := int32(0); i < exporterPartitions; i++ {
		managed, err := manager.ManagePartition(topic, i)
		must(err)
		managed.MarkOffset(int64(i)+2, "")
		managed.AsyncClose()
	}
	must(manager.Close())
	return topic, group
}

// export asks in kafka_exporter's order and gives its figures by name and labels.
func export(version sarama.KafkaVersion, topic, group string) map[string]int64 {
	found := map[string]int64{}
	client, err := sarama.NewClient([]string{bootstrap}, settings(version))
	must(err)
	defer client.Close()
	must(client.RefreshMetadata())
	found["kafka_brokers"] = int64(len(client.Brokers()))
	topics, err := client.Topics()
	must(err)
	if !contains(topics, topic) {
		panic(fmt.Errorf("%s is not among %d topics", topic, len(topics)))
	}
	ends := exportTopic(client, topic, found)
	for _, broker := range client.Brokers() {
		_ = broker.Open(client.Config())
		exportGroups(broker, topic, group, ends, found)
	}
	return found
}

func contains(all []string, one string) bool {
	for _, each := range all {
		if each == one {
			return true
		}
	}
	return false
}

func exportTopic(client sarama.Client, topic string, found map[string]int64) map[int32]int64 {
	ids, err := client.Partitions(topic)
	must(err)
	found["kafka_topic_partitions"+labels("", topic, -1)] = int64(len(ids))
	ends := map[int32]int64{}
	for _, id := range ids {
		put := func(name string, value int64) { found["kafka_topic_partition_"+name+labels("", topic, id)] = value }
		leader, err := client.Leader(topic, id)
		must(err)
		put("leader", int64(leader.ID()))
		ends[id], err = client.GetOffset(topic, id, sarama.OffsetNewest)
		must(err)
		put("current_offset", ends[id])
		oldest, err := client.GetOffset(topic, id, sarama.OffsetOldest)
		must(err)
		put("oldest_offset", oldest)
		replicas, err := client.Replicas(topic, id)
		must(err)
		put("replicas", int64(len(replicas)))
		inSync, err := client.InSyncReplicas(topic, id)
		must(err)
		put("in_sync_replica", int64(len(inSync)))
		put("leader_is_preferred", truth(leader.ID() == replicas[0]))
		put("under_replicated_partition", truth(len(inSync) < len(replicas)))
	}
	return ends
}

func exportGroups(broker *sarama.Broker, topic, group string, ends map[int32]int64, found map[string]int64) {
	listed, err := broker.ListGroups(&sarama.ListGroupsRequest{})
	must(err)
	if _, known := listed.Groups[group]; !known {
		panic(fmt.Errorf("%s is not among %d groups", group, len(listed.Groups)))
	}
	described, err := broker.DescribeGroups(&sarama.DescribeGroupsRequest{Groups: []string{group}})
	must(err)
	found["kafka_consumergroup_members"+labels(group, "", -1)] = int64(len(described.Groups[0].Members))
	request := &sarama.OffsetFetchRequest{ConsumerGroup: group, Version: 1}
	for id := range ends {
		request.AddPartition(topic, id)
	}
	fetched, err := broker.FetchOffset(request)
	must(err)
	var offsets, lags int64
	for id, block := range fetched.Blocks[topic] {
		if block.Err != sarama.ErrNoError {
			panic(block.Err)
		}
		found["kafka_consumergroup_current_offset"+labels(group, topic, id)] = block.Offset
		found["kafka_consumergroup_lag"+labels(group, topic, id)] = ends[id] - block.Offset
		offsets += block.Offset
		lags += ends[id] - block.Offset
	}
	found["kafka_consumergroup_current_offset_sum"+labels(group, topic, -1)] = offsets
	found["kafka_consumergroup_lag_sum"+labels(group, topic, -1)] = lags
}

func truth(value bool) int64 {
	if value {
		return 1
	}
	return 0
}

func labels(group, topic string, partition int32) string {
	var parts []string
	if group != "" {
		parts = append(parts, `consumergroup="`+group+`"`)
	}
	if topic != "" {
		parts = append(parts, `topic="`+topic+`"`)
	}
	if partition >= 0 {
		parts = append(parts, `partition="`+strconv.Itoa(int(partition))+`"`)
	}
	sort.Strings(parts)
	return "{" + strings.Join(parts, ",") + "}"
}

var line = regexp.MustCompile(`(?m)^(kafka_(?:brokers|topic_partition\w*|consumergroup_\w+))(?:\{([^}]*)\})? (\S+)$`)

// served is what the broker itself says under the same names, where it speaks HTTP.
func served() map[string]int64 {
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get("http://" + bootstrap + "/metrics")
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil
	}
	found := map[string]int64{}
	for _, match := range line.FindAllStringSubmatch(string(text), -1) {
		name := match[1]
		if match[2] != "" {
			parts := strings.Split(match[2], ",")
			sort.Strings(parts)
			name += "{" + strings.Join(parts, ",") + "}"
		}
		value, err := strconv.ParseFloat(match[3], 64)
		must(err)
		found[name] = int64(value)
	}
	return found
}

// exporter is a case: the figures must be those of what was done, and those that the broker serves by itself.
func exporter(version sarama.KafkaVersion) any {
	topic, group := prepare(version)
	found := export(version, topic, group)
	if lag := found["kafka_consumergroup_lag_sum"+labels(group, topic, -1)]; lag != exporterRecords-(2+3+4) {
		panic(fmt.Errorf("a lag of %d", lag))
	}
	if own := served(); own != nil {
		for name, value := range found {
			if seen, known := own[name]; !known || seen != value {
				panic(fmt.Errorf("%s is %d, and %d (%t) at /metrics", name, value, seen, known))
			}
		}
	}
	observed := map[string]int64{}
	for name, value := range found {
		name = strings.ReplaceAll(strings.ReplaceAll(name, topic, "T"), group, "G")
		observed[strings.ReplaceAll(name, `"`, "")] = value
	}
	return observed
}
