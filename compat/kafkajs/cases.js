// kafkajs 2.2.4: fixed old request versions (Fetch 11, Produce 7, Metadata 6). It consumes only through groups, so
// records are read back with its own Fetch request on one partition, as its consumer would send it.
"use strict";

const { Kafka, CompressionTypes, CompressionCodecs, logLevel, Partitioners } = require("kafkajs");
const SnappyCodec = require("kafkajs-snappy");
const lz4 = require("lz4js");
const xxh32 = require("lz4js/xxh32");
const { ZstdCodec } = require("zstd-codec");
const { randomUUID } = require("crypto");
const assert = require("assert");

CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec;
// lz4js leaves the frame's block-independence bit clear, and Java refuses such frames. Below 4 MiB a frame has one
// block, which depends on nothing: the bit may be set, with the header's checksum made anew.
function independent(frame) {
  frame[4] |= 0x20;
  frame[6] = (xxh32.hash(0, frame, 4, 2) >> 8) & 0xff;
  return frame;
}
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => independent(Buffer.from(lz4.compress(encoder.buffer))),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});
const zstd = new Promise((resolve) => ZstdCodec.run((binding) => resolve(new binding.Simple())));
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer)),
});

const [bootstrap, smoke, timeoutS, ...patterns] = process.argv.slice(2);
const kafka = new Kafka({
  clientId: "compat-kafkajs",
  brokers: [bootstrap],
  logLevel: logLevel.NOTHING,
  retry: { retries: 8, initialRetryTime: 50 },
});
const cases = [];
const test = (name, body) => cases.push([name, body]);
const fresh = (prefix = "compat") => `${prefix}-${randomUUID().slice(0, 13)}`;

async function within(client, body) {
  await client.connect();
  try {
    return await body(client);
  } finally {
    await client.disconnect();
  }
}

const producing = (body, options = {}) =>
  within(kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options }), body);
const administrating = (body) => within(kafka.admin(), body);

async function eventually(check, what, timeoutMs = 20000) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const result = await check();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// What lies behind `new Kafka`: the cluster and its brokers, whose requests carry no group.
const createCluster = require("kafkajs/src/cluster");
const LoggerFactory = require("kafkajs/src/loggers");
const createSocketFactory = require("kafkajs/src/network/socketFactory");

async function withCluster(body) {
  const cluster = new createCluster({
    logger: LoggerFactory.createLogger
      ? LoggerFactory.createLogger({ level: logLevel.NOTHING, logCreator: () => () => {} })
      : LoggerFactory({ level: logLevel.NOTHING, logCreator: () => () => {} }),
    socketFactory: createSocketFactory(),
    brokers: [bootstrap],
    clientId: "compat-kafkajs-fetch",
    connectionTimeout: 5000,
    authenticationTimeout: 5000,
    reauthenticationThreshold: 10000,
    requestTimeout: 30000,
    enforceRequestTimeout: true,
    metadataMaxAge: 300000,
    allowAutoTopicCreation: false,
    isolationLevel: 1,
    offsets: new Map(),
    retry: { retries: 5, initialRetryTime: 50, maxRetryTime: 1000, factor: 0.2, multiplier: 2 },
  });
  await cluster.connect();
  try {
    return await body(cluster);
  } finally {
    await cluster.disconnect();
  }
}

async function read(topic, count, { partition = 0, from = 0, maxBytes = 10485760 } = {}) {
  return withCluster(async (cluster) => {
    await cluster.addTargetTopic(topic);
    const leaders = await eventually(async () => {
      await cluster.refreshMetadata();
      const found = cluster.findLeaderForPartitions(topic, [partition]);
      return Object.keys(found).length ? found : null;
    }, "a leader");
    const broker = await cluster.findBroker({ nodeId: Object.keys(leaders)[0] });
    const records = [];
    let offset = from;
    const deadline = Date.now() + 20000;
    while (records.length < count) {
      if (Date.now() > deadline) throw new Error(`${records.length} of ${count} records`);
      const reply = await broker.fetch({
        maxWaitTime: 500,
        minBytes: 1,
        maxBytes,
        isolationLevel: 0,
        topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes }] }],
      });
      const answer = reply.responses[0].partitions[0];
      for (const record of answer.messages) {
        if (Number(record.offset) < offset) continue;
        records.push(record);
        offset = Number(record.offset) + 1;
      }
    }
    return records;
  });
}

const text = (buffer) => (buffer === null || buffer === undefined ? null : buffer.toString());
const errorName = async (promise) => {
  try {
    await promise;
  } catch (error) {
    const inner = error.errors ? error.errors[0] : error.cause || error;
    return inner.type || inner.name;
  }
  throw new Error("no error");
};

test("produce.default", async () => {
  const topic = fresh();
  const messages = Array.from({ length: 300 }, (_, i) => ({ key: `k${i}`, value: `v${i}` }));
  const report = await eventually(
    () => producing((producer) => producer.send({ topic, messages })).catch(() => null),
    "the topic to be created",
  );
  const spread = report.map((entry) => entry.partition).sort();
  let count = 0;
  await administrating(async (admin) => {
    for (const entry of await admin.fetchTopicOffsets(topic)) count += Number(entry.high);
  });
  assert.strictEqual(count, 300);
  return { partitions: spread };
});

test("produce.idempotent", async () => {
  const topic = fresh();
  await administrating((admin) => admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true }));
  await producing(
    async (producer) => {
      for (let i = 0; i < 20; i += 1) await producer.send({ topic, messages: [{ value: `v${i}`, partition: 0 }] });
    },
    { idempotent: true, maxInFlightRequests: 1 },
  );
  const records = await read(topic, 20);
  assert.deepStrictEqual(records.map((r) => text(r.value)), Array.from({ length: 20 }, (_, i) => `v${i}`));
  return Number(records[19].offset);
});

const newTopic = async (numPartitions = 1, configEntries = []) => {
  const topic = fresh();
  await administrating((admin) =>
    admin.createTopics({ topics: [{ topic, numPartitions, configEntries }], waitForLeaders: true }),
  );
  return topic;
};

test("produce.acks", async () => {
  const result = {};
  for (const acks of [0, 1, -1]) {
    const topic = await newTopic();
    await producing((producer) => producer.send({ topic, acks, messages: [{ value: "a", partition: 0 }] }));
    result[acks] = (await read(topic, 1)).length;
  }
  return result;
});

for (const [name, compression] of Object.entries({
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
})) {
  test(`compression.${name}`, async () => {
    const topic = await newTopic();
    const values = Array.from({ length: 200 }, (_, i) => `${i} `.repeat(50));
    await producing((producer) =>
      producer.send({ topic, compression, messages: values.map((value) => ({ value, partition: 0 })) }),
    );
    assert.deepStrictEqual((await read(topic, 200)).map((record) => text(record.value)), values);
  });
}

test("headers", async () => {
  const topic = await newTopic();
  const headers = { a: "1", "umlaut-ü": "é", empty: "" };
  await producing((producer) => producer.send({ topic, messages: [{ value: "v", partition: 0, headers }] }));
  const [record] = await read(topic, 1);
  const seen = Object.fromEntries(Object.entries(record.headers).map(([key, value]) => [key, text(value)]));
  assert.deepStrictEqual(seen, headers);
  return Object.keys(seen).length;
});

test("null_and_empty", async () => {
  const topic = await newTopic();
  const messages = [
    { key: "k", value: null, partition: 0 },
    { key: null, value: "v", partition: 0 },
    { key: "", value: "", partition: 0 },
  ];
  await producing((producer) => producer.send({ topic, messages }));
  return (await read(topic, 3)).map((record) => [text(record.key), text(record.value)]);
});

test("large", async () => {
  const topic = await newTopic();
  const value = "x".repeat(900000);
  await producing((producer) => producer.send({ topic, messages: [{ value, partition: 0 }] }));
  assert.strictEqual(text((await read(topic, 1))[0].value), value);
});

test("consume.offset", async () => {
  const topic = await newTopic();
  await producing((producer) =>
    producer.send({ topic, messages: Array.from({ length: 50 }, (_, i) => ({ value: `${i}`, partition: 0 })) }),
  );
  const records = await read(topic, 5, { from: 45 });
  return records.map((record) => text(record.value));
});

require("./groups")({ kafka, test, fresh, newTopic, administrating, producing, eventually, errorName, text });

test("admin.create", async () =>
  administrating(async (admin) => {
    const topic = fresh();
    const created = await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: true });
    const again = await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] });
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    assert((await admin.listTopics()).includes(topic));
    return { created, again, partitions: topics[0].partitions.length };
  }));

test("admin.delete", async () => {
  const topic = await newTopic();
  return administrating(async (admin) => {
    await admin.deleteTopics({ topics: [topic] });
    await eventually(async () => !(await admin.listTopics()).includes(topic), "the topic to be gone");
    return errorName(admin.deleteTopics({ topics: [topic] }));
  });
});

test("admin.create_partitions", async () => {
  const topic = await newTopic();
  return administrating(async (admin) => {
    await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] });
    await eventually(
      async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 4,
      "four partitions",
    );
    return errorName(admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }));
  });
});

test("admin.delete_records", async () => {
  const topic = await newTopic();
  await producing((producer) =>
    producer.send({ topic, messages: Array.from({ length: 10 }, (_, i) => ({ value: `${i}`, partition: 0 })) }),
  );
  return administrating(async (admin) => {
    await admin.fetchTopicOffsets(topic); // so that the client knows the leader
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "4" }] });
    const [entry] = await admin.fetchTopicOffsets(topic);
    return { low: entry.low, high: entry.high };
  });
});

test("admin.offsets", async () => {
  const topic = await newTopic();
  const start = 1700000000000;
  await producing((producer) =>
    producer.send({
      topic,
      messages: Array.from({ length: 10 }, (_, i) => ({
        value: `${i}`,
        partition: 0,
        timestamp: String(start + 1000 * i),
      })),
    }),
  );
  return administrating(async (admin) => {
    const [inside] = await admin.fetchTopicOffsetsByTimestamp(topic, start + 3500);
    const [ends] = await admin.fetchTopicOffsets(topic);
    return { inside: inside.offset, low: ends.low, high: ends.high };
  });
});

test("admin.configs", async () => {
  const topic = await newTopic(1, [{ name: "segment.bytes", value: "1048576" }]);
  return administrating(async (admin) => {
    const look = async (name) => {
      const reply = await admin.describeConfigs({ resources: [{ type: 2, name: topic, configNames: [name] }] });
      return reply.resources[0].configEntries[0];
    };
    const first = await look("segment.bytes");
    await admin.alterConfigs({
      resources: [{ type: 2, name: topic, configEntries: [{ name: "retention.ms", value: "700000" }] }],
    });
    await eventually(async () => (await look("retention.ms")).configValue === "700000", "the change to show");
    return { first: first.configValue, source: first.configSource, default: first.isDefault };
  });
});

test("admin.cluster", async () =>
  administrating(async (admin) => {
    const found = await admin.describeCluster();
    return { brokers: found.brokers.length, controller: found.controller === found.brokers[0].nodeId };
  }));

test("error.create", async () => {
  const code = async (spec) => administrating((admin) => errorName(admin.createTopics({ topics: [spec] })));
  return {
    slash: await code({ topic: "a/b", numPartitions: 1 }),
    replicas: await code({ topic: fresh(), numPartitions: 1, replicationFactor: 3 }),
    config: await code({ topic: fresh(), configEntries: [{ name: "retention.ms", value: "soon" }] }),
  };
});

test("error.too_large", async () => {
  const topic = await newTopic();
  return errorName(
    producing((producer) => producer.send({ topic, messages: [{ value: "x".repeat(1500000), partition: 0 }] }), {
      retry: { retries: 0 },
    }),
  );
});

const escape = (pattern) => pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
const matches = (name) => !patterns.length || patterns.some((pattern) => new RegExp(`^${escape(pattern)}$`).test(name));

async function main() {
  let failed = 0;
  for (const [name, body] of cases.filter(([name]) => matches(name))) {
    let timer;
    const limit = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done after ${timeoutS} s`)), Number(timeoutS) * 1000);
    });
    try {
      const result = await Promise.race([body(), limit]);
      console.log(`ok ${name}${result === undefined ? "" : ` ${JSON.stringify(result)}`}`);
    } catch (error) {
      failed += 1;
      const where = process.env.COMPAT_TRACE ? error.stack : "";
      console.log(`FAIL ${name} ${`${error.name}: ${error.message} ${where}`.replace(/\s+/g, " ").slice(0, 600)}`);
    } finally {
      clearTimeout(timer);
    }
  }
  process.exit(failed ? 1 : 0);
}

main();
