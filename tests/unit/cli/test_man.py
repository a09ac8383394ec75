"""Manual pages: everything is in them, and man has nothing to say against them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pyralog.cli.admin.main import main
from pyralog.cli.man import PAGES, admin_page, config_page, daemon_page, escaped
from pyralog.config.keys import all_keys
from pyralog.config.topics import TOPIC_CONFIGS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("man")
    result = CliRunner().invoke(main, ["generate", "man", str(made)], env={"SOURCE_DATE_EPOCH": "1780000000"})
    assert result.exit_code == 0
    assert {Path(line) for line in result.output.split()} == set(made.glob("man?/*"))
    return made


def leaves(command: click.Command) -> Iterator[click.Command]:
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), name)
            assert inner is not None
            yield from leaves(inner)
    else:
        yield command


def test_every_command_and_option_is_there() -> None:
    page = admin_page()
    found = list(leaves(main))
    assert page.count("\n.SS ") == len(found) > 40
    for command in found:
        for option in command.params:
            if not getattr(option, "hidden", False) and isinstance(option, click.Option) and option.help:
                assert escaped(option.opts[0]) in page
    assert page.count(escaped("--command-config")) == 1


def test_the_daemon_and_its_tools() -> None:
    page = daemon_page()
    for text in ("--config FILE", "--print-config", "pyralog log dump", "PYRALOG_LOG, RUST_LOG", "-h, --help"):
        assert escaped(text) in page


def test_every_key_and_topic_config_is_there() -> None:
    page = config_page()
    for key in all_keys().values():
        assert f".B {escaped(key.name)}\n" in page
        assert escaped(key.env[-1]) in page
    for name, topic in TOPIC_CONFIGS.items():
        assert topic.internal or f".B {escaped(name)}\n" in page


def test_a_build_can_be_repeated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1780000000")
    for name, page in PAGES.items():
        written = (folder / f"man{name[-1]}" / name).read_text(encoding="utf-8")
        assert written == page()
        assert " 2026-05-28 " in written.splitlines()[1]


@pytest.mark.parametrize(
    ("text", "roff"),
    [
        ("--a-b", r"\-\-a\-b"),
        (".TH x", r"\&.TH x"),
        ("a\n'b", "a\n\\(aqb"),
        ("\\n", r"\en"),
        ("2^63 ~ `x`", r"2\(ha63 \(ti \(gax\(ga"),
    ],
)
def test_text_is_never_a_request(text: str, roff: str) -> None:
    assert escaped(text) == roff


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    "command", [("groff", "-man", "-ww", "-z", "-Tutf8"), ("mandoc", "-T", "lint", "-W", "warning")], ids=lambda c: c[0]
)
def test_what_man_says(name: str, command: tuple[str, ...], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not here")
    page = str(folder / f"man{name[-1]}" / name)
    done = subprocess.run([*command, page], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "man1").touch()
    result = CliRunner().invoke(main, ["generate", "man", str(tmp_path)])
    assert result.exit_code == 1
    assert "File exists" in result.output + result.stderr
