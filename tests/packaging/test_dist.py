"""What `make dist` made, installed in clean places and used; `make dist-test` runs this.

PYRALOG_DIST names the folder. The archive, the package and the image need root and debootstrap.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packaging.use import LAZY, debian, running, shell, within
from tools.dist.wheels import found_pythons

ROOT = Path(__file__).parents[2]
DIST = Path(os.environ.get("PYRALOG_DIST", "/nonexistent"))
KEPT = Path(os.environ.get("PYRALOG_CHROOTS", ROOT / "build" / "chroots"))
WHEELS = sorted(DIST.glob("pyralog-*-manylinux_*.whl"))
SUITES = ("bullseye", "bookworm")

pytestmark = pytest.mark.skipif("PYRALOG_DIST" not in os.environ, reason="PYRALOG_DIST is not set (make dist-test)")
CLEAN = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("debootstrap") is None, reason="needs root and debootstrap"
)


def only(pattern: str) -> Path:
    (path,) = DIST.glob(pattern)
    return path


def python_of(wheel: Path) -> str:
    """An interpreter for the wheel, which may not be at hand."""
    tag = wheel.name.split("-")[2]
    for python in found_pythons():
        told = subprocess.run([python, "-V"], capture_output=True, text=True, check=True, timeout=60).stdout
        if "cp" + "".join(told.split()[1].split(".")[:2]) == tag:
            return python
    pytest.skip(f"no Python for {tag} here")


def install(python: str, what: Path, folder: Path) -> Path:
    """A clean virtual environment with this in it; its bin folder."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True, timeout=300)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", str(what)]
    subprocess.run(pip, check=True, timeout=1000, cwd=folder)
    return folder / "bin"


# --- wheels and the source distribution ---


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda path: path.name.split("-")[2])
def test_a_wheel_holds_the_package_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = [name for name in file.namelist() if not name.endswith("/")]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pyralog"}
    kinds = {Path(name).suffix for name in names if "dist-info" not in name}
    assert kinds.isdisjoint({".pyx", ".c", ".o", ".pyc", ".md"})
    pages = (ROOT / "pyralog" / "admin" / "console").iterdir()
    assert {path.relative_to(ROOT).as_posix() for path in pages} <= set(names)
    with tarfile.open(only("pyralog-[0-9]*.tar.gz")) as tar:
        sources = [name for name in tar.getnames() if name.endswith(".pyx")]
    assert len([name for name in names if name.endswith(".so")]) == len(sources)
    assert wheel.stat().st_size < 5e6


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda path: path.name.split("-")[2])
def test_pip_install_and_pyralog(wheel: Path, tmp_path: Path) -> None:
    folder = install(python_of(wheel), wheel, tmp_path / "venv")
    quick = []
    for turn in range(3):
        with running([folder / "pyralog"], tmp_path) as broker:
            quick.append(broker.is_quick())
            print(f"{wheel.name}: ready after {broker.ready_after_s:.2f} s, {broker.ready_cpu_s:.2f} s of a processor")
            if turn == 0:
                assert broker.rss_mib() < 60
                broker.round_trip()
                broker.console()
            else:
                broker.reads(0)
    assert any(quick)
    with running([folder / "python", "-X", "importtime", folder / "pyralog"], tmp_path) as broker:
        assert broker.imported() & LAZY == set()
    command = [folder / "pyralog-admin", "--version"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert wheel.name.split("-")[1] in told.stdout


def test_the_source_distribution_builds_with_a_compiler_alone(tmp_path: Path) -> None:
    sdist = only("pyralog-[0-9]*.tar.gz")
    with tarfile.open(sdist) as tar:
        names = tar.getnames()
    assert not [name for name in names if name.endswith((".c", ".so")) or "/tests" in name]
    python = next(found_pythons())
    folder = install(python, sdist, tmp_path / "venv")
    with running([folder / "pyralog"], tmp_path) as broker:
        broker.round_trip()
        broker.console()


# --- the archive ---


@CLEAN
@pytest.mark.parametrize("suite", SUITES)
def test_the_guides_steps_with_the_archive(suite: str, tmp_path: Path) -> None:
    root = debian(suite, KEPT, tmp_path)
    assert not (root / "usr" / "bin" / "python3").exists()
    shutil.copy(only("pyralog-linux-*.tar.gz"), root / "root" / "pyralog-linux-amd64.tar.gz")
    steps = "cd /root; tar -xzf pyralog-linux-amd64.tar.gz; mv pyralog /usr/local/bin/; chmod +x /usr/local/bin/pyralog"
    shell(root, f"{steps}; useradd --system pyralog; install -d -o pyralog /var/lib/pyralog /etc/pyralog")
    (root / "etc" / "pyralog" / "config.json").write_text('{"node": {"node_id": 1, "data_dir": "/var/lib/pyralog"}}')
    # As the guide's unit starts it: a user without a home, who cannot write to /usr/local.
    command = within(root, "/usr/local/bin/pyralog", "--config", "/etc/pyralog/config.json", user="pyralog:pyralog")
    with running(command, tmp_path) as broker:
        first = broker.ready_after_s
        broker.round_trip()
        assert "0" not in broker.user_ids()
        assert broker.rss_mib() < 60
        broker.console()
    assert list((root / "tmp").glob("pyralog-*/0.*")), "the user's own folder"
    # Root unpacks it for everybody.
    assert shell(root, "/usr/local/bin/pyralog --version").startswith("pyralog 0.")
    (tree,) = (root / "usr" / "local" / "lib" / "pyralog").iterdir()
    shutil.rmtree(next((root / "tmp").glob("pyralog-*")))
    quick = []
    for _ in range(3):
        with running(command, tmp_path) as broker:
            quick.append(broker.is_quick())
            later = f"{broker.ready_after_s:.2f} s, {broker.ready_cpu_s:.2f} s of a processor"
            broker.reads(0)
    assert not list((root / "tmp").glob("pyralog-*"))
    assert any(quick)
    print(f"{suite}: ready after {first:.2f} s at first, later {later}; {tree.name}")
    shell(root, "ln -s pyralog /usr/local/bin/pyralog-admin; pyralog-admin --help", check=False)
    assert "Usage: pyralog-admin" in shell(root, "/usr/local/bin/pyralog-admin --help")


@CLEAN
def test_the_archive_unpacks_where_it_is_told_and_says_when_it_cannot(tmp_path: Path) -> None:
    with tarfile.open(only("pyralog-linux-*.tar.gz")) as tar:
        tar.extractall(tmp_path, filter="data")
    program, place = tmp_path / "pyralog", tmp_path / "with space"
    environment = {"PATH": "/usr/bin:/bin", "PYRALOG_UNPACK_DIR": str(place)}

    def version(**env: str) -> subprocess.CompletedProcess[str]:
        command = [str(program), "--version"]
        return subprocess.run(
            command, env=environment | env, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
        )

    # Several at once: one wins, all run, and nothing half unpacked stays.
    many = [subprocess.Popen([str(program), "--version"], env=environment, stdout=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate(timeout=120)[0][:8] for process in many] == [b"pyralog "] * 4
    assert len(list(place.iterdir())) == 1
    (tmp_path / "file").touch()
    refused = version(PYRALOG_UNPACK_DIR=str(tmp_path / "file"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "nowhere to unpack to; tried: " in refused.stderr
    # A folder that somebody else made is not run from.
    foreign = tmp_path / "foreign"
    shutil.copytree(place, foreign, symlinks=True)
    os.chown(foreign, 12345, 12345)
    assert "nowhere to unpack to" in version(PYRALOG_UNPACK_DIR=str(foreign)).stderr
    # An environment made for another Python does not reach it.
    assert version(PYTHONHOME="/nonexistent", PYTHONPATH="/nonexistent").returncode == 0


# --- the Debian package ---


@CLEAN
@pytest.mark.parametrize("suite", SUITES)
def test_the_debian_package_from_installation_to_purge(suite: str, tmp_path: Path) -> None:
    root = debian(suite, KEPT, tmp_path)
    shutil.copy(only("pyralog_*.deb"), root / "root" / "pyralog.deb")
    told = shell(root, "apt-get install -q -y --no-install-recommends adduser >/dev/null; dpkg -i /root/pyralog.deb")
    assert "edit /etc/pyralog/config.yaml" in told
    assert shell(root, "stat -c '%U:%G %a' /var/lib/pyralog /var/log/pyralog").split() == ["pyralog:pyralog", "750"] * 2
    assert shell(root, "dpkg-query -W -f '${Conffiles}' pyralog").count("/etc/") == 2
    assert shell(root, "dpkg --verify pyralog") == ""
    assert shell(root, "gzip -dc /usr/share/man/man1/pyralog.1.gz").startswith(".")
    command = within(root, "/usr/bin/pyralog", "--config", "/etc/pyralog/config.yaml", user="pyralog:pyralog")
    with running(command, tmp_path) as broker:
        broker.round_trip()
        assert "0" not in broker.user_ids()
        assert broker.rss_mib() < 60
        listed = shell(root, f"pyralog-admin --cluster {broker.address} topic list")
        assert "greetings" in listed
        broker.console()
    assert (root / "var" / "log" / "pyralog" / "pyralog.log").stat().st_size > 0
    # Installed over itself, it keeps the administrator's configuration and the data.
    (root / "etc" / "pyralog" / "config.yaml").write_text("node: {node_id: 1, data_dir: /var/lib/pyralog}\n")
    shell(root, "dpkg -i --force-confold /root/pyralog.deb")
    with running(command, tmp_path) as broker:
        broker.reads(0)
    shell(root, "dpkg -r pyralog")
    assert not (root / "usr" / "bin" / "pyralog").is_symlink()
    assert not (root / "opt" / "pyralog").exists()
    assert (root / "etc" / "pyralog" / "config.yaml").exists()
    assert "the data is left in /var/lib/pyralog" in shell(root, "dpkg -P pyralog")
    assert not (root / "etc" / "pyralog").exists()
    assert not (root / "var" / "log" / "pyralog").exists()
    assert any((root / "var" / "lib" / "pyralog").iterdir())
