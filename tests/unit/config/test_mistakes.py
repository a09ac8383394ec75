"""Mistakes in the guide's file: each is reported at its line and column, with the right suggestion."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from pyralog.config.loader import load
from pyralog.config.problems import ConfigError

_spec = importlib.util.spec_from_file_location("pyralog_guide_blocks", Path(__file__).parent / "guide.py")
assert _spec is not None
assert _spec.loader is not None
guide = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(guide)


def _mistakes() -> list[tuple[str, ...]]:
    text = (Path(__file__).parent / "testdata" / "mistakes.txt").read_text(encoding="utf-8")
    groups = [group.splitlines() for group in text.strip().split("\n\n")]
    return [tuple(group) for group in groups if not group[0].startswith("#")]


MUTATIONS = _mistakes()


def test_there_are_fifty() -> None:
    assert len(MUTATIONS) >= 50


@pytest.mark.parametrize(("old", "new", "report"), MUTATIONS, ids=[new for _, new, _ in MUTATIONS])
def test_mutation(old: str, new: str, report: str, tmp_path: Path) -> None:
    assert old in guide.FULL
    marked = guide.FULL.replace(old, new, 1)
    before, text = marked.partition("^")[0], marked.replace("^", "", 1)
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    file = tmp_path / "config.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(str(file))
    found = [(str(problem.place), problem.text()) for problem in caught.value.problems]
    assert any(place == f"{line}:{column}" and text.startswith(report) for place, text in found), found
    if "was_storage" not in new:
        assert len(found) == 1, found


def test_the_example_of_the_design(tmp_path: Path) -> None:
    """The report's form, word for word as ecosystem.md 1.5 shows it."""
    text = guide.FULL.replace('"max_size": 1073', '"max_sise": 1073').replace('"write_quorum": 2', '"write_quorum": 4')
    file = tmp_path / "config.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(str(file))
    lines = str(caught.value).splitlines()
    assert lines[0] == f"pyralog: 2 errors in {file}"
    assert lines[1] == '  15:7  storage.segment_config.max_sise: unknown key. Did you mean "max_size"?'
    assert lines[2] == "  28:23 replication.quorum.write_quorum: 4 is more than replication_factor (3)."
    assert lines[3].startswith("Nothing was started.")


def test_every_mistake_of_every_source_at_once(errors_of: Callable[..., list[str]]) -> None:
    text = """\
node:
  node_id: many
network:
  max_conections: 5
storage:
  cache_config: {max_size: 12XB}
"""
    environ = {"PYRALOG_NETWORK_REQUEST_TIMEOUT_MS": "soon", "KAFKA_LOG_RETENTION_HOURS": "x"}
    settings = ["storage.foo=1", "nonsense", "network=5", "replication.quorum.write_quorum=2"]
    found = errors_of(text, environ=environ, settings=settings)
    assert found == [
        '2:12 node.node_id: "many" is not a whole number.',
        '4:3  network.max_conections: unknown key. Did you mean "max_connections"?',
        '6:28 storage.cache_config.max_size: "12XB" has an unknown unit. '
        "The units are B, kB, KiB, MB, MiB, GB, GiB, TB, TiB.",
        '--set "nonsense" is not KEY=VALUE',
        "--set network: is a section; set one of its keys",
        "--set replication.quorum.write_quorum: 2 is more than replication_factor (1).",
        "--set storage.foo: unknown key.",
        'KAFKA_LOG_RETENTION_HOURS topics.defaults.retention_ms: "x" is not a whole number',
        'PYRALOG_NETWORK_REQUEST_TIMEOUT_MS network.request_timeout_ms: "soon" is not a time in milliseconds '
        'such as 5000, "10ms", "30s" or "7d".',
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("node: {node_id: 1", "1:18"),
        ("node:\n\tnode_id: 1\n", "2:1"),
        ("node: [1\n", "2:1"),
        ("- 1\n", "1:1"),
        ("just words\n", "1:1"),
        ("a: 1\n---\nb: 2\n", "2:1"),
        ("node: !!python/object:os.system {}\n", "1:7"),
        ("node: *nothing\n", "1:7"),
        (b"node:\n  rack: \xff\n", "2:1"),
        ("node:\n  rack: a\x07\n", "2:1"),
    ],
)
def test_unreadable_files_have_a_place(text: str, place: str, errors_of: Callable[..., list[str]]) -> None:
    found = errors_of(text)
    assert found[0].startswith(f"{place} "), found


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"1 error in .*absent.yaml\n  cannot be read: No such file") as caught:
        load(str(tmp_path / "absent.yaml"))
    assert len(caught.value.problems) == 1


def test_aliases_cannot_multiply(errors_of: Callable[..., list[str]]) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    found = errors_of("\n".join(lines))
    assert any("too many or too deeply nested values" in line for line in found)


def test_a_list_that_holds_itself(errors_of: Callable[..., list[str]]) -> None:
    assert any("too deeply nested" in line for line in errors_of("node: &a [*a]\n"))
