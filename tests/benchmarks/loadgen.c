/* Raw Kafka-wire load generator: one thread, epoll, loopback only.
 *
 *   gcc -O2 -march=native -o loadgen loadgen.c
 *   ./loadgen produce --conns 1 --inflight 1 --batch 1 --rec 100 --secs 5 --pid BROKER_PID
 *   ./loadgen fetch   --conns 1 --maxbytes 1048576 --secs 5
 *   ./loadgen tail    --rate 1000 --rec 100 --secs 5     produce and long-poll consume, end to end
 *   ./loadgen ping    --conns 1 --inflight 1             ApiVersions v0 round trips
 *   ./loadgen meta    --conns 1 --inflight 1             Metadata v7 of all topics
 *   ./loadgen commit  --conns 64 --inflight 1            OffsetCommit v7 of one partition, a simple group each
 *   ./loadgen txn     --conns 16 --batch 100            a transactional producer each: one batch a transaction
 *   ./loadgen idle    --conns 10000 --secs 5             open, one ApiVersions each, hold
 *
 * Options: --port 9092 --topic bench --parts 1 --base 0 (connection i uses partition base + i % parts) --acks 1
 *   --rotate 1     produce: every request goes to the next of the parts partitions
 *   --spin 1       busy poll: takes the client's own wake-up out of the latency
 *   --cpu N        pin the client
 *   --members 1    commit: by the one member of a classic group on each connection, new groups in each run
 *   --replica ID   fetch: send this replica id, to play a follower that starts at the log end
 *   --rate R       produce: open loop, R requests/s over all connections, latency from the intended send time
 *   --total BYTES  produce: end when this much is acked
 *   --warm S       seconds not counted, default 0.5
 *   --slice S      print the latencies of every S seconds, [[ns, count], ...], as soon as they are over
 *   --minbytes 1 --maxwait 500
 *
 * txn: AddPartitionsToTxn, Produce, EndTxn; a request is a transaction. CONCURRENT_TRANSACTIONS is asked again a
 * millisecond later (the Java client waits 20) and counted as "again".
 *
 * Uses Produce v7, Fetch v11, ListOffsets v1, ApiVersions v0, Metadata v7, all of them still served by Kafka 4.x.
 * Prints one JSON line (idle prints {"mode":"idle","state":"open"} first, when every connection is up).
 * cpu_us_req is the broker's user and system CPU per request (needs --pid). Exit code 3: some answers were errors.
 * Every run is bounded by --secs (at most 300) and every connection goes to 127.0.0.1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include "wire.h"
#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

enum kind { PRODUCE, FETCH, PING, COMMIT, TXN };
enum step { ADD, WRITE, END };
enum { CONCURRENT_TRANSACTIONS = 51, AGAIN_NS = 1000000 };
enum { RING = 4096, MAX_INFLIGHT = 4000, MAX_SECS = 300, COALESCE = 4 << 20, READ_CHUNK = 65536 };

/* ---- HDR-like histogram: 128 linear steps per power of two, so less than 0.8 % error ---- */
#define SUB 7
static uint64_t hist[64 << SUB], hist_n, hist_max;
static double hist_sum;

static void hist_add(uint64_t v)
{
    if (v > hist_max)
        hist_max = v;
    hist_n++;
    hist_sum += v;
    int e = v < (1u << SUB) ? 0 : 63 - __builtin_clzll(v) - SUB + 1;
    hist[(e << SUB) + (e ? (v >> (e - 1)) & ((1 << SUB) - 1) : v)]++;
}

static uint64_t hist_value(int i)
{
    int e = i >> SUB;
    uint64_t m = i & ((1 << SUB) - 1);
    return e ? (m | (1 << SUB)) << (e - 1) : m;
}

static double hist_quantile(double q)
{
    uint64_t seen = 0, want = (uint64_t)(q * hist_n);
    if (want >= hist_n)
        want = hist_n - 1;
    for (int i = 0; i < (64 << SUB); i++) {
        seen += hist[i];
        if (seen > want)
            return hist_value(i);
    }
    return 0;
}

/* What was measured since the last time, as [[ns, count], ...]; then empty. */
static void hist_flush(void)
{
    const char *between = "";
    printf("[");
    for (int i = 0; i < (64 << SUB); i++) {
        if (hist[i])
            printf("%s[%llu,%llu]", between, (unsigned long long)hist_value(i), (unsigned long long)hist[i]);
        between = hist[i] ? "," : between;
    }
    printf("]\n");
    fflush(stdout);
    memset(hist, 0, sizeof hist);
    hist_n = hist_max = hist_sum = 0;
}

/* ---- CRC-32C ---- */
#ifdef __SSE4_2__
static uint32_t crc32c(const u8 *p, size_t n)
{
    uint64_t x = ~0u;
    for (uint64_t word; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        x = _mm_crc32_u64(x, word);
    }
    while (n--)
        x = _mm_crc32_u8(x, *p++);
    return ~(uint32_t)x;
}
#else
static uint32_t crc32c(const u8 *p, size_t n)
{
    uint32_t x = ~0u;
    while (n--) {
        x ^= *p++;
        for (int k = 0; k < 8; k++)
            x = (x >> 1) ^ (0x82f63b78 & -(x & 1));
    }
    return ~x;
}
#endif

static int varint_len(const u8 *p)
{
    int k = 1;
    while (*p++ & 128)
        k++;
    return k;
}

/* ---- options ---- */
static int conns = 1, inflight = 1, parts = 1, base = 0, rotate, replica = -1, members, acks = 1, spin, cpu = -1;
static int minbytes = 1, maxwait = 500;
static long batch = 1, rec = 100, maxbytes = 1 << 20;
static double secs = 5, warm = 0.5, rate, total, slice;
static const char *topic = "bench";

/* ---- requests ---- */
/* One record batch (magic 2) of n records with values of `size` bytes; the first 8 bytes of each value are the stamp. */
static size_t make_batch(u8 *out, long n, long size, uint64_t stamp)
{
    W w = {out, 0};
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t ms = t.tv_sec * 1000ull + t.tv_nsec / 1000000;
    w64(&w, 0);     /* base offset */
    w32(&w, 0);     /* length */
    w32(&w, -1);    /* leader epoch */
    w8(&w, 2);      /* magic */
    w32(&w, 0);     /* crc */
    w16(&w, 0);     /* attributes */
    w32(&w, n - 1); /* last offset delta */
    w64(&w, ms);
    w64(&w, ms);
    w64(&w, -1); /* producer id, epoch, sequence: none */
    w16(&w, -1);
    w32(&w, -1);
    w32(&w, n);
    for (long i = 0; i < n; i++) {
        u8 tmp[32];
        W h = {tmp, 0};
        w8(&h, 0);     /* attributes */
        wvar(&h, 0);   /* timestamp delta */
        wvar(&h, i);   /* offset delta */
        w8(&h, 1);     /* null key */
        wvar(&h, size);
        wvar(&w, h.n + size + 1);
        memcpy(w.p + w.n, tmp, h.n);
        w.n += h.n;
        for (long k = 0; k < size; k++)
            w.p[w.n + k] = 'a' + (k * 31 + i * 7 + (k * k >> 5)) % 26;
        if (size >= 8)
            memcpy(w.p + w.n, &stamp, 8);
        w.n += size;
        w8(&w, 0); /* headers */
    }
    put32(out + 8, w.n - 12);
    put32(out + 17, crc32c(out + 21, w.n - 21));
    return w.n;
}

static size_t make_produce(u8 *out, int part, uint64_t stamp, const char *transactional_id)
{
    W w = {out, 0};
    header(&w, 0, 7, 0);
    wstr(&w, transactional_id);
    w16(&w, acks);
    w32(&w, 30000);
    w32(&w, 1);
    wstr(&w, topic);
    w32(&w, 1);
    w32(&w, part);
    size_t at = w.n;
    w32(&w, 0);
    size_t l = make_batch(out + w.n, batch, rec, stamp);
    w.n += l;
    put32(out + at, l);
    return finish(&w);
}

static size_t make_fetch(u8 *out, int part, uint64_t off, uint32_t correlation)
{
    W w = {out, 0};
    header(&w, 1, 11, correlation);
    w32(&w, replica);
    w32(&w, maxwait);
    w32(&w, minbytes);
    w32(&w, maxbytes);
    w8(&w, 0);   /* read uncommitted */
    w32(&w, 0);  /* no session */
    w32(&w, -1);
    w32(&w, 1);
    wstr(&w, topic);
    w32(&w, 1);
    w32(&w, part);
    w32(&w, -1); /* current leader epoch */
    w64(&w, off);
    w64(&w, -1); /* log start */
    w32(&w, maxbytes);
    w32(&w, 0); /* forgotten topics */
    wstr(&w, "");
    return finish(&w);
}

static size_t make_join(u8 *out, const char *group)
{
    W w = {out, 0};
    header(&w, 11, 2, 7);
    wstr(&w, group);
    w32(&w, 300000); /* session, rebalance timeout */
    w32(&w, 300000);
    wstr(&w, ""); /* member id: new */
    wstr(&w, "consumer");
    w32(&w, 1);
    wstr(&w, "range");
    w32(&w, 0); /* metadata */
    return finish(&w);
}

static size_t make_sync(u8 *out, const char *group, int generation, const char *member)
{
    W w = {out, 0};
    header(&w, 14, 1, 7);
    wstr(&w, group);
    w32(&w, generation);
    wstr(&w, member);
    w32(&w, 1);
    wstr(&w, member);
    w32(&w, 0); /* assignment */
    return finish(&w);
}

static size_t make_commit(u8 *out, const char *group, int generation, const char *member, int part)
{
    W w = {out, 0};
    header(&w, 8, 7, 7);
    wstr(&w, group);
    w32(&w, generation);
    wstr(&w, member);
    wstr(&w, NULL); /* no instance */
    w32(&w, 1);
    wstr(&w, topic);
    w32(&w, 1);
    w32(&w, part);
    w64(&w, 1000000);
    w32(&w, -1); /* leader epoch */
    wstr(&w, "");
    return finish(&w);
}

static size_t make_fixed(u8 *out, int metadata)
{
    W w = {out, 0};
    if (metadata) {
        header(&w, 3, 7, 7);
        w32(&w, -1); /* all topics */
        w8(&w, 0);   /* create none */
    } else {
        header(&w, 18, 0, 7);
    }
    return finish(&w);
}

/* ---- connections ---- */
/* A transactional producer: its three requests are made once, and the batch patched for each transaction. */
typedef struct {
    enum step step;
    u8 *reqs[3];
    size_t lens[3];
    size_t batch_at;           /* of the batch within its request */
    uint32_t sequence;
    uint64_t again_at;         /* when to ask once more; 0: an answer is awaited */
} Txn;

typedef struct {
    int fd, part, want_out;
    enum kind kind;
    u8 *req;
    size_t reqlen, sent;       /* how much of the current request has left */
    uint64_t ts[RING];         /* send times of what is in flight */
    unsigned head, tail;
    long credit;               /* open loop: requests due */
    uint64_t sent_n;           /* requests begun */
    u8 *rb;
    size_t rn, rcap;
    uint64_t off;              /* fetch position */
    Txn txn;
} Conn;

static Conn *all;
static u8 **rotation; /* one request per partition with --rotate */
static int ep, measuring, tail_mode;
static uint64_t nreq, nbytes, nerr, nagain, nrecs, acked_bytes, t_meas, t_end;

static void send_now(Conn *c)
{
    if (send(c->fd, c->req, c->reqlen, 0) != (ssize_t)c->reqlen)
        die("send");
}

static void failed(const char *api, int error)
{
    if (!nerr++)
        fprintf(stderr, "%s error %d\n", api, error);
}

static uint64_t list_offset(int fd, int part, int64_t ts)
{
    u8 b[512];
    W w = {b, 0};
    header(&w, 2, 1, 99);
    w32(&w, -1);
    w32(&w, 1);
    wstr(&w, topic);
    w32(&w, 1);
    w32(&w, part);
    w64(&w, ts);
    size_t l = finish(&w);
    if (send(fd, b, l, 0) < 0)
        die("send");
    read_full(fd, b, 4);
    l = r32(b);
    if (l > sizeof b)
        die("ListOffsets");
    read_full(fd, b, l);
    u8 *p = b + 8;
    p += 2 + r16(p) + 8;
    if (r16(p))
        fprintf(stderr, "ListOffsets error %d\n", r16(p));
    return r64(p + 10);
}

/* The answer to what has been sent on a blocking socket; its body without header. */
static u8 *ask(int fd, u8 *b, size_t l, size_t room)
{
    if (send(fd, b, l, 0) < 0)
        die("send");
    read_full(fd, b, 4);
    l = r32(b);
    if (l > room)
        die("answer");
    read_full(fd, b, l);
    return b + 4;
}

/* A commit of a group of its own: a simple one, or one that has this connection as its only member. The names of groups
 * differ in the last four digits, and so spread over the coordinator's partitions. */
static size_t prepare_commit(int fd, u8 *out, int connection, int part)
{
    char group[64], member[256] = "", other[256];
    u8 b[4096];
    int generation = -1, error;
    if (members) {
        snprintf(group, sizeof group, "bench-member-%d-%04d", (int)getpid(), connection);
        u8 *p = ask(fd, b, make_join(b, group), sizeof b) + 4;
        error = r16(p);
        generation = r32(p + 2);
        p += 6;
        read_str(&p, other, sizeof other); /* protocol, leader */
        read_str(&p, other, sizeof other);
        read_str(&p, member, sizeof member);
        if (!error)
            error = r16(ask(fd, b, make_sync(b, group, generation, member), sizeof b) + 4);
        if (error)
            failed("join", error);
    } else {
        snprintf(group, sizeof group, "bench-group-%04d", connection);
    }
    return make_commit(out, group, generation, member, part);
}

/* ---- transactions ---- */
static void begin_step(Conn *c, enum step step)
{
    Txn *t = &c->txn;
    t->step = step;
    t->again_at = 0;
    c->req = t->reqs[step];
    c->reqlen = t->lens[step];
    if (step == WRITE) { /* attributes, producer and CRC are right already, but for the sequence */
        u8 *b = c->req + t->batch_at;
        put32(b + 53, t->sequence);
        put32(b + 17, crc32c(b + 21, r32(b + 8) + 12 - 21));
        t->sequence = (t->sequence + batch) & 0x7fffffff;
    }
    send_now(c);
}

static void begin_transaction(Conn *c)
{
    c->ts[c->head++ % RING] = ns();
    begin_step(c, ADD);
}

static void on_transaction(Conn *c, u8 *p, size_t n)
{
    Txn *t = &c->txn;
    uint64_t now = ns();
    u8 *q = p + 8;
    int error = t->step == WRITE ? r16(q + 2 + r16(q) + 8) : r16(p + n - 2);
    if (error == CONCURRENT_TRANSACTIONS) {
        nagain += measuring;
        t->again_at = now + AGAIN_NS;
        return;
    }
    if (error)
        failed(t->step == ADD ? "AddPartitionsToTxn" : t->step == WRITE ? "produce" : "EndTxn", error);
    if (t->step != END && !error) {
        begin_step(c, t->step + 1);
        return;
    }
    uint64_t took = now - c->ts[c->tail++ % RING];
    if (measuring && !error) {
        nreq++;
        nbytes += t->lens[WRITE];
        nrecs += batch;
        hist_add(took);
    }
    if (now < t_end && !error)
        begin_transaction(c);
}

/* Those who have been told to come again, and whose time it is; how long until the next of them, in ns. */
static uint64_t send_again(uint64_t now)
{
    uint64_t wait = 20000000;
    for (int i = 0; i < conns; i++) {
        uint64_t at = all[i].txn.again_at;
        if (at && at <= now)
            begin_step(all + i, all[i].txn.step);
        else if (at && at - now < wait)
            wait = at - now;
    }
    return wait;
}

static void prepare_transactions(Conn *c, int connection)
{
    char id[64];
    u8 b[4096], *p;
    Txn *t = &c->txn;
    snprintf(id, sizeof id, "bench-txn-%d-%04d", (int)getpid(), connection);
    for (int tries = 0;; tries++) {
        W w = {b, 0};
        header(&w, 10, 1, 7); /* FindCoordinator has the topic made */
        wstr(&w, id);
        w8(&w, 1);
        ask(c->fd, b, finish(&w), sizeof b);
        w.n = 0;
        header(&w, 22, 0, 7); /* InitProducerId */
        wstr(&w, id);
        w32(&w, 60000);
        p = ask(c->fd, b, finish(&w), sizeof b) + 4;
        if (!r16(p))
            break;
        if (tries == 600) {
            fprintf(stderr, "InitProducerId error %d\n", r16(p));
            exit(1);
        }
        usleep(50000);
    }
    uint64_t producer = r64(p + 2);
    int epoch = r16(p + 10);
    for (int i = 0; i < 3; i++)
        t->reqs[i] = calloc(1, batch * (rec + 64) + 1024);
    W w = {t->reqs[ADD], 0};
    header(&w, 24, 0, 7);
    wstr(&w, id);
    w64(&w, producer);
    w16(&w, epoch);
    w32(&w, 1);
    wstr(&w, topic);
    w32(&w, 1);
    w32(&w, c->part);
    t->lens[ADD] = finish(&w);
    t->lens[WRITE] = make_produce(t->reqs[WRITE], c->part, 0, id);
    t->batch_at = 4 + 2 + 2 + 4 + 2 + strlen("loadgen") + 2 + strlen(id) + 2 + 4 + 4 + 2 + strlen(topic) + 4 + 4 + 4;
    W batch_w = {t->reqs[WRITE] + t->batch_at, 21};
    w16(&batch_w, 16); /* transactional */
    batch_w.n = 43;
    w64(&batch_w, producer);
    w16(&batch_w, epoch);
    w = (W){t->reqs[END], 0};
    header(&w, 26, 0, 7);
    wstr(&w, id);
    w64(&w, producer);
    w16(&w, epoch);
    w8(&w, 1); /* commit */
    t->lens[END] = finish(&w);
}

static void want_out(Conn *c, int out)
{
    if (c->want_out == out)
        return;
    c->want_out = out;
    struct epoll_event ev = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
}

static u8 *request_no(Conn *c, uint64_t n) { return rotation ? rotation[(c->part - base + n * conns) % parts] : c->req; }

/* Send as many ready-made requests as the window allows; small ones leave in one writev. */
static void pump(Conn *c)
{
    for (;;) {
        struct iovec v[64];
        int nv = 0, add = 0;
        size_t tot = 0;
        uint64_t now = ns();
        if (now >= t_end)
            return;
        if (c->sent) {
            v[0].iov_base = request_no(c, c->sent_n - 1) + c->sent;
            tot = v[0].iov_len = c->reqlen - c->sent;
            nv = 1;
        }
        long room = (long)inflight - (long)(c->head - c->tail);
        if (rate > 0 && c->credit < room)
            room = c->credit;
        for (; nv < 64 && add < room && tot < COALESCE; nv++, add++, tot += c->reqlen) {
            v[nv].iov_base = request_no(c, c->sent_n + add);
            v[nv].iov_len = c->reqlen;
        }
        if (!nv) {
            want_out(c, 0);
            return;
        }
        for (int i = 0; i < add; i++)
            c->ts[(c->head + i) % RING] = now;
        ssize_t r = writev(c->fd, v, nv);
        if (r < 0) {
            if (errno != EAGAIN)
                die("writev");
            want_out(c, 1);
            return;
        }
        size_t left = r;
        int started = 0;
        if (c->sent) {
            if (left < v[0].iov_len) {
                c->sent += left;
                want_out(c, 1);
                return;
            }
            left -= v[0].iov_len;
            c->sent = 0;
        }
        for (; left >= c->reqlen; left -= c->reqlen)
            started++;
        if (left) {
            c->sent = left;
            started++;
        }
        c->head += started;
        c->credit -= started;
        c->sent_n += started;
        if (acks == 0 && c->kind == PRODUCE) { /* no answer comes */
            c->tail = c->head;
            if (measuring) {
                nreq += started;
                nbytes += (uint64_t)started * c->reqlen;
                nrecs += (uint64_t)started * batch;
            }
        }
        if ((size_t)r < tot) {
            want_out(c, 1);
            return;
        }
    }
}

static void next_fetch(Conn *c)
{
    c->reqlen = make_fetch(c->req, c->part, c->off, c->head);
    c->ts[c->head++ % RING] = ns();
    send_now(c);
}

static void on_produced(Conn *c, u8 *p, uint64_t took)
{
    u8 *q = p + 8;
    q += 2 + r16(q) + 8;
    int error = r16(q);
    if (error)
        failed("produce", error);
    else if (total > 0 && (acked_bytes += c->reqlen) >= total)
        t_end = 0;
    if (measuring && !tail_mode) {
        nreq++;
        nbytes += c->reqlen;
        nrecs += batch;
        hist_add(took);
    }
}

/* The stamp of a batch: the first 8 value bytes of its first record. */
static uint64_t stamp_of(const u8 *records)
{
    const u8 *v = records;
    v += varint_len(v) + 1; /* length, attributes */
    v += varint_len(v);     /* timestamp delta */
    v += varint_len(v) + 1; /* offset delta, null key */
    v += varint_len(v);     /* value length */
    uint64_t s;
    memcpy(&s, v, 8);
    return s;
}

static void on_fetched(Conn *c, u8 *p, size_t n, uint64_t now, uint64_t took)
{
    u8 *q = p + 8;
    int error = r16(q);
    q += 2 + 4 + 4;
    q += 2 + r16(q) + 8;
    int part_error = r16(q);
    uint64_t hw = r64(q + 2), log_start = r64(q + 18);
    q += 26;
    int aborted = r32(q);
    q += 4 + (aborted > 0 ? aborted * 16 : 0) + 4;
    int32_t len = r32(q);
    q += 4;
    if (part_error == 1) { /* out of range: start over */
        c->off = replica >= 0 ? hw : hw > log_start ? log_start : 0;
        next_fetch(c);
        return;
    }
    if (error || part_error)
        failed("fetch", error ? error : part_error);
    u8 *end = q + (len > 0 ? len : 0);
    uint64_t next = c->off;
    while (q + 61 <= end) {
        uint32_t size = r32(q + 8) + 12;
        if (q + size > end)
            break;
        uint64_t first = r64(q);
        next = first + r32(q + 23) + 1;
        if (tail_mode && measuring && first >= c->off) {
            hist_add(ns() - stamp_of(q + 61));
            nreq++;
            nbytes += size;
        } else if (measuring && !tail_mode) {
            nrecs += r32(q + 57);
        }
        q += size;
    }
    if (measuring && !tail_mode) {
        nreq++;
        nbytes += n;
        hist_add(took);
    }
    c->off = next;
    if (!tail_mode && replica < 0 && c->off >= hw && hw > log_start)
        c->off = log_start;
    if (now < t_end)
        next_fetch(c);
}

static void on_response(Conn *c, u8 *p, size_t n)
{
    if (c->kind == TXN) {
        on_transaction(c, p, n);
        return;
    }
    uint64_t now = ns(), took = now - c->ts[c->tail++ % RING];
    if (c->kind == PRODUCE) {
        on_produced(c, p, took);
    } else if (c->kind == FETCH) {
        on_fetched(c, p, n, now, took);
    } else {
        if (c->kind == COMMIT && r16(p + n - 2))
            failed("commit", r16(p + n - 2));
        if (measuring) {
            nreq++;
            nbytes += n;
            hist_add(took);
        }
    }
}

static void on_readable(Conn *c)
{
    for (;;) {
        size_t need = c->rn >= 4 ? r32(c->rb) + 4 : READ_CHUNK;
        if (need < READ_CHUNK)
            need = READ_CHUNK;
        if (c->rcap < need + READ_CHUNK) {
            c->rcap = need + READ_CHUNK;
            c->rb = realloc(c->rb, c->rcap);
        }
        size_t space = c->rcap - c->rn, o = 0;
        ssize_t r = recv(c->fd, c->rb + c->rn, space, 0);
        if (r == 0) {
            fprintf(stderr, "closed by broker\n");
            exit(1);
        }
        if (r < 0) {
            if (errno == EAGAIN)
                return;
            die("recv");
        }
        c->rn += r;
        while (c->rn - o >= 4) {
            size_t l = r32(c->rb + o);
            if (c->rn - o < l + 4)
                break;
            on_response(c, c->rb + o + 4, l);
            o += l + 4;
        }
        if (o) {
            memmove(c->rb, c->rb + o, c->rn - o);
            c->rn -= o;
        }
        if ((size_t)r < space)
            return;
    }
}

static double my_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* ---- set-up ---- */
static int options(int ac, char **av)
{
    struct {
        const char *name;
        int *i;
        long *l;
        double *d;
    } known[] = {
        {"port", &port, 0, 0},     {"conns", &conns, 0, 0},     {"inflight", &inflight, 0, 0}, {"parts", &parts, 0, 0},
        {"base", &base, 0, 0},     {"rotate", &rotate, 0, 0},   {"replica", &replica, 0, 0}, {"members", &members, 0, 0},   {"acks", &acks, 0, 0},
        {"spin", &spin, 0, 0},     {"cpu", &cpu, 0, 0},         {"pid", &broker_pid, 0, 0},    {"minbytes", &minbytes, 0, 0},
        {"maxwait", &maxwait, 0, 0}, {"batch", 0, &batch, 0},   {"rec", 0, &rec, 0},           {"maxbytes", 0, &maxbytes, 0},
        {"secs", 0, 0, &secs},     {"warm", 0, 0, &warm},       {"rate", 0, 0, &rate},         {"total", 0, 0, &total},
        {"slice", 0, 0, &slice},
    };
    for (int i = 2; i + 1 < ac; i += 2) {
        const char *name = av[i], *value = av[i + 1];
        size_t k = 0, count = sizeof known / sizeof *known;
        if (!strcmp(name, "--topic")) {
            topic = value;
            continue;
        }
        while (k < count && (strncmp(name, "--", 2) || strcmp(name + 2, known[k].name)))
            k++;
        if (k == count) {
            fprintf(stderr, "unknown option %s\n", name);
            return 2;
        }
        if (known[k].i)
            *known[k].i = atoi(value);
        else if (known[k].l)
            *known[k].l = atol(value);
        else
            *known[k].d = atof(value);
    }
    if (secs > MAX_SECS)
        secs = MAX_SECS;
    if (inflight > MAX_INFLIGHT)
        inflight = MAX_INFLIGHT;
    return 0;
}

static int idle(void)
{
    u8 ping[64], answer[4096];
    size_t l = make_fixed(ping, 0);
    long before = broker_rss_kb();
    for (int i = 0; i < conns; i++) {
        int fd = dial();
        if (send(fd, ping, l, 0) < 0)
            die("send");
        read_full(fd, answer, 4);
        if (r32(answer) > sizeof answer)
            die("ApiVersions");
        read_full(fd, answer, r32(answer));
    }
    printf("{\"mode\":\"idle\",\"state\":\"open\"}\n");
    fflush(stdout);
    usleep(200000);
    double cpu0 = broker_cpu();
    usleep(secs * 1e6);
    long after = broker_rss_kb();
    printf("{\"mode\":\"idle\",\"conns\":%d,\"rss_before_kb\":%ld,\"rss_after_kb\":%ld,\"bytes_per_conn\":%.0f,"
           "\"idle_cpu_pct\":%.3f}\n",
           conns, before, after, (after - before) * 1024.0 / conns, (broker_cpu() - cpu0) / secs * 100);
    return 0;
}

static void open_connection(Conn *c, int i, enum kind kind, int metadata)
{
    c->fd = dial();
    c->part = tail_mode ? base : base + i % parts;
    c->kind = kind;
    c->req = malloc(kind == PRODUCE ? batch * (rec + 64) + 512 + strlen(topic) : 1024);
    if (!c->req)
        die("malloc");
    if (kind == PRODUCE)
        c->reqlen = make_produce(c->req, c->part, 0, NULL);
    else if (kind == TXN)
        prepare_transactions(c, i);
    else if (kind == FETCH)
        c->off = list_offset(c->fd, c->part, tail_mode || replica >= 0 ? -1 : -2);
    else if (kind == COMMIT)
        c->reqlen = prepare_commit(c->fd, c->req, i, c->part);
    else
        c->reqlen = make_fixed(c->req, metadata);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
}

static void make_rotation(void)
{
    rotation = calloc(parts, sizeof *rotation);
    for (int i = 0; i < parts; i++) {
        rotation[i] = malloc(batch * (rec + 64) + 512 + strlen(topic));
        make_produce(rotation[i], base + i, 0, NULL);
    }
}

/* ---- the run ---- */
static uint64_t scheduled;

static uint64_t due_at(uint64_t t0, uint64_t n) { return t0 + (uint64_t)(n / rate * 1e9); }

/* Open loop: send what is due by now, stamped with when it should have been sent. */
static void send_due(uint64_t t0, uint64_t now)
{
    uint64_t due = (now - t0) * 1e-9 * rate;
    int senders = tail_mode ? 1 : conns;
    for (; scheduled < due; scheduled++) {
        Conn *c = all + scheduled % senders;
        if (tail_mode) {
            uint64_t stamp = ns();
            c->reqlen = make_produce(c->req, c->part, stamp, NULL);
            c->ts[c->head++ % RING] = stamp;
            send_now(c);
            continue;
        }
        unsigned at = c->head;
        c->credit++;
        pump(c);
        if (c->head != at)
            c->ts[at % RING] = due_at(t0, scheduled + 1);
    }
}

static int wait_events(struct epoll_event *evs, int max, uint64_t t0)
{
    if (spin)
        return epoll_wait(ep, evs, max, 0);
    if (all[0].kind == TXN) {
        struct timespec z = {0, send_again(ns())};
        return epoll_pwait2(ep, evs, max, &z, NULL);
    }
    if (rate <= 0)
        return epoll_wait(ep, evs, max, 20);
    int n = epoll_wait(ep, evs, max, 0);
    uint64_t next = due_at(t0, scheduled + 1), now = ns();
    if (n || next <= now)
        return n;
    struct timespec z = {0, next - now > 200000 ? 200000 : next - now};
    return epoll_pwait2(ep, evs, 1, &z, NULL);
}

int main(int ac, char **av)
{
    const char *mode = ac > 1 ? av[1] : "produce";
    if (options(ac, av))
        return 2;
    if (cpu >= 0) {
        cpu_set_t s;
        CPU_ZERO(&s);
        CPU_SET(cpu, &s);
        sched_setaffinity(0, sizeof s, &s);
    }
    if (!strcmp(mode, "idle"))
        return idle();
    enum kind kind = !strcmp(mode, "produce") ? PRODUCE
                     : !strcmp(mode, "fetch") ? FETCH
                     : !strcmp(mode, "commit") ? COMMIT
                     : !strcmp(mode, "txn")    ? TXN
                                               : PING;
    if ((tail_mode = !strcmp(mode, "tail"))) {
        conns = 2;
        if (rate <= 0)
            rate = 1000;
    }
    ep = epoll_create1(0);
    all = calloc(conns, sizeof *all);
    if (rotate && kind == PRODUCE)
        make_rotation();
    for (int i = 0; i < conns; i++)
        open_connection(all + i, i, tail_mode ? (enum kind)i : kind, !strcmp(mode, "meta"));

    uint64_t t0 = ns();
    double cpu0 = 0, my_cpu0 = 0;
    uint64_t slice_end = 0;
    t_meas = t0 + warm * 1e9;
    t_end = t_meas + secs * 1e9;
    for (int i = 0; i < conns; i++) {
        if (all[i].kind == FETCH)
            next_fetch(all + i);
        else if (all[i].kind == TXN)
            begin_transaction(all + i);
        else if (rate <= 0)
            pump(all + i);
    }
    struct epoll_event evs[256];
    for (;;) {
        uint64_t now = ns();
        if (now >= t_end)
            break;
        if (!measuring && now >= t_meas) {
            measuring = 1;
            t_meas = now;
            cpu0 = broker_cpu();
            my_cpu0 = my_cpu();
            slice_end = now + slice * 1e9;
        }
        if (measuring && slice > 0 && now >= slice_end) {
            hist_flush();
            slice_end += slice * 1e9;
        }
        if (rate > 0)
            send_due(t0, now);
        int n = wait_events(evs, 256, t0);
        for (int i = 0; i < n; i++) {
            Conn *c = evs[i].data.ptr;
            if (evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                on_readable(c);
            if (c->kind != FETCH && c->kind != TXN && !tail_mode && (rate <= 0 || c->credit > 0 || c->sent))
                pump(c);
        }
    }
    double el = (ns() - t_meas) * 1e-9, used = broker_cpu() - cpu0, mine = my_cpu() - my_cpu0;
    printf("{\"mode\":\"%s\",\"conns\":%d,\"inflight\":%d,\"req_bytes\":%zu,\"reqs\":%llu,\"req_s\":%.0f,\"MB_s\":%.1f,"
           "\"rec_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"mean_us\":%.1f,\"err\":%llu,"
           "\"cpu_us_req\":%.2f,\"cpu_pct\":%.0f,\"client_cpu_pct\":%.0f,\"rss_kb\":%ld,\"acked_bytes\":%llu,\"again\":%llu}\n",
           mode, conns, inflight, all[0].reqlen, (unsigned long long)nreq, nreq / el, nbytes / el / 1e6, nrecs / el,
           hist_quantile(.5) / 1e3, hist_quantile(.99) / 1e3, hist_quantile(.999) / 1e3, hist_max / 1e3,
           hist_n ? hist_sum / hist_n / 1e3 : 0, (unsigned long long)nerr, nreq ? used * 1e6 / nreq : 0, used / el * 100,
           mine / el * 100, broker_rss_kb(), (unsigned long long)acked_bytes,
           (unsigned long long)nagain);
    return nerr ? 3 : 0;
}
