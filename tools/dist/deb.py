"""Packs a relocatable tree into a Debian package: /opt/pyralog, links in /usr/bin, a user, a unit, a configuration.

python -m tools.dist.deb TREE OUT
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
from email.utils import formatdate
from pathlib import Path

from pyralog.version import __version__
from tools.dist.tree import pack, size_of
from tools.dist.wheels import ROOT, commit_time
from tools.dist.zig import DEBIAN_MACHINE

SOURCES = ROOT / "packaging" / "debian"
SCRIPTS = ("postinst", "prerm", "postrm")
# Where each file of the repository goes, and whether dpkg keeps an administrator's changes to it.
FILES = {
    "packaging/debian/config.yaml": ("etc/pyralog/config.yaml", True),
    "packaging/debian/pyralog.logrotate": ("etc/logrotate.d/pyralog", True),
    "packaging/systemd/pyralog.service": ("usr/lib/systemd/system/pyralog.service", False),
    "packaging/systemd/pyralog-simple.service": ("usr/share/doc/pyralog/examples/pyralog-simple.service", False),
    "packaging/sysctl/90-pyralog.conf": ("usr/share/doc/pyralog/examples/90-pyralog.conf", False),
    "packaging/debian/copyright": ("usr/share/doc/pyralog/copyright", False),
}
REVISION = "1"


def build(tree: Path, out: Path) -> Path:
    """The package file."""
    out.mkdir(parents=True, exist_ok=True)
    version = f"{__version__}-{REVISION}"
    made = out / f"pyralog_{version}_{DEBIAN_MACHINE}.deb"
    with tempfile.TemporaryDirectory(prefix="pyralog-deb-") as name:
        root = Path(name)
        root.chmod(0o755)
        lay_out(tree, root, version)
        control(root, version)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": commit_time()}
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(made)]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return made


def lay_out(tree: Path, root: Path, version: str) -> None:
    """Everything that will be on the machine."""
    shutil.copytree(tree, root / "opt" / "pyralog", symlinks=True)
    for name in ("pyralog", "pyralog-admin"):
        link = root / "usr" / "bin" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"/opt/pyralog/bin/{name}")
    for source, (target, _) in FILES.items():
        place = root / target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, place)
        place.chmod(0o644)
    for page in (tree / "share" / "man").rglob("*.[1-8]"):
        place = root / "usr" / "share" / "man" / page.parent.name / f"{page.name}.gz"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(gzip.compress(page.read_bytes(), 9, mtime=0))
    entry = (
        f"pyralog ({version}) stable; urgency=medium\n\n  * See /opt/pyralog/share/doc/pyralog/CHANGELOG.md.\n\n"
        f" -- Pyralog <pyralog@users.noreply.github.com>  {formatdate(int(commit_time()))}\n"
    )
    log = root / "usr" / "share" / "doc" / "pyralog" / "changelog.Debian.gz"
    log.write_bytes(gzip.compress(entry.encode(), 9, mtime=0))


def control(root: Path, version: str) -> None:
    """What dpkg reads."""
    folder = root / "DEBIAN"
    folder.mkdir()
    text = (SOURCES / "control").read_text(encoding="utf-8")
    values = {"VERSION": version, "ARCHITECTURE": DEBIAN_MACHINE, "SIZE_KB": str(size_of(root) // 1024)}
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    (folder / "control").write_text(text, encoding="utf-8")
    kept = [f"/{target}\n" for target, is_configuration in FILES.values() if is_configuration]
    (folder / "conffiles").write_text("".join(kept), encoding="utf-8")
    for name in SCRIPTS:
        shutil.copy(SOURCES / name, folder / name)
        (folder / name).chmod(0o755)


if __name__ == "__main__":
    pack(build, __doc__)
