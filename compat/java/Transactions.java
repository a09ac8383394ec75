// Transactions with Apache's Java client: commit, abort, fencing, time-outs, offsets in transactions, the admin client's view.

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.FenceProducersOptions;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

final class Transactions {
    private Transactions() {}

    private static KafkaProducer<byte[], byte[]> begun(String id, Object... more) {
        List<Object> all = new ArrayList<>(List.of("transactional.id", id));
        all.addAll(List.of(more));
        KafkaProducer<byte[], byte[]> producer = Cases.producer(all.toArray());
        producer.initTransactions();
        return producer;
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String topic, int from, int count) throws Exception {
        for (int i = from; i < from + count; i++) {
            producer.send(new ProducerRecord<>(topic, 0, null, Cases.bytes(Integer.toString(i))));
        }
        producer.flush();
    }

    private static List<String> committed(String topic, int count) throws Exception {
        List<String> seen = new ArrayList<>();
        for (ConsumerRecord<byte[], byte[]> record : Cases.read(topic, count, "isolation.level", "read_committed")) {
            seen.add(Cases.text(record.value()));
        }
        return seen;
    }

    private static String topic(int partitions) throws Exception {
        try (Admin admin = Cases.admin()) {
            return Cases.newTopic(admin, partitions, Map.of());
        }
    }

    private static long end(Admin admin, String topic, IsolationLevel level) throws Exception {
        TopicPartition tp = new TopicPartition(topic, 0);
        return Cases.get(admin.listOffsets(Map.of(tp, OffsetSpec.latest()),
            new org.apache.kafka.clients.admin.ListOffsetsOptions(level)).partitionResult(tp)).offset();
    }

    private static Object commitAndAbort() throws Exception {
        String topic = topic(1);
        Map<String, Object> result = new TreeMap<>();
        try (KafkaProducer<byte[], byte[]> producer = begun(Cases.fresh()); Admin admin = Cases.admin()) {
            producer.beginTransaction();
            send(producer, topic, 0, 10);
            result.put("open", end(admin, topic, IsolationLevel.READ_COMMITTED) + " of "
                + end(admin, topic, IsolationLevel.READ_UNCOMMITTED));
            producer.commitTransaction();
            producer.beginTransaction();
            send(producer, topic, 10, 10);
            producer.abortTransaction();
            producer.beginTransaction();
            send(producer, topic, 20, 10);
            producer.commitTransaction();
            result.put("committed", String.join(" ", committed(topic, 20)));
            result.put("all", Cases.read(topic, 30).size());
            result.put("end", end(admin, topic, IsolationLevel.READ_COMMITTED));
        }
        return result;
    }

    /** Committed and aborted transactions of two producers, one inside the other, in several partitions. */
    private static Object interleaved() throws Exception {
        String topic = topic(1);
        try (KafkaProducer<byte[], byte[]> one = begun(Cases.fresh()); KafkaProducer<byte[], byte[]> two = begun(Cases.fresh())) {
            for (int round = 0; round < 10; round++) {
                one.beginTransaction();
                send(one, topic, 100 * round, 2);
                two.beginTransaction();
                send(two, topic, 100 * round + 50, 2);
                if (round % 2 == 0) {
                    one.abortTransaction();
                } else {
                    one.commitTransaction();
                }
                send(two, topic, 100 * round + 52, 1);
                if (round % 3 == 0) {
                    two.abortTransaction();
                } else {
                    two.commitTransaction();
                }
            }
        }
        return String.join(" ", committed(topic, 5 * 2 + 6 * 3));
    }

    private static Object fencing() throws Exception {
        String topic = topic(1);
        String id = Cases.fresh();
        Map<String, Object> result = new TreeMap<>();
        try (KafkaProducer<byte[], byte[]> old = begun(id)) {
            old.beginTransaction();
            send(old, topic, 0, 1);
            try (KafkaProducer<byte[], byte[]> young = begun(id)) {
                young.beginTransaction();
                send(young, topic, 1, 1);
                young.commitTransaction();
                result.put("commit", Cases.errorName(() -> {
                    old.commitTransaction();
                    return null;
                }));
            }
        }
        try (KafkaProducer<byte[], byte[]> producer = begun(id); Admin admin = Cases.admin()) {
            producer.beginTransaction();
            send(producer, topic, 2, 1);
            Cases.get(admin.fenceProducers(List.of(id), new FenceProducersOptions()).all());
            result.put("fenced", Cases.errorName(() -> {
                producer.commitTransaction();
                return null;
            }));
        }
        result.put("committed", committed(topic, 1));
        return result;
    }

    private static Object timesOut() throws Exception {
        String topic = topic(1);
        String id = Cases.fresh();
        try (KafkaProducer<byte[], byte[]> producer = begun(id, "transaction.timeout.ms", "1000"); Admin admin = Cases.admin()) {
            producer.beginTransaction();
            send(producer, topic, 0, 3);
            // The broker looks for such transactions every ten seconds.
            long deadline = System.nanoTime() + 30_000_000_000L;
            while (end(admin, topic, IsolationLevel.READ_COMMITTED) < 4 && System.nanoTime() < deadline) {
                Thread.sleep(200);
            }
            String error = Cases.errorName(() -> {
                producer.commitTransaction();
                return null;
            });
            return Cases.map("stable", end(admin, topic, IsolationLevel.READ_COMMITTED), "commit", error);
        }
    }

    /** Read, write and commit the offsets in one transaction, with aborts between; nothing is copied twice or lost. */
    private static Callable<Object> exactlyOnce(Object... more) {
        return () -> {
            String from = topic(2);
            String to = topic(1);
            String group = Cases.fresh();
            Cases.write(from, Cases.values(from, 100));
            List<Object> settings = new ArrayList<>(List.of("group.id", group, "auto.offset.reset", "earliest",
                "enable.auto.commit", "false", "isolation.level", "read_committed", "max.poll.records", "10"));
            settings.addAll(List.of(more));
            int copied = 0;
            for (int life = 0; life < 2; life++) {
                try (KafkaProducer<byte[], byte[]> producer = begun(group);
                        KafkaConsumer<byte[], byte[]> consumer = Cases.consumer(settings.toArray())) {
                    consumer.subscribe(List.of(from));
                    int round = 0;
                    while (copied < 50 * (life + 1)) {
                        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                        var polled = consumer.poll(Duration.ofMillis(500));
                        if (polled.isEmpty()) {
                            continue;
                        }
                        producer.beginTransaction();
                        for (ConsumerRecord<byte[], byte[]> record : polled) {
                            producer.send(new ProducerRecord<>(to, record.value()));
                            offsets.put(new TopicPartition(from, record.partition()), new OffsetAndMetadata(record.offset() + 1));
                        }
                        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                        if (round++ % 3 == 1) {
                            producer.abortTransaction();
                            consumer.committed(consumer.assignment())
                                .forEach((tp, offset) -> consumer.seek(tp, offset == null ? 0 : offset.offset()));
                        } else {
                            producer.commitTransaction();
                            copied += polled.count();
                        }
                    }
                }
            }
            List<String> seen = committed(to, 100);
            Cases.equal(new TreeSet<>(seen).size(), 100);
            try (Admin admin = Cases.admin()) {
                long sum = 0;
                for (OffsetAndMetadata offset
                        : Cases.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).values()) {
                    sum += offset.offset();
                }
                return sum;
            }
        };
    }

    private static Object described() throws Exception {
        String topic = topic(1);
        String id = Cases.fresh();
        TopicPartition tp = new TopicPartition(topic, 0);
        Map<String, Object> result = new TreeMap<>();
        try (KafkaProducer<byte[], byte[]> producer = begun(id); Admin admin = Cases.admin()) {
            result.put("before", Cases.get(admin.describeTransactions(List.of(id)).description(id)).state());
            producer.beginTransaction();
            send(producer, topic, 0, 3);
            var found = Cases.get(admin.describeTransactions(List.of(id)).description(id));
            result.put("state", found.state());
            result.put("partitions", found.topicPartitions().size());
            result.put("timeout", found.transactionTimeoutMs());
            result.put("started", found.transactionStartTimeMs().isPresent());
            result.put("listed", listed(admin, new ListTransactionsOptions(), id));
            result.put("ongoing", listed(admin, new ListTransactionsOptions().filterStates(List.of(TransactionState.ONGOING)), id));
            result.put("long", listed(admin, new ListTransactionsOptions().filterOnDuration(3_600_000), id));
            result.put("pattern", listed(admin, new ListTransactionsOptions().filterOnTransactionalIdPattern(id + ".*"), id));
            ProducerState state = Cases.get(admin.describeProducers(List.of(tp)).partitionResult(tp)).activeProducers().get(0);
            result.put("open since", state.currentTransactionStartOffset().getAsLong());
            // What kafka-transactions abort does with a hanging transaction.
            Cases.get(admin.abortTransaction(new AbortTransactionSpec(
                tp, state.producerId(), (short) state.producerEpoch(), state.coordinatorEpoch().orElse(0))).all());
            result.put("stable", end(admin, topic, IsolationLevel.READ_COMMITTED));
            producer.abortTransaction();
            Cases.until(() -> Cases.get(admin.describeTransactions(List.of(id)).description(id)).state()
                == TransactionState.COMPLETE_ABORT, "the end of the transaction");
            result.put("unknown", Cases.errorName(() -> Cases.get(admin.describeTransactions(List.of("no" + id)).all())));
        }
        return result;
    }

    private static boolean listed(Admin admin, ListTransactionsOptions options, String id) throws Exception {
        for (TransactionListing listing : Cases.get(admin.listTransactions(options).all())) {
            if (listing.transactionalId().equals(id)) {
                return true;
            }
        }
        return false;
    }

    private static Object field(Object of, String name) throws Exception {
        java.lang.reflect.Field field = of.getClass().getDeclaredField(name);
        field.setAccessible(true);
        return field.get(of);
    }

    private static void set(Object of, String name, Object value) throws Exception {
        java.lang.reflect.Field field = of.getClass().getDeclaredField(name);
        field.setAccessible(true);
        field.set(of, value);
    }

    private static void state(Object manager, String state) throws Exception {
        for (Class<?> type : manager.getClass().getDeclaredClasses()) {
            if (type.getSimpleName().equals("State")) {
                for (Object constant : type.getEnumConstants()) {
                    if (constant.toString().equals(state)) {
                        set(manager, "currentState", constant);
                    }
                }
            }
        }
    }

    /** What Flink does after a failure: a new producer takes up the transaction of the old one by its id and epoch. */
    private static KafkaProducer<byte[], byte[]> resumed(String id, Object identity) throws Exception {
        KafkaProducer<byte[], byte[]> producer = Cases.producer("transactional.id", id);
        Object manager = field(producer, "transactionManager");
        set(manager, "producerIdAndEpoch", identity);
        state(manager, "IN_TRANSACTION");
        set(manager, "transactionStarted", true);
        // The features of the cluster are known to a producer that has begun in the usual way.
        java.lang.reflect.Method update = manager.getClass().getDeclaredMethod("maybeUpdateTransactionV2Enabled", boolean.class);
        update.setAccessible(true);
        producer.partitionsFor("__transaction_state");
        update.invoke(manager, true);
        return producer;
    }

    private static Object resumes() throws Exception {
        String topic = topic(1);
        String id = Cases.fresh();
        List<Object> result = new ArrayList<>();
        KafkaProducer<byte[], byte[]> first = begun(id);
        first.beginTransaction();
        send(first, topic, 0, 5);
        Object identity = field(field(first, "transactionManager"), "producerIdAndEpoch");
        // Committed by another process, and once more by a third that does not know of it.
        for (int i = 0; i < 2; i++) {
            try (KafkaProducer<byte[], byte[]> other = resumed(id, identity)) {
                other.commitTransaction();
            }
        }
        result.add(committed(topic, 5).size());
        // What was committed cannot be aborted by a late one.
        try (KafkaProducer<byte[], byte[]> late = resumed(id, identity)) {
            result.add(Cases.errorName(() -> {
                late.abortTransaction();
                return null;
            }));
        }
        first.close(Duration.ZERO);
        try (KafkaProducer<byte[], byte[]> next = begun(id)) {
            next.beginTransaction();
            send(next, topic, 5, 5);
            next.commitTransaction();
        }
        result.add(committed(topic, 10).size());
        return result;
    }

    private static Object badTimeout() throws Exception {
        return Cases.errorName(() -> {
            begun(Cases.fresh(), "transaction.timeout.ms", "3600000").close();
            return null;
        });
    }

    static void register(Map<String, Callable<Object>> cases) {
        cases.put("transaction.ends", Transactions::commitAndAbort);
        cases.put("transaction.interleaved", Transactions::interleaved);
        cases.put("transaction.fenced", Transactions::fencing);
        cases.put("transaction.timeout", Transactions::timesOut);
        cases.put("transaction.bad_timeout", Transactions::badTimeout);
        cases.put("transaction.exactly_once", exactlyOnce());
        cases.put("transaction.exactly_once.consumer", exactlyOnce("group.protocol", "consumer"));
        cases.put("transaction.resumed", Transactions::resumes);
        cases.put("transaction.describe", Transactions::described);
    }
}
