"""Leader epochs: Kafka's answers to OffsetForLeaderEpoch, and a slow model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyralog.storage.epochs import LeaderEpochs, parse_epochs

LOG_END = 500


def test_end_offsets():
    epochs = LeaderEpochs([(2, 10), (4, 50), (7, 90)])
    assert epochs.latest == 7
    assert epochs.end_offset(7, LOG_END) == (LOG_END, 7)
    assert epochs.end_offset(8, LOG_END) == (-1, -1)
    assert epochs.end_offset(-1, LOG_END) == (-1, -1)
    assert epochs.end_offset(6, LOG_END) == (90, 4)
    assert epochs.end_offset(4, LOG_END) == (90, 4)
    assert epochs.end_offset(2, LOG_END) == (50, 2)
    assert epochs.end_offset(1, LOG_END) == (10, 1)  # before all that is known: it ended where the first one begins
    assert LeaderEpochs().end_offset(0, LOG_END) == (-1, -1)


def test_assign():
    epochs = LeaderEpochs()
    assert epochs.latest == -1
    assert epochs.assign(1, 0)
    assert not epochs.assign(1, 40)
    assert epochs.assign(2, 40)
    assert epochs.assign(3, 40)  # an epoch without records gives way
    assert epochs.entries == ((1, 0), (3, 40))
    assert epochs.assign(4, 20)
    assert epochs.entries == ((1, 0), (4, 20))
    with pytest.raises(ValueError):
        epochs.assign(-1, 5)


def test_truncation():
    epochs = LeaderEpochs([(2, 10), (4, 50), (7, 90)])
    assert not epochs.truncate_end(91)
    assert epochs.truncate_end(90)
    assert epochs.entries == ((2, 10), (4, 50))
    assert not epochs.truncate_start(5)
    assert epochs.truncate_start(30)
    assert epochs.entries == ((2, 30), (4, 50))
    assert epochs.truncate_start(50)
    assert epochs.entries == ((4, 50),)
    assert not epochs.truncate_start(50)


def test_lines():
    epochs = LeaderEpochs([(0, 0), (3, 8)])
    assert epochs.lines() == ["0 0", "3 8"]
    assert parse_epochs(line.split(" ") for line in epochs.lines()).entries == epochs.entries
    for bad in ([["1", "0"], ["1", "5"]], [["1", "5"], ["2", "5"]], [["-1", "0"]], [["1"]]):
        with pytest.raises(ValueError):
            parse_epochs(bad)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(-1, 30))
def test_agrees_with_the_records(steps, asked):
    """Each step is a record written under an epoch that is 0-3 above the last one."""
    epochs, written, epoch = LeaderEpochs(), [], 0
    for offset, step in enumerate(steps):
        epoch += step
        epochs.assign(epoch, offset)
        written.append(epoch)
    for offset, of in enumerate(written):
        assert epochs.epoch_of(offset) == of
    found = epochs.end_offset(asked, len(written))
    if asked < 0 or asked > written[-1]:
        assert found == (-1, -1)
    else:
        end = sum(1 for of in written if of <= asked)
        below = [of for of in written if of <= asked]
        assert found == (end, below[-1] if below else asked)
