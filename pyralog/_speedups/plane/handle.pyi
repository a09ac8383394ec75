from typing import Any

from pyralog._speedups.partition_log import PartitionLog

class PartitionHandle:
    log: PartitionLog
    key: Any
    def snapshot(self) -> tuple[int, int, int, int, int, int, int, bool]: ...
    def traffic(self) -> tuple[int, int, int, int, int, int]: ...
