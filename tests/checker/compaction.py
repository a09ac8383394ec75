"""Rules of compaction (I18): the last value of each key stays, at its offset and in order; tombstones stay a while."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from tests.checker.history import Violation


class Keyed(NamedTuple):
    """A record with a key, as it was written or as it is read back; a value of None is a tombstone."""

    offset: int
    key: str
    value: str | None
    timestamp_ms: int = 0


def check_compaction(
    partition: str, written: Sequence[Keyed], read: Sequence[Keyed], *, cleaned_to: int, keep_tombstones_from_ms: int
) -> list[Violation]:
    """All violations. `written` are the committed records in order; `read` is the log from its start afterwards.

    Below offset `cleaned_to` the log has been compacted, above it nothing may be missing. A tombstone that is younger
    than `keep_tombstones_from_ms` must still be there.
    """

    def broken(text: str) -> Violation:
        return Violation("I18", partition, text)

    found = []
    there = {record.offset: record for record in read}
    known = {record.offset: record for record in written}
    for record in read:
        if known.get(record.offset) != record:
            found.append(broken(f"{record} was read, {known.get(record.offset)} was written there"))
    if any(after.offset <= before.offset for before, after in itertools.pairwise(read)):
        found.append(broken("records are out of order"))
    last = {record.key: record.offset for record in written if record.offset < cleaned_to}
    for record in written:
        if record.offset in there:
            continue
        if record.offset >= cleaned_to:
            found.append(broken(f"{record} is gone, though nothing was compacted there"))
        elif last[record.key] == record.offset and record.value is not None:
            found.append(broken(f"{record} is gone, the last value of its key"))
        elif last[record.key] == record.offset and record.timestamp_ms >= keep_tombstones_from_ms:
            found.append(broken(f"{record} is gone, a tombstone that is not old enough"))
    return found
