"""UpdateFeatures: levels go up, and down when that is asked for; all updates or none."""

from __future__ import annotations

import pytest

from pyralog.cluster.controller_features import SUPPORTED_FEATURES, update_features
from pyralog.cluster.image import ClusterImage
from pyralog.cluster.records import FeatureLevelRecord
from pyralog.cluster.requests import FeatureUpdate, UpdateFeatures
from pyralog.errors import ErrorCode

TXN = "transaction.version"
WRONG = ErrorCode.INVALID_UPDATE_VERSION
UP, SAFE, UNSAFE = 1, 2, 3


def update(image: ClusterImage, *updates: FeatureUpdate) -> tuple[dict[str, int], list[ErrorCode]]:
    """(new levels, the outcome of each)."""
    records, reply = update_features(image, UpdateFeatures(updates))
    levels = {record.name: record.level for record in records if isinstance(record, FeatureLevelRecord)}
    return levels, [result.error for result in reply.features]


@pytest.mark.parametrize(
    ("current", "level", "kind", "error", "word"),
    [
        (1, 2, UP, ErrorCode.NONE, None),
        (0, 2, UP, ErrorCode.NONE, None),
        (2, 2, UP, ErrorCode.NONE, None),
        (2, 1, SAFE, ErrorCode.NONE, None),
        (2, 0, UNSAFE, ErrorCode.NONE, None),
        (2, 2, SAFE, ErrorCode.NONE, None),
        (2, 1, UP, WRONG, "without setting the upgrade type"),
        (1, 2, SAFE, WRONG, "downgrade to a newer version"),
        (1, 2, UNSAFE, WRONG, "downgrade to a newer version"),
        (2, 3, UP, WRONG, "Local controller -1 only supports versions 0-2"),
        (2, -1, SAFE, WRONG, "less than 0"),
        (2, 1, 0, WRONG, "upgrade type"),
        (2, 1, 9, WRONG, "upgrade type"),
    ],
)
def test_levels(current: int, level: int, kind: int, error: ErrorCode, word: str | None) -> None:
    image = ClusterImage(features={TXN: current} if current else {})
    records, reply = update_features(image, UpdateFeatures((FeatureUpdate(TXN, level, kind),)))
    assert reply.features[0].error is error
    assert records == ([FeatureLevelRecord(TXN, level)] if not error and level != current else [])
    assert word is None or word in (reply.features[0].message or "")


def test_one_that_is_refused_refuses_all() -> None:
    image = ClusterImage(features={TXN: 1})
    assert update(image, FeatureUpdate(TXN, 2), FeatureUpdate("nonsense", 1)) == ({}, [ErrorCode.NONE, WRONG])
    assert update(image, FeatureUpdate(TXN, 2)) == ({TXN: 2}, [ErrorCode.NONE])


def test_the_metadata_version_stays() -> None:
    image = ClusterImage(features={"metadata.version": 33})
    assert update(image, FeatureUpdate("metadata.version", 32, SAFE)) == ({}, [WRONG])
    assert update(image, FeatureUpdate("metadata.version", 33)) == ({}, [ErrorCode.NONE])
    assert all(levels.low <= levels.high for levels in SUPPORTED_FEATURES.values())
