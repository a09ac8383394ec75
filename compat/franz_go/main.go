// franz-go and kadm with their default settings: the newest version of every request that the broker shows.
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

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 4

var bootstrap string

type observation map[string]any

type testCase struct {
	name  string
	smoke bool
	body  func(ctx context.Context) (any, error)
}

func fresh(prefix string) string {
	raw := make([]byte, 6)
	_, _ = rand.Read(raw)
	return prefix + "-" + hex.EncodeToString(raw)
}

func client(opts ...kgo.Opt) *kgo.Client {
	all := append([]kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.ClientID("compat-franz-go")}, opts...)
	made, err := kgo.NewClient(all...)
	must(err)
	return made
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

func until(what string, check func() bool) {
	deadline := time.Now().Add(20 * time.Second)
	for !check() {
		if time.Now().After(deadline) {
			panic(fmt.Errorf("%s: not within 20 s", what))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func errorName(err error) string {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Message
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// topic makes a topic and waits until it can be written.
func topic(ctx context.Context, count int32) string {
	name := fresh("compat")
	cl := client()
	defer cl.Close()
	_, err := kadm.NewClient(cl).CreateTopic(ctx, count, 1, nil, name)
	must(err)
	until("a leader", func() bool {
		found, err := kadm.NewClient(cl).ListTopics(ctx, name)
		if err != nil || found[name].Err != nil || len(found[name].Partitions) != int(count) {
			return false
		}
		for _, partition := range found[name].Partitions {
			if partition.Err != nil || partition.Leader < 0 {
				return false
			}
		}
		return true
	})
	return name
}

func fill(ctx context.Context, name string, count int, spread int32) {
	cl := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	for i := 0; i < count; i++ {
		record := &kgo.Record{Topic: name, Partition: int32(i) % spread, Value: []byte(strconv.Itoa(i))}
		cl.Produce(ctx, record, func(_ *kgo.Record, err error) { must(err) })
	}
	must(cl.Flush(ctx))
}

// poll reads until it has so many records.
func poll(ctx context.Context, cl *kgo.Client, count int) []string {
	var values []string
	for len(values) < count {
		fetches := cl.PollFetches(ctx)
		for _, failed := range fetches.Errors() {
			panic(fmt.Errorf("%s-%d: %w", failed.Topic, failed.Partition, failed.Err))
		}
		fetches.EachRecord(func(record *kgo.Record) { values = append(values, string(record.Value)) })
	}
	return values
}

func numbers(from, to int) []string {
	var values []string
	for i := from; i < to; i++ {
		values = append(values, strconv.Itoa(i))
	}
	return values
}

func sorted(values []string) []string {
	sort.Slice(values, func(i, j int) bool {
		left, _ := strconv.Atoi(values[i])
		right, _ := strconv.Atoi(values[j])
		return left < right
	})
	return values
}

// -- plain clients

func produce(opts ...kgo.Opt) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		name := topic(ctx, 1)
		cl := client(opts...)
		defer cl.Close()
		for i := 0; i < 100; i++ {
			record := &kgo.Record{Topic: name, Key: []byte("k"), Value: []byte(strconv.Itoa(i))}
			record.Headers = []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}
			cl.Produce(ctx, record, func(record *kgo.Record, err error) { must(err) })
		}
		must(cl.Flush(ctx))
		reader := client(kgo.ConsumeTopics(name))
		defer reader.Close()
		equal(poll(ctx, reader, 100), numbers(0, 100))
		return nil, nil
	}
}

func autoCreate(ctx context.Context) (any, error) {
	cl := client(kgo.AllowAutoTopicCreation())
	defer cl.Close()
	results := cl.ProduceSync(ctx, &kgo.Record{Topic: fresh("auto"), Value: []byte("x")})
	return observation{"offset": results[0].Record.Offset}, results.FirstErr()
}

func offsets(ctx context.Context) (any, error) {
	name := topic(ctx, 1)
	fill(ctx, name, 10, 1)
	cl := client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	start, err := adm.ListStartOffsets(ctx, name)
	must(err)
	end, err := adm.ListEndOffsets(ctx, name)
	must(err)
	stable, err := adm.ListCommittedOffsets(ctx, name)
	must(err)
	later, err := adm.ListOffsetsAfterMilli(ctx, time.Now().Add(time.Hour).UnixMilli(), name)
	must(err)
	seen := observation{}
	for what, listed := range map[string]kadm.ListedOffsets{"start": start, "end": end, "stable": stable, "later": later} {
		found, _ := listed.Lookup(name, 0)
		must(found.Err)
		seen[what] = found.Offset
	}
	return seen, nil
}

func readFrom(ctx context.Context) (any, error) {
	name := topic(ctx, 1)
	fill(ctx, name, 20, 1)
	at := map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(15)}}
	cl := client(kgo.ConsumePartitions(at))
	defer cl.Close()
	equal(poll(ctx, cl, 5), numbers(15, 20))
	return nil, nil
}

// -- groups

func members(ctx context.Context, name, group string, count int, opts ...kgo.Opt) (map[string]int, *sync.Map) {
	seen := map[string]int{}
	var lock sync.Mutex
	var owners sync.Map
	run, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	for i := 0; i < count; i++ {
		all := append([]kgo.Opt{
			kgo.ConsumeTopics(name), kgo.ConsumerGroup(group),
			kgo.SessionTimeout(10 * time.Second), kgo.HeartbeatInterval(500 * time.Millisecond),
		}, opts...)
		cl := client(all...)
		wait.Add(1)
		go func() {
			defer wait.Done()
			for run.Err() == nil {
				fetches := cl.PollFetches(run)
				fetches.EachRecord(func(record *kgo.Record) {
					lock.Lock()
					seen[string(record.Value)]++
					lock.Unlock()
					owners.Store(record.Partition, i)
				})
			}
			_ = cl.CommitUncommittedOffsets(ctx)
			cl.Close()
		}()
	}
	until("every record", func() bool {
		lock.Lock()
		defer lock.Unlock()
		return len(seen) == 200
	})
	stop()
	wait.Wait()
	return seen, &owners
}

func share(opts ...kgo.Opt) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		name, group := topic(ctx, partitions), fresh("group")
		fill(ctx, name, 200, partitions)
		seen, _ := members(ctx, name, group, 3, opts...)
		equal(len(seen), 200)
		cl := client()
		defer cl.Close()
		adm := kadm.NewClient(cl)
		var committed int64
		until("the commits of all members", func() bool {
			fetched, err := adm.FetchOffsets(ctx, group)
			must(err)
			committed = 0
			fetched.Each(func(offset kadm.OffsetResponse) { committed += offset.At })
			return committed == 200
		})
		// Who comes later goes on where the group stood.
		fill(ctx, name, 200, partitions)
		again := client(append([]kgo.Opt{kgo.ConsumeTopics(name), kgo.ConsumerGroup(group)}, opts...)...)
		defer again.Close()
		equal(len(poll(ctx, again, 200)), 200)
		return observation{"committed": committed}, nil
	}
}

// describeClassic and describeConsumer tell what kadm sees of a group with one member that has read everything.
func describeClassic(ctx context.Context, adm *kadm.Client, group string) observation {
	lags, err := adm.Lag(ctx, group)
	must(err)
	lag := lags[group]
	must(lag.Error())
	return observation{"state": lag.State, "members": len(lag.Members), "lag": lag.Lag.Total()}
}

func describeConsumer(ctx context.Context, adm *kadm.Client, group string) observation {
	described, err := adm.DescribeConsumerGroups(ctx, group)
	must(err)
	found := described[group]
	must(found.Err)
	owned := 0
	found.Members[0].Assignment.Each(func(string, int32) { owned++ })
	return observation{
		"state": found.State, "members": len(found.Members), "owned": owned, "assignor": found.AssignorName,
		"settled": found.Epoch == found.AssignmentEpoch,
	}
}

func describe(
	tell func(context.Context, *kadm.Client, string) observation, opts ...kgo.Opt,
) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		name, group := topic(ctx, partitions), fresh("group")
		fill(ctx, name, 40, partitions)
		cl := client(append([]kgo.Opt{kgo.ConsumeTopics(name), kgo.ConsumerGroup(group)}, opts...)...)
		poll(ctx, cl, 40)
		must(cl.CommitUncommittedOffsets(ctx))
		other := client()
		defer other.Close()
		adm := kadm.NewClient(other)
		seen := tell(ctx, adm, group)
		listed, err := adm.ListGroups(ctx)
		must(err)
		seen["type"] = listed[group].ProtocolType
		cl.Close()
		until("an empty group", func() bool {
			listed, err := adm.ListGroups(ctx, "empty")
			return err == nil && listed[group].Group == group
		})
		deleted, err := adm.DeleteGroups(ctx, group)
		must(err)
		must(deleted[group].Err)
		_, err = adm.DeleteGroup(ctx, group)
		seen["again"] = errorName(err)
		return seen, nil
	}
}

func simpleCommit(ctx context.Context) (any, error) {
	name, group := topic(ctx, 1), fresh("group")
	cl := client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	wanted := kadm.Offsets{}
	wanted.Add(kadm.Offset{Topic: name, Partition: 0, At: 42, LeaderEpoch: 0, Metadata: "note"})
	committed, err := adm.CommitOffsets(ctx, group, wanted)
	must(err)
	must(committed.Error())
	fetched, err := adm.FetchOffsets(ctx, group)
	must(err)
	found, _ := fetched.Lookup(name, 0)
	deleted, err := adm.DeleteOffsets(ctx, group, kadm.TopicsSet{name: {0: {}}})
	must(err)
	must(deleted.Error())
	after, err := adm.FetchOffsets(ctx, group)
	must(err)
	return observation{"at": found.At, "metadata": found.Metadata, "epoch": found.LeaderEpoch, "left": len(after)}, nil
}

// -- transactions

func transaction(end kgo.TransactionEndTry) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		name := topic(ctx, 1)
		cl := client(kgo.TransactionalID(fresh("txn")), kgo.DefaultProduceTopic(name))
		defer cl.Close()
		for round := 0; round < 3; round++ {
			must(cl.BeginTransaction())
			for i := 0; i < 10; i++ {
				cl.Produce(ctx, &kgo.Record{Value: []byte(strconv.Itoa(round*10 + i))}, nil)
			}
			must(cl.Flush(ctx))
			must(cl.EndTransaction(ctx, end))
		}
		must(cl.BeginTransaction())
		must(cl.ProduceSync(ctx, &kgo.Record{Value: []byte("99")}).FirstErr())
		must(cl.EndTransaction(ctx, kgo.TryCommit))
		reader := client(kgo.ConsumeTopics(name), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		defer reader.Close()
		if end == kgo.TryCommit {
			equal(poll(ctx, reader, 31), append(numbers(0, 30), "99"))
		} else {
			equal(poll(ctx, reader, 1), []string{"99"})
		}
		adm := kadm.NewClient(reader)
		listed, err := adm.ListEndOffsets(ctx, name)
		must(err)
		found, _ := listed.Lookup(name, 0)
		return observation{"end": found.Offset}, nil
	}
}

func fenced(ctx context.Context) (any, error) {
	name, id := topic(ctx, 1), fresh("txn")
	old := client(kgo.TransactionalID(id), kgo.DefaultProduceTopic(name))
	defer old.Close()
	must(old.BeginTransaction())
	must(old.ProduceSync(ctx, &kgo.Record{Value: []byte("old")}).FirstErr())
	young := client(kgo.TransactionalID(id), kgo.DefaultProduceTopic(name))
	defer young.Close()
	must(young.BeginTransaction())
	must(young.ProduceSync(ctx, &kgo.Record{Value: []byte("young")}).FirstErr())
	must(young.EndTransaction(ctx, kgo.TryCommit))
	err := old.EndTransaction(ctx, kgo.TryCommit)
	reader := client(kgo.ConsumeTopics(name), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer reader.Close()
	equal(poll(ctx, reader, 1), []string{"young"})
	return observation{"error": errorName(err)}, nil
}

// exactlyOnce copies a topic in transactions, with a member that is replaced on the way.
func exactlyOnce(ctx context.Context) (any, error) {
	from, to, group := topic(ctx, partitions), topic(ctx, 1), fresh("group")
	fill(ctx, from, 200, partitions)
	copied := 0
	for member := 0; member < 2; member++ {
		session, err := kgo.NewGroupTransactSession(
			kgo.SeedBrokers(bootstrap), kgo.ClientID("compat-franz-go"), kgo.TransactionalID(fresh("txn")),
			kgo.ConsumerGroup(group), kgo.ConsumeTopics(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.RequireStableFetchOffsets(), kgo.DefaultProduceTopic(to), kgo.FetchMaxBytes(1024),
		)
		must(err)
		for copied < 100*(member+1) {
			fetches := session.PollRecords(ctx, 25)
			must(session.Begin())
			n := 0
			fetches.EachRecord(func(record *kgo.Record) {
				n++
				session.Produce(ctx, &kgo.Record{Value: record.Value}, func(_ *kgo.Record, err error) { must(err) })
			})
			committed, err := session.End(ctx, kgo.TryCommit)
			must(err)
			if committed {
				copied += n
			}
		}
		session.Close()
	}
	reader := client(kgo.ConsumeTopics(to), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer reader.Close()
	equal(sorted(poll(ctx, reader, 200)), numbers(0, 200))
	return nil, nil
}

func describeTxn(ctx context.Context) (any, error) {
	name, id := topic(ctx, 1), fresh("txn")
	cl := client(kgo.TransactionalID(id), kgo.DefaultProduceTopic(name))
	defer cl.Close()
	must(cl.BeginTransaction())
	must(cl.ProduceSync(ctx, &kgo.Record{Value: []byte("x")}).FirstErr())
	adm := kadm.NewClient(cl)
	described, err := adm.DescribeTransactions(ctx, id)
	must(err)
	found := described[id]
	must(found.Err)
	listed, err := adm.ListTransactions(ctx, nil, nil)
	must(err)
	producers, err := adm.DescribeProducers(ctx, kadm.TopicsSet{name: {0: {}}})
	must(err)
	active := 0
	producers.EachProducer(func(producer kadm.DescribedProducer) {
		if producer.CurrentTxnStartOffset >= 0 {
			active++
		}
	})
	seen := observation{
		"state": found.State, "partitions": len(found.Topics[name]), "listed": listed[id].State, "active": active,
	}
	must(cl.EndTransaction(ctx, kgo.TryAbort))
	until("the end of the transaction", func() bool {
		described, err := adm.DescribeTransactions(ctx, id)
		return err == nil && described[id].State == "CompleteAbort"
	})
	return seen, nil
}

func cluster(ctx context.Context) (any, error) {
	cl := client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	found, err := adm.Metadata(ctx)
	must(err)
	versions, err := adm.ApiVersions(ctx)
	must(err)
	guess := ""
	versions.Each(func(broker kadm.BrokerApiVersions) { guess = broker.VersionGuess() })
	return observation{"brokers": len(found.Brokers), "guess": guess}, nil
}

var cases = []testCase{
	{"cluster", true, cluster},
	{"produce.default", true, produce()},
	{"produce.acks_leader", true, produce(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())},
	{"produce.auto_create", true, autoCreate},
	{"compression.gzip", false, produce(kgo.ProducerBatchCompression(kgo.GzipCompression()))},
	{"compression.snappy", false, produce(kgo.ProducerBatchCompression(kgo.SnappyCompression()))},
	{"compression.lz4", false, produce(kgo.ProducerBatchCompression(kgo.Lz4Compression()))},
	{"compression.zstd", false, produce(kgo.ProducerBatchCompression(kgo.ZstdCompression()))},
	{"offsets", true, offsets},
	{"consume.at", true, readFrom},
	{"group.simple_commit", true, simpleCommit},
	{"group.range", true, share(kgo.Balancers(kgo.RangeBalancer()))},
	{"group.cooperative", false, share(kgo.Balancers(kgo.CooperativeStickyBalancer()))},
	{"group.describe", false, describe(describeClassic)},
	{"consumer_group.share", true, share(kgo.ServerSideBalancer())},
	{"consumer_group.describe", false, describe(describeConsumer, kgo.ServerSideBalancer())},
	{"transaction.commit", true, transaction(kgo.TryCommit)},
	{"transaction.abort", true, transaction(kgo.TryAbort)},
	{"transaction.fenced", false, fenced},
	{"transaction.exactly_once", true, exactlyOnce},
	{"transaction.describe", false, describeTxn},
}

func run(one testCase, seconds int) (status, text string) {
	ctx, stop := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
	defer stop()
	type result struct{ status, text string }
	done := make(chan result, 1)
	go func() {
		defer func() {
			if problem := recover(); problem != nil {
				done <- result{"FAIL", strings.Join(strings.Fields(fmt.Sprint(problem)), " ")}
			}
		}()
		seen, err := one.body(ctx)
		must(err)
		if seen == nil {
			done <- result{"ok", ""}
			return
		}
		encoded, err := json.Marshal(seen)
		must(err)
		done <- result{"ok", string(encoded)}
	}()
	select {
	case end := <-done:
		return end.status, end.text
	case <-time.After(time.Duration(seconds+5) * time.Second):
		return "FAIL", fmt.Sprintf("not done after %d s", seconds)
	}
}

func chosen(name string, patterns []string) bool {
	for _, pattern := range patterns {
		if matched, _ := path.Match(pattern, name); matched {
			return true
		}
	}
	return len(patterns) == 0
}

func main() {
	bootstrap = os.Args[1]
	smoke := os.Args[2] == "True"
	seconds, err := strconv.Atoi(os.Args[3])
	must(err)
	failed := false
	for _, one := range cases {
		if !chosen(one.name, os.Args[4:]) || (smoke && !one.smoke) {
			continue
		}
		status, text := run(one, seconds)
		failed = failed || status == "FAIL"
		fmt.Println(strings.TrimSpace(status + " " + one.name + " " + text))
	}
	if failed {
		os.Exit(1)
	}
}
