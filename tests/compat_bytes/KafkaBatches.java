import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;

/**
 * Record batches of kafka-clients. Reads batches as hex, one a line, and prints "codec offset timestamp key value headers"
 * of each record; then builds one batch of fixed records in every codec and prints "batch CODEC HEX".
 */
public final class KafkaBatches {
    static String hex(ByteBuffer data) {
        if (data == null) return "null";
        byte[] bytes = new byte[data.remaining()];
        data.duplicate().get(bytes);
        return bytes.length == 0 ? "-" : HexFormat.of().formatHex(bytes);
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        String line;
        while ((line = in.readLine()) != null) {
            MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(HexFormat.of().parseHex(line)));
            for (RecordBatch batch : records.batches()) {
                batch.ensureValid();
                for (Record r : batch) {
                    StringBuilder headers = new StringBuilder();
                    for (Header h : r.headers()) {
                        headers.append(h.key()).append('=').append(hex(h.value() == null ? null : ByteBuffer.wrap(h.value()))).append(',');
                    }
                    System.out.println("record " + batch.compressionType().id + " " + r.offset() + " " + r.timestamp() + " "
                        + hex(r.key()) + " " + hex(r.value()) + " " + headers);
                }
            }
        }
        for (CompressionType type : CompressionType.values()) {
            MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 20), RecordBatch.MAGIC_VALUE_V2,
                Compression.of(type).build(), TimestampType.CREATE_TIME, 1000L, 0L, 77L, (short) 3, 11, true, false, 5);
            for (int i = 0; i < 200; i++) {
                byte[] key = i % 3 == 0 ? null : ("key-" + i).getBytes();
                byte[] value = i % 5 == 0 ? null : "value ".repeat(i).getBytes();
                Header[] headers = i % 4 == 0 ? new Header[] {new RecordHeader("h" + i, null), new RecordHeader("x", new byte[] {1})} : new Header[0];
                builder.append(1_700_000_000_000L + i * 7, key, value, headers);
            }
            System.out.println("batch " + type.id + " " + hex(builder.build().buffer()));
        }
    }
}
