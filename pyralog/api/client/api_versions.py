"""ApiVersions (key 18, versions 0-5): which APIs in which versions this broker serves, and its features.

Contract
- The table is the registry itself; it cannot disagree with what is served. Produce shows minimum 0 though less than 3
  is refused: librdkafka before 2.11 otherwise writes uncompressed (trap 1, KAFKA-18659).
- An unknown version is answered by the dispatcher with the version 0 form of `fail`: error 35 and this API's own range.
  The response header has no tag section in any version (trap 2).
- v3+: the client's software name and version are checked, INVALID_REQUEST otherwise (KIP-511). Features follow the
  table: a feature is finalized only when the protocol behind it is served (trap 3). A range that starts at 0 is
  left out before v4, whose clients cannot read it (KAFKA-17011).
- v5 (KIP-1242): ClusterId and NodeId come together or not at all (42); either one wrong is REBOOTSTRAP_REQUIRED (129).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.cluster.controller_features import SUPPORTED_FEATURES
from pyralog.errors import ErrorCode
from pyralog.wire.messages import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)

KEY = 18
MIN_VERSION, MAX_VERSION = 0, 5
SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")
NO_NODE = -1
LEVEL_0_FROM = 4

# What every cluster runs at; levels that were raised on purpose are in the metadata log and win.
BASE_FEATURES: Mapping[str, int] = {"metadata.version": 33}


def handle(request: ApiVersionsRequest, context: Context) -> ApiVersionsResponse:
    """The table, or why the client does not get it."""
    error = _refusal(request, context)
    if error is not ErrorCode.NONE:
        return ApiVersionsResponse(error_code=error)
    return ApiVersionsResponse(
        api_keys=table(context.apis),
        supported_features=[
            SupportedFeatureKey(name=name, min_version=low, max_version=high)
            for name, (low, high) in SUPPORTED_FEATURES.items()
            if low > 0 or context.version >= LEVEL_0_FROM
        ],
        finalized_features_epoch=context.image.offset,
        finalized_features=[
            FinalizedFeatureKey(name=name, max_version_level=level, min_version_level=level)
            for name, level in {**BASE_FEATURES, **context.image.features}.items()
            if level > 0
        ],
    )


def table(apis: Mapping[int, Api]) -> list[ApiVersion]:
    """What is advertised, by key."""
    return [
        ApiVersion(api_key=key, min_version=low, max_version=high)
        for key, (low, high) in sorted((api.key, api.advertised) for api in apis.values())
    ]


def fail(request: ApiVersionsRequest | None, code: ErrorCode, why: str | None) -> ApiVersionsResponse:
    """An answer without the table, save the line that tells the client which version to ask again with."""
    return ApiVersionsResponse(
        error_code=code, api_keys=[ApiVersion(api_key=KEY, min_version=MIN_VERSION, max_version=MAX_VERSION)]
    )


def _refusal(request: ApiVersionsRequest, context: Context) -> ErrorCode:
    if context.version >= 3 and not (
        SOFTWARE.fullmatch(request.client_software_name) and SOFTWARE.fullmatch(request.client_software_version)
    ):
        return ErrorCode.INVALID_REQUEST
    if context.version >= 5:
        if (request.cluster_id is None) != (request.node_id == NO_NODE):
            return ErrorCode.INVALID_REQUEST
        if request.cluster_id is not None and (
            request.cluster_id != context.image.cluster_id or request.node_id != context.services.settings.node_id
        ):
            return ErrorCode.REBOOTSTRAP_REQUIRED
    return ErrorCode.NONE


API = Api(KEY, "ApiVersions", MIN_VERSION, MAX_VERSION, handle, fail)
