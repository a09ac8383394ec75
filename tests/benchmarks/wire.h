/* What the benchmarks' clients in C share: the clock, big-endian requests and answers, connections to 127.0.0.1, and the
 * broker's figures. A file that includes it defines _GNU_SOURCE first, and has all of it for itself. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef uint8_t u8;
static int port = 9092, broker_pid;

static inline uint64_t ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- big-endian reading and writing ---- */
typedef struct {
    u8 *p;
    size_t n;
} W;

static inline void w8(W *w, int v) { w->p[w->n++] = v; }
static inline void w16(W *w, int v)
{
    w8(w, v >> 8);
    w8(w, v);
}
static inline void w32(W *w, uint32_t v)
{
    v = htonl(v);
    memcpy(w->p + w->n, &v, 4);
    w->n += 4;
}
static inline void w64(W *w, uint64_t v)
{
    w32(w, v >> 32);
    w32(w, v);
}
static inline void wstr(W *w, const char *s)
{
    if (!s) {
        w16(w, -1);
        return;
    }
    size_t l = strlen(s);
    w16(w, l);
    memcpy(w->p + w->n, s, l);
    w->n += l;
}
static inline void wvar(W *w, int64_t v)
{
    uint64_t z = ((uint64_t)v << 1) ^ (v >> 63);
    for (; z > 127; z >>= 7)
        w8(w, (z & 127) | 128);
    w8(w, z);
}
static inline void put32(u8 *at, uint32_t v)
{
    W w = {at, 0};
    w32(&w, v);
}
static inline uint32_t r32(const u8 *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return ntohl(v);
}
static inline uint64_t r64(const u8 *p) { return (uint64_t)r32(p) << 32 | r32(p + 4); }
static inline int r16(const u8 *p) { return (int16_t)(p[0] << 8 | p[1]); }

/* ---- requests and answers ---- */
static inline void header(W *w, int key, int version, uint32_t correlation)
{
    w32(w, 0); /* length: filled in by finish */
    w16(w, key);
    w16(w, version);
    w32(w, correlation);
    wstr(w, "loadgen");
}
static inline size_t finish(W *w)
{
    put32(w->p, w->n - 4);
    return w->n;
}

/* ---- connections ---- */
static inline int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (void *)&a, sizeof a) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static inline void read_full(int fd, u8 *p, size_t n)
{
    while (n) {
        ssize_t r = recv(fd, p, n, 0);
        if (r <= 0)
            die("recv");
        p += r;
        n -= r;
    }
}

static inline const char *read_str(u8 **p, char *out, int room)
{
    int l = r16(*p);
    if (l >= room)
        die("string");
    memcpy(out, *p + 2, l > 0 ? l : 0);
    out[l > 0 ? l : 0] = 0;
    *p += 2 + (l > 0 ? l : 0);
    return out;
}

/* ---- the broker, seen from outside ---- */
static inline double broker_cpu(void)
{
    clockid_t k;
    struct timespec t;
    if (!broker_pid || clock_getcpuclockid(broker_pid, &k))
        return 0;
    clock_gettime(k, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static inline long broker_rss_kb(void)
{
    char line[256];
    long v = 0;
    if (!broker_pid)
        return 0;
    snprintf(line, sizeof line, "/proc/%d/status", broker_pid);
    FILE *f = fopen(line, "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "VmRSS:", 6))
            v = atol(line + 6);
    if (f)
        fclose(f);
    return v;
}
