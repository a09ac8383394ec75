// What kafka_exporter asks of a broker, by the library that it is made of: every figure of its kafka_* metrics.
// Prints one line per case, as compat/cases.py describes.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

const records, partitions = 30, 3

var bootstrap string

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func fresh(prefix string) string {
	raw := make([]byte, 6)
	_, _ = rand.Read(raw)
	return prefix + "-" + hex.EncodeToString(raw)
}

func settings(version sarama.KafkaVersion) *sarama.Config {
	config := sarama.NewConfig()
	config.ClientID = "compat-sarama"
	config.Version = version
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	return config
}

// prepare makes a topic with records, and a group that has consumed a third of them.
func prepare(version sarama.KafkaVersion) (string, string) {
	topic, group := fresh("compat"), fresh("readers")
	config := settings(version)
	admin, err := sarama.NewClusterAdmin([]string{bootstrap}, config)
	must(err)
	defer admin.Close()
	must(admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	client, err := sarama.NewClient([]string{bootstrap}, config)
	must(err)
	defer client.Close()
	until("leaders", func() bool {
		_ = client.RefreshMetadata(topic)
		found, err := client.WritablePartitions(topic)
		return err == nil && len(found) == partitions
	})
	producer, err := sarama.NewSyncProducerFromClient(client)
	must(err)
	for i := 0; i < records; i++ {
		message := &sarama.ProducerMessage{Topic: topic, Partition: int32(i % partitions), Value: sarama.StringEncoder("x")}
		_, _, err := producer.SendMessage(message)
		must(err)
	}
	must(producer.Close())
	// Sarama's own coordinator cache is filled by the first look-up, which may come before the topic is made.
	until("a coordinator", func() bool { return client.RefreshCoordinator(group) == nil })
	manager, err := sarama.NewOffsetManagerFromClient(group, client)
	must(err)
	for i := int32(0); i < partitions; i++ {
		managed, err := manager.ManagePartition(topic, i)
		must(err)
		managed.MarkOffset(int64(i)+2, "")
		managed.AsyncClose()
	}
	must(manager.Close())
	return topic, group
}

func until(what string, check func() bool) {
	deadline := time.Now().Add(20 * time.Second)
	for !check() {
		if time.Now().After(deadline) {
			panic(fmt.Errorf("%s: not within 20 s", what))
		}
		time.Sleep(50 * time.Millisecond)
	}
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
	if lag := found["kafka_consumergroup_lag_sum"+labels(group, topic, -1)]; lag != records-(2+3+4) {
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

func run(name string, body func() any) (failed bool) {
	defer func() {
		if reason := recover(); reason != nil {
			fmt.Printf("FAIL %s %.300v\n", name, reason)
			failed = true
		}
	}()
	text, err := json.Marshal(body())
	must(err)
	fmt.Printf("ok %s %s\n", name, text)
	return false
}

func main() {
	bootstrap = os.Args[1]
	only := os.Args[4:]
	versions := map[string]sarama.KafkaVersion{"exporter.default": sarama.V2_0_0_0, "exporter.newest": sarama.MaxVersion}
	failed := false
	for _, name := range []string{"exporter.default", "exporter.newest"} {
		wanted := len(only) == 0
		for _, pattern := range only {
			matched, _ := path.Match(pattern, name)
			wanted = wanted || matched
		}
		if wanted {
			failed = run(name, func() any { return exporter(versions[name]) }) || failed
		}
	}
	if failed {
		os.Exit(1)
	}
}
