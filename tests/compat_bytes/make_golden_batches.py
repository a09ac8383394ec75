"""Makes golden_batches.json.xz: record batches of kafka-clients 4.4.0, one in each codec; and has it read ours.

Needs the jars of make_golden.py, and lz4-java, snappy-java and zstd-jni in Maven's local repository.
"""

import json
import lzma
import pathlib
import random
import subprocess
import tempfile

from pyralog.records.batch import Record, build
from pyralog.records.compression import Codec
from tests.compat_bytes.make_golden import HERE, JARS, REPOSITORY

GOLDEN = HERE / "golden_batches.json.xz"
MORE_JARS = ("at/yawk/lz4/lz4-java", "org/lz4/lz4-java", "org/xerial/snappy/snappy-java", "com/github/luben/zstd-jni")


def ours() -> list[tuple[Codec, int | None, list[Record]]]:
    rng = random.Random(44)
    made = []
    for codec in Codec:
        for level in (None,) if codec in (Codec.NONE, Codec.SNAPPY) else (None, 1, 9):
            records = [
                Record(
                    500 + i,
                    1_700_000_000_000 + rng.randrange(10**6),
                    rng.choice([None, b"", b"key"]),
                    rng.choice([None, b"", b"text " * rng.randrange(40_000), rng.randbytes(3000)]),
                    tuple(("h", rng.choice([None, b"", b"v"])) for _ in range(rng.randrange(3))),
                )
                for i in range(60)
            ]
            made.append((codec, level, records))
    return made


def shown(codec: Codec, record: Record) -> str:
    def text(data: bytes | None) -> str:
        return "null" if data is None else data.hex() or "-"

    headers = "".join(f"{name}={text(value)}," for name, value in record.headers)
    return f"record {int(codec)} {record.offset} {record.timestamp} {text(record.key)} {text(record.value)} {headers}"


def main() -> None:
    jars = [REPOSITORY / jar for jar in JARS]
    jars += [jar for name in MORE_JARS for jar in pathlib.Path(REPOSITORY / name).rglob("*.jar")]
    class_path = ":".join(map(str, jars))
    lines = "".join(build(records, codec=codec, level=level).hex() + "\n" for codec, level, records in ours())
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["javac", "-cp", class_path, "-d", folder, str(HERE / "KafkaBatches.java")], check=True)
        done = subprocess.run(
            ["java", "-cp", f"{folder}:{class_path}", "KafkaBatches"], input=lines, text=True, capture_output=True
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    output = done.stdout.splitlines()
    expected = [shown(codec, record) for codec, _, records in ours() for record in records]
    assert [line for line in output if line.startswith("record")] == expected
    batches = {line.split()[1]: line.split()[2] for line in output if line.startswith("batch")}
    GOLDEN.write_bytes(lzma.compress(json.dumps(batches).encode()))
    print(f"{len(expected)} of our records read by kafka-clients; {GOLDEN.stat().st_size} bytes of golden batches")


if __name__ == "__main__":
    main()
