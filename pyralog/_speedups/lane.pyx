"""Offset commits on the quick way: from the plane's event into the group's shard, with no frame of Python in between.

Taken is what nothing speaks against: right to everything, known partitions, a group that takes it. Anything else becomes
a request as any other, is decoded, and hears from api/client/offset_commit.py and coordinator/group/offset_requests.py
what is wrong with it. What is taken has the same effect and the same answer on both ways; tests hold them together.
"""

import logging

from libc.stdint cimport int32_t, int64_t

from pyralog._speedups.commits cimport Commit, CommitTopic, commit_in
from pyralog._speedups.desk cimport Desk, DeskLane
from pyralog._speedups.journal cimport Entry, Journal
from pyralog._speedups.plane.ring cimport monotonic_ns
from pyralog._speedups.plane.state cimport Event

log = logging.getLogger(__name__)

cdef enum:
    OFFSET_COMMIT = 8           # the API key that a frame begins with
    NO_MEMBER = 0               # generations and epochs of members are not below
    REMEMBERED = 16384          # groups whose shard is known


cdef class CommitLane(DeskLane):
    """One for a node.

    `rights(connection id, group, topics)` says whether the asker may commit, and is None where everybody may;
    `told` holds (connection id, group) of commits by nobody that need not be audited again. `quorum.image` is the
    cluster, `groups` the group coordinator; `make` makes a Committed of its fields, `partition_for` finds the shard.
    """
    cdef object quorum
    cdef object groups
    cdef dict active            # the shards that take requests, by partition
    cdef set told
    cdef object rights
    cdef object make
    cdef object partition_for
    cdef object clock
    cdef dict places            # group -> partition of its shard
    cdef int64_t partitions     # how many of those there are
    # As it is while events are delivered; `looked` = this has been found out.
    cdef bint looked
    cdef object image
    cdef object topics
    cdef int64_t most_metadata
    cdef int64_t now_ms
    cdef int64_t now_ns

    def __init__(self, quorum not None, groups not None, set told not None, rights, make not None,
                 partition_for not None, Desk desk not None):
        self.quorum = quorum
        self.groups = groups
        self.active = groups.runtime.active
        self.clock = groups.runtime.clock
        self.told = told
        self.rights = rights
        self.make = make
        self.partition_for = partition_for
        self.desk = desk
        self.places = {}
        self.api = OFFSET_COMMIT

    cdef void begin(self) noexcept:
        self.looked = False

    cdef int look(self) except -1:
        """What a commit is judged by."""
        cdef int64_t partitions = self.groups.partitions
        if partitions != self.partitions or len(self.places) >= REMEMBERED:
            self.places.clear()
            self.partitions = partitions
        self.image = self.quorum.image
        self.topics = self.image.topics
        self.most_metadata = self.groups.settings.offset_metadata_max_bytes
        self.now_ms = self.clock()
        self.now_ns = monotonic_ns()
        self.looked = True
        return 0

    cdef bint consider(self, Event* event) except -1:
        """False: nothing has happened."""
        cdef Journal shard
        cdef Entry entry
        cdef Commit commit
        if not self.looked:
            self.look()
        commit = commit_in(event.data, event.size, self.most_metadata)
        if commit is None or not self.permitted(commit, event.a):
            return False
        shard = self.active.get(self.place(commit.group_id))
        if shard is None or not shard.takes(event.size):
            return False
        machine = shard.machine
        group = (<dict?>machine.groups).get(commit.group_id)
        if group is None:
            if commit.generation_id_or_member_epoch >= NO_MEMBER:
                return False
        else:
            timers = group.admit_commit(commit, self.now_ms)
            if timers is None:
                return False
            if timers:
                shard.set_timers(timers, self.now_ms)
        entry = shard.entry_for(commit.records_size(), None)
        try:
            offset = shard.next_offset
            commit.write(entry, self.now_ms)
            offsets = machine.offsets
            offsets.count += commit.keep(offsets.groups, self.make, offset, self.now_ms)
            entry.take(event, commit.answer, self.desk, self.now_ns)
        except Exception as error:
            # What is in memory is no longer what is in the log: the shard starts again from that.
            log.exception("%s-%d: a commit could not be applied", *shard.tp)
            shard.fail(error)
            return False        # the slow way tells that there is no such shard
        return True

    cdef bint permitted(self, Commit commit, int64_t connection) except -1:
        """Whether all topics and partitions are there and the asker has the right to them. Gives each its name and id."""
        cdef CommitTopic topic
        if commit.generation_id_or_member_epoch < NO_MEMBER and not commit.member_id:
            if (connection, commit.group_id) not in self.told:
                return False
        for topic in commit.topics:
            found = self.topics.get(topic.name) if topic.name is not None else self.image.topic_by_id(topic.topic_id)
            if found is None:
                return False
            topic.name, topic.topic_id, partitions = found
            if topic.last >= len(partitions):
                return False
        return self.rights is None or self.rights(connection, commit.group_id, [topic.name for topic in commit.topics])

    cdef object place(self, str group):
        """The partition of __consumer_offsets that holds a group."""
        found = self.places.get(group)
        if found is None:
            found = self.places[group] = self.partition_for(group, self.partitions)
        return found
