// sarama: producer, consumer, groups, transactions and admin client, at its default protocol version and at others.
// Prints one line per case, as compat/cases.py describes.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const partitions = 4

var bootstrap string

type observation map[string]any

type testCase struct {
	name  string
	smoke bool
	body  func() any
}

func fresh(prefix string) string {
	raw := make([]byte, 6)
	_, _ = rand.Read(raw)
	return prefix + "-" + hex.EncodeToString(raw)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(seen, wanted any) {
	if !reflect.DeepEqual(seen, wanted) {
		panic(fmt.Errorf("%.250v instead of %.250v", seen, wanted))
	}
}

func until(what string, limit time.Duration, check func() bool) {
	deadline := time.Now().Add(limit)
	for !check() {
		if time.Now().After(deadline) {
			panic(fmt.Errorf("%s: not within %s", what, limit))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// errorName is the word of a Kafka error, without the request that met it.
func errorName(err error) string {
	var code sarama.KError
	if errors.As(err, &code) {
		return code.Error()
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func settings(version sarama.KafkaVersion) *sarama.Config {
	config := sarama.NewConfig()
	config.ClientID = "compat-sarama"
	config.Version = version
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	return config
}

func admin() sarama.ClusterAdmin {
	made, err := sarama.NewClusterAdmin([]string{bootstrap}, settings(sarama.DefaultVersion))
	must(err)
	return made
}

// topic makes a topic and waits until it can be written.
func topic(count int32) string {
	name := fresh("compat")
	client := admin()
	defer client.Close()
	must(client.CreateTopic(name, &sarama.TopicDetail{NumPartitions: count, ReplicationFactor: 1}, false))
	until("a leader", 20*time.Second, func() bool {
		found, err := client.DescribeTopics([]string{name})
		if err != nil || found[0].Err != sarama.ErrNoError || len(found[0].Partitions) != int(count) {
			return false
		}
		for _, partition := range found[0].Partitions {
			if partition.Leader < 0 {
				return false
			}
		}
		return true
	})
	return name
}

func fill(name string, first, count int, change func(*sarama.Config)) int64 {
	config := settings(sarama.DefaultVersion)
	if change != nil {
		change(config)
	}
	producer, err := sarama.NewSyncProducer([]string{bootstrap}, config)
	must(err)
	defer producer.Close()
	var last int64
	for i := first; i < first+count; i++ {
		value := sarama.StringEncoder(strconv.Itoa(i))
		_, last, err = producer.SendMessage(&sarama.ProducerMessage{Topic: name, Partition: int32(i % partitions), Value: value})
		must(err)
	}
	return last
}

// read gives the values of a partition up to its end, in order.
func read(name string, partition int32, count int, change func(*sarama.Config)) []string {
	config := settings(sarama.DefaultVersion)
	if change != nil {
		change(config)
	}
	consumer, err := sarama.NewConsumer([]string{bootstrap}, config)
	must(err)
	defer consumer.Close()
	stream, err := consumer.ConsumePartition(name, partition, sarama.OffsetOldest)
	must(err)
	defer stream.Close()
	values := []string{}
	for len(values) < count {
		select {
		case message := <-stream.Messages():
			values = append(values, string(message.Value))
		case <-time.After(20 * time.Second):
			panic(fmt.Errorf("%d of %d records", len(values), count))
		}
	}
	return values
}

func numbers(first, count, step int) []string {
	values := []string{}
	for i := 0; i < count; i++ {
		values = append(values, strconv.Itoa(first+i*step))
	}
	return values
}

// -- records

func roundTrip(version sarama.KafkaVersion, codec sarama.CompressionCodec) any {
	name := topic(partitions)
	change := func(config *sarama.Config) {
		config.Version = version
		config.Producer.Compression = codec
	}
	last := fill(name, 0, 40, change)
	equal(read(name, 1, 10, change), numbers(1, 10, partitions))
	return last
}

func idempotent() any {
	name := topic(partitions)
	return fill(name, 0, 40, func(config *sarama.Config) {
		config.Producer.Idempotent = true
		config.Producer.RequiredAcks = sarama.WaitForAll
		config.Net.MaxOpenRequests = 1
	})
}

// -- groups

// member consumes for a group and notes what it is given and what it reads.
type member struct {
	group    sarama.ConsumerGroup
	stop     context.CancelFunc
	done     sync.WaitGroup
	mutex    sync.Mutex
	assigned int
	seen     *sync.Map
	handle   func(sarama.ConsumerGroupSession, *sarama.ConsumerMessage)
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.assigned = 0
	for _, found := range session.Claims() {
		m.assigned += len(found)
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, more := <-claim.Messages():
			if !more {
				return nil
			}
			m.handle(session, message)
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *member) has() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.assigned
}

func (m *member) leave() {
	m.stop()
	m.done.Wait()
	must(m.group.Close())
}

func join(group, name string, seen *sync.Map, change func(*sarama.Config, *member)) *member {
	config := settings(sarama.DefaultVersion)
	m := &member{seen: seen}
	m.handle = func(session sarama.ConsumerGroupSession, message *sarama.ConsumerMessage) {
		m.seen.Store(string(message.Value), true)
		session.MarkMessage(message, "")
	}
	if change != nil {
		change(config, m)
	}
	made, err := sarama.NewConsumerGroup([]string{bootstrap}, group, config)
	must(err)
	m.group = made
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.done.Add(1)
	go func() {
		defer m.done.Done()
		for ctx.Err() == nil {
			if err := made.Consume(ctx, []string{name}, m); err != nil {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}()
	return m
}

func size(seen *sync.Map) int {
	count := 0
	seen.Range(func(any, any) bool { count++; return true })
	return count
}

func share(change func(*sarama.Config, *member)) any {
	name, group := topic(partitions), fresh("group")
	var seen sync.Map
	fill(name, 0, 100, nil)
	first := join(group, name, &seen, change)
	until("the first records", 30*time.Second, func() bool { return size(&seen) == 100 })
	second := join(group, name, &seen, change)
	until("an assignment of both", 30*time.Second, func() bool { return first.has() == 2 && second.has() == 2 })
	fill(name, 100, 100, nil)
	until("the records of both", 30*time.Second, func() bool { return size(&seen) == 200 })
	second.leave()
	until("all partitions for one", 30*time.Second, func() bool { return first.has() == partitions })
	fill(name, 200, 40, nil)
	until("the last records", 30*time.Second, func() bool { return size(&seen) == 240 })
	first.leave()
	return offsets(group, name)
}

func offsets(group, name string) []int64 {
	client := admin()
	defer client.Close()
	found, err := client.ListConsumerGroupOffsets(group, map[string][]int32{name: {0, 1, 2, 3}})
	must(err)
	result := []int64{}
	for partition := int32(0); partition < partitions; partition++ {
		result = append(result, found.GetBlock(name, partition).Offset)
	}
	return result
}

func groupAdmin() any {
	name, group := topic(partitions), fresh("group")
	var seen sync.Map
	fill(name, 0, 20, nil)
	one := join(group, name, &seen, nil)
	until("the records", 30*time.Second, func() bool { return size(&seen) == 20 })
	client := admin()
	defer client.Close()
	found, err := client.DescribeConsumerGroups([]string{group})
	must(err)
	result := observation{"described": []any{found[0].State, found[0].Protocol, found[0].ProtocolType, len(found[0].Members)}}
	result["delete_used"] = errorName(client.DeleteConsumerGroup(group))
	one.leave()
	groups, err := client.ListConsumerGroups()
	must(err)
	result["listed"] = groups[group]
	must(client.DeleteConsumerGroupOffset(group, name, 0))
	result["offsets"] = offsets(group, name)
	result["delete"] = errorName(client.DeleteConsumerGroup(group))
	result["again"] = errorName(client.DeleteConsumerGroup(group))
	return result
}

// -- transactions

func transactional(id string) sarama.SyncProducer {
	config := settings(sarama.DefaultVersion)
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Net.MaxOpenRequests = 1
	config.Producer.Transaction.ID = id
	config.Producer.Retry.Backoff = 50 * time.Millisecond
	config.Producer.Transaction.Retry.Backoff = 50 * time.Millisecond
	var producer sarama.SyncProducer
	until("a producer", 20*time.Second, func() bool { // sarama gives up while an older transaction is being aborted
		var err error
		producer, err = sarama.NewSyncProducer([]string{bootstrap}, config)
		if !errors.Is(err, sarama.ErrConcurrentTransactions) {
			must(err)
		}
		return err == nil
	})
	return producer
}

func committed(config *sarama.Config) { config.Consumer.IsolationLevel = sarama.ReadCommitted }

func send(producer sarama.SyncProducer, name, value string) {
	_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: name, Partition: 0, Value: sarama.StringEncoder(value)})
	must(err)
}

func transactionEnds() any {
	name := topic(1)
	producer := transactional(fresh("txn"))
	defer producer.Close()
	for round := 0; round < 4; round++ {
		must(producer.BeginTxn())
		for i := 0; i < 5; i++ {
			send(producer, name, strconv.Itoa(10*round+i))
		}
		if round%2 == 1 {
			must(producer.AbortTxn())
		} else {
			must(producer.CommitTxn())
		}
	}
	return observation{"committed": read(name, 0, 10, committed), "all": len(read(name, 0, 20, nil))}
}

func transactionFenced() any {
	name, id := topic(1), fresh("txn")
	old := transactional(id)
	must(old.BeginTxn())
	send(old, name, "1")
	young := transactional(id)
	defer young.Close()
	must(young.BeginTxn())
	send(young, name, "2")
	must(young.CommitTxn())
	refused := errorName(old.CommitTxn())
	_ = old.Close()
	return observation{"refused": refused, "committed": read(name, 0, 1, committed)}
}

func exactlyOnce() any {
	source, sink, group := topic(partitions), topic(1), fresh("group")
	fill(source, 0, 60, nil)
	for _, goal := range []int{30, 60} {
		var seen sync.Map
		producer := transactional(group)
		copied := len(committedSoFar(sink))
		var mutex sync.Mutex
		one := join(group, source, &seen, func(config *sarama.Config, m *member) {
			config.Consumer.IsolationLevel = sarama.ReadCommitted
			config.Consumer.Offsets.AutoCommit.Enable = false
			m.handle = func(session sarama.ConsumerGroupSession, message *sarama.ConsumerMessage) {
				mutex.Lock()
				defer mutex.Unlock()
				if copied == goal { // what is read beyond the goal is neither copied nor committed
					return
				}
				must(producer.BeginTxn())
				send(producer, sink, string(message.Value))
				must(producer.AddMessageToTxn(message, group, nil))
				must(producer.CommitTxn())
				copied++
			}
		})
		until("the copies", 40*time.Second, func() bool { mutex.Lock(); defer mutex.Unlock(); return copied == goal })
		one.leave()
		must(producer.Close())
	}
	values := read(sink, 0, 60, committed)
	sort.Slice(values, func(a, b int) bool {
		return len(values[a]) < len(values[b]) || len(values[a]) == len(values[b]) && values[a] < values[b]
	})
	equal(values, numbers(0, 60, 1))
	return offsets(group, source)
}

// committedSoFar counts by the log's end: each transaction is a record and a marker.
func committedSoFar(name string) []struct{} {
	client, err := sarama.NewClient([]string{bootstrap}, settings(sarama.DefaultVersion))
	must(err)
	defer client.Close()
	end, err := client.GetOffset(name, 0, sarama.OffsetNewest)
	must(err)
	return make([]struct{}, end/2)
}

// -- admin

func adminTopics() any {
	client := admin()
	defer client.Close()
	name := topic(2)
	detail := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}
	result := observation{"again": errorName(client.CreateTopic(name, detail, false))}
	must(client.CreatePartitions(name, 3, nil, false))
	until("three partitions", 20*time.Second, func() bool {
		found, err := client.DescribeTopics([]string{name})
		return err == nil && len(found[0].Partitions) == 3
	})
	result["fewer"] = errorName(client.CreatePartitions(name, 2, nil, false))
	fill(name, 0, 1, nil)
	result["delete_records"] = errorName(client.DeleteRecords(name, map[int32]int64{0: 1}))
	must(client.DeleteTopic(name))
	until("the topic to be gone", 20*time.Second, func() bool {
		listed, err := client.ListTopics()
		_, there := listed[name]
		return err == nil && !there
	})
	result["delete_again"] = errorName(client.DeleteTopic(name))
	return result
}

func adminConfigs() any {
	client := admin()
	defer client.Close()
	name, value := topic(1), "700000"
	change := map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}
	must(client.IncrementalAlterConfig(sarama.TopicResource, name, change, false))
	resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: name, ConfigNames: []string{"retention.ms"}}
	var found []sarama.ConfigEntry
	until("the change", 20*time.Second, func() bool {
		var err error
		found, err = client.DescribeConfig(resource)
		return err == nil && found[0].Value == value
	})
	bad := "soon"
	change["retention.ms"] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &bad}
	return observation{
		"source": found[0].Source.String(),
		"bad":    errorName(client.IncrementalAlterConfig(sarama.TopicResource, name, change, false)),
	}
}

func adminCluster() any {
	client := admin()
	defer client.Close()
	brokers, controller, err := client.DescribeCluster()
	must(err)
	dirs, err := client.DescribeLogDirs([]int32{brokers[0].ID()})
	must(err)
	return observation{"brokers": len(brokers), "controller": controller == brokers[0].ID(), "dirs": len(dirs[brokers[0].ID()])}
}

func cases() []testCase {
	found := []testCase{}
	for _, version := range []sarama.KafkaVersion{sarama.V1_0_0_0, sarama.V2_8_0_0, sarama.MaxVersion} {
		version := version
		found = append(found, testCase{"version." + version.String(), true, func() any {
			return observation{"last": roundTrip(version, sarama.CompressionNone), "offsets": share(func(config *sarama.Config, _ *member) {
				config.Version = version
			})}
		}})
	}
	for _, codec := range []sarama.CompressionCodec{sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		codec := codec
		found = append(found, testCase{"compression." + codec.String(), true, func() any { return roundTrip(sarama.DefaultVersion, codec) }})
	}
	return append(found,
		testCase{"produce.idempotent", true, idempotent},
		testCase{"group.sticky", true, func() any {
			return share(func(config *sarama.Config, _ *member) {
				config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
			})
		}},
		testCase{"group.admin", true, groupAdmin},
		testCase{"transaction.ends", true, transactionEnds},
		testCase{"transaction.fenced", true, transactionFenced},
		testCase{"transaction.exactly_once", true, exactlyOnce},
		testCase{"admin.topics", true, adminTopics},
		testCase{"admin.configs", true, adminConfigs},
		testCase{"admin.cluster", true, adminCluster},
		testCase{"exporter.default", true, func() any { return exporter(sarama.V2_0_0_0) }},
		testCase{"exporter.newest", true, func() any { return exporter(sarama.MaxVersion) }},
	)
}

// run gives a case its time and turns what it throws into a line.
func run(body func() any, limit time.Duration) (result any, err error) {
	type outcome struct {
		result any
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if thrown := recover(); thrown != nil {
				done <- outcome{nil, fmt.Errorf("%v", thrown)}
			}
		}()
		done <- outcome{body(), nil}
	}()
	select {
	case found := <-done:
		return found.result, found.err
	case <-time.After(limit):
		return nil, fmt.Errorf("not done after %s", limit)
	}
}

func main() {
	bootstrap = os.Args[1]
	smoke := os.Args[2] == "True"
	seconds, err := strconv.Atoi(os.Args[3])
	must(err)
	patterns, failed := os.Args[4:], 0
	for _, each := range cases() {
		wanted := len(patterns) == 0
		for _, pattern := range patterns {
			matched, _ := path.Match(pattern, each.name)
			wanted = wanted || matched
		}
		if !wanted || smoke && !each.smoke {
			continue
		}
		result, err := run(each.body, time.Duration(seconds)*time.Second)
		if err != nil {
			failed++
			fmt.Printf("FAIL %s %.600s\n", each.name, strings.Join(strings.Fields(err.Error()), " "))
			continue
		}
		text, err := json.Marshal(result)
		must(err)
		fmt.Printf("ok %s %s\n", each.name, text)
	}
	if failed > 0 {
		os.Exit(1)
	}
}
