"""UpdateFeatures (key 57, versions 0-2): finalize features of the cluster at another level (KIP-584).

Contract
- Levels that this release supports are in ApiVersions; anything else, an unknown feature, a downgrade that is not asked
  for as one, or an upgrade that is, is INVALID_UPDATE_VERSION. Level 0 switches a feature off, also over restarts.
- All or nothing: one error for all, whose message names the feature at fault (KIP-1022). Versions 0 and 1 list the
  features of a request that succeeded.
- Version 0 has `allow_downgrade` in place of the upgrade type, which Kafka 4.4 ignores; validate_only changes nothing.
- ALTER on the cluster, else CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.cluster.controller_features import SAFE_DOWNGRADE, UPGRADE
from pyralog.cluster.requests import FeatureUpdate, UpdateFeatures, UpdateFeaturesReply
from pyralog.errors import ErrorCode
from pyralog.wire.messages import UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse

TYPED_FROM = 1
ONE_ERROR_FROM = 2


async def handle(request: UpdateFeaturesRequest, context: Context) -> UpdateFeaturesResponse:
    """Ask the controller."""
    context.demand_on_cluster(Operation.ALTER)
    updates = tuple(
        FeatureUpdate(one.feature, one.max_version_level, _type(one.allow_downgrade, one.upgrade_type, context))
        for one in request.feature_updates
    )
    work = context.services.quorum.submit(UpdateFeatures(updates, request.validate_only))
    reply = await context.within(context.bounded(request.timeout_ms), work)
    assert isinstance(reply, UpdateFeaturesReply)
    return _response(reply, context)


def _type(allow_downgrade: bool, upgrade_type: int, context: Context) -> int:
    if context.version >= TYPED_FROM:
        return upgrade_type
    return SAFE_DOWNGRADE if allow_downgrade else UPGRADE


def _response(reply: UpdateFeaturesReply, context: Context) -> UpdateFeaturesResponse:
    wrong = next((one for one in reply.features if one.error is not ErrorCode.NONE), None)
    if wrong is None:
        named = reply.features if context.version < ONE_ERROR_FROM else ()
        results = [UpdatableFeatureResult(feature=one.name, error_message=one.error.name) for one in named]
        return UpdateFeaturesResponse(error_message=None, results=results)
    return UpdateFeaturesResponse(
        error_code=wrong.error,
        error_message="The update failed for all features since the following feature had an error: "
        f"Invalid update version {wrong.level} for feature {wrong.name}. {wrong.message}",
    )


def fail(request: UpdateFeaturesRequest, code: ErrorCode, why: str | None) -> UpdateFeaturesResponse:
    """The error as a whole."""
    return UpdateFeaturesResponse(error_code=code, error_message=why or code.message)


API = Api(57, "UpdateFeatures", 0, 2, handle, fail)
