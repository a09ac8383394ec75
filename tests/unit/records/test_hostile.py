import random
import time

from tests.fuzz import records
from tests.fuzz.codec import mutate


def test_mutated_batches_and_codecs_raise_one_typed_error() -> None:
    rng = random.Random(21)
    seeds = list(records.seeds())
    for seed in seeds:
        records.one(seed)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        for _ in range(50):
            records.one(mutate(rng.choice(seeds), rng))


def test_arbitrary_bytes() -> None:
    rng = random.Random(22)
    for _ in range(5000):
        records.one(rng.randbytes(rng.randrange(90)))
