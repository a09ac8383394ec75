"""The Debian package's unit under a real systemd, booted in a container: ready, shut in, watched; part of dist-test."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.use import debian, shell

ROOT = Path(__file__).parents[2]
DIST = Path(os.environ.get("PYRALOG_DIST", "/nonexistent"))
KEPT = Path(os.environ.get("PYRALOG_CHROOTS", ROOT / "build" / "chroots"))
BOOT_TIMEOUT_S = 600

pytestmark = [
    pytest.mark.skipif("PYRALOG_DIST" not in os.environ, reason="PYRALOG_DIST is not set (make dist-test)"),
    pytest.mark.skipif(
        os.geteuid() != 0 or not (shutil.which("debootstrap") and shutil.which("systemd-nspawn")),
        reason="needs root, debootstrap and systemd-nspawn",
    ),
]
SYSTEMD = "apt-get update -q >/dev/null; apt-get install -q -y --no-install-recommends systemd-sysv dbus adduser"
# Runs in the booted system after the unit has said that it is ready, and switches the machine off.
CHECK = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYRALOG_CLUSTER=127.0.0.1:9092
show() { systemctl show pyralog -p "$1"; }
show ActiveState; show StatusText
pyralog-admin topic create orders -p 3
echo hello | pyralog-admin topic produce orders
pyralog-admin topic consume orders | sed 's/^.* /consumed /'
pid=$(systemctl show -p MainPID --value pyralog)
grep -E '^(Seccomp|NoNewPrivs|CapBnd):' "/proc/$pid/status"
kill -STOP "$pid"
for second in $(seq 90); do
    sleep 1
    [ "$(systemctl show -p NRestarts --value pyralog)" = 0 ] || break
done
show NRestarts
journalctl -u pyralog --no-pager | grep -o "Failed with result 'watchdog'"
for second in $(seq 90); do
    sleep 1
    ! systemctl is-active -q pyralog || break
done
pyralog-admin topic consume orders | sed 's/^.* /after the restart /'
dpkg -i /root/pyralog.deb 2>&1
echo "after the upgrade $(systemctl is-active pyralog)"
systemctl stop pyralog
show Result; show ExecMainStatus
echo the end
systemctl poweroff
"""
UNIT = """[Unit]
After=pyralog.service
[Service]
Type=oneshot
ExecStart=/root/check.sh
StandardOutput=file:/root/check.out
StandardError=inherit
[Install]
WantedBy=multi-user.target
"""


def booted(folder: Path) -> Path:
    """A Debian that can be booted, with the package installed and its unit enabled."""
    kept = KEPT / "bookworm-systemd"
    if not kept.exists():
        base = debian("bookworm", KEPT, folder)
        shell(base, SYSTEMD, timeout_s=900)
        base.rename(kept)
    root = folder / "root"
    subprocess.run(["cp", "-a", str(kept), str(root)], check=True, timeout=300)
    (package,) = DIST.glob("pyralog_*.deb")
    shutil.copy(package, root / "root" / "pyralog.deb")
    (root / "root" / "check.sh").write_text(CHECK)
    (root / "root" / "check.sh").chmod(0o755)
    (root / "etc" / "systemd" / "system" / "check.service").write_text(UNIT)
    shell(root, "dpkg -i /root/pyralog.deb; systemctl enable pyralog check")
    return root


def test_systemd_starts_shuts_in_watches_and_stops_it(tmp_path: Path) -> None:
    root = booted(tmp_path)
    # Its own network: 9092 there is not 9092 here.
    command = ["systemd-nspawn", "-q", "-D", str(root), "--private-network", "--register=no", "--keep-unit", "-b"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BOOT_TIMEOUT_S,
        check=False,
    )
    told = root / "root" / "check.out"
    if not told.exists() and "Failed to" in done.stdout:
        pytest.skip(f"systemd cannot be booted here: {done.stdout[-300:]}")
    text = told.read_text()
    for line in (
        "ActiveState=active",
        "StatusText=Pyralog",
        "consumed hello",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "NRestarts=1",
        "Failed with result 'watchdog'",
        "after the restart hello",
        "after the upgrade active",
        "Result=success",
        "ExecMainStatus=0",
        "the end",
    ):
        assert line in text, text
