"""One client writes numbered records into one topic, or reads them back and compares: a process of million.py.

python -m tests.integration.round_trip write --client kcat --codec lz4 --topic T --count 40000 --bootstrap HOST:PORT
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from tests.integration.clients import PATIENCE_MS, PRODUCERS, READERS, retried

CLIENTS = ("kafka-python", "confluent-kafka", "aiokafka", "kcat", "java")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
OUTSTANDING = 10_000
READ_S = 300


def prefix(topic: str) -> str:
    return f"{topic}:"


def value(topic: str, number: int) -> bytes:
    """The record of a number: between 10 and 120 bytes."""
    return f"{prefix(topic)}{number} {'x' * (number % 100)}".encode()


def write_library(options: argparse.Namespace) -> None:
    codec = None if options.codec == "none" else options.codec
    client = retried(lambda: PRODUCERS[options.client](options.bootstrap, options.topic, acks="all", compression=codec))
    answered = [0, 0]

    def done(offset: int) -> None:
        answered[0] += 1
        answered[1] += offset < 0

    for number in range(options.count):
        client.send(0, value(options.topic, number), done)
        while number - answered[0] >= OUTSTANDING:
            client.poll()
            time.sleep(0.001)
        if number % 100 == 0:
            client.poll()
    client.close()
    if answered != [options.count, 0]:
        raise SystemExit(f"{answered[0]} of {options.count} answered, {answered[1]} with an error")


def read_library(options: argparse.Namespace) -> None:
    reader = retried(lambda: READERS[options.client](options.bootstrap, options.topic, 1))
    expected = 0
    deadline = time.monotonic() + READ_S
    while expected < options.count:
        for _, records in reader.poll():
            for offset, seen in records:
                if offset != expected or seen != value(options.topic, expected):
                    raise SystemExit(f"offset {offset} instead of {expected}: {seen[:100]!r}")
                expected += 1
        if time.monotonic() > deadline:
            raise SystemExit(f"{expected} of {options.count} records")
    end = retried(reader.ends)[0]
    if end != options.count:
        raise SystemExit(f"the log ends at {end} instead of {options.count}")
    reader.close()


def kcat(options: argparse.Namespace, *args: str) -> list[str]:
    """-E: an absent broker is no reason to stop."""
    return ["kcat", "-E", "-q", "-b", options.bootstrap, "-t", options.topic, "-p", "0", *args]


def write_kcat(options: argparse.Namespace) -> None:
    settings = ("-X", "enable.idempotence=true", "-X", f"message.timeout.ms={PATIENCE_MS}")
    with subprocess.Popen(kcat(options, "-P", "-z", options.codec, *settings), stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for number in range(options.count):
            process.stdin.write(value(options.topic, number) + b"\n")
        process.stdin.close()
        if process.wait(READ_S):
            raise SystemExit(f"kcat exited with {process.returncode}")


def read_kcat(options: argparse.Namespace) -> None:
    command = kcat(options, "-C", "-o", "beginning", "-c", str(options.count), "-f", "%o %s\n")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for number in range(options.count):
            line = process.stdout.readline()
            if line != b"%d %s\n" % (number, value(options.topic, number)):
                raise SystemExit(f"{line[:100]!r} instead of record {number}")
        if process.wait(READ_S):
            raise SystemExit(f"kcat exited with {process.returncode}")
    query = ["kcat", "-q", "-b", options.bootstrap, "-Q", "-t", f"{options.topic}:0:-1"]
    end = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[-1]
    if end != str(options.count):
        raise SystemExit(f"the log ends at {end} instead of {options.count}")


def run_java(options: argparse.Namespace) -> None:
    from compat.java.run import java_command

    args = (options.role, options.bootstrap, options.topic, options.codec, str(options.count), prefix(options.topic))
    command = java_command("RoundTrip", *args)
    os.execvp(command[0], command)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.integration.round_trip", description=__doc__.splitlines()[0])
    parser.add_argument("role", choices=("write", "read"))
    parser.add_argument("--client", choices=CLIENTS, required=True)
    parser.add_argument("--codec", choices=CODECS, default="none")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--bootstrap", required=True)
    options = parser.parse_args()
    if options.client == "java":
        run_java(options)
    elif options.client == "kcat":
        {"write": write_kcat, "read": read_kcat}[options.role](options)
    else:
        {"write": write_library, "read": read_library}[options.role](options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
