"""EndTxn (key 26, versions 0-5): commit or abort a transaction.

Contract
- Answered when the decision is in the coordinator's log; the markers in the partitions follow.
- v5 is TV2 (KIP-890): the answer carries the producer id and epoch to go on with, one epoch higher or a new id when
  they are used up. A repeated request is answered like the first; a late one of an earlier transaction finds a higher
  epoch and is fenced. Abort of a transaction that has no partition yet still moves the epoch.
- v0-4 (TV1): the epoch stays. A repeated request after success is success; nothing can be ended before a partition
  was added: INVALID_TXN_STATE.
- The other way than it was ended: INVALID_TXN_STATE. Repeated while the markers are written: CONCURRENT_TRANSACTIONS.
- INVALID_PRODUCER_ID_MAPPING for another producer id, PRODUCER_FENCED (v0-1: INVALID_PRODUCER_EPOCH) for another epoch.
- WRITE on the transactional id (53).
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from pyralog._speedups.txnlane import TxnLane
from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.context import Context, Services
from pyralog.api.handler import Api
from pyralog.api.transactions import demand_transactional_id, fenced_as
from pyralog.coordinator.transaction.requests import EndTransaction
from pyralog.coordinator.transaction.state import NO_EPOCH, NO_PRODUCER_ID, TV2, ProducerIdentity
from pyralog.errors import ErrorCode
from pyralog.wire.messages import EndTxnRequest, EndTxnResponse

if TYPE_CHECKING:
    from pyralog._speedups.desk import Desk
    from pyralog._speedups.journal import Entry as JournalEntry
    from pyralog._speedups.txnrequests import TxnRequest
    from pyralog.coordinator.active import ActiveShard
    from pyralog.coordinator.transaction.state import Entry

KEY = 26
# An enum's member is looked up slowly.
WRITE, TRANSACTIONAL_ID = Operation.WRITE, ResourceType.TRANSACTIONAL_ID
FENCED_FROM = 2  # KIP-588
TV2_FROM = 5  # KIP-890


def handle(request: EndTxnRequest, context: Context) -> Awaitable[EndTxnResponse]:
    """Let the coordinator decide."""
    demand_transactional_id(request.transactional_id, context)
    identity = ProducerIdentity(request.producer_id, request.producer_epoch)
    version = TV2 if context.version >= TV2_FROM else 0
    pending = context.services.transactions.end(
        EndTransaction(request.transactional_id, identity, request.committed, version)
    )
    return fenced_as(pending, older=context.version < FENCED_FROM).map(_response)


def _response(identity: ProducerIdentity) -> EndTxnResponse:
    return EndTxnResponse(producer_id=identity.producer_id, producer_epoch=identity.epoch)


def lane(services: Services, desk: Desk) -> TxnLane:
    """The way of requests in which nothing is refused."""
    plane, transactions, allows = services.plane, services.transactions, services.authorizer.allows

    def decide(request: TxnRequest, connection: int) -> tuple[ActiveShard, Entry] | None:
        name = request.transactional_id
        asker = plane.connection(connection)
        if asker is None or not allows(asker.principal, WRITE, TRANSACTIONAL_ID, name):
            return None
        identity = ProducerIdentity(request.producer_id, request.epoch)
        version = TV2 if request.version >= TV2_FROM else 0
        return transactions.decide(EndTransaction(name, identity, request.commit, version))

    def keep(request: TxnRequest, connection: int, shard: ActiveShard, entry: JournalEntry, after: Entry) -> None:
        transactions.keep(shard, request.transactional_id, entry, after)

    return TxnLane(KEY, decide, keep, transactions.runtime.clock, desk)


def fail(request: EndTxnRequest, code: ErrorCode, why: str | None) -> EndTxnResponse:
    """The error."""
    return EndTxnResponse(error_code=code, producer_id=NO_PRODUCER_ID, producer_epoch=NO_EPOCH)


API = Api(KEY, "EndTxn", 0, 5, handle, fail, lane=lane)
