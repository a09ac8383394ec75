// Runs Apache Kafka's command-line tools one after another in one Java process: a start of Java for each costs more than the tool.
//
// A line of standard input is a main class and its arguments, between unit separators (U+001F). The answer is a line
// `EXIT OUT ERR` and then OUT and ERR bytes of what the tool printed.

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.common.utils.Exit;

public final class Runner {
    /** How the tool that runs has ended; several catch and print what is thrown in place of the end, and end again. */
    private static Integer ended;

    private Runner() {}

    private static final class Ended extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    private static int run(String name, String... args) throws Exception {
        ended = null;
        try {
            Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException failed) {
            if (ended == null) {
                failed.getCause().printStackTrace();
                return 1;
            }
        }
        return ended == null ? 0 : ended;
    }

    private static void end(int status, String message) {
        if (ended == null) {
            ended = status;
            if (message != null) {
                System.err.println(message);
            }
        }
        throw new Ended();
    }

    public static void main(String[] ignored) throws Exception {
        Exit.setExitProcedure(Runner::end);
        Exit.setHaltProcedure(Runner::end);
        PrintStream answers = System.out;
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            String[] words = line.split("\u001f", -1);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
            int status = run(words[0], Arrays.copyOfRange(words, 1, words.length));
            System.out.flush();
            System.err.flush();
            answers.println(status + " " + out.size() + " " + err.size());
            out.writeTo(answers);
            err.writeTo(answers);
            answers.flush();
        }
        System.exit(0);
    }
}
