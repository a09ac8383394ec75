"""Features of the cluster: which levels this release can run at, and the controller's answer to UpdateFeatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pyralog.cluster.image import ClusterImage
from pyralog.cluster.records import FeatureLevelRecord, Record
from pyralog.cluster.requests import FeatureResult, FeatureUpdate, UpdateFeatures, UpdateFeaturesReply
from pyralog.errors import ErrorCode


class Levels(NamedTuple):
    """The lowest and highest level of a feature; 0 = it can be switched off."""

    low: int
    high: int


# 33 is what Kafka 4.4 calls its metadata version; clients read no more from it than "a 4.4 broker".
SUPPORTED_FEATURES: Mapping[str, Levels] = {
    "group.version": Levels(0, 1),  # 1: groups of the newer protocol (KIP-848)
    "metadata.version": Levels(33, 33),
    "transaction.version": Levels(0, 2),
}
UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE = 1, 2, 3


def update_features(image: ClusterImage, request: UpdateFeatures) -> tuple[list[Record], UpdateFeaturesReply]:
    """All updates or none: one that is refused refuses the others too (KIP-584)."""
    results = [FeatureResult(update.name, update.level, *_judge(image, update)) for update in request.updates]
    if any(result.error is not ErrorCode.NONE for result in results):
        return [], UpdateFeaturesReply(tuple(results))
    records: list[Record] = [
        FeatureLevelRecord(update.name, update.level)
        for update in request.updates
        if update.level != image.features.get(update.name, 0)
    ]
    return records, UpdateFeaturesReply(tuple(results))


def _judge(image: ClusterImage, update: FeatureUpdate) -> tuple[ErrorCode, str | None]:
    """The error and its words; the words are Kafka's where tools print them."""
    refused = ErrorCode.INVALID_UPDATE_VERSION
    current = image.features.get(update.name, 0)
    if update.upgrade_type not in (UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE):
        return refused, "The controller does not support the given upgrade type."
    if update.level < 0:
        return refused, "A feature version cannot be less than 0."
    levels = SUPPORTED_FEATURES.get(update.name)
    if levels is None:
        return refused, f"Local controller {image.controller_id} does not support this feature."
    if not levels.low <= update.level <= levels.high:
        return refused, f"Local controller {image.controller_id} only supports versions {levels.low}-{levels.high}"
    if update.level < current and update.upgrade_type == UPGRADE:
        return refused, (
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe "
            "downgrade."
        )
    if update.level > current and update.upgrade_type != UPGRADE:
        return refused, "Can't downgrade to a newer version."
    return ErrorCode.NONE, None
