// kafkajs in groups of the classic protocol, with offsets, and in transactions.

"use strict";

const assert = require("assert");

const PARTITIONS = 4;

module.exports = ({ kafka, test, fresh, newTopic, administrating, producing, eventually, errorName, text }) => {
  const fill = (topic, first, count) =>
    producing((producer) =>
      producer.send({
        topic,
        messages: Array.from({ length: count }, (_, i) => ({
          value: `${first + i}`,
          partition: (first + i) % PARTITIONS,
        })),
      }),
    );

  // A running member: what it has read is in `seen`, what it was given last in `assigned`.
  async function member(groupId, topic, seen, options = {}) {
    const { autoCommit = true, eachMessage, ...more } = options;
    const consumer = kafka.consumer({ groupId, heartbeatInterval: 500, sessionTimeout: 10000, ...more });
    const state = { consumer, assigned: [], joins: 0 };
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      state.assigned = payload.memberAssignment[topic] || [];
      state.joins += 1;
      state.protocol = payload.groupProtocol;
    });
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      autoCommit,
      autoCommitThreshold: 1,
      eachMessage: eachMessage || (async ({ message }) => void seen.push(Number(text(message.value)))),
    });
    return state;
  }

  const offsetsOf = async (groupId, topic) =>
    administrating(async (admin) => {
      const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
      return found.partitions.sort((a, b) => a.partition - b.partition).map((each) => Number(each.offset));
    });

  test("group.share", async () => {
    const topic = await newTopic(PARTITIONS);
    const group = fresh("group");
    const seen = [];
    await fill(topic, 0, 100);
    const first = await member(group, topic, seen);
    let second;
    try {
      await eventually(() => seen.length === 100, "the first records");
      second = await member(group, topic, seen);
      await eventually(() => first.assigned.length === 2 && second.assigned.length === 2, "an assignment of both", 30000);
      await fill(topic, 100, 100);
      await eventually(() => seen.length >= 200, "the records of both");
      await second.consumer.disconnect();
      second = null;
      await eventually(() => first.assigned.length === PARTITIONS, "all partitions for one", 30000);
      await fill(topic, 200, 50);
      await eventually(() => seen.length >= 250, "the last records");
    } finally {
      if (second) await second.consumer.disconnect();
      await first.consumer.disconnect();
    }
    // What was read and not yet committed when partitions moved is read again.
    assert.deepStrictEqual([...new Set(seen)].sort((a, b) => a - b), Array.from({ length: 250 }, (_, i) => i));
    return { protocol: first.protocol, offsets: await offsetsOf(group, topic) };
  });

  test("group.resume", async () => {
    const topic = await newTopic(PARTITIONS);
    const group = fresh("group");
    const seen = [];
    for (const round of [0, 1]) {
      await fill(topic, 40 * round, 40);
      const one = await member(group, topic, seen);
      await eventually(() => seen.length >= 40 * (round + 1), "the records");
      await one.consumer.disconnect();
    }
    assert.deepStrictEqual(seen.sort((a, b) => a - b), Array.from({ length: 80 }, (_, i) => i));
    return await offsetsOf(group, topic);
  });

  test("group.admin", async () => {
    const topic = await newTopic(PARTITIONS);
    const group = fresh("group");
    const seen = [];
    await fill(topic, 0, 20);
    const one = await member(group, topic, seen);
    await eventually(() => seen.length === 20, "the records");
    const result = {};
    await administrating(async (admin) => {
      const { groups } = await admin.listGroups();
      result.listed = groups.filter((each) => each.groupId === group).map((each) => each.protocolType);
      const [found] = (await admin.describeGroups([group])).groups;
      result.described = [found.state, found.protocol, found.protocolType, found.members.length];
      result.setUsed = await errorName(admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: "1" }] }));
      result.deleteUsed = await errorName(admin.deleteGroups([group]));
      await one.consumer.disconnect();
      await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: "1" }] });
      result.set = await offsetsOf(group, topic);
      await admin.resetOffsets({ groupId: group, topic, earliest: true });
      result.reset = await offsetsOf(group, topic);
      result.deleted = (await admin.deleteGroups([group])).map((each) => each.errorCode);
      result.again = await errorName(admin.deleteGroups([group]));
    });
    return result;
  });

  async function committed(topic, count, level = true) {
    const seen = [];
    const consumer = kafka.consumer({ groupId: fresh("reader"), readUncommitted: !level });
    await consumer.connect();
    try {
      await consumer.subscribe({ topics: [topic], fromBeginning: true });
      await consumer.run({ autoCommit: false, eachMessage: async ({ message }) => void seen.push(text(message.value)) });
      await eventually(() => seen.length >= count, `${count} records`, 30000);
    } finally {
      await consumer.disconnect();
    }
    return seen;
  }

  const transactional = (id, body) =>
    producing(body, { transactionalId: id, idempotent: true, maxInFlightRequests: 1, retry: { retries: 8 } });

  test("transaction.ends", async () => {
    const topic = await newTopic();
    await transactional(fresh("txn"), async (producer) => {
      for (let round = 0; round < 4; round += 1) {
        const transaction = await producer.transaction();
        for (let i = 0; i < 5; i += 1) {
          await transaction.send({ topic, messages: [{ value: `${10 * round + i}`, partition: 0 }] });
        }
        await (round % 2 ? transaction.abort() : transaction.commit());
      }
    });
    return { committed: await committed(topic, 10), all: (await committed(topic, 20, false)).length };
  });

  test("transaction.fenced", async () => {
    const topic = await newTopic();
    const id = fresh("txn");
    const result = {};
    await transactional(id, async (old) => {
      const first = await old.transaction();
      await first.send({ topic, messages: [{ value: "1", partition: 0 }] });
      await transactional(id, async (young) => {
        const second = await young.transaction();
        await second.send({ topic, messages: [{ value: "2", partition: 0 }] });
        await second.commit();
      });
      result.refused = await errorName(first.commit());
    });
    result.committed = await committed(topic, 1);
    return result;
  });

  test("transaction.exactly_once", async () => {
    const source = await newTopic(PARTITIONS);
    const sink = await newTopic();
    const group = fresh("group");
    await fill(source, 0, 60);
    let copied = 0;
    for (const goal of [30, 60]) {
      await transactional(group, async (producer) => {
        const one = await member(group, source, [], {
          autoCommit: false,
          eachMessage: async ({ topic, partition, message }) => {
            if (copied >= goal) return; // what is read beyond the goal is neither copied nor committed
            const transaction = await producer.transaction();
            await transaction.send({ topic: sink, messages: [{ value: message.value, partition: 0 }] });
            const offset = String(Number(message.offset) + 1);
            const topics = [{ topic, partitions: [{ partition, offset }] }];
            await transaction.sendOffsets({ consumerGroupId: group, topics });
            await transaction.commit();
            copied += 1;
          },
        });
        try {
          await eventually(() => copied >= goal, `${goal} copies`, 40000);
        } finally {
          await one.consumer.disconnect();
        }
      });
    }
    const values = (await committed(sink, 60)).map(Number).sort((a, b) => a - b);
    assert.deepStrictEqual(values, Array.from({ length: 60 }, (_, i) => i));
    return await offsetsOf(group, source);
  });
};
