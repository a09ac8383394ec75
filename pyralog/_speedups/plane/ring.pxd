from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from pyralog._speedups.plane.state cimport Command, Engine, Event, Histogram, Job, JobQueue, Partition

cdef int64_t monotonic_ns() noexcept nogil
cdef int64_t wall_ms() noexcept nogil
cdef void histogram_add(Histogram* h, int64_t value, int64_t times) noexcept nogil
cdef void count_error(int64_t* counts, int32_t error) noexcept nogil

cdef int rings_init(Engine* e) noexcept nogil
cdef void rings_free(Engine* e) noexcept nogil
cdef void signal_fd(int fd) noexcept nogil
cdef void clear_fd(int fd) noexcept nogil

cdef void push_command(Engine* e, Command* command, bint corked) noexcept nogil
cdef Command* take_commands(Engine* e) noexcept nogil
cdef void free_command(Command* command) noexcept nogil

cdef int post_event(Engine* e, int32_t kind, Partition* partition, uint64_t token, const uint8_t* data, int64_t size,
                    int64_t a, int64_t b, uint64_t cookie) noexcept nogil
cdef void tell(Engine* e) noexcept nogil
cdef void done(Engine* e, const Command* command, int64_t result, const void* data, int64_t size) noexcept nogil
cdef Event* take_events(Engine* e) noexcept nogil
cdef void free_event(Event* event) noexcept nogil

cdef void submit_job(Engine* e, JobQueue* queue, Job* job) noexcept nogil
cdef Job* take_done(Engine* e) noexcept nogil
cdef void free_job(Job* job) noexcept nogil
cdef void run_job(Engine* e, Job* job) noexcept nogil
cdef void finish_job(Engine* e, Job* job) noexcept nogil
cdef void work(Engine* e, JobQueue* queue) noexcept nogil
cdef void stop_queue(JobQueue* queue) noexcept nogil
