// Writes or reads back numbered lines with Apache's Java client and its default settings; the other half of
// tests/integration/round_trip.py.   RoundTrip write|read BOOTSTRAP TOPIC CODEC COUNT PREFIX

import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public final class RoundTrip {
    private static String value(String prefix, long number) {
        return prefix + number + " " + "x".repeat((int) (number % 100));
    }

    private static void write(Properties settings, String topic, String codec, long count, String prefix) {
        settings.put("compression.type", codec);
        AtomicReference<Exception> failed = new AtomicReference<>();
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (long i = 0; i < count && failed.get() == null; i++) {
                producer.send(new ProducerRecord<>(topic, 0, null, value(prefix, i)), (sent, error) -> {
                    if (error != null) {
                        failed.compareAndSet(null, error);
                    }
                });
            }
            producer.flush();
        }
        if (failed.get() != null) {
            throw new IllegalStateException(failed.get());
        }
    }

    private static void read(Properties settings, String topic, long count, String prefix) {
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer =
                new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long next = 0;
            long deadline = System.nanoTime() + Duration.ofSeconds(300).toNanos();
            while (next < count) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException(next + " of " + count + " records");
                }
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) {
                    if (record.offset() != next || !record.value().equals(value(prefix, next))) {
                        throw new IllegalStateException("offset " + record.offset() + " instead of " + next + ": " + record.value());
                    }
                    next++;
                }
            }
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            if (end != count) {
                throw new IllegalStateException("the log ends at " + end + " instead of " + count);
            }
        }
    }

    public static void main(String[] args) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[1]);
        if (args[0].equals("write")) {
            write(settings, args[2], args[3], Long.parseLong(args[4]), args[5]);
        } else {
            read(settings, args[2], Long.parseLong(args[4]), args[5]);
        }
    }
}
