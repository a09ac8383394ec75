"""The rig of the plane's tests, closed at their end."""

import pytest

from tests.speedups.plane_kit import Rig


@pytest.fixture
def rigs(tmp_path):
    """Makes rigs: each call one more engine, in the directory given or the test's own."""
    made = []

    def make(files=None, directory=tmp_path, **limits):
        made.append(Rig(directory, files, **limits))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(rigs):
    return rigs()
