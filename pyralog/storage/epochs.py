"""Leader epochs of one log: which epoch began at which offset (KIP-101, KIP-279)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise

from pyralog.model import OffsetAndEpoch

UNDEFINED = OffsetAndEpoch(-1, -1)


class LeaderEpochs:
    """Epochs and start offsets, both strictly ascending; what OffsetForLeaderEpoch and truncation ask."""

    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._entries: list[tuple[int, int]] = []
        for epoch, start in entries:
            self.assign(epoch, start)

    @property
    def entries(self) -> tuple[tuple[int, int], ...]:
        """(epoch, start offset), ascending."""
        return tuple(self._entries)

    @property
    def latest(self) -> int:
        """The newest epoch, -1 when none is known."""
        return self._entries[-1][0] if self._entries else -1

    def assign(self, epoch: int, start: int) -> bool:
        """Epoch `epoch` begins at `start`; what contradicts it goes. False when it was known already."""
        if epoch < 0 or start < 0:
            raise ValueError(f"leader epoch {epoch} at offset {start}")
        if self._entries and self._entries[-1][0] == epoch and start >= self._entries[-1][1]:
            return False
        while self._entries and (self._entries[-1][0] >= epoch or self._entries[-1][1] >= start):
            self._entries.pop()
        self._entries.append((epoch, start))
        return True

    def end_offset(self, epoch: int, log_end: int) -> OffsetAndEpoch:
        """The largest known epoch <= `epoch` and where it ends; UNDEFINED when it is newer than all, or unknown."""
        if epoch < 0 or not self._entries or epoch > self.latest:
            return UNDEFINED
        if epoch == self.latest:
            return OffsetAndEpoch(log_end, epoch)
        after = bisect_right(self._entries, epoch, key=lambda entry: entry[0])
        end = self._entries[after][1]
        return OffsetAndEpoch(end, self._entries[after - 1][0] if after > 0 else epoch)

    def epoch_of(self, offset: int) -> int:
        """The epoch that the record at the offset was written under, -1 when it is older than what is known."""
        at = bisect_right(self._entries, offset, key=lambda entry: entry[1])
        return self._entries[at - 1][0] if at > 0 else -1

    def truncate_end(self, offset: int) -> bool:
        """The log was cut at `offset`: epochs that begin there or later never were. True when something went."""
        before = len(self._entries)
        while self._entries and self._entries[-1][1] >= offset:
            self._entries.pop()
        return len(self._entries) != before

    def truncate_start(self, offset: int) -> bool:
        """The log start moved to `offset`: older epochs go, the one in force there begins at it."""
        at = bisect_right(self._entries, offset, key=lambda entry: entry[1])
        if at == 0 or (at == 1 and self._entries[0][1] == offset):
            return False
        self._entries[:at] = [(self._entries[at - 1][0], offset)]
        return True

    def lines(self) -> list[str]:
        """Entries of Kafka's leader-epoch-checkpoint."""
        return [f"{epoch} {start}" for epoch, start in self._entries]


def parse_epochs(entries: Iterable[list[str]]) -> LeaderEpochs:
    """The inverse of LeaderEpochs.lines, each line split at spaces. ValueError when they do not ascend."""
    parsed = [(int(epoch), int(start)) for epoch, start in entries]
    for before, after in pairwise(parsed):
        if after[0] <= before[0] or after[1] <= before[1]:
            raise ValueError(f"leader epochs do not ascend: {before}, {after}")
    return LeaderEpochs(parsed)
