"""Every command of the documents, run as typed on a machine of its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.document_host import NOT_RUN, ROOT, DocumentHost, blocks

pytestmark = pytest.mark.pyralog_only
STARTS_A_NODE = ("docs/OPERATIONS.md",)
RUN = ("README.md", "docs/OPERATIONS.md", "docs/TROUBLESHOOTING.md", "docs/MIGRATION.md")
# What installs and builds this project is for the tests of packaging.
BUILDS = ("pip install", "make ")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[DocumentHost]:
    made = DocumentHost(tmp_path / "machine")
    yield made
    made.close()


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", RUN)
def test_every_box_runs(host: DocumentHost, name: str) -> None:
    if name not in STARTS_A_NODE:
        host.serve()
    boxes = [
        block for block in blocks(ROOT / name) if NOT_RUN not in block.heading and not block.script.startswith(BUILDS)
    ]
    assert boxes
    for box in boxes:
        done = host.run(box)
        where = f"{name}:{box.line}"
        assert done.returncode == 0, f"{where}\n{box.script}\n-- {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, f"{where}\n{done.stderr}"


def test_what_it_says_at_a_start_is_quoted_as_it_says_it() -> None:
    rows = (ROOT / "docs" / "TROUBLESHOOTING.md").read_text(encoding="utf-8").partition("## A client cannot")[0]
    quoted = [text for row in re.findall(r"^\| (.*?) \|", rows, re.MULTILINE) for text in re.findall(r"`(.*?)`", row)]
    parts = [part.strip() for text in quoted for part in text.removesuffix("FILE").split("…") if part.strip()]
    code = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "pyralog").glob("**/*.py"))
    # What the system says, or the code puts together from parts.
    said = {"Address already in use", "errors in", "in the configuration", "is taken by process"}
    assert len(parts) >= 6
    assert [part for part in parts if part not in said and part not in code] == []


def test_prometheus_reads_the_file_that_the_page_makes() -> None:
    page = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    (made,) = re.findall(r"generate alerts > (\S+)", page)
    shipped = next((ROOT / "pyralog").glob("**/prometheus.yml")).read_text(encoding="utf-8")
    assert re.findall(r"^  - (\S+\.yml)", shipped, re.MULTILINE) == [made]


def test_links_lead_somewhere() -> None:
    documents = [ROOT / "README.md", ROOT / "compat" / "README.md", *(ROOT / "docs").glob("**/*.md")]
    broken = []
    for document in documents:
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            if "://" in target or target.startswith("mailto:"):
                continue
            found = (document.parent / path) if path else document
            if not found.exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
            elif anchor and found.suffix == ".md" and anchor not in _anchors(found):
                broken.append(f"{document.relative_to(ROOT)}: {target} (no such heading)")
    assert broken == []


def _anchors(document: Path) -> set[str]:
    """Names of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
