"""ListTransactions (key 66, versions 0-2): the transactional ids that this node coordinates (KIP-664).

Contract
- Filters: states, producer ids, v1: how long the transaction has run at least (KIP-994), v2: a pattern over the whole
  transactional id (KIP-1152). The pattern is RE2's, which takes linear time whatever it is; INVALID_REGULAR_EXPRESSION
  when it does not compile.
- Names that are no state are returned as unknown; no id is in such a state.
- Only ids with DESCRIBE. COORDINATOR_LOAD_IN_PROGRESS while a shard is loading: the list would lack its ids.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.coordinator.transaction.state import STATE_NAMES, STATES_BY_NAME, Entry
from pyralog.errors import ErrorCode, KafkaError
from pyralog.runtime import now_ms
from pyralog.wire.messages import (
    ListTransactionsRequest,
    ListTransactionsResponse,
    ListTransactionsResponseTransactionState,
)

MAX_PATTERN_MEMORY_BYTES = 8 << 20  # of a compiled pattern; more is refused


def handle(request: ListTransactionsRequest, context: Context) -> Awaitable[ListTransactionsResponse]:
    """Every shard is asked; then the filters."""
    return _answer(request, _matcher(request.transactional_id_pattern), context)


def _matcher(pattern: str | None) -> Callable[[str], object]:
    if not pattern:
        return lambda _: True
    import re2  # a plain start does not need it

    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PATTERN_MEMORY_BYTES
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise KafkaError(ErrorCode.INVALID_REGULAR_EXPRESSION, str(error)) from None
    return lambda name: compiled.fullmatch(name)


async def _answer(
    request: ListTransactionsRequest, matches: Callable[[str], object], context: Context
) -> ListTransactionsResponse:
    found = await context.services.transactions.list()
    states = {STATES_BY_NAME[name] for name in request.state_filters if name in STATES_BY_NAME}
    producers = frozenset(request.producer_id_filters)
    now = now_ms()

    def wanted(name: str, entry: Entry) -> bool:
        if request.state_filters and entry.state not in states:
            return False
        if producers and entry.producer_id not in producers:
            return False
        if request.duration_filter >= 0 and now - entry.start_ms <= request.duration_filter:
            return False
        return bool(matches(name)) and context.allows(Operation.DESCRIBE, name, ResourceType.TRANSACTIONAL_ID)

    return ListTransactionsResponse(
        unknown_state_filters=[name for name in request.state_filters if name not in STATES_BY_NAME],
        transaction_states=[
            ListTransactionsResponseTransactionState(
                transactional_id=name, producer_id=entry.producer_id, transaction_state=STATE_NAMES[entry.state]
            )
            for name, entry in found
            if wanted(name, entry)
        ],
    )


def fail(request: ListTransactionsRequest, code: ErrorCode, why: str | None) -> ListTransactionsResponse:
    """The error."""
    return ListTransactionsResponse(error_code=code)


API = Api(66, "ListTransactions", 0, 2, handle, fail)
