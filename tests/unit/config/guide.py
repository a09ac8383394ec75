"""Cuts the code blocks out of the operations guide, so that what operators copy is what is tested."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parent / "testdata" / "operations-guide.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """All fenced blocks of a language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def block_after(heading: str, language: str) -> str:
    """The first block of a language behind a heading or bold title."""
    rest = TEXT[TEXT.index(heading) :]
    match = re.search(rf"```{language}\n(.*?)```", rest, re.DOTALL)
    assert match is not None, heading
    return match.group(1)


FULL = block_after("Full example (`/etc/pyralog/config.json`)", "json")
NODES = [block_after(f"**Node {n}**", "json") for n in (1, 2, 3)]
ENVIRONMENT = dict(line.split("=", 1) for line in block_after("### Environment Variables", "bash").split())
PROFILES = {
    "low-latency": block_after("### For Low Latency", "json"),
    "high-throughput": block_after("### For High Throughput", "json"),
    "durable": block_after("### For Durability", "json"),
}
ADD_NODE = next(block for block in blocks("json") if "// Add new node" in block)
ELECTION = next(block for block in blocks("json") if "election_timeout" in block)
WRITE_CACHE = block_after("#### High Write Latency", "bash")
