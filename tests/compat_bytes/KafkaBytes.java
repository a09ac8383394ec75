import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.message.ApiMessageType;

/**
 * What kafka-clients writes: each line of the input is "KEY SECTION VERSION JSON", where KEY is an API key or the name of
 * a data class; each line of the output is the hex of the message. Its own reader must read the bytes back as the same.
 */
public final class KafkaBytes {
    static Message empty(String key, String section) throws Exception {
        if (!Character.isDigit(key.charAt(0))) {
            return (Message) Class.forName("org.apache.kafka.common.message." + key).getConstructor().newInstance();
        }
        ApiMessageType type = ApiMessageType.fromApiKey(Short.parseShort(key));
        ApiMessage message = section.equals("request") ? type.newRequest() : type.newResponse();
        return message;
    }

    public static void main(String[] args) throws Exception {
        ObjectMapper mapper = new ObjectMapper();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        String line;
        while ((line = in.readLine()) != null) {
            String[] part = line.split(" ", 4);
            short version = Short.parseShort(part[2]);
            Class<?> messageClass = empty(part[0], part[1]).getClass();
            Class<?> converter = Class.forName(messageClass.getName() + "JsonConverter");
            Method read = converter.getMethod("read", JsonNode.class, short.class);
            Message message = (Message) read.invoke(null, mapper.readTree(part[3]), version);
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBufferAccessor out = new ByteBufferAccessor(ByteBuffer.allocate(message.size(cache, version)));
            message.write(out, cache, version);
            byte[] bytes = out.buffer().array();
            Message again = (Message) messageClass.getConstructor().newInstance();
            again.read(new ByteBufferAccessor(ByteBuffer.wrap(bytes)), version);
            if (!again.equals(message)) {
                throw new IllegalStateException("not read back: " + line);
            }
            System.out.println(HexFormat.of().formatHex(bytes));
        }
    }
}
