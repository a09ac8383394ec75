"""Fuzz target of the quick way of transactions: what it takes is what the schemas read, and gets the same answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from pyralog._speedups.txnrequests import parse_request
from pyralog.wire import messages as m
from pyralog.wire.headers import frame_response, parse_request_header
from pyralog.wire.protocol import decode_request, encode_response
from tests.speedups.test_txnrequests import ADD, END, added, frame_of, some_add

IDENTITY = (2**40, 9)


def transaction_seeds() -> list[bytes]:
    rng = random.Random(24)
    end = m.EndTxnRequest(transactional_id="größe", producer_id=7, producer_epoch=3, committed=True)
    ends = [frame_of(END, version, end) for version in range(6)]
    return ends + [frame_of(ADD, version, some_add(rng)) for version in range(4) for _ in range(6)]


def open_transactions() -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        """A frame with its header, without its length."""
        found = parse_request(data)
        if found is None:
            return
        header = parse_request_header(data)
        assert (found.api, found.version, found.correlation) == header[:3]
        message: Any = decode_request(header.api_key, header.api_version, data, header.body_offset)
        if found.api == ADD:
            prefix, response = "v3_and_below_", added(message)
            assert found.topics == [(topic.name, topic.partitions) for topic in message.v3_and_below_topics]
        else:
            prefix, response = "", m.EndTxnResponse(producer_id=IDENTITY[0], producer_epoch=IDENTITY[1])
            assert found.commit == message.committed
        assert found.transactional_id == getattr(message, f"{prefix}transactional_id")
        assert found.producer_id == getattr(message, f"{prefix}producer_id")
        assert found.epoch == getattr(message, f"{prefix}producer_epoch")
        answer = frame_response(header, encode_response(found.api, found.version, response))
        assert found.framed(*IDENTITY) == answer

    return run
