from pyralog._speedups.partition_log import PartitionLog

def replay_producers(
    log: PartitionLog, from_offset: int, end_offset: int, now_ms: int, *, aborted_of: int = -1
) -> None: ...
def scan(
    log: PartitionLog,
    i: int,
    file_size: int,
    limit_offset: int,
    *,
    crc_from: int = 0,
    producers: bool = False,
    producers_from: int = 0,
    now_ms: int = 0,
    resync: bool = False,
    prefix_from: int = ...,
    leader_epoch: int = -1,
    epoch_limit: int = ...,
) -> tuple[int, int, int, int]: ...
def intact(log: PartitionLog, i: int, position: int, file_size: int) -> bool: ...
