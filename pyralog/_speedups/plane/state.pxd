# The plane's structs: an Engine owns Connections, Topics and Partitions; nothing here is a Python object.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from pyralog._speedups.fileops cimport FileOps
from pyralog._speedups.producers cimport AbortedTxn, ProducerMarker, ProducerTable
from pyralog._speedups.segment cimport BatchRef, IndexDelta, Log, Segment
from pyralog._speedups.txnindex cimport AbortedList

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass

cdef enum:
    # Kafka error codes the plane answers by itself.
    E_UNKNOWN = -1
    E_NONE = 0
    E_OFFSET_OUT_OF_RANGE = 1
    E_CORRUPT_MESSAGE = 2
    E_UNKNOWN_TOPIC_OR_PARTITION = 3
    E_NOT_LEADER_OR_FOLLOWER = 6
    E_MESSAGE_TOO_LARGE = 10
    E_NOT_ENOUGH_REPLICAS = 19
    E_INVALID_REQUIRED_ACKS = 21
    E_TOPIC_AUTHORIZATION_FAILED = 29
    E_INVALID_TIMESTAMP = 32
    E_INVALID_REQUEST = 42
    E_OUT_OF_ORDER_SEQUENCE_NUMBER = 45
    E_INVALID_PRODUCER_EPOCH = 47
    E_INVALID_TXN_STATE = 48
    E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
    E_KAFKA_STORAGE_ERROR = 56
    E_FETCH_SESSION_ID_NOT_FOUND = 70
    E_INVALID_FETCH_SESSION_EPOCH = 71
    E_FENCED_LEADER_EPOCH = 74
    E_UNKNOWN_LEADER_EPOCH = 75
    E_UNSUPPORTED_COMPRESSION_TYPE = 76
    E_INVALID_RECORD = 87
    E_UNKNOWN_TOPIC_ID = 100
    E_FETCH_SESSION_TOPIC_ID_ERROR = 106

    API_PRODUCE = 0
    API_FETCH = 1

    # Connection.protocol
    SNIFFING = 0
    KAFKA = 1

    # Topic.permits bits
    PERMIT_READ = 1
    PERMIT_WRITE = 2
    DENY_READ = 4
    DENY_WRITE = 8

    # Why a request went to Python.
    FORWARD_API = 0             # an API the plane does not serve
    FORWARD_TOPIC = 1           # a topic it has not been told about, or no permit for it
    FORWARD_RECORDS = 2         # the inside of a compressed batch has to be looked at
    FORWARD_TRANSACTION = 3     # a transactional batch of whose transaction the coordinator has to be asked


ctypedef struct Partition

ctypedef struct Buffer:
    uint8_t* data
    int64_t size
    int64_t capacity


ctypedef struct FileChunk:      # bytes of a segment file, sent before output byte `at`
    int64_t at
    Partition* partition
    Segment* segment
    int64_t position
    int64_t length


ctypedef struct Slot:           # an answer that may not leave yet
    int64_t start               # absolute output position of its first byte
    int32_t pending             # conditions still to be met
    int64_t since_ns


ctypedef struct Parked:         # the one request a connection waits for: a long poll or a cold read
    uint8_t* frame
    int64_t size
    int64_t deadline_ms
    int64_t needed              # bytes still missing before it is worth another look
    uint64_t sequence           # names this wait; entries of polls with another sequence are stale
    int64_t since_ns
    int32_t session_id          # whose epoch was already advanced; 0 = none
    int32_t heap_at             # position in the deadline heap, -1 = not in it
    int32_t cold                # how often it has waited for pages
    bint active
    bint woken
    bint committed              # `needed` counts what is stable


ctypedef struct Connection:
    int fd                      # -1: virtual, driven by feed/take_output
    uint32_t index
    uint32_t generation
    uint32_t principal
    uint8_t protocol
    bint blocked                # a request is with Python or parked: no later one is looked at
    bint closing                # close when the output is gone
    bint dead
    bint reading                # EPOLLIN is on
    bint writing                # EPOLLOUT is on
    bint listed                 # in Engine.touched
    bint resumable              # in Engine.resume
    bint stalled                # not served further until some of its output has left
    bint introduced             # Python knows its addresses
    bint large                  # its last request was large: read the length first
    bint greeted                # its first request has come
    int64_t produced            # Engine.flushes when it last appended something
    uint64_t token              # of the forwarded request, 0 = none
    int64_t forwarded_ns
    int32_t forwarded_api
    uint8_t peer[16]            # IPv6, or IPv4 mapped into it
    int64_t opened_ms
    int64_t active_ms
    Buffer input                # bytes received and not yet processed
    int64_t frame_size          # of the partial request in `input`, prefix included; 0 = not known
    Buffer output
    int64_t origin              # absolute position of output.data[0]
    int64_t sent                # absolute position up to which bytes have left
    FileChunk* chunks
    int32_t n_chunks
    int32_t chunks_capacity
    Slot* slots
    int32_t slots_head
    int32_t n_slots
    int32_t slots_capacity
    int64_t slots_base          # sequence number of slots[slots_head]
    Parked parked


ctypedef struct Waiter:         # an answer waiting for a partition
    uint32_t connection
    uint32_t generation
    int64_t slot                # its sequence number
    int64_t answer              # absolute output position of the error code, for a failure
    int64_t offset              # reached when the condition >= offset


ctypedef struct Poll:           # a parked fetch interested in a partition
    uint32_t connection
    uint64_t sequence


ctypedef struct Attempt:        # a transaction that is not open here yet (KIP-890)
    int64_t producer_id
    int16_t epoch
    bint promised               # the coordinator will have this partition in it when its log says so
    bint verified               # it has
    bint second                 # by a client of the second version, whose epoch rises with each transaction
    int32_t lowest_sequence     # of the batches that it was asked about
    int64_t seen_ms
    uint32_t principal
    uint64_t permit_version


ctypedef struct Answer:         # an append of this cycle whose outcome is not known yet
    uint32_t connection
    uint32_t generation
    int64_t slot                # -1: not gated
    int64_t answer
    int64_t offset              # log end after its batch


ctypedef struct Settings:
    int32_t max_message_bytes
    bint append_time
    int64_t timestamp_before_max_ms
    int64_t timestamp_after_max_ms
    int32_t compression         # -1 = producer
    bint compacted
    int32_t min_insync_replicas
    int64_t flush_messages
    int64_t flush_ms


ctypedef struct Topic:
    uint8_t* name
    int64_t name_size
    uint8_t id[16]
    Partition** partitions      # by index, NULL where not hosted
    int32_t n_partitions
    int32_t hosted
    uint8_t* permits            # by principal
    uint32_t n_permits
    uint64_t permit_version
    uint64_t name_hash
    uint64_t id_hash


ctypedef struct Partition:
    Log* log
    ProducerTable* producers
    Topic* topic
    int32_t index
    int32_t leader_epoch
    bint leading
    bint failed
    bint removed
    bint dirty                  # in Engine.dirty: has pending batches
    bint unsynced               # in Engine.unsynced
    bint indexing               # an index job is in flight
    bint preallocating
    Settings settings
    int64_t hw
    int64_t lso                 # last stable offset: read_committed ends here
    int64_t taken_bytes         # with the pending batches, since the log began or was opened
    int64_t stable_bytes        # of them, those that were below the last stable offset when it last moved
    AbortedTxn* aborts          # of this cycle's markers, for the index of the segment they end up in
    int32_t n_aborts
    int32_t aborts_capacity
    Attempt* attempts
    int32_t n_attempts
    int32_t attempts_capacity
    int64_t next_offset         # log end with the pending batches
    int64_t unsynced_bytes
    int64_t unsynced_records
    BatchRef* pending
    int32_t n_pending
    int32_t pending_capacity
    Answer* answers
    int32_t n_answers
    int32_t answers_capacity
    Waiter* waiters
    int64_t waiters_head
    int64_t n_waiters
    int64_t waiters_capacity
    Poll* polls
    int64_t n_polls
    int64_t polls_capacity
    int64_t polls_limit         # compact the list when it grows beyond this
    int64_t uses                # jobs and file chunks that still refer to it
    int64_t bytes_in
    int64_t bytes_out
    int64_t records_in
    int64_t batches_in
    int64_t records_out         # by offsets: of a compacted log more than are there
    uint64_t remove_cookie


ctypedef struct SessionItem:    # one partition of a fetch session
    int32_t topic               # index into Session.topics
    int32_t partition
    int32_t leader_epoch
    int64_t offset
    int32_t max_bytes
    int64_t sent_hw             # what the client knows; -1 = nothing yet
    int64_t sent_start
    bint failed                 # its last answer was an error
    bint gone                   # forgotten; session_sweep takes it out


ctypedef struct SessionTopic:
    uint8_t* name               # NULL when known by id
    int64_t name_size
    uint8_t id[16]


ctypedef struct Session:
    int32_t id
    int32_t epoch
    bint by_id
    int64_t used_ms
    SessionTopic* topics
    int32_t n_topics
    int32_t topics_capacity
    SessionItem* items
    int32_t n_items
    int32_t items_capacity
    int32_t* table              # open addressing over (topic, partition): index into items + 1, 0 = free
    int32_t table_size
    int32_t first               # where the next answer begins, so that every partition gets its turn


ctypedef struct StaticAnswer:   # a body the plane serves by itself
    int16_t api
    int16_t version
    uint8_t* body
    int64_t size


cdef enum:
    ERROR_CODES = 192           # more than Kafka has; codes start at -1
    HISTOGRAM_SIZE = 2048       # 64 powers of two, 32 steps each: error below 3.2 %

ctypedef struct Histogram:
    int64_t count
    int64_t sum
    int64_t buckets[HISTOGRAM_SIZE]


ctypedef struct Counters:
    int64_t connections_accepted
    int64_t connections_closed
    int64_t connections_rejected
    int64_t connections_handed_over
    int64_t protocol_errors
    int64_t requests_produce
    int64_t requests_fetch
    int64_t requests_static
    int64_t requests_forwarded
    int64_t failed_produce
    int64_t failed_fetch
    int64_t bytes_received
    int64_t bytes_sent
    int64_t cycles
    int64_t cycle_ns
    int64_t syncs
    int64_t sync_failures
    int64_t cold_reads
    int64_t writes
    int64_t write_failures
    int64_t events_dropped
    int64_t commands_dropped
    int64_t parked
    int64_t idle_closed
    int64_t memory_stalls


# --- commands (Python -> plane) and events (plane -> Python) ---

cdef enum:
    CMD_ADD = 1
    CMD_REMOVE = 2
    CMD_SETTINGS = 3
    CMD_LEAD = 4
    CMD_LOG_START = 5
    CMD_SEGMENTS = 6
    CMD_LOCATE_TIME = 7
    CMD_PRODUCERS = 8
    CMD_APPEND = 9
    CMD_PERMIT = 10
    CMD_PERMIT_VERSION = 11
    CMD_REPLY = 12
    CMD_RESUBMIT = 13
    CMD_CLOSE = 14
    CMD_STATIC = 15
    CMD_LISTEN = 16
    CMD_EXPIRE = 17
    CMD_DRAIN = 18
    CMD_ROLL = 19
    CMD_MARKER = 30
    CMD_VERIFY = 31
    CMD_ABORTED = 32
    CMD_SWAP = 33
    CMD_LIMITS = 34
    CMD_ROUND = 35

    EVENT_REQUEST = 1           # token, bytes, a = connection, b = reason
    EVENT_HANDOVER = 2          # fd, bytes read so far
    EVENT_DONE = 3              # cookie, a = result, bytes
    EVENT_ROLLED = 4            # partition, a = new base offset
    EVENT_DETACHED = 5          # partition, bytes = base offsets
    EVENT_FAILED = 6            # a = errno, partition: the log directory failed
    EVENT_CLOSED = 7            # token of a forwarded request whose connection is gone
    EVENT_CONNECTED = 8         # a = connection, bytes = its peer's and its own socket address: before its first request
    EVENT_GONE = 9              # a = connection that was introduced so
    EVENT_APPENDED = 10         # cookie of a round, bytes = the result of each of its parts


ctypedef struct Command:
    int32_t kind
    Partition* partition
    uint64_t token
    uint8_t* data               # owned
    int64_t size
    int64_t a
    int64_t b
    uint64_t cookie
    Command* next


ctypedef struct Event:
    int32_t kind
    Partition* partition
    uint64_t token
    uint8_t* data               # owned
    int64_t size
    int64_t a
    int64_t b
    uint64_t cookie
    Event* next


# --- appends of Python that bring the answers with them ---

ctypedef struct Round           # what Python appends in one turn of its loop

ctypedef struct Promise:        # a partition that is part of a producer's transaction once a batch is in the log
    Partition* partition
    int64_t producer_id
    int16_t epoch
    uint32_t principal
    uint64_t permit_version     # when the round began


ctypedef struct Part:           # one batch of a round, or one marker
    Round* round
    Partition* partition        # NULL: not hosted here
    bint marks                  # `batch` is room for this marker
    ProducerMarker marker
    uint8_t* batch              # owned; not any more once it is handed to the partition, but for a marker
    int64_t batch_size
    int64_t expected            # the base offset that Python counts on
    uint8_t* answers            # owned; of requests that wait for this batch: token, size (int64 both), framed answer
    int64_t answers_size
    Promise* promises           # owned
    int32_t n_promises
    Round* follow               # owned until it begins: the markers of transactions that this batch decides
    int64_t result              # the base offset, or minus Kafka's error code
    Part* next                  # in Engine.settled


ctypedef struct Round:
    uint64_t cookie
    int32_t n
    int32_t left                # parts that are not settled
    Part* parts
    Round* next                 # in Engine.rounds


# --- background work: the sync and cold threads ---

cdef enum:
    JOB_SYNC = 1                # fdatasync of a segment up to `offset`
    JOB_INDEX = 2               # write index entries
    JOB_SNAPSHOT = 3            # write a producer snapshot file
    JOB_PREALLOCATE = 4
    JOB_WARM = 5                # bring pages into the cache
    JOB_WRITEBACK = 6           # begin writing a segment's dirty pages, without waiting

    JOB_PATH = 4096             # PATH_MAX


ctypedef struct Job:
    int32_t kind
    Partition* partition
    Segment* segment
    int fd
    int64_t position
    int64_t length
    int64_t offset
    uint8_t* data               # owned
    int64_t size
    IndexDelta delta
    char path[8192]             # the second of two paths begins at JOB_PATH
    uint32_t connection         # whose request waits for it
    uint64_t sequence
    int32_t result              # 0 or -errno
    int64_t took_ns
    Job* next


ctypedef struct JobQueue:
    pthread_mutex_t lock
    pthread_cond_t ready
    Job* head
    Job* tail
    bint running                # a thread serves it; otherwise jobs run in line
    bint stop


ctypedef struct HeapEntry:
    int64_t deadline_ms
    uint32_t connection


ctypedef struct Limits:
    int64_t max_connections
    int64_t max_connections_per_ip
    int64_t max_request_bytes
    int64_t max_buffered_bytes  # of all requests being received
    int64_t max_output_bytes    # of one connection, before it is read no further
    int64_t fetch_max_bytes
    int32_t produce_max_version
    int32_t fetch_max_version
    int64_t max_sessions
    int64_t idle_ms
    int64_t handshake_ms
    bint sync_on_write
    bint inline_sync            # cache_config.enabled: false
    int64_t cache_bytes
    int64_t cache_ms


ctypedef struct Engine:
    const FileOps* ops
    Limits limits
    int epoll
    int wake                    # eventfd: commands or finished jobs are waiting
    int spare                   # a descriptor kept to be able to turn connections away when there are no more
    int news                    # eventfd: events are waiting for Python
    int listeners[16]
    int n_listeners
    bint accepting_later        # out of descriptors: the listeners rest until the next tick
    bint stopping
    bint draining               # no new requests are begun
    bint failed                 # the log directory failed; errno in `failure`
    int32_t failure
    int64_t now_ms              # wall clock of this cycle
    int64_t now_ns              # monotonic clock of this cycle
    int64_t tick_ms             # monotonic, next housekeeping
    int64_t ticks

    Connection** connections    # by index
    uint32_t n_connections      # slots in use or free
    uint32_t connections_capacity
    uint32_t* free_connections
    uint32_t n_free
    int64_t open_connections
    uint32_t generations
    uint64_t tokens
    uint64_t sequences
    uint32_t* touched           # connections with output or state to look at before the cycle ends
    uint32_t n_touched
    uint32_t touched_capacity
    uint32_t* resume            # connections with whole requests left over
    uint32_t n_resume
    uint32_t resume_capacity
    uint32_t* woken             # parked fetches to run again
    uint32_t n_woken
    uint32_t woken_capacity
    HeapEntry* heap
    int32_t n_heap
    int32_t heap_capacity

    uint8_t* scratch            # where small requests are received; in use until the next flush
    int64_t scratch_size
    int64_t scratch_used
    uint8_t** retired           # large request buffers to give back after the flush
    int64_t* retired_sizes
    int32_t n_retired
    int32_t retired_capacity
    uint8_t* pool[16]           # free large buffers
    int64_t pool_sizes[16]
    int32_t n_pool
    int64_t buffered_bytes
    bint memory_short           # a connection was refused a buffer since resume_all looked last
    uint64_t grower             # the connection that may go beyond the cap, so that there is always one that gets on

    Topic** by_name             # open addressing
    Topic** by_id
    int64_t table_size
    int64_t n_topics
    uint64_t permit_version
    int64_t flushes             # number of the next write of what is pending, from 1
    Partition** dirty
    int32_t n_dirty
    int32_t dirty_capacity
    Partition** unsynced
    int32_t n_unsynced
    int32_t unsynced_capacity
    int64_t unsynced_bytes
    int64_t sync_due_ns         # monotonic; when the oldest unsynced write has waited long enough, 0 = nothing unsynced
    bint sync_wanted            # an answer waits for it
    int32_t syncs_in_flight

    Session** sessions
    int32_t n_sessions
    int64_t session_items       # of all sessions
    int32_t sessions_capacity
    uint32_t session_seed
    AbortedList aborted         # scratch of the fetch path, too
    void* plan                  # scratch of the fetch path
    int64_t plan_capacity

    StaticAnswer* statics
    int32_t n_statics

    pthread_mutex_t lock        # of the two queues below and of `done`
    Command* commands
    Command* commands_tail
    Event* events
    Event* events_tail
    int64_t n_events
    bint news_wanted            # events were posted that Python has not been woken for
    Job* done
    JobQueue sync_queue
    JobQueue cold_queue

    Counters counters
    int64_t produce_errors[ERROR_CODES]     # requests by the first error in them, at Kafka's code + 1
    int64_t fetch_errors[ERROR_CODES]
    Round* rounds               # those with parts that are not settled
    Part* settled               # parts whose outcome is known, until the cycle's end
    int64_t answered            # produce requests of this cycle whose answer waits for nothing after it
    Histogram produce_ns
    Histogram fetch_ns
    Histogram sync_ns
    Histogram batch_bytes
    Histogram batch_records
