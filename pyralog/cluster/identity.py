"""Who this data directory belongs to: cluster, node and directory ids, in meta.properties as Kafka writes it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pyralog.cluster.raft_storage import replace_file
from pyralog.model import Uuid, uuid_from_text, uuid_text

META_PROPERTIES = "meta.properties"


class IdentityError(Exception):
    """The data directory belongs to somebody else, or does not say to whom."""


class Identity(NamedTuple):
    """The ids in meta.properties."""

    cluster_id: str
    node_id: int
    directory_id: Uuid


def load_identity(data_dir: Path, node_id: int) -> Identity | None:
    """The identity of the directory, None when it has none yet; IdentityError when it is not this node's."""
    path = data_dir / META_PROPERTIES
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise IdentityError(f"{path} is damaged: {error}.") from error
    values = dict(_entries(text))
    if values.get("version") != "1":
        raise IdentityError(f"{path}: version {values.get('version', 'missing')!r} is not known, 1 is.")
    try:
        found = Identity(values["cluster.id"], int(values["node.id"]), uuid_from_text(values["directory.id"]))
    except (KeyError, ValueError) as error:
        raise IdentityError(f"{path} is damaged: {error}.") from error
    if found.node_id != node_id:
        raise IdentityError(
            f"{data_dir} belongs to node {found.node_id}, but this node has the id {node_id}. Set node.node_id to "
            f"{found.node_id}, or give this node a data_dir of its own."
        )
    return found


def _entries(text: str) -> list[tuple[str, str]]:
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith(("#", "!")))
    return [(key.strip(), value.strip()) for key, _, value in pairs]


def save_identity(data_dir: Path, identity: Identity) -> None:
    """Write meta.properties, durably."""
    text = (
        "# Written by Pyralog. It ties this directory to its cluster and node; do not edit it.\n"
        f"cluster.id={identity.cluster_id}\n"
        f"directory.id={uuid_text(identity.directory_id)}\n"
        f"node.id={identity.node_id}\n"
        "version=1\n"
    )
    replace_file(data_dir / META_PROPERTIES, iter((text.encode(),)))
