"""Reference page, --print-config, log filters and checks against the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyralog.config import host
from pyralog.config.host import fit_connections, folder_problems, folder_warnings
from pyralog.config.keys import all_keys
from pyralog.config.loader import load
from pyralog.config.logspec import log_filters, parse_log_filters
from pyralog.config.printing import config_text
from pyralog.config.reference import PAGE, page
from pyralog.config.topics import TOPIC_CONFIGS

ROOT = Path(__file__).parents[3]


def test_reference_page_is_current() -> None:
    checked_in = (ROOT / PAGE).read_text(encoding="utf-8")
    assert checked_in == page(), "run: python -m pyralog.config.reference"


def test_reference_page_holds_everything() -> None:
    text = page()
    for key in all_keys().values():
        assert f"| `{key.path[-1]}` |" in text
        for kafka in key.kafka:
            assert f"`{kafka.name}`" in text
    for topic in TOPIC_CONFIGS.values():
        assert topic.internal or f"| `{topic.name}` |" in text


def test_print_config_names_the_sources(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("network:\n  max_connections: 5\n", encoding="utf-8")
    loaded = load(str(file), environ={"NODE_ID": "3"}, settings=["topics.num_partitions=2"])
    lines = [" ".join(line.split()) for line in config_text(loaded.config).splitlines()]
    assert f"max_connections: 5 # {file}:2:20" in lines
    assert "node_id: 3 # NODE_ID" in lines
    assert "num_partitions: 2 # --set" in lines
    assert "auto_create: true # default" in lines


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("", {"": 20}),
        ("debug", {"": 10}),
        ("trace", {"": 5}),
        ("off", {"": 60}),
        ("pyralog=info,pyralog::storage=debug", {"": 20, "pyralog": 20, "pyralog.storage": 10}),
        ("warn,pyralog.net = TRACE", {"": 30, "pyralog.net": 5}),
        ("pyralog::wire", {"": 20, "pyralog.wire": 5}),
        ("pyralog::wire,pyralog.wire=warn", {"": 20, "pyralog.wire": 30}),
        (",, info ,", {"": 20}),
    ],
)
def test_log_filters(text: str, levels: dict[str, int]) -> None:
    assert parse_log_filters(text) == (levels, [])


def test_log_filters_of_the_environment() -> None:
    assert log_filters({"RUST_LOG": "debug"})[0] == {"": 10}
    assert log_filters({"PYRALOG_LOG": "error", "RUST_LOG": "debug"})[0] == {"": 40}
    levels, wrong = log_filters({"PYRALOG_LOG": "pyralog=loud,info"})
    assert levels == {"": 20}
    assert wrong == ['PYRALOG_LOG: "pyralog=loud": the levels are error, warn, info, debug, trace and off']


LEVELS = "the levels are error, warn, info, debug, trace and off"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pyralog=debgu", f'{LEVELS}. Did you mean "debug"?'),
        ("inof", f'no level and hardly a module; {LEVELS}. Did you mean "info"?'),
        ("=debug", "expected a level, or module=level with names such as pyralog::storage"),
        ("info/foo.*", "expected a level, or module=level with names such as pyralog::storage"),
        ("pyralog[span]=debug", "expected a level, or module=level with names such as pyralog::storage"),
        ("pyralog:storage=debug", "expected a level, or module=level with names such as pyralog::storage"),
    ],
)
def test_log_filters_that_are_wrong(text: str, why: str) -> None:
    assert parse_log_filters(text) == ({"": 20}, [f'"{text}": {why}'])


def test_log_filters_of_the_configuration() -> None:
    assert log_filters({}, "debug") == ({"": 10}, [])
    assert log_filters({"RUST_LOG": "warn"}, "debug") == ({"": 30}, [])
    assert log_filters({}, "?") == (
        {"": 20},
        ['logging.level: "?": expected a level, or module=level with names such as pyralog::storage'],
    )


def test_a_folder_of_logs_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = [f"node.data_dir={tmp_path}", f"node.log_dir={tmp_path}/file"]
    (finding,) = folder_problems(load(settings=settings).config)
    assert finding == ("node.log_dir", f'"{tmp_path}/file" is not a folder.', ())


def test_folder_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = tmp_path / "file"
    taken.touch()

    def problems(folder: Path) -> list[str]:
        return [finding.message for finding in folder_problems(load(settings=[f"node.data_dir={folder}"]).config)]

    assert problems(tmp_path / "new" / "deeper") == []
    assert problems(taken) == [f'"{taken}" is not a folder.']
    monkeypatch.setattr(host.os, "access", lambda *_: False)
    assert problems(tmp_path / "new") == [f'"{tmp_path / "new"}" cannot be written: no permission on "{tmp_path}".']


def test_data_in_memory_is_a_warning(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/a / ext4 rw 0 0\ntmpfs /mem tmpfs rw 0 0\n", encoding="utf-8")

    def warnings(folder: str) -> list[str]:
        return list(folder_warnings(load(settings=[f"node.data_dir={folder}"]).config, str(mounts)))

    assert warnings("/var/lib/pyralog") == []
    assert len(warnings("/mem/data")) == 1
    assert list(folder_warnings(load().config, str(tmp_path / "absent"))) == []


@pytest.mark.parametrize(
    ("available", "wanted", "fitted"), [(20000, 10000, 10000), (4096, 10000, 3096), (1024, 100, 100), (None, 9, 9)]
)
def test_connections_fit_the_descriptor_limit(
    available: int | None, wanted: int, fitted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_raise_descriptor_limit", lambda: available)
    config, warnings = fit_connections(load(settings=[f"network.max_connections={wanted}"]).config)
    assert config.network.max_connections == fitted
    assert bool(warnings) == (fitted != wanted)
