// Apache's own Java client: producer, assigned consumer and admin client with their default settings.
// Prints one line per case, as compat/cases.py describes.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Cases {
    private static final long BASE = 1_700_000_000_000L;
    private static String bootstrap;
    private static final Map<String, Callable<Object>> CASES = new LinkedHashMap<>();

    private static final class Skip extends RuntimeException {
        Skip(String why) {
            super(why);
        }
    }

    // -- helpers

    static String fresh() {
        return "compat-" + UUID.randomUUID().toString().substring(0, 13);
    }

    static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }

    static String text(byte[] value) {
        return value == null ? null : new String(value, java.nio.charset.StandardCharsets.UTF_8);
    }

    static Properties properties(Object... pairs) {
        Properties all = new Properties();
        all.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) {
            all.put(pairs[i], pairs[i + 1]);
        }
        return all;
    }

    static KafkaProducer<byte[], byte[]> producer(Object... pairs) {
        return new KafkaProducer<>(properties(pairs), new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Object... pairs) {
        return new KafkaConsumer<>(properties(pairs), new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static Admin admin() {
        return Admin.create(properties());
    }

    static <T> T get(Future<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    static String errorName(Callable<?> call) throws Exception {
        try {
            call.call();
        } catch (ExecutionException error) {
            return error.getCause().getClass().getSimpleName();
        } catch (org.apache.kafka.common.KafkaException error) {
            return error.getClass().getSimpleName();
        }
        throw new AssertionError("no error");
    }

    static void until(Callable<Boolean> check, String what) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (!check.call()) {
            if (System.nanoTime() > deadline) {
                throw new TimeoutException(what + ": not within 20 s");
            }
            Thread.sleep(50);
        }
    }

    static void equal(Object seen, Object wanted) {
        if (!seen.equals(wanted)) {
            throw new AssertionError(clip(seen) + " instead of " + clip(wanted));
        }
    }

    private static String clip(Object value) {
        String text = String.valueOf(value);
        return text.length() > 200 ? text.substring(0, 200) : text;
    }

    static Map<String, Object> map(Object... pairs) {
        Map<String, Object> all = new TreeMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            all.put((String) pairs[i], pairs[i + 1]);
        }
        return all;
    }

    static String newTopic(Admin admin, int partitions, Map<String, String> configs) throws Exception {
        String topic = fresh();
        get(admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all());
        until(() -> {
            try {
                return get(admin.describeTopics(List.of(topic)).topicNameValues().get(topic)).partitions().size() == partitions;
            } catch (ExecutionException error) {
                return false;
            }
        }, "the topic to show");
        return topic;
    }

    static List<RecordMetadata> write(String topic, List<ProducerRecord<byte[], byte[]>> records, Object... pairs)
            throws Exception {
        List<Future<RecordMetadata>> futures = new ArrayList<>();
        List<RecordMetadata> result = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(pairs)) {
            for (ProducerRecord<byte[], byte[]> record : records) {
                futures.add(producer.send(record));
            }
            producer.flush();
            for (Future<RecordMetadata> future : futures) {
                result.add(get(future));
            }
        }
        return result;
    }

    static List<ProducerRecord<byte[], byte[]>> values(String topic, int count) {
        List<ProducerRecord<byte[], byte[]>> all = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            all.add(new ProducerRecord<>(topic, 0, null, bytes("value " + i)));
        }
        return all;
    }

    static List<ConsumerRecord<byte[], byte[]>> read(String topic, int count, Object... pairs) throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(pairs)) {
            List<TopicPartition> assigned = new ArrayList<>();
            until(() -> !consumer.partitionsFor(topic).isEmpty(), "partitions of " + topic);
            consumer.partitionsFor(topic).forEach(p -> assigned.add(new TopicPartition(topic, p.partition())));
            consumer.assign(assigned);
            consumer.seekToBeginning(assigned);
            return poll(consumer, count);
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> consumer, int count)
            throws Exception {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        until(() -> {
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
            return records.size() >= count;
        }, count + " records");
        equal(records.size(), count);
        return records;
    }

    // -- cases

    private static void producing() {
        CASES.put("produce.default", () -> {
            String topic = fresh();
            List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
            Set<String> wanted = new TreeSet<>();
            for (int i = 0; i < 500; i++) {
                sent.add(new ProducerRecord<>(topic, bytes("k" + i), bytes("v" + i)));
                wanted.add("k" + i + "=v" + i);
            }
            Set<Integer> spread = new TreeSet<>();
            write(topic, sent).forEach(entry -> spread.add(entry.partition()));
            Set<String> seen = new TreeSet<>();
            read(topic, 500).forEach(record -> seen.add(text(record.key()) + "=" + text(record.value())));
            equal(seen, wanted);
            return map("partitions", spread);
        });
        CASES.put("produce.acks", () -> {
            Map<String, Object> result = new TreeMap<>();
            for (String acks : List.of("0", "1", "all")) {
                String topic;
                try (Admin admin = admin()) {
                    topic = newTopic(admin, 1, Map.of());
                }
                write(topic, values(topic, 3), "acks", acks, "enable.idempotence", "false");
                result.put(acks, read(topic, 3).get(2).offset());
            }
            return result;
        });
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            CASES.put("compression." + codec, () -> {
                String topic = fresh();
                write(topic, values(topic, 300), "compression.type", codec, "linger.ms", "50");
                List<ConsumerRecord<byte[], byte[]>> records = read(topic, 300);
                for (int i = 0; i < 300; i++) {
                    equal(text(records.get(i).value()), "value " + i);
                }
                return null;
            });
        }
        CASES.put("headers", () -> {
            String topic = fresh();
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, bytes("v"));
            record.headers().add("a", bytes("1")).add("a", bytes("2")).add("null", null).add("empty", new byte[0]);
            write(topic, List.of(record));
            List<String> seen = new ArrayList<>();
            for (Header header : read(topic, 1).get(0).headers()) {
                seen.add(header.key() + "=" + text(header.value()));
            }
            equal(seen, List.of("a=1", "a=2", "null=null", "empty="));
            return seen.size();
        });
        CASES.put("null_and_empty", () -> {
            String topic = fresh();
            write(topic, List.of(
                new ProducerRecord<>(topic, 0, bytes("k"), null), new ProducerRecord<>(topic, 0, null, bytes("v")),
                new ProducerRecord<>(topic, 0, null, null), new ProducerRecord<>(topic, 0, new byte[0], new byte[0])));
            List<String> seen = new ArrayList<>();
            read(topic, 4).forEach(record -> seen.add(text(record.key()) + "=" + text(record.value())));
            equal(seen, List.of("k=null", "null=v", "null=null", "="));
            return null;
        });
        CASES.put("large", () -> {
            String topic = fresh();
            List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
            for (int i = 0; i < 5; i++) {
                byte[] value = new byte[900_000];
                Arrays.fill(value, (byte) i);
                sent.add(new ProducerRecord<>(topic, 0, null, value));
            }
            write(topic, sent);
            List<ConsumerRecord<byte[], byte[]>> records = read(topic, 5);
            for (int i = 0; i < 5; i++) {
                equal(Arrays.equals(records.get(i).value(), sent.get(i).value()), true);
            }
            return null;
        });
        CASES.put("timestamps", () -> {
            String topic = fresh();
            RecordMetadata sent = write(topic, List.of(new ProducerRecord<>(topic, 0, BASE, null, bytes("v")))).get(0);
            ConsumerRecord<byte[], byte[]> record = read(topic, 1).get(0);
            try (Admin admin = admin()) {
                String appended = newTopic(admin, 1, Map.of("message.timestamp.type", "LogAppendTime"));
                long acked = write(appended, List.of(new ProducerRecord<>(appended, 0, BASE, null, bytes("v")))).get(0).timestamp();
                ConsumerRecord<byte[], byte[]> other = read(appended, 1).get(0);
                equal(other.timestamp(), acked);
                equal(Math.abs(acked - System.currentTimeMillis()) < 30_000, true);
                return map("acked", sent.timestamp(), "read", record.timestamp(), "type", record.timestampType().toString(),
                    "other", other.timestampType().toString());
            }
        });
    }

    private static void consuming() {
        CASES.put("consume.seek", () -> {
            String topic = fresh();
            write(topic, values(topic, 50));
            TopicPartition tp = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("max.poll.records", "1")) {
                consumer.assign(List.of(tp));
                consumer.seek(tp, 40);
                equal(text(poll(consumer, 1).get(0).value()), "value 40");
                consumer.seekToBeginning(List.of(tp));
                equal(poll(consumer, 1).get(0).offset(), 0L);
                consumer.seekToEnd(List.of(tp));
                return map("end", consumer.position(tp), "begin", consumer.beginningOffsets(List.of(tp)).get(tp),
                    "ends", consumer.endOffsets(List.of(tp)).get(tp));
            }
        });
        CASES.put("consume.timestamp", () -> {
            String topic = fresh();
            List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                sent.add(new ProducerRecord<>(topic, 0, BASE + 1000L * i, null, bytes("value " + i)));
            }
            write(topic, sent);
            TopicPartition tp = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("max.poll.records", "1")) {
                consumer.assign(List.of(tp));
                OffsetAndTimestamp inside = consumer.offsetsForTimes(Map.of(tp, BASE + 7_500)).get(tp);
                OffsetAndTimestamp beyond = consumer.offsetsForTimes(Map.of(tp, 1_800_000_000_000L)).get(tp);
                consumer.seek(tp, inside.offset());
                equal(text(poll(consumer, 1).get(0).value()), "value 8");
                return map("offset", inside.offset(), "timestamp", inside.timestamp(), "epoch", inside.leaderEpoch().orElse(-1),
                    "beyond", String.valueOf(beyond));
            }
        });
        CASES.put("consume.out_of_range", () -> {
            String topic = fresh();
            write(topic, values(topic, 1));
            TopicPartition tp = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("auto.offset.reset", "none")) {
                consumer.assign(List.of(tp));
                consumer.seek(tp, 1000);
                return errorName(() -> poll(consumer, 1));
            }
        });
        CASES.put("consume.read_committed", () -> {
            String topic = fresh();
            write(topic, values(topic, 10));
            return read(topic, 10, "isolation.level", "read_committed").size();
        });
        CASES.put("consume.small_fetches", () -> {
            String topic = fresh();
            for (int i = 0; i < 5; i++) {
                write(topic, values(topic, 3));
            }
            return read(topic, 15, "fetch.max.bytes", "1", "max.partition.fetch.bytes", "1").get(14).offset();
        });
        CASES.put("consume.group", () -> {
            String topic = fresh();
            write(topic, values(topic, 3));
            try (Admin admin = admin()) {
                get(admin.listGroups().all());
            } catch (ExecutionException error) {
                throw new Skip("needs groups, which this broker does not advertise yet");
            }
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("group.id", fresh(), "auto.offset.reset", "earliest")) {
                consumer.subscribe(List.of(topic));
                return poll(consumer, 3).size();
            }
        });
    }

    private static String createError(Admin admin, NewTopic topic) throws Exception {
        return errorName(() -> get(admin.createTopics(List.of(topic)).all()));
    }

    private static void topics() {
        CASES.put("admin.create", () -> {
            try (Admin admin = admin()) {
                String topic = fresh();
                NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "60000"));
                CreateTopicsResult created = admin.createTopics(List.of(wanted));
                get(created.all());
                Uuid id = get(created.topicId(topic));
                until(() -> get(admin.listTopics().names()).contains(topic), "the topic to show");
                TopicDescription seen = get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).topicIdValues().get(id));
                equal(seen.name(), topic);
                List<Integer> leaders = new ArrayList<>();
                seen.partitions().forEach(partition -> leaders.add(partition.leader().id()));
                return map("partitions", get(created.numPartitions(topic)), "replication", get(created.replicationFactor(topic)),
                    "retention", get(created.config(topic)).get("retention.ms").value(), "leaders", leaders,
                    "configs", get(created.config(topic)).entries().size() > 20);
            }
        });
        CASES.put("admin.create.defaults", () -> {
            try (Admin admin = admin()) {
                String topic = fresh();
                CreateTopicsResult created = admin.createTopics(List.of(new NewTopic(topic, Optional.empty(), Optional.empty())));
                get(created.all());
                return map("partitions", get(created.numPartitions(topic)), "replication", get(created.replicationFactor(topic)));
            }
        });
        CASES.put("admin.create.validate_only", () -> {
            try (Admin admin = admin()) {
                String topic = fresh();
                CreateTopicsOptions options = new CreateTopicsOptions().validateOnly(true);
                CreateTopicsResult created = admin.createTopics(List.of(new NewTopic(topic, 5, (short) 1)), options);
                get(created.all());
                equal(get(admin.listTopics().names()).contains(topic), false);
                return get(created.numPartitions(topic));
            }
        });
        CASES.put("error.create", () -> {
            try (Admin admin = admin()) {
                String exists = newTopic(admin, 1, Map.of());
                return map("exists", createError(admin, new NewTopic(exists, 1, (short) 1)),
                    "slash", createError(admin, new NewTopic("a/b", 1, (short) 1)),
                    "long", createError(admin, new NewTopic("x".repeat(250), 1, (short) 1)),
                    "partitions", createError(admin, new NewTopic(fresh(), 0, (short) 1)),
                    "replicas", createError(admin, new NewTopic(fresh(), 1, (short) 3)),
                    "unknown_config", createError(admin, new NewTopic(fresh(), 1, (short) 1).configs(Map.of("no.such", "1"))),
                    "bad_config", createError(admin, new NewTopic(fresh(), 1, (short) 1).configs(Map.of("retention.ms", "x"))),
                    "bad_assignment", createError(admin, new NewTopic(fresh(), Map.of(0, List.of(99)))));
            }
        });
        CASES.put("admin.delete", () -> {
            try (Admin admin = admin()) {
                String topic = newTopic(admin, 1, Map.of());
                get(admin.deleteTopics(List.of(topic)).all());
                until(() -> !get(admin.listTopics().names()).contains(topic), "the topic to be gone");
                return errorName(() -> get(admin.deleteTopics(List.of(topic)).all()));
            }
        });
        CASES.put("admin.recreate", () -> {
            try (Admin admin = admin(); KafkaProducer<byte[], byte[]> producer = producer()) {
                String topic = newTopic(admin, 1, Map.of());
                get(producer.send(new ProducerRecord<>(topic, 0, null, bytes("old"))));
                get(admin.deleteTopics(List.of(topic)).all());
                until(() -> !get(admin.listTopics().names()).contains(topic), "the topic to be gone");
                get(admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all());
                long offset = producer.send(new ProducerRecord<>(topic, 0, null, bytes("new"))).get(60, TimeUnit.SECONDS).offset();
                equal(text(read(topic, 1).get(0).value()), "new");
                return offset;
            }
        });
        CASES.put("admin.create_partitions", () -> {
            try (Admin admin = admin()) {
                String topic = newTopic(admin, 1, Map.of());
                get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all());
                until(() -> get(admin.describeTopics(List.of(topic)).topicNameValues().get(topic)).partitions().size() == 4,
                    "four partitions");
                return errorName(() -> get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all()));
            }
        });
        CASES.put("admin.delete_records", () -> {
            try (Admin admin = admin()) {
                String topic = fresh();
                write(topic, values(topic, 10));
                TopicPartition tp = new TopicPartition(topic, 0);
                long low = get(admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(tp)).lowWatermark();
                String beyond = errorName(() -> get(admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(100))).all()));
                return map("low", low, "first", read(topic, 6).get(0).offset(), "beyond", beyond);
            }
        });
    }

    private static Map<String, ConfigEntry> configs(Admin admin, ConfigResource resource) throws Exception {
        DescribeConfigsOptions options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        Config found = get(admin.describeConfigs(List.of(resource), options).values().get(resource));
        Map<String, ConfigEntry> all = new HashMap<>();
        found.entries().forEach(entry -> all.put(entry.name(), entry));
        return all;
    }

    private static void alter(Admin admin, ConfigResource resource, String key, String value, AlterConfigOp.OpType type)
            throws Exception {
        Collection<AlterConfigOp> changes = List.of(new AlterConfigOp(new ConfigEntry(key, value), type));
        get(admin.incrementalAlterConfigs(Map.of(resource, changes)).all());
    }

    private static void configuring() {
        CASES.put("admin.configs.topic", () -> {
            try (Admin admin = admin()) {
                String topic = newTopic(admin, 1, Map.of("segment.bytes", "1048576"));
                ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
                Map<String, Object> result = new TreeMap<>();
                Map<String, ConfigEntry> found = configs(admin, resource);
                for (String key : List.of("segment.bytes", "cleanup.policy", "retention.ms", "compression.type", "min.insync.replicas")) {
                    ConfigEntry entry = found.get(key);
                    List<String> synonyms = new ArrayList<>();
                    entry.synonyms().forEach(synonym -> synonyms.add(synonym.source() + " " + synonym.name()));
                    result.put(key, List.of(entry.value(), entry.source().toString(), entry.type().toString(), synonyms));
                }
                result.put("documented", found.get("retention.ms").documentation() != null);
                return result;
            }
        });
        CASES.put("admin.configs.alter", () -> {
            try (Admin admin = admin()) {
                ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, newTopic(admin, 1, Map.of()));
                alter(admin, resource, "retention.ms", "700000", AlterConfigOp.OpType.SET);
                until(() -> configs(admin, resource).get("retention.ms").value().equals("700000"), "the change to show");
                alter(admin, resource, "retention.ms", null, AlterConfigOp.OpType.DELETE);
                until(() -> !configs(admin, resource).get("retention.ms").value().equals("700000"), "the deletion to show");
                alter(admin, resource, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
                until(() -> configs(admin, resource).get("cleanup.policy").value().equals("delete,compact"), "the addition to show");
                alter(admin, resource, "cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT);
                until(() -> configs(admin, resource).get("cleanup.policy").value().equals("compact"), "the removal to show");
                return map("bad", errorName(() -> {
                    alter(admin, resource, "retention.ms", "soon", AlterConfigOp.OpType.SET);
                    return null;
                }), "unknown", errorName(() -> {
                    alter(admin, resource, "no.such", "1", AlterConfigOp.OpType.SET);
                    return null;
                }), "append", errorName(() -> {
                    alter(admin, resource, "retention.ms", "1", AlterConfigOp.OpType.APPEND);
                    return null;
                }));
            }
        });
        CASES.put("admin.configs.broker", () -> {
            try (Admin admin = admin()) {
                String node = String.valueOf(get(admin.describeCluster().nodes()).iterator().next().id());
                Map<String, ConfigEntry> found = configs(admin, new ConfigResource(ConfigResource.Type.BROKER, node));
                Map<String, Object> result = new TreeMap<>();
                for (String key : List.of("num.partitions", "default.replication.factor", "min.insync.replicas", "auto.create.topics.enable")) {
                    result.put(key, found.get(key).value());
                }
                return result;
            }
        });
        CASES.put("admin.list_config_resources", () -> {
            try (Admin admin = admin()) {
                String topic = newTopic(admin, 1, Map.of());
                Collection<ConfigResource> found = get(admin.listConfigResources().all());
                equal(found.contains(new ConfigResource(ConfigResource.Type.TOPIC, topic)), true);
                Set<String> kinds = new TreeSet<>();
                found.forEach(resource -> kinds.add(resource.type().toString()));
                return kinds;
            }
        });
    }

    private static void cluster() {
        CASES.put("admin.cluster", () -> {
            try (Admin admin = admin()) {
                Collection<Node> nodes = get(admin.describeCluster().nodes());
                Node node = nodes.iterator().next();
                return map("nodes", nodes.size(), "address", (node.host() + ":" + node.port()).equals(bootstrap),
                    "controller", get(admin.describeCluster().controller()).id() == node.id(),
                    "cluster_id", get(admin.describeCluster().clusterId()).length());
            }
        });
        CASES.put("admin.features", () -> {
            try (Admin admin = admin()) {
                FeatureMetadata found = get(admin.describeFeatures().featureMetadata());
                Map<String, Object> levels = new TreeMap<>();
                found.finalizedFeatures().forEach((name, range) -> levels.put(name, range.maxVersionLevel()));
                return levels;
            }
        });
        CASES.put("admin.list_offsets", () -> {
            String topic = fresh();
            for (long moment : new long[] {1000, 5000, 3000, 9000, 2000}) {
                write(topic, List.of(new ProducerRecord<>(topic, 0, BASE + moment, null, bytes("v"))));
            }
            TopicPartition tp = new TopicPartition(topic, 0);
            Map<String, OffsetSpec> specs = new TreeMap<>(Map.of("earliest", OffsetSpec.earliest(), "latest", OffsetSpec.latest(),
                "max_timestamp", OffsetSpec.maxTimestamp(), "timestamp", OffsetSpec.forTimestamp(BASE + 4000),
                "beyond", OffsetSpec.forTimestamp(1_800_000_000_000L), "earliest_local", OffsetSpec.earliestLocal(),
                "latest_tiered", OffsetSpec.latestTiered()));
            Map<String, Object> result = new TreeMap<>();
            try (Admin admin = admin()) {
                for (Map.Entry<String, OffsetSpec> entry : specs.entrySet()) {
                    ListOffsetsResultInfo found = get(admin.listOffsets(Map.of(tp, entry.getValue())).partitionResult(tp));
                    result.put(entry.getKey(), List.of(found.offset(), found.timestamp(), found.leaderEpoch().orElse(-1)));
                }
            }
            return result;
        });
        CASES.put("admin.log_dirs", () -> {
            String topic = fresh();
            write(topic, values(topic, 100));
            try (Admin admin = admin()) {
                int node = get(admin.describeCluster().nodes()).iterator().next().id();
                Map<String, LogDirDescription> found = get(admin.describeLogDirs(List.of(node)).allDescriptions()).get(node);
                LogDirDescription dir = found.values().iterator().next();
                long size = dir.replicaInfos().get(new TopicPartition(topic, 0)).size();
                return map("error", String.valueOf(dir.error()), "size", size > 1000, "total", dir.totalBytes().isPresent());
            }
        });
        CASES.put("admin.producers", () -> {
            String topic = fresh();
            write(topic, values(topic, 10));
            TopicPartition tp = new TopicPartition(topic, 0);
            try (Admin admin = admin()) {
                List<ProducerState> found = get(admin.describeProducers(List.of(tp)).partitionResult(tp)).activeProducers();
                ProducerState state = found.get(0);
                return map("count", found.size(), "epoch", state.producerEpoch(), "sequence", state.lastSequence(),
                    "start", state.currentTransactionStartOffset().orElse(-1));
            }
        });
        CASES.put("error.too_large", () -> {
            String topic = fresh();
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, 0, null, new byte[1_500_000]);
            return errorName(() -> write(topic, List.of(record), "max.request.size", "3000000"));
        });
        CASES.put("error.invalid_topic", () ->
            errorName(() -> write("x", List.of(new ProducerRecord<>("not a topic!", bytes("v"))))));
        CASES.put("error.unknown_topic", () -> {
            try (Admin admin = admin()) {
                String topic = fresh();
                return errorName(() -> get(admin.describeTopics(List.of(topic)).allTopicNames()));
            }
        });
    }

    // -- running

    private static String json(Object value) {
        if (value == null || value instanceof Number || value instanceof Boolean) {
            return String.valueOf(value);
        }
        if (value instanceof Map<?, ?> map) {
            List<String> parts = new ArrayList<>();
            map.forEach((key, entry) -> parts.add(json(key) + ": " + json(entry)));
            return "{" + String.join(", ", parts) + "}";
        }
        if (value instanceof Collection<?> list) {
            List<String> parts = new ArrayList<>();
            list.forEach(entry -> parts.add(json(entry)));
            return "[" + String.join(", ", parts) + "]";
        }
        return '"' + String.valueOf(value).replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    private static boolean chosen(String name, List<String> patterns) {
        return patterns.isEmpty() || patterns.stream().anyMatch(pattern ->
            name.matches(pattern.replace(".", "\\.").replace("*", ".*").replace("?", ".")));
    }

    private static String run(Callable<Object> body, String name, ExecutorService pool, long timeoutS) {
        Future<Object> running = pool.submit(body);
        try {
            Object result = running.get(timeoutS, TimeUnit.SECONDS);
            return "ok " + name + (result == null ? "" : " " + json(result));
        } catch (ExecutionException error) {
            if (error.getCause() instanceof Skip skip) {
                return "skip " + name + " " + skip.getMessage();
            }
            if (System.getenv("COMPAT_TRACE") != null) {
                error.printStackTrace();
            }
            return "FAIL " + name + " " + String.valueOf(error.getCause()).replaceAll("\\s+", " ");
        } catch (TimeoutException | InterruptedException error) {
            running.cancel(true);
            return "FAIL " + name + " not done after " + timeoutS + " s";
        }
    }

    public static void main(String[] args) {
        bootstrap = args[0];
        long timeoutS = Long.parseLong(args[2]);
        List<String> patterns = Arrays.asList(args).subList(3, args.length);
        producing();
        consuming();
        topics();
        configuring();
        cluster();
        Groups.register(CASES);
        Transactions.register(CASES);
        ExecutorService pool = Executors.newCachedThreadPool();
        boolean failed = false;
        for (Map.Entry<String, Callable<Object>> entry : CASES.entrySet()) {
            if (chosen(entry.getKey(), patterns)) {
                String line = run(entry.getValue(), entry.getKey(), pool, timeoutS);
                failed |= line.startsWith("FAIL");
                System.out.println(line);
            }
        }
        System.exit(failed ? 1 : 0);
    }
}
