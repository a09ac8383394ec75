"""Kafka's DumpLogSegments reads a log with markers and its .txnindex files; where its tools are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pyralog.storage.recovery import close_partition
from tests.reference.kafka import install_tools, java, tool_class
from tests.speedups.test_plane_transactions import SMALL, Node, history

TOOLS = Path.home() / ".cache" / "pyralog" / "kafka-tools-4.3.1" / "complete"


@pytest.mark.skipif(not TOOLS.exists() or shutil.which("java") is None, reason="Kafka's tools are not installed")
def test_dump_log_segments_reads_markers_and_aborted_transactions(rig):
    node = Node(rig, **SMALL)
    history(node, 5)
    aborted = node.aborted()
    close_partition(rig.remove())
    found = sorted(path for path in (rig.directory / "t-0").iterdir() if path.suffix in (".log", ".txnindex"))
    command = java(
        install_tools(), tool_class("DumpLogSegments"), "--deep-iteration", "--files", ",".join(map(str, found))
    )
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert out.count("endTxnMarker: ABORT") == len(aborted)
    for pid, first, last, stable in aborted:
        entry = f"producerId: {pid} firstOffset: {first} lastOffset: {last} lastStableOffset: {stable}"
        assert entry in out
    assert "isvalid: false" not in out
