"""The producer table: what Kafka 4.4.0 answers (compatibility.md 7, Idempotence; trap 18), and a slow model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyralog._speedups.producer_table import Producers

NEW, DUPLICATE, OUT_OF_ORDER, OLD_EPOCH = 0, -1, 45, 47
LAST = 2**31 - 1


def fill(table, producer_id, epoch, first, last, offset, timestamp=500, now_ms=1000):
    assert table.check(producer_id, epoch, first, last)[0] == NEW
    table.append(producer_id, epoch, first, last, offset, offset + (last - first) % 2**31, timestamp, now_ms)


def test_an_unknown_producer_starts_anywhere():
    assert Producers().check(1, 0, 12_345, 12_345)[0] == NEW


def test_trap_18_epochs():
    table = Producers()
    fill(table, 1, 4, 0, 9, 100)
    assert table.check(1, 5, 1, 1)[0] == OUT_OF_ORDER
    assert table.check(1, 5, 0, 0)[0] == NEW
    assert table.check(1, 3, 10, 10)[0] == OLD_EPOCH
    fill(table, 1, 5, 0, 2, 110)
    assert table.check(1, 4, 10, 10)[0] == OLD_EPOCH
    assert table.check(1, 4, 0, 9)[0] == OLD_EPOCH  # though it was appended under that epoch
    assert table.states() == [(1, 5, 2, 500)]


def test_a_duplicate_gets_its_offset_and_timestamp_again():
    table = Producers()
    for i in range(5):
        fill(table, 7, 0, i * 2, i * 2 + 1, 100 + i * 2, timestamp=900 + i)
    for i in range(5):
        assert table.check(7, 0, i * 2, i * 2 + 1) == (DUPLICATE, 100 + i * 2, 900 + i)
    fill(table, 7, 0, 10, 11, 110)
    assert table.check(7, 0, 0, 1)[0] == OUT_OF_ORDER  # older than five batches: 45, not 46
    assert table.check(7, 0, 2, 3)[0] == DUPLICATE
    assert table.check(7, 0, 10, 12)[0] == OUT_OF_ORDER  # a partial overlap
    assert table.check(7, 0, 11, 12)[0] == OUT_OF_ORDER
    assert table.check(7, 0, 13, 13)[0] == OUT_OF_ORDER
    assert table.check(7, 0, 12, 12)[0] == NEW


def test_sequences_wrap():
    table = Producers()
    fill(table, 7, 0, LAST - 1, LAST, 5)
    assert table.check(7, 0, 1, 1)[0] == OUT_OF_ORDER
    fill(table, 7, 0, 0, 0, 7)
    assert table.check(7, 0, LAST - 1, LAST) == (DUPLICATE, 5, 500)
    other = Producers()
    fill(other, 7, 0, LAST, 1, 5)  # a batch across the border
    assert other.check(7, 0, 2, 2)[0] == NEW
    assert other.check(7, 0, LAST, 1)[0] == DUPLICATE


def test_expiry():
    table = Producers()
    for producer_id in range(100):
        fill(table, producer_id, 0, 0, 0, producer_id, now_ms=1000 + producer_id)
    assert table.expire(999) == 0
    assert table.expire(1089) == 90
    assert sorted(state[0] for state in table.states()) == list(range(90, 100))
    for producer_id in range(90):
        assert table.check(producer_id, 0, 77, 77)[0] == NEW
    for producer_id in range(90, 100):
        assert table.check(producer_id, 0, 0, 0)[0] == DUPLICATE


@pytest.mark.parametrize("n", [0, 1, 3, 400])
def test_snapshots_hold_everything(n):
    table = Producers()
    for producer_id in range(n):
        for i in range(producer_id % 8):
            fill(table, producer_id, 2, i, i, producer_id * 10 + i, timestamp=i)
    copy = Producers()
    copy.append(10**9, 0, 0, 0, 0, 0, 0, 0)
    assert copy.load(table.dump(4321)) == 4321
    assert copy.dump(4321) == table.dump(4321)
    assert sorted(copy.states()) == sorted(table.states())
    for producer_id in range(n):
        for i in range(9):
            assert copy.check(producer_id, 2, i, i) == table.check(producer_id, 2, i, i)


def test_damaged_snapshots_are_refused():
    table = Producers()
    for i in range(3):
        fill(table, i, 0, 0, 0, i)
    good = table.dump(3)
    damaged = [good[:size] for size in range(len(good))] + [good + b"\x00"]
    damaged += [good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :] for at in range(len(good))]
    for data in damaged:
        other = Producers()
        with pytest.raises(ValueError):
            other.load(data)
        assert other.states() == []


class Model:
    """The rules in the plainest form."""

    def __init__(self):
        self.state = {}

    def check(self, producer_id, epoch, first, last):
        if producer_id not in self.state:
            return NEW, -1, -1
        known, batches = self.state[producer_id]
        if epoch < known:
            return OLD_EPOCH, -1, -1
        if epoch > known:
            return (NEW if first == 0 else OUT_OF_ORDER), -1, -1
        for batch in batches[-5:]:
            if batch[:2] == (first, last):
                return DUPLICATE, batch[2], batch[3]
        return (NEW if first == (batches[-1][1] + 1) % 2**31 else OUT_OF_ORDER), -1, -1

    def append(self, producer_id, epoch, first, last, offset, timestamp):
        known, batches = self.state.get(producer_id, (epoch, []))
        self.state[producer_id] = (
            epoch,
            [*batches, (first, last, offset, timestamp)] if known == epoch else [(first, last, offset, timestamp)],
        )


STEPS = st.lists(
    st.tuples(
        st.integers(0, 6), st.integers(0, 2), st.sampled_from([*range(8), LAST - 2, LAST - 1, LAST]), st.integers(1, 3)
    ),
    max_size=120,
)


@given(STEPS, st.sets(st.integers(0, 119), max_size=3))
def test_agrees_with_the_model(steps, reloads):
    table, model = Producers(), Model()
    for offset, (producer_id, epoch, first, n) in enumerate(steps):
        last = (first + n - 1) % 2**31
        expected = model.check(producer_id, epoch, first, last)
        assert table.check(producer_id, epoch, first, last) == expected
        if expected[0] == NEW:
            table.append(producer_id, epoch, first, last, offset, offset + n - 1, offset, 0)
            model.append(producer_id, epoch, first, last, offset, offset)
        if offset in reloads:
            copy = Producers()
            copy.load(table.dump(offset))
            table = copy
