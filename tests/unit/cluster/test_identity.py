"""meta.properties: what it says, and whom it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyralog.cluster.identity import META_PROPERTIES, Identity, IdentityError, load_identity, save_identity
from pyralog.model import uuid_text

IDENTITY = Identity("I7RQlrpjotRAd4weids40A", 3, bytes(range(16)))


def test_round_trip(tmp_path: Path) -> None:
    assert load_identity(tmp_path, 3) is None
    save_identity(tmp_path, IDENTITY)
    assert load_identity(tmp_path, 3) == IDENTITY
    lines = (tmp_path / META_PROPERTIES).read_text().splitlines()[1:]
    assert lines == [
        "cluster.id=I7RQlrpjotRAd4weids40A",
        f"directory.id={uuid_text(IDENTITY.directory_id)}",
        "node.id=3",
        "version=1",
    ]


def test_kafkas_own_form_is_understood(tmp_path: Path) -> None:
    text = "#\n#Wed Nov 25 02:00:00 UTC 2026\nnode.id = 3\nversion=1\ncluster.id=abc\n"
    (tmp_path / META_PROPERTIES).write_text(text + f"directory.id={uuid_text(bytes(range(16)))}\n")
    assert load_identity(tmp_path, 3) == Identity("abc", 3, bytes(range(16)))


def test_another_node_is_refused(tmp_path: Path) -> None:
    save_identity(tmp_path, IDENTITY)
    with pytest.raises(IdentityError, match=r"belongs to node 3.*this node has the id 1"):
        load_identity(tmp_path, 1)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"version=7\n",
        b"version=1\nnode.id=3\n",
        b"version=1\nnode.id=x\ncluster.id=a\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAA\n",
        b"version=1\nnode.id=3\ncluster.id=a\ndirectory.id=short\n",
        b"\xff\xfe",
    ],
)
def test_damage_is_refused_and_kept(tmp_path: Path, text: bytes) -> None:
    (tmp_path / META_PROPERTIES).write_bytes(text)
    with pytest.raises(IdentityError, match=META_PROPERTIES):
        load_identity(tmp_path, 3)
    assert (tmp_path / META_PROPERTIES).read_bytes() == text
