"""Queues between the plane, Python and the sync and cold threads, and the work those two do."""

from libc.errno cimport ENOENT, ENOMEM, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from pyralog._speedups.fileops cimport FileOps, iovec
from pyralog._speedups.plane.state cimport (
    ERROR_CODES, JOB_INDEX, JOB_PATH, JOB_PREALLOCATE, JOB_SNAPSHOT, JOB_SYNC, JOB_WARM, JOB_WRITEBACK,
    EVENT_DONE, Command, Engine, Event, Histogram, Job, JobQueue, Partition, pthread_cond_t, pthread_mutex_t,
)

cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_init(pthread_mutex_t*, void*)
    int pthread_mutex_destroy(pthread_mutex_t*)
    int pthread_mutex_lock(pthread_mutex_t*)
    int pthread_mutex_unlock(pthread_mutex_t*)
    int pthread_cond_init(pthread_cond_t*, void*)
    int pthread_cond_destroy(pthread_cond_t*)
    int pthread_cond_wait(pthread_cond_t*, pthread_mutex_t*)
    int pthread_cond_signal(pthread_cond_t*)

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int, timespec*)
    int CLOCK_MONOTONIC
    int CLOCK_REALTIME

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int, void*, size_t)
    ssize_t write(int, const void*, size_t)

cdef extern from "<fcntl.h>" nogil:
    int O_WRONLY
    int O_CREAT
    int O_TRUNC
    int sync_file_range(int, int64_t, int64_t, unsigned int)
    int SYNC_FILE_RANGE_WRITE

cdef extern from *:
    int __builtin_clzll(unsigned long long) nogil

cdef enum:
    DEF_MODE = 0o600


cdef int64_t monotonic_ns() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return t.tv_sec * 1000000000 + t.tv_nsec


cdef int64_t wall_ms() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_REALTIME, &t)
    return t.tv_sec * 1000 + t.tv_nsec // 1000000


cdef void histogram_add(Histogram* h, int64_t value, int64_t times) noexcept nogil:
    """Log-linear: 32 steps per power of two, so every bucket is within 3.2 % of the value."""
    cdef int exponent = 0
    cdef uint64_t v = <uint64_t>value if value > 0 else 0
    h.count += times
    h.sum += value * times
    if v >= 32:
        exponent = 63 - __builtin_clzll(v) - 4
        h.buckets[exponent * 32 + <int>((v >> (exponent - 1)) & 31)] += times
    else:
        h.buckets[v] += times


cdef void count_error(int64_t* counts, int32_t error) noexcept nogil:
    """A request failed with this error code; what is no code of Kafka's counts as an unknown error."""
    counts[error + 1 if -1 <= error < ERROR_CODES - 1 else 0] += 1


cdef int rings_init(Engine* e) noexcept nogil:
    pthread_mutex_init(&e.lock, NULL)
    pthread_mutex_init(&e.sync_queue.lock, NULL)
    pthread_cond_init(&e.sync_queue.ready, NULL)
    pthread_mutex_init(&e.cold_queue.lock, NULL)
    pthread_cond_init(&e.cold_queue.ready, NULL)
    return 0


cdef void rings_free(Engine* e) noexcept nogil:
    cdef Command* command = take_commands(e)
    cdef Command* next_command
    cdef Event* event = take_events(e)
    cdef Event* next_event
    while command != NULL:
        next_command = command.next
        free_command(command)
        command = next_command
    while event != NULL:
        next_event = event.next
        free_event(event)
        event = next_event
    pthread_mutex_destroy(&e.lock)
    pthread_mutex_destroy(&e.sync_queue.lock)
    pthread_cond_destroy(&e.sync_queue.ready)
    pthread_mutex_destroy(&e.cold_queue.lock)
    pthread_cond_destroy(&e.cold_queue.ready)


cdef void signal_fd(int fd) noexcept nogil:
    cdef uint64_t one = 1
    if fd >= 0 and write(fd, &one, 8) < 0:
        pass    # EAGAIN: the counter is full, so the reader is being woken already


cdef void clear_fd(int fd) noexcept nogil:
    cdef uint64_t count
    if fd >= 0 and read(fd, &count, 8) < 0:
        pass    # EAGAIN: nothing was signalled


cdef void push_command(Engine* e, Command* command, bint corked) noexcept nogil:
    """Corked: the caller wakes the plane later, for all that it has pushed by then."""
    cdef bint first
    command.next = NULL
    pthread_mutex_lock(&e.lock)
    first = e.commands == NULL
    if first:
        e.commands = command
    else:
        e.commands_tail.next = command
    e.commands_tail = command
    pthread_mutex_unlock(&e.lock)
    if first and not corked:
        signal_fd(e.wake)


cdef Command* take_commands(Engine* e) noexcept nogil:
    cdef Command* head
    pthread_mutex_lock(&e.lock)
    head = e.commands
    e.commands = NULL
    e.commands_tail = NULL
    pthread_mutex_unlock(&e.lock)
    return head


cdef void free_command(Command* command) noexcept nogil:
    free(command.data)
    free(command)


cdef int post_event(Engine* e, int32_t kind, Partition* partition, uint64_t token, const uint8_t* data, int64_t size,
                    int64_t a, int64_t b, uint64_t cookie) noexcept nogil:
    """Copies the data; `tell` wakes Python for it. 0, or -ENOMEM."""
    cdef Event* event = <Event*>calloc(1, sizeof(Event))
    if event == NULL:
        e.counters.events_dropped += 1
        return -ENOMEM
    if size > 0:
        event.data = <uint8_t*>malloc(size)
        if event.data == NULL:
            free(event)
            e.counters.events_dropped += 1
            return -ENOMEM
        memcpy(event.data, data, size)
    event.kind = kind
    event.partition = partition
    event.token = token
    event.size = size
    event.a = a
    event.b = b
    event.cookie = cookie
    pthread_mutex_lock(&e.lock)
    if e.events == NULL:
        e.events = event
    else:
        e.events_tail.next = event
    e.events_tail = event
    e.n_events += 1
    pthread_mutex_unlock(&e.lock)
    e.news_wanted = True
    return 0


cdef void tell(Engine* e) noexcept nogil:
    """Wakes Python for what has been posted since the last time: for many events at once, as each wake costs more than
    an event."""
    cdef bint left
    if not e.news_wanted:
        return
    e.news_wanted = False
    pthread_mutex_lock(&e.lock)
    left = e.events != NULL     # else it has found them by itself
    pthread_mutex_unlock(&e.lock)
    if left:
        signal_fd(e.news)


cdef void done(Engine* e, const Command* command, int64_t result, const void* data, int64_t size) noexcept nogil:
    if command.cookie != 0:
        post_event(e, EVENT_DONE, command.partition, 0, <const uint8_t*>data, size, result, 0, command.cookie)


cdef Event* take_events(Engine* e) noexcept nogil:
    cdef Event* head
    pthread_mutex_lock(&e.lock)
    head = e.events
    e.events = NULL
    e.events_tail = NULL
    e.n_events = 0
    pthread_mutex_unlock(&e.lock)
    return head


cdef void free_event(Event* event) noexcept nogil:
    free(event.data)
    free(event)


# --- jobs ---

cdef int write_all(const FileOps* ops, int fd, const uint8_t* data, int64_t size, int64_t position) noexcept nogil:
    cdef iovec iov
    cdef int64_t done = 0
    cdef int64_t n
    while done < size:
        iov.iov_base = <void*>(data + done)
        iov.iov_len = <size_t>(size - done)
        n = ops.pwritev(ops.ctx, fd, &iov, 1, position + done)
        if n < 0:
            return <int>n
        done += n
    return 0


cdef int append_file(const FileOps* ops, const char* path, const uint8_t* data, int64_t size, int64_t position) noexcept nogil:
    cdef int fd
    cdef int rc
    if size == 0:
        return 0
    fd = ops.open(ops.ctx, path, O_WRONLY | O_CREAT, DEF_MODE)
    if fd < 0:
        return fd
    rc = write_all(ops, fd, data, size, position)
    ops.close(ops.ctx, fd)
    return rc


cdef int run_index(const FileOps* ops, Job* job) noexcept nogil:
    """The .index path is in job.path, the .timeindex path behind it at JOB_PATH."""
    cdef int rc = append_file(ops, job.path, job.delta.offsets, job.delta.offsets_size, job.delta.offsets_position)
    if rc == 0:
        rc = append_file(ops, job.path + JOB_PATH, job.delta.times, job.delta.times_size, job.delta.times_position)
    return rc


cdef int run_snapshot(const FileOps* ops, Job* job) noexcept nogil:
    """Written beside its name (job.path + JOB_PATH), synced, then renamed to job.path."""
    cdef int rc
    cdef int fd = ops.open(ops.ctx, job.path + JOB_PATH, O_WRONLY | O_CREAT | O_TRUNC, DEF_MODE)
    if fd < 0:
        return fd
    rc = write_all(ops, fd, job.data, job.size, 0)
    if rc == 0:
        rc = ops.fdatasync(ops.ctx, fd)
    ops.close(ops.ctx, fd)
    if rc == 0:
        rc = ops.rename(ops.ctx, job.path + JOB_PATH, job.path)
    return rc


cdef int run_warm(const FileOps* ops, Job* job) noexcept nogil:
    cdef uint8_t page[65536]
    cdef int64_t done = 0
    cdef int64_t n
    while done < job.length:
        n = ops.pread(ops.ctx, job.fd, page, sizeof(page), job.position + done, False)
        if n < 0:
            return <int>n
        if n == 0:
            break
        done += n
    return 0


cdef int run_sync_file(const FileOps* ops, const char* path) noexcept nogil:
    cdef int rc
    cdef int fd = ops.open(ops.ctx, path, O_WRONLY, 0)
    if fd < 0:
        return fd if fd != -ENOENT else 0
    rc = ops.fdatasync(ops.ctx, fd)
    ops.close(ops.ctx, fd)
    return rc


cdef void run_job(Engine* e, Job* job) noexcept nogil:
    cdef int64_t began = monotonic_ns()
    if job.kind == JOB_SYNC:
        job.result = e.ops.fdatasync(e.ops.ctx, job.fd)
        if job.result == 0 and job.path[JOB_PATH] != 0:
            job.result = run_sync_file(e.ops, job.path + JOB_PATH)      # the aborted transactions of the segment
        if job.result == 0 and job.path[0] != 0:    # files came or went: their names must survive too
            job.result = e.ops.fsync_dir(e.ops.ctx, job.path)
    elif job.kind == JOB_INDEX:
        job.result = run_index(e.ops, job)
    elif job.kind == JOB_SNAPSHOT:
        job.result = run_snapshot(e.ops, job)
    elif job.kind == JOB_PREALLOCATE:
        job.result = e.ops.fallocate(e.ops.ctx, job.fd, job.position, job.length)
    elif job.kind == JOB_WARM:
        job.result = run_warm(e.ops, job)
    elif job.kind == JOB_WRITEBACK:
        sync_file_range(job.fd, 0, 0, SYNC_FILE_RANGE_WRITE)    # a hint: the fdatasync that follows tells how it went
    job.took_ns = monotonic_ns() - began


cdef void finish_job(Engine* e, Job* job) noexcept nogil:
    cdef bint first
    pthread_mutex_lock(&e.lock)
    first = e.done == NULL
    job.next = e.done
    e.done = job
    pthread_mutex_unlock(&e.lock)
    if first:
        signal_fd(e.wake)


cdef void submit_job(Engine* e, JobQueue* queue, Job* job) noexcept nogil:
    """Hands the job to the queue's thread; without one it runs here and now. The outcome comes back by take_done."""
    job.next = NULL
    pthread_mutex_lock(&queue.lock)
    if not queue.running:
        pthread_mutex_unlock(&queue.lock)
        run_job(e, job)
        finish_job(e, job)
        return
    if queue.head == NULL:
        queue.head = job
    else:
        queue.tail.next = job
    queue.tail = job
    pthread_cond_signal(&queue.ready)
    pthread_mutex_unlock(&queue.lock)


cdef Job* take_done(Engine* e) noexcept nogil:
    """Finished jobs in the order they finished."""
    cdef Job* job
    cdef Job* ordered = NULL
    cdef Job* following
    pthread_mutex_lock(&e.lock)
    job = e.done
    e.done = NULL
    pthread_mutex_unlock(&e.lock)
    while job != NULL:
        following = job.next
        job.next = ordered
        ordered = job
        job = following
    return ordered


cdef void free_job(Job* job) noexcept nogil:
    free(job.data)
    free(job.delta.offsets)
    free(job.delta.times)
    free(job)


cdef void work(Engine* e, JobQueue* queue) noexcept nogil:
    """The body of the sync and cold threads: runs jobs until stop_queue, and finishes those already queued."""
    cdef Job* job
    pthread_mutex_lock(&queue.lock)
    queue.running = True
    while True:
        while queue.head == NULL and not queue.stop:
            pthread_cond_wait(&queue.ready, &queue.lock)
        job = queue.head
        if job == NULL:
            break
        queue.head = job.next
        pthread_mutex_unlock(&queue.lock)
        run_job(e, job)
        finish_job(e, job)
        pthread_mutex_lock(&queue.lock)
    queue.running = False
    pthread_mutex_unlock(&queue.lock)


cdef void stop_queue(JobQueue* queue) noexcept nogil:
    pthread_mutex_lock(&queue.lock)
    queue.stop = True
    pthread_cond_signal(&queue.ready)
    pthread_mutex_unlock(&queue.lock)
