from collections.abc import Callable
from typing import Any

from pyralog._speedups.desk import Desk, DeskLane
from pyralog._speedups.journal import Entry, Journal
from pyralog._speedups.txnrequests import TxnRequest

class TxnLane(DeskLane):
    def __init__(
        self,
        api: int,
        decide: Callable[[TxnRequest, int], tuple[Journal, Any] | None],
        keep: Callable[[TxnRequest, int, Any, Entry, Any], None],
        clock: Callable[[], int],
        desk: Desk,
    ) -> None: ...

def write_whenever(shard: Journal, transactional_id: str, state: Any, now_ms: int) -> None: ...
