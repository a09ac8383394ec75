"""kcat (Debian's package, librdkafka 2.0): produce with -P, read with -C, list with -L, query offsets with -Q."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

from compat.cases import CODECS, LARGE_BYTES, Context, Suite, equal, eventually

suite = Suite("kcat")


def kcat(ctx: Context, *args: str, stdin: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        ["kcat", "-b", ctx.bootstrap, *args], input=stdin, capture_output=True, timeout=45, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"kcat {' '.join(args)} exited with {done.returncode}: {done.stderr.decode()[-400:]}")
    return done


def produce(ctx: Context, topic: str, text: bytes, *args: str) -> None:
    kcat(ctx, "-P", "-t", topic, *args, stdin=text)


def consume(ctx: Context, topic: str, *args: str) -> bytes:
    """All there is, up to the end of each partition."""
    return kcat(ctx, "-C", "-q", "-e", "-t", topic, *args).stdout


def lines(count: int) -> bytes:
    return b"".join(b"line %d\n" % i for i in range(count))


@suite.case("produce.default")
def produce_default(ctx: Context) -> object:
    topic = ctx.topic()
    produce(ctx, topic, lines(1000), "-K", " ")
    seen = consume(ctx, topic, "-K", " ", "-o", "beginning").splitlines()
    equal(sorted(seen), sorted(lines(1000).splitlines()))
    return None


@suite.case("produce.idempotent")
def produce_idempotent(ctx: Context) -> object:
    topic = ctx.topic()
    produce(ctx, topic, lines(1000), "-p", "0", "-X", "enable.idempotence=true")
    equal(consume(ctx, topic, "-p", "0", "-o", "beginning"), lines(1000))
    return None


@suite.case("produce.acks")
def produce_acks(ctx: Context) -> object:
    for acks in ("0", "1", "all"):
        topic = ctx.topic()
        produce(ctx, topic, b"first\n", "-p", "0")  # makes the topic: acks=0 does not wait for it
        produce(ctx, topic, lines(10), "-p", "0", "-X", f"acks={acks}")
        equal(consume(ctx, topic, "-p", "0", "-c", "11", "-o", "beginning"), b"first\n" + lines(10))
    return None


for codec in CODECS:

    @suite.case(f"compression.{codec}")
    def compression(ctx: Context, codec: str = codec) -> object:
        topic = ctx.topic()
        produce(ctx, topic, lines(1000), "-p", "0", "-z", codec)
        equal(consume(ctx, topic, "-p", "0", "-o", "beginning"), lines(1000))
        return None


@suite.case("headers")
def headers(ctx: Context) -> object:
    topic = ctx.topic()
    produce(ctx, topic, b"v\n", "-p", "0", "-H", "a=1", "-H", "a=2", "-H", "empty=", "-H", "null")
    found = json.loads(consume(ctx, topic, "-p", "0", "-J", "-o", "beginning"))["headers"]
    equal(found, ["a", "1", "a", "2", "empty", "", "null", None])
    return len(found) // 2


@suite.case("null_and_empty")
def null_and_empty(ctx: Context) -> object:
    topic = ctx.topic()
    produce(ctx, topic, b"k:\n:v\n:\n", "-p", "0", "-K", ":", "-Z")
    found = [json.loads(line) for line in consume(ctx, topic, "-p", "0", "-J", "-o", "beginning").splitlines()]
    equal([(r["key"], r["payload"]) for r in found], [("k", None), (None, "v"), (None, None)])
    return None


@suite.case("large")
def large(ctx: Context) -> object:
    topic = ctx.topic()
    text = b"".join(b"%c" % (97 + i) * LARGE_BYTES + b"\n" for i in range(3))
    produce(ctx, topic, text, "-p", "0")
    equal(consume(ctx, topic, "-p", "0", "-o", "beginning"), text)
    return None


@suite.case("consume.offset")
def consume_offset(ctx: Context) -> object:
    topic = ctx.topic()
    produce(ctx, topic, lines(50), "-p", "0")
    result = {
        "from": consume(ctx, topic, "-p", "0", "-o", "48"),
        "count": consume(ctx, topic, "-p", "0", "-o", "10", "-c", "1"),
        "tail": consume(ctx, topic, "-p", "0", "-o", "-3"),
    }
    return {name: text.decode().splitlines() for name, text in result.items()}


@suite.case("consume.timestamp")
def consume_timestamp(ctx: Context) -> object:
    topic = ctx.topic()
    produce(ctx, topic, lines(5), "-p", "0")
    found = [json.loads(line) for line in consume(ctx, topic, "-p", "0", "-J", "-o", "beginning").splitlines()]
    moment = found[0]["ts"]
    equal(consume(ctx, topic, "-p", "0", "-o", f"s@{moment}"), lines(5))
    equal(consume(ctx, topic, "-p", "0", "-o", f"s@{moment + 3_600_000}"), b"")
    return found[0]["tstype"]


@suite.case("group", smoke=False)
def group(ctx: Context) -> object:
    """-G joins a group, and commits when it leaves: the second time it reads what has come since."""
    topic, name = ctx.topic(), ctx.topic("group")
    result = []
    for first in (0, 60):
        produce(ctx, topic, b"".join(b"%d\n" % i for i in range(first, first + 60)))
        args = ("-q", "-e", "-X", "auto.offset.reset=earliest", "-G", name, topic)
        result.append(sorted(int(line) for line in kcat(ctx, *args).stdout.split()))
    equal(result, [list(range(60)), list(range(60, 120))])
    return None


@suite.case("query.offsets")
def query_offsets(ctx: Context) -> object:
    topic = ctx.topic()
    produce(ctx, topic, lines(7), "-p", "0")

    def look(moment: int) -> Any:
        text = kcat(ctx, "-Q", "-J", "-t", f"{topic}:0:{moment}").stdout
        return json.loads(text)[topic]["0"]["offset"]

    return {"latest": look(-1), "earliest": look(-2), "zero": look(0), "beyond": look(4_000_000_000_000)}


@suite.case("metadata")
def metadata(ctx: Context) -> object:
    topic = ctx.topic()
    produce(ctx, topic, lines(1))

    def shown() -> Any:
        found = json.loads(kcat(ctx, "-L", "-J", "-t", topic).stdout)
        return found if len(found["topics"][0]["partitions"]) == 4 else None

    found = eventually(shown, "four partitions")
    names = [entry["topic"] for entry in json.loads(kcat(ctx, "-L", "-J").stdout)["topics"]]
    assert topic in names
    brokers = [entry["name"] == ctx.bootstrap for entry in found["brokers"]]
    partitions = found["topics"][0]["partitions"]
    return {"brokers": brokers, "partitions": len(partitions), "isrs": [len(p["isrs"]) for p in partitions]}


@suite.case("error.too_large")
def error_too_large(ctx: Context) -> object:
    topic = ctx.topic()
    done = kcat(
        ctx, "-P", "-t", topic, "-p", "0", "-X", "message.max.bytes=3000000", stdin=b"x" * 1_500_000, check=False
    )
    assert done.returncode
    return "Message size too large" in done.stderr.decode()


@suite.case("error.unknown_topic")
def error_unknown_topic(ctx: Context) -> object:
    settings = ("-X", "allow.auto.create.topics=false", "-X", "topic.metadata.propagation.max.ms=500")
    done = kcat(ctx, "-C", "-e", "-t", ctx.topic(), "-p", "0", *settings, check=False)
    assert done.returncode
    return "Unknown topic or partition" in done.stderr.decode()


if __name__ == "__main__":
    if shutil.which("kcat") is None:
        sys.exit("kcat is not installed (Debian's package is called kcat)")
    sys.exit(suite.main())
