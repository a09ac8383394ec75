"""The image, made by the Dockerfile's own steps in a chroot, started as `docker run` does; part of `make dist-test`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.packaging.use import POLL_S, Running, debian, running, shell, within
from tools.dist.dockerfile import Stage, build

ROOT = Path(__file__).parents[2]
KEPT = Path(os.environ.get("PYRALOG_CHROOTS", ROOT / "build" / "chroots"))

pytestmark = [
    pytest.mark.skipif("PYRALOG_DIST" not in os.environ, reason="PYRALOG_DIST is not set (make dist-test)"),
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("debootstrap") is None, reason="needs root and debootstrap"),
]
# What python:3.13-slim has beside a minimal Debian: Python under the names of a build from source.
BASE = """apt-get update -q >/dev/null; apt-get install -q -y --no-install-recommends ca-certificates python3.13-dev \
python3.13-venv python3-pip >/dev/null; for name in python python3; do ln -sf python3.13 /usr/bin/$name; done
rm -f /usr/lib/python3.13/EXTERNALLY-MANAGED"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("image")
    kept = KEPT / "python-slim"
    if not kept.exists():
        base = debian("trixie", KEPT, folder)
        for name in ("resolv.conf", "hosts"):
            shutil.copy(Path("/etc") / name, base / "etc" / name)
        shell(base, BASE, timeout_s=900)
        base.rename(kept)
    return build(kept, folder / "image")


@pytest.fixture
def data(image: Stage) -> Path:
    """An empty folder of root's at /data, as `-v /data/pyralog:/data` gives it."""
    folder = image.root / "data"
    shutil.rmtree(folder)
    folder.mkdir(0o755)
    return folder


def started(
    image: Stage, folder: Path, *arguments: str, user: str | None = None, **env: str
) -> AbstractContextManager[Running]:
    command = within(image.root, *image.list_of("ENTRYPOINT"), *image.list_of("CMD"), *arguments, user=user)
    return running(command, folder, {**image.environment, "NODE_ID": "1", **env})


def until(check: Callable[[], object], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline
        time.sleep(POLL_S)


def test_docker_run_as_the_guide_types_it(image: Stage, data: Path, tmp_path: Path) -> None:
    with started(image, tmp_path) as broker:
        broker.round_trip()
        assert broker.user_ids() == {"10001"}
        assert broker.rss_mib() < 60
        assert (data.stat().st_uid, data.stat().st_gid) == (10001, 10001)
        broker.console()
        # The health check, as the engine runs it: within, with the image's environment.
        health = within(image.root, *image.list_of("HEALTHCHECK"))
        environment = {**image.environment, "PYRALOG_LISTEN_ADDRESS": broker.address}
        well = subprocess.run(health, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert well.returncode == 0, well.stderr
    ill = subprocess.run(health, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ill.returncode == 3
    # Once more, as 10001 from the start, with what is there.
    with started(image, tmp_path, user="10001:10001") as broker:
        broker.reads(0)


def test_topics_and_scripts_of_a_first_start(image: Stage, data: Path, tmp_path: Path) -> None:
    script = image.root / "docker-entrypoint-init.d" / "10-retention.sh"
    script.write_text("pyralog-admin topic alter orders --set retention.ms=60000 && touch /data/was-here\n")
    try:
        with started(image, tmp_path, PYRALOG_CREATE_TOPICS="orders:3:1") as broker:
            until((data / "was-here").exists)
            command = within(image.root, "pyralog-admin", "--cluster", broker.address, "topic", "describe", "orders")
            shown = subprocess.run(
                command, env=image.environment, capture_output=True, text=True, timeout=60, check=True
            )
            assert shown.stdout.count("orders") == 3
    finally:
        script.unlink()


def test_a_folder_that_10001_cannot_write_is_refused_with_the_command(image: Stage, data: Path) -> None:
    (data / "something").touch()
    command = within(image.root, *image.list_of("ENTRYPOINT"))
    refused = subprocess.run(command, env=image.environment, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert "sudo chown -R 10001:10001 /data" in refused.stderr


def test_the_image_has_no_compiler_and_no_pip(image: Stage) -> None:
    site = image.root / "opt" / "pyralog" / "lib" / "python3.13" / "site-packages"
    assert not list(site.glob("pip*"))
    assert not list(site.glob("[Cc]ython*"))
    assert list(site.glob("pyralog/__pycache__/*.pyc"))
    assert not list((site / "pyralog").rglob("*.pyx"))
