// Consumer groups with Apache's Java client: both protocols, assignors, static members, offsets, and the admin client's view.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;

final class Groups {
    private static final int PARTITIONS = 4;

    private Groups() {}

    /** A member that polls on a thread of its own until it is stopped. */
    private static final class Member implements AutoCloseable {
        final Map<String, Integer> seen;
        final Set<TopicPartition> owned = ConcurrentHashMap.newKeySet();
        final Set<String> ids = ConcurrentHashMap.newKeySet();
        volatile Throwable problem;
        private final AtomicBoolean stop = new AtomicBoolean();
        private final Thread thread;

        Member(String topic, Map<String, Integer> seen, Object... pairs) {
            this.seen = seen;
            KafkaConsumer<byte[], byte[]> consumer = Cases.consumer(pairs);
            consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    owned.removeAll(partitions);
                }

                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    owned.addAll(partitions);
                }
            });
            thread = new Thread(() -> {
                try (consumer) {
                    while (!stop.get()) {
                        consumer.poll(Duration.ofMillis(100))
                            .forEach(record -> seen.merge(Cases.text(record.value()), 1, Integer::sum));
                        ids.add(consumer.groupMetadata().memberId());
                    }
                    consumer.commitSync();
                } catch (Throwable error) {
                    problem = error;
                }
            });
            thread.start();
        }

        @Override
        public void close() throws Exception {
            stop.set(true);
            thread.join(20_000);
            if (problem != null) {
                throw new AssertionError(problem);
            }
        }
    }

    private static Object[] settings(String group, Object... more) {
        List<Object> all = new ArrayList<>(List.of("group.id", group, "auto.offset.reset", "earliest"));
        all.addAll(List.of(more));
        return all.toArray();
    }

    private static void fill(String topic, int from, int count) throws Exception {
        var records = new ArrayList<org.apache.kafka.clients.producer.ProducerRecord<byte[], byte[]>>();
        for (int i = from; i < from + count; i++) {
            records.add(new org.apache.kafka.clients.producer.ProducerRecord<>(
                topic, i % PARTITIONS, null, Cases.bytes("value " + i)));
        }
        Cases.write(topic, records);
    }

    private static long committed(Admin admin, String group) throws Exception {
        long sum = 0;
        for (OffsetAndMetadata offset
                : Cases.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).values()) {
            sum += offset == null ? 0 : offset.offset();
        }
        return sum;
    }

    /** Three members read together, one leaves, another comes: every record is read, and once between commits. */
    private static Callable<Object> sharing(Object... more) {
        return () -> {
            String group = Cases.fresh();
            try (Admin admin = Cases.admin()) {
                String topic = Cases.newTopic(admin, PARTITIONS, Map.of());
                fill(topic, 0, 200);
                Map<String, Integer> seen = new ConcurrentHashMap<>();
                try (Member first = new Member(topic, seen, settings(group, more))) {
                    Cases.until(() -> seen.size() == 200, "the first 200 records");
                    try (Member second = new Member(topic, seen, settings(group, more));
                            Member third = new Member(topic, seen, settings(group, more))) {
                        Cases.until(() -> first.owned.size() + second.owned.size() + third.owned.size() == PARTITIONS
                            && !second.owned.isEmpty() && !third.owned.isEmpty(), "an assignment of all three");
                        fill(topic, 200, 200);
                        Cases.until(() -> seen.size() == 400, "the second 200 records");
                    }
                    Cases.until(() -> first.owned.size() == PARTITIONS, "one member again");
                    fill(topic, 400, 100);
                    Cases.until(() -> seen.size() == 500, "the last 100 records");
                }
                return Cases.map("committed", committed(admin, group), "records", seen.size());
            }
        };
    }

    private static Object described(Object... more) throws Exception {
        String group = Cases.fresh();
        try (Admin admin = Cases.admin()) {
            String topic = Cases.newTopic(admin, PARTITIONS, Map.of());
            fill(topic, 0, 40);
            Map<String, Object> result = new TreeMap<>();
            Map<String, Integer> seen = new ConcurrentHashMap<>();
            try (Member member = new Member(topic, seen, settings(group, more))) {
                Cases.until(() -> seen.size() == 40, "the records");
                Cases.until(() -> describe(admin, group).groupState() == GroupState.STABLE, "a stable group");
                ConsumerGroupDescription found = describe(admin, group);
                MemberDescription one = found.members().iterator().next();
                result.putAll(Cases.map("state", found.groupState(), "assignor", found.partitionAssignor(), "type", found.type(),
                    "members", found.members().size(), "owned", one.assignment().topicPartitions().size(),
                    "simple", found.isSimpleConsumerGroup(), "same id", member.ids.contains(one.consumerId())));
                for (GroupListing listing : Cases.get(admin.listGroups().all())) {
                    if (listing.groupId().equals(group)) {
                        result.put("listed", listing.type() + " " + listing.protocol() + " " + listing.groupState());
                    }
                }
                result.put("delete", Cases.errorName(() -> Cases.get(admin.deleteConsumerGroups(List.of(group)).all())));
                result.put("alter", Cases.errorName(() -> Cases.get(admin.alterConsumerGroupOffsets(
                    group, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(1))).all())));
            }
            Cases.until(() -> describe(admin, group).groupState() == GroupState.EMPTY, "an empty group");
            TopicPartition first = new TopicPartition(topic, 0);
            Cases.get(admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(3, "note"))).all());
            var offsets = Cases.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
            result.put("altered", offsets.get(first).offset() + " " + offsets.get(first).metadata());
            Cases.get(admin.deleteConsumerGroupOffsets(group, Set.of(first)).all());
            result.put("left", Cases.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).size());
            Cases.get(admin.deleteConsumerGroups(List.of(group)).all());
            result.put("again", Cases.errorName(() -> Cases.get(admin.deleteConsumerGroups(List.of(group)).all())));
            result.put("gone", Cases.errorName(() -> describe(admin, group)));
            return result;
        }
    }

    private static ConsumerGroupDescription describe(Admin admin, String group) throws Exception {
        return Cases.get(admin.describeConsumerGroups(List.of(group)).describedGroups().get(group));
    }

    /** A static member that comes back has the partitions that it had, without a rebalance of the others. */
    private static Callable<Object> staticMembers(Object... more) {
        return () -> {
            String group = Cases.fresh();
            try (Admin admin = Cases.admin()) {
                String topic = Cases.newTopic(admin, PARTITIONS, Map.of());
                Map<String, Integer> seen = new ConcurrentHashMap<>();
                Object[] one = settings(group, with(more, "group.instance.id", "one"));
                Object[] two = settings(group, with(more, "group.instance.id", "two"));
                Set<TopicPartition> before;
                try (Member other = new Member(topic, seen, two)) {
                    try (Member member = new Member(topic, seen, one)) {
                        Cases.until(() -> member.owned.size() == 2 && other.owned.size() == 2, "an assignment of both");
                        before = new TreeSet<>(java.util.Comparator.comparing(TopicPartition::partition));
                        before.addAll(member.owned);
                    }
                    Set<TopicPartition> kept = Set.copyOf(other.owned);
                    try (Member member = new Member(topic, seen, one)) {
                        Cases.until(() -> member.owned.size() == 2, "the assignment of the returned member");
                        Cases.equal(member.owned.containsAll(before), true);
                        Cases.equal(Set.copyOf(other.owned), kept);
                    }
                    Cases.get(admin.removeMembersFromConsumerGroup(group,
                        new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("one")))).all());
                    Cases.until(() -> other.owned.size() == PARTITIONS, "all partitions for the one that stayed");
                }
                return null;
            }
        };
    }

    private static Object[] with(Object[] first, Object... more) {
        List<Object> all = new ArrayList<>(List.of(first));
        all.addAll(List.of(more));
        return all.toArray();
    }

    private static Callable<Object> regex(boolean onServer, Object... more) {
        return () -> {
            String group = Cases.fresh();
            String prefix = Cases.fresh();
            try (Admin admin = Cases.admin();
                    KafkaConsumer<byte[], byte[]> consumer
                        = Cases.consumer(settings(group, with(more, "metadata.max.age.ms", "500")))) {
                if (onServer) {
                    consumer.subscribe(new SubscriptionPattern(prefix + "-.*"));
                } else {
                    consumer.subscribe(Pattern.compile(prefix + "-.*"));
                }
                List<String> seen = new ArrayList<>();
                for (String name : List.of(prefix + "-a", prefix + "-b", "other" + prefix)) {
                    Cases.get(admin.createTopics(
                        List.of(new org.apache.kafka.clients.admin.NewTopic(name, 1, (short) 1))).all());
                    Cases.write(name, List.of(new org.apache.kafka.clients.producer.ProducerRecord<>(
                        name, 0, null, Cases.bytes(name.replace(prefix, "")))));
                }
                long deadline = System.nanoTime() + 40_000_000_000L;
                while (seen.size() < 2 && System.nanoTime() < deadline) {
                    consumer.poll(Duration.ofMillis(200)).forEach(record -> seen.add(Cases.text(record.value())));
                }
                return new TreeSet<>(seen);
            }
        };
    }

    /** A member that did not poll in time is out: its commit fails, another member has its partitions. */
    private static Object tooSlow(Object... more) throws Exception {
        String group = Cases.fresh();
        try (Admin admin = Cases.admin()) {
            String topic = Cases.newTopic(admin, 1, Map.of());
            Cases.write(topic, Cases.values(topic, 5));
            try (KafkaConsumer<byte[], byte[]> slow = Cases.consumer(settings(group, with(more,
                    "max.poll.interval.ms", "1500", "enable.auto.commit", "false")))) {
                slow.subscribe(List.of(topic));
                Cases.poll(slow, 5);
                Map<String, Integer> seen = new HashMap<>();
                try (Member other = new Member(topic, new ConcurrentHashMap<>(seen), settings(group, more))) {
                    Cases.until(() -> other.owned.size() == 1, "the partition of the slow member");
                    try {
                        slow.commitSync();
                    } catch (CommitFailedException error) {
                        return error.getClass().getSimpleName();
                    }
                }
            }
            return "the commit succeeded";
        }
    }

    private static Object migration() throws Exception {
        String group = Cases.fresh();
        try (Admin admin = Cases.admin()) {
            String topic = Cases.newTopic(admin, PARTITIONS, Map.of());
            fill(topic, 0, 100);
            Map<String, Integer> seen = new ConcurrentHashMap<>();
            List<String> types = new ArrayList<>();
            try (Member old = new Member(topic, seen, settings(group))) {
                Cases.until(() -> old.owned.size() == PARTITIONS, "the first assignment");
                types.add(describe(admin, group).type().toString());
                try (Member young = new Member(topic, seen, settings(group, "group.protocol", "consumer"))) {
                    Cases.until(() -> old.owned.size() == 2 && young.owned.size() == 2, "an assignment of both");
                    types.add(describe(admin, group).type().toString());
                    fill(topic, 100, 100);
                    Cases.until(() -> seen.size() == 200, "the records of both");
                }
                Cases.until(() -> old.owned.size() == PARTITIONS, "the old member again");
                types.add(describe(admin, group).type().toString());
                fill(topic, 200, 100);
                Cases.until(() -> seen.size() == 300, "the records after the way back");
            }
            return Cases.map("types", types, "committed", committed(admin, group));
        }
    }

    private static Object listing() throws Exception {
        String group = Cases.fresh();
        try (Admin admin = Cases.admin()) {
            String topic = Cases.newTopic(admin, 1, Map.of());
            Cases.get(admin.alterConsumerGroupOffsets(
                group, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(7))).all());
            Map<String, Object> result = new TreeMap<>();
            result.put("consumer groups", named(admin, ListGroupsOptions.forConsumerGroups(), group));
            result.put("classic", named(admin, new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC)), group));
            result.put("consumer", named(admin, new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER)), group));
            result.put("empty", named(admin, new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY)), group));
            result.put("stable", named(admin, new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE)), group));
            result.put("simple", describe(admin, group).isSimpleConsumerGroup());
            return result;
        }
    }

    private static boolean named(Admin admin, ListGroupsOptions options, String group) throws Exception {
        return Cases.get(admin.listGroups(options).all()).stream().anyMatch(found -> found.groupId().equals(group));
    }

    static void register(Map<String, Callable<Object>> cases) {
        cases.put("group.eager", sharing("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor"));
        cases.put("group.cooperative", sharing(
            "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"));
        cases.put("group.static", staticMembers("session.timeout.ms", "20000"));
        cases.put("group.describe", Groups::described);
        cases.put("group.list", Groups::listing);
        cases.put("group.regex", regex(false));
        cases.put("group.too_slow", Groups::tooSlow);
        cases.put("consumer_group.uniform", sharing("group.protocol", "consumer"));
        cases.put("consumer_group.range", sharing("group.protocol", "consumer", "group.remote.assignor", "range"));
        cases.put("consumer_group.static", staticMembers("group.protocol", "consumer"));
        cases.put("consumer_group.describe", () -> described("group.protocol", "consumer"));
        cases.put("consumer_group.regex", regex(true, "group.protocol", "consumer"));
        cases.put("consumer_group.too_slow", () -> tooSlow("group.protocol", "consumer"));
        cases.put("consumer_group.migration", Groups::migration);
    }
}
