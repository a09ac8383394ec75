"""Makes golden.jsonl.xz: messages as kafka-clients 4.4.0 writes them. Needs a JDK and Maven's local repository.

    mvn -q dependency:get -Dartifact=org.apache.kafka:kafka-clients:4.4.0
    mvn -q dependency:get -Dartifact=com.fasterxml.jackson.core:jackson-databind:2.21.2
    python -m tests.compat_bytes.make_golden

Each line of the file: [API key or blob name, section, version, kind of values, values as Kafka's JSON, bytes as hex].
"""

import json
import lzma
import pathlib
import random
import subprocess
import tempfile

from tests.compat_bytes import values

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE / "golden.jsonl.xz"
REPOSITORY = pathlib.Path.home() / ".m2" / "repository"
JARS = [
    "org/apache/kafka/kafka-clients/4.4.0/kafka-clients-4.4.0.jar",
    "com/fasterxml/jackson/core/jackson-databind/2.21.2/jackson-databind-2.21.2.jar",
    "com/fasterxml/jackson/core/jackson-core/2.21.2/jackson-core-2.21.2.jar",
    "com/fasterxml/jackson/core/jackson-annotations/2.21/jackson-annotations-2.21.jar",
    "org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar",
]
RANDOM_VALUES = 3


def rows() -> list[list[object]]:
    messages: list[tuple[int | str, str, int]] = [*values.all_messages()]
    messages += [(name, "data", version) for name, version in values.all_blobs()]
    found: list[list[object]] = []
    for key, section, version in messages:
        spec, _ = values.schema_of(key, section)
        seen = set()
        for mode in [*values.MODES, *["random"] * RANDOM_VALUES]:
            rng = random.Random(f"{key} {section} {version} {len(seen)}")
            value = values.to_kafka_json(spec, values.struct_of(spec, version, mode, rng))
            text = json.dumps(value)
            if text not in seen:
                seen.add(text)
                found.append([key, section, version, mode, value])
    return found


def main() -> None:
    found = rows()
    class_path = ":".join(str(REPOSITORY / jar) for jar in JARS)
    lines = "".join(f"{row[0]} {row[1]} {row[2]} {json.dumps(row[4])}\n" for row in found)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["javac", "-cp", class_path, "-d", folder, str(HERE / "KafkaBytes.java")], check=True)
        done = subprocess.run(
            ["java", "-cp", f"{folder}:{class_path}", "KafkaBytes"], input=lines, text=True, capture_output=True
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    hexes = done.stdout.splitlines()
    assert len(hexes) == len(found)
    text = "".join(
        json.dumps([*row, data], separators=(",", ":")) + "\n" for row, data in zip(found, hexes, strict=True)
    )
    GOLDEN.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(found)} messages, {len(text)} bytes of text, {GOLDEN.stat().st_size} compressed")


if __name__ == "__main__":
    main()
