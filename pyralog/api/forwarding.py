"""Requests that the plane could not serve for want of a topic or a permit: teach it, then hand them back."""

from __future__ import annotations

from collections.abc import Iterable

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.topics import is_internal


def install_permits(topics: Iterable[str], context: Context) -> None:
    """Tell the plane what this principal may do with those of the topics that exist.

    What is in the image is open in the plane, so what the plane does not know after this does not exist; it answers
    that by itself when it gets the request back. A topic is never made here.
    """
    for name in dict.fromkeys(topics):
        if name in context.image.topics:
            context.services.plane.permit(
                context.principal,
                name,
                read=context.allows(Operation.READ, name, audited=False),
                # Without a permit or a refusal each produce is forwarded, and refused as such topics are.
                write=None if is_internal(name) else context.allows(Operation.WRITE, name, audited=False),
            )
