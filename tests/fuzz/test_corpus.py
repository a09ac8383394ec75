"""Replays the fuzz corpus and the valid inputs of every target, and a few mutants, so that `make test` notices."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.mutate import mutate
from tests.fuzz.run import inputs_of
from tests.fuzz.targets import TARGETS

MUTANTS = 150


@pytest.mark.parametrize("name", TARGETS)
def test_corpus(name, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = TARGETS[name].open()
    known = inputs_of(name)
    if len(known) > 400:
        known = known[:: len(known) // 400]
    for data in known:
        run(data)
    rng = random.Random(20)
    for _ in range(MUTANTS):
        run(mutate(rng, rng.choice(known), known))
