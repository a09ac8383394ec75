/* A group of many members, each on a connection of its own: one thread, epoll, loopback only.
 *
 *   ./members classic  --group many --members 1000 --batch 100 --port 9092 --pid BROKER_PID
 *   ./members consumer --group many --members 1000 --batch 100 --partitions 1000       KIP-848
 *
 * Connections are opened before the clock starts. `start` is the time from the first join until the group is stable: all
 * members are in one generation and nobody has more than his share of the partitions, all of which are owned (what
 * members of a classic group own is their leader's to say: there the generation decides). `joined` does not ask for the
 * shares: a coordinator that puts off its assignments (group.consumer.assignment.interval.ms) gives the first member all
 * partitions, and makes it give them up later. `rolling` (with --batch) puts new members in the place of `batch` at a time, as
 * a restart of their processes does, until the group is stable again.
 *
 * Members do what real ones do, and the same towards every broker: JoinGroup v5 (again with the id that it is given),
 * SyncGroup v3 with the leader's assignment, Heartbeat v3; ConsumerGroupHeartbeat v1, what was given acknowledged at
 * once. Between its heartbeats (every 0.3 s) a member is told nothing. Options besides: --topic bench-members,
 * --static 1 (with group.instance.id, so that nobody rebalances), --idle SECS (of heartbeats), --leave 1 (at the end).
 * Prints one JSON line. Every phase ends within LIMIT_S, or the program does with exit code 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include "wire.h"

enum key { JOIN = 11, BEAT = 12, LEAVE = 13, SYNC = 14, CONSUMER_BEAT = 68 };
enum { UNKNOWN_MEMBER_ID = 25, MEMBER_ID_REQUIRED = 79, FENCED_MEMBER_EPOCH = 110 };
enum { LIMIT_S = 240, ID_ROOM = 256, MAX_MEMBERS = 10000, EVENTS = 256, READ_CHUNK = 4096, REBALANCE_MS = 120000 };
static const uint64_t BEAT_NS = 300000000, AGAIN_NS = 50000000;

/* ConsumerProtocol subscription and assignment (version 1) of one topic. */
static const u8 SUBSCRIPTION[] = {0, 1, 0, 0, 0, 1, 0, 5, 't', 'o', 'p', 'i', 'c', 255, 255, 255, 255, 0, 0, 0, 0};
static const u8 ASSIGNMENT[] = {0, 1, 0, 0, 0, 1, 0, 5, 't', 'o', 'p', 'i', 'c', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};

typedef struct {
    int fd;
    char id[ID_ROOM], instance[32];
    int generation;    /* or member epoch */
    int settled;       /* it has what it shall have in this generation */
    enum key next;     /* what it asks next, or has asked */
    uint64_t ask_at;   /* when it asks; 0: an answer is awaited */
    uint64_t asked_at;
    u8 *rb;
    size_t rn, rcap;
    /* KIP-848 */
    enum { FULL, OWNED, ALIVE } say;
    int owned;         /* partitions */
    u8 *parts;         /* as the broker has written them: the request has the same form */
    size_t parts_size;
} Member;

static Member *all;
static int count = 1000, batch, partitions = 1000, is_static, leave, consumer, ep, leaving;
static double idle_s;
static const char *group = "many", *topic = "bench-members";
static uint64_t next_ask; /* not later than the first ask_at */
static uint64_t *latencies;
static size_t n_latencies, latency_room;

/* ---- requests ---- */
static u8 *out;

static void wraw(W *w, const void *data, size_t size)
{
    memcpy(w->p + w->n, data, size);
    w->n += size;
}
static void wlen(W *w, uint32_t v) /* an unsigned varint */
{
    for (; v > 127; v >>= 7)
        w8(w, (v & 127) | 128);
    w8(w, v);
}
static void wcompact(W *w, const char *s)
{
    wlen(w, s ? strlen(s) + 1 : 0);
    if (s)
        wraw(w, s, strlen(s));
}
static const char *instance_of(const Member *m) { return is_static ? m->instance : NULL; }

static void send_all(Member *m, W *w)
{
    size_t size = finish(w);
    m->ask_at = 0;
    m->asked_at = ns();
    for (size_t at = 0; at < size;) {
        ssize_t r = send(m->fd, w->p + at, size - at, MSG_NOSIGNAL);
        if (r < 0)
            die("send");
        at += r;
    }
}

static void ask_join(Member *m)
{
    W w = {out, 0};
    header(&w, JOIN, 5, 7);
    wstr(&w, group);
    w32(&w, 60000); /* session timeout */
    w32(&w, REBALANCE_MS);
    wstr(&w, m->id);
    wstr(&w, instance_of(m));
    wstr(&w, "consumer");
    w32(&w, 1);
    wstr(&w, "range");
    w32(&w, sizeof SUBSCRIPTION);
    wraw(&w, SUBSCRIPTION, sizeof SUBSCRIPTION);
    send_all(m, &w);
}

/* `others`: the members of the answer to JoinGroup, each of which gets the same. */
static void ask_sync(Member *m, u8 *others, int n)
{
    W w = {out, 0};
    char id[ID_ROOM];
    m->next = SYNC;
    header(&w, SYNC, 3, 7);
    wstr(&w, group);
    w32(&w, m->generation);
    wstr(&w, m->id);
    wstr(&w, instance_of(m));
    w32(&w, n);
    for (int i = 0; i < n; i++) {
        wstr(&w, read_str(&others, id, sizeof id));
        w32(&w, sizeof ASSIGNMENT);
        wraw(&w, ASSIGNMENT, sizeof ASSIGNMENT);
        others += 2 + (r16(others) > 0 ? r16(others) : 0); /* instance id */
        others += 4 + r32(others);                         /* subscription */
    }
    send_all(m, &w);
}

static void ask_beat(Member *m)
{
    W w = {out, 0};
    header(&w, BEAT, 3, 7);
    wstr(&w, group);
    w32(&w, m->generation);
    wstr(&w, m->id);
    wstr(&w, instance_of(m));
    send_all(m, &w);
}

static void ask_leave(Member *m)
{
    W w = {out, 0};
    m->next = LEAVE;
    header(&w, LEAVE, 3, 7);
    wstr(&w, group);
    w32(&w, 1);
    wstr(&w, m->id);
    wstr(&w, instance_of(m));
    send_all(m, &w);
}

static void ask_consumer_beat(Member *m, int epoch)
{
    W w = {out, 0};
    header(&w, CONSUMER_BEAT, 1, 7);
    w8(&w, 0); /* tagged fields of the header */
    wcompact(&w, group);
    wcompact(&w, m->id);
    w32(&w, epoch);
    wcompact(&w, instance_of(m));
    wcompact(&w, NULL); /* rack */
    w32(&w, m->say == ALIVE ? -1 : REBALANCE_MS);
    wlen(&w, m->say == FULL ? 2 : 0); /* topics: one, or nothing said */
    if (m->say == FULL)
        wcompact(&w, topic);
    wcompact(&w, NULL); /* regular expression */
    wcompact(&w, NULL); /* assignor */
    if (m->say == OWNED)
        wraw(&w, m->parts, m->parts_size);
    else
        wlen(&w, m->say == FULL ? 1 : 0); /* owned: nothing, or nothing said */
    w8(&w, 0);
    send_all(m, &w);
}

static void ask(Member *m)
{
    if (m->next == JOIN)
        ask_join(m);
    else if (m->next == BEAT)
        ask_beat(m);
    else
        ask_consumer_beat(m, m->say == FULL ? 0 : m->generation);
}

static void ask_later(Member *m, enum key next, uint64_t wait)
{
    m->next = next;
    m->ask_at = ns() + wait;
    if (m->ask_at < next_ask)
        next_ask = m->ask_at;
}

/* ---- answers: `p` is at the error code ---- */
static void on_joined(Member *m, u8 *p)
{
    char other[ID_ROOM];
    int error = r16(p), generation = r32(p + 2);
    p += 6;
    read_str(&p, other, sizeof other); /* protocol, leader */
    read_str(&p, other, sizeof other);
    if (!error || error == MEMBER_ID_REQUIRED) {
        read_str(&p, m->id, sizeof m->id);
    } else if (error == UNKNOWN_MEMBER_ID) {
        m->id[0] = 0;
    }
    if (error == MEMBER_ID_REQUIRED) {
        ask_join(m);
    } else if (error) {
        ask_later(m, JOIN, AGAIN_NS);
    } else {
        m->generation = generation;
        ask_sync(m, p + 4, r32(p));
    }
}

/* SyncGroup or Heartbeat: it is settled, or must join again. */
static void on_heard(Member *m, const u8 *p)
{
    m->settled = !r16(p);
    if (m->settled) {
        ask_later(m, BEAT, BEAT_NS);
    } else {
        m->next = JOIN;
        ask_join(m);
    }
}

static void note_latency(const Member *m)
{
    if (n_latencies == latency_room)
        latencies = realloc(latencies, (latency_room = 2 * latency_room + 4096) * sizeof *latencies);
    latencies[n_latencies++] = ns() - m->asked_at;
}

static uint32_t read_len(const u8 **p)
{
    uint32_t v = 0;
    for (int shift = 0;; shift += 7) {
        u8 b = *(*p)++;
        v |= (uint32_t)(b & 127) << shift;
        if (b < 128)
            return v;
    }
}

static void skip_compact(const u8 **p)
{
    uint32_t size = read_len(p);
    *p += size ? size - 1 : 0;
}

static void take_assignment(Member *m, const u8 *p)
{
    const u8 *from = p;
    m->owned = 0;
    for (uint32_t topics = read_len(&p) - 1; topics; topics--) {
        p += 16;
        uint32_t n = read_len(&p) - 1;
        m->owned += n;
        p += 4 * n + 1; /* no tagged fields */
    }
    m->parts_size = p - from;
    m->parts = realloc(m->parts, m->parts_size);
    memcpy(m->parts, from, m->parts_size);
}

static void on_consumer_beat(Member *m, const u8 *p)
{
    int error = r16(p);
    p += 2;
    skip_compact(&p); /* message, member id */
    skip_compact(&p);
    if (error == UNKNOWN_MEMBER_ID || error == FENCED_MEMBER_EPOCH) {
        m->settled = m->owned = 0;
        m->say = FULL;
        ask(m);
    } else if (error) {
        ask_later(m, CONSUMER_BEAT, AGAIN_NS);
    } else {
        m->generation = r32(p);
        m->settled = 1;
        p += 8; /* epoch, interval */
        m->say = (int8_t)*p < 0 ? ALIVE : OWNED;
        if (m->say == ALIVE) {
            ask_later(m, CONSUMER_BEAT, BEAT_NS);
            return;
        }
        take_assignment(m, p + 1);
        ask(m);
    }
}

static void on_answer(Member *m, u8 *p)
{
    p += consumer ? 9 : 8; /* correlation, tagged fields, throttle time */
    if (m->next == LEAVE) {
        leaving--;
        if (r16(p))
            fprintf(stderr, "error %d of a member that leaves\n", r16(p));
        return;
    }
    if (m->next == JOIN) {
        on_joined(m, p);
        return;
    }
    if (m->next != SYNC)
        note_latency(m);
    if (consumer)
        on_consumer_beat(m, p);
    else
        on_heard(m, p);
}

/* One request at a time: what is there is at most one answer. */
static void on_readable(Member *m)
{
    for (;;) {
        size_t need = m->rn >= 4 ? r32(m->rb) + 4 : READ_CHUNK;
        if (m->rcap < need && !(m->rb = realloc(m->rb, m->rcap = need)))
            die("realloc");
        ssize_t r = recv(m->fd, m->rb + m->rn, m->rcap - m->rn, MSG_DONTWAIT);
        if (r == 0) {
            fprintf(stderr, "closed by broker\n");
            exit(1);
        }
        if (r < 0) {
            if (errno == EAGAIN)
                return;
            die("recv");
        }
        m->rn += r;
        if (m->rn >= 4 && m->rn >= r32(m->rb) + 4) {
            m->rn = 0;
            on_answer(m, m->rb + 4);
            return;
        }
    }
}

/* ---- the life of the group ---- */
static void open_member(Member *m, int number)
{
    m->fd = dial();
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = m};
    epoll_ctl(ep, EPOLL_CTL_ADD, m->fd, &ev);
    snprintf(m->instance, sizeof m->instance, "i%d", number);
    m->rn = 0;
}

/* A new process, which remembers nothing; its connection is open. */
static void begin(Member *m)
{
    m->id[0] = 0;
    m->settled = m->owned = 0;
    if (consumer) {
        u8 random[16];
        if (getrandom(random, sizeof random, 0) != sizeof random)
            die("getrandom");
        for (int i = 0; i < 16; i++)
            snprintf(m->id + 2 * i, 3, "%02x", random[i]);
        m->next = CONSUMER_BEAT;
        m->say = FULL;
    } else {
        m->next = JOIN;
    }
    ask(m);
}

static void ask_due(void)
{
    uint64_t now = ns();
    if (now < next_ask)
        return;
    next_ask = UINT64_MAX;
    for (Member *m = all; m < all + count; m++) {
        if (m->ask_at && m->ask_at <= now)
            ask(m);
        else if (m->ask_at && m->ask_at < next_ask)
            next_ask = m->ask_at;
    }
}

static void run_until(int (*done)(void))
{
    struct epoll_event evs[EVENTS];
    uint64_t limit = ns() + LIMIT_S * 1000000000ull;
    while (!done()) {
        uint64_t now = ns(), until = next_ask < limit ? next_ask : limit;
        if (now >= limit) {
            fprintf(stderr, "not done within %d s\n", LIMIT_S);
            exit(1);
        }
        uint64_t wait = until > now ? until - now : 0;
        struct timespec z = {wait / 1000000000, wait % 1000000000};
        int n = epoll_pwait2(ep, evs, EVENTS, &z, NULL);
        for (int i = 0; i < n; i++)
            on_readable(evs[i].data.ptr);
        ask_due();
    }
}

static int all_joined(void)
{
    int owned = 0;
    for (Member *m = all; m < all + count; m++) {
        if (!m->settled || m->generation != all[0].generation)
            return 0;
        owned += m->owned;
    }
    return !consumer || owned == partitions;
}

static int all_stable(void)
{
    int most = (partitions + count - 1) / count;
    for (Member *m = all; consumer && m < all + count; m++)
        if (m->owned > most)
            return 0;
    return all_joined();
}

static int all_left(void) { return !leaving; }

static uint64_t idle_until;
static int idle_over(void)
{
    if (next_ask > idle_until)
        next_ask = idle_until; /* so that it is noticed */
    return ns() >= idle_until;
}

/* n members end all at the same time, over new connections, which are their successors' afterwards. */
static void end_members(int first, int n)
{
    for (Member *m = all + first; m < all + first + n; m++) {
        close(m->fd);
        open_member(m, m - all);
        m->ask_at = 0;
        if (consumer) {
            m->next = LEAVE;
            ask_consumer_beat(m, is_static ? -2 : -1);
            leaving++;
        } else if (!is_static) {
            ask_leave(m);
            leaving++;
        }
    }
    run_until(all_left);
}

static void restart(int first, int n)
{
    end_members(first, n);
    for (Member *m = all + first; m < all + first + n; m++)
        begin(m);
    run_until(all_stable);
}

/* ---- the measures ---- */
static uint64_t began;
static double cpu_before;

static void start_clock(void)
{
    cpu_before = broker_cpu();
    began = ns();
}

static void tell(const char *name)
{
    double took = (ns() - began) * 1e-9;
    printf("\"%s_s\":%.4f,\"%s_cpu_s\":%.4f,", name, took, name, broker_cpu() - cpu_before);
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void measure_idle(void)
{
    n_latencies = 0;
    start_clock();
    idle_until = ns() + idle_s * 1e9;
    run_until(idle_over);
    tell("idle");
    qsort(latencies, n_latencies, sizeof *latencies, ascending);
    printf("\"heartbeats\":%zu,\"heartbeat_p99_us\":%.1f,", n_latencies,
           n_latencies ? latencies[n_latencies * 99 / 100] / 1e3 : 0);
}

static int options(int ac, char **av)
{
    consumer = ac > 1 && !strcmp(av[1], "consumer");
    if (ac < 2 || (!consumer && strcmp(av[1], "classic")))
        return 2;
    for (int i = 2; i + 1 < ac; i += 2) {
        const char *name = av[i], *value = av[i + 1];
        if (!strcmp(name, "--group"))
            group = value;
        else if (!strcmp(name, "--topic"))
            topic = value;
        else if (!strcmp(name, "--members"))
            count = atoi(value);
        else if (!strcmp(name, "--batch"))
            batch = atoi(value);
        else if (!strcmp(name, "--partitions"))
            partitions = atoi(value);
        else if (!strcmp(name, "--static"))
            is_static = atoi(value);
        else if (!strcmp(name, "--leave"))
            leave = atoi(value);
        else if (!strcmp(name, "--idle"))
            idle_s = atof(value);
        else if (!strcmp(name, "--port"))
            port = atoi(value);
        else if (!strcmp(name, "--pid"))
            broker_pid = atoi(value);
        else
            return 2;
    }
    return count < 1 || count > MAX_MEMBERS ? 2 : 0;
}

int main(int ac, char **av)
{
    if (options(ac, av)) {
        fprintf(stderr, "see the beginning of members.c\n");
        return 2;
    }
    next_ask = UINT64_MAX;
    ep = epoll_create1(0);
    all = calloc(count, sizeof *all);
    out = malloc((size_t)(count + 16) * (ID_ROOM + sizeof ASSIGNMENT + 8) + 4 * partitions);
    if (!all || !out)
        die("malloc");
    for (int i = 0; i < count; i++)
        open_member(all + i, i);
    printf("{");
    start_clock();
    for (int i = 0; i < count; i++)
        begin(all + i);
    run_until(all_joined);
    tell("joined");
    run_until(all_stable);
    tell("start");
    if (batch) {
        start_clock();
        for (int first = 0; first < count; first += batch)
            restart(first, first + batch < count ? batch : count - first);
        tell("rolling");
    }
    if (idle_s > 0)
        measure_idle();
    if (leave)
        end_members(0, count);
    printf("\"rss_mb\":%.1f}\n", broker_rss_kb() * 1024 / 1e6);
    return 0;
}
