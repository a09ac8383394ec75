"""Builds the Python of the relocatable tree: one executable that needs nothing but glibc 2.28.

    python -m tools.dist.python SOURCE OUT      # SOURCE: Python-3.13.N.tar.xz, or the folder `--debian` as below
    python -m tools.dist.python --debian OUT    # source of Debian's python3.13 with Debian's security patches

Needs ziglang, make, and the static libraries of libssl-dev zlib1g-dev libffi-dev liblzma-dev libbz2-dev. All modules of
the standard library are linked into the executable, so it imports them without opening a file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tools.dist.zig import MACHINE, compilers

SUITE, PACKAGE = "trixie", "python3.13"
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Of Debian's patches only those: the others move folders to where Debian wants them.
SECURITY = ("CVE-", "ssl-", "dict-", "traverse-")
HEADERS = ("openssl", "zlib.h", "zconf.h", "ffi.h", "ffitarget.h", "lzma.h", "lzma", "bzlib.h")
LIBRARIES = ("ssl", "crypto", "z", "ffi", "lzma", "bz2")
PREFIX = "/opt/pyralog"
# Modules whose libraries are not linked, since a server needs none of them.
LEFT_OUT = ("_tkinter", "_curses", "_curses_panel", "_gdbm", "_dbm", "readline", "_sqlite3", "_uuid", "nis")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debian", action="store_true")
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if options.debian == (options.source is not None):
        parser.error("name a source, or give --debian")
    with tempfile.TemporaryDirectory(prefix="pyralog-python-") as name:
        folder = Path(name)
        source = debian_source(folder) if options.debian else options.source.resolve()
        build(unpacked(source, folder), folder, options.out.resolve())


def debian_source(folder: Path) -> Path:
    """Fetch and check Debian's source package with apt, apart from the machine's own lists; its folder."""
    sources, lists, got = folder / "sources", folder / "lists", folder / "source"
    for each in (sources, lists / "partial", got):
        each.mkdir(parents=True)
    entry = f"Types: deb-src\nURIs: {MIRROR}\nSuites: {SUITE}\nComponents: main\nSigned-By: {KEYRING}\n"
    (sources / "debian.sources").write_text(entry)
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": sources,
        "Dir::State::lists": lists,
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "source", "--download-only", PACKAGE], cwd=got, check=True)
    return got


def unpacked(source: Path, folder: Path) -> Path:
    """The source tree, with the security patches where Debian's package has them."""
    archives = [source] if source.is_file() else sorted(source.glob("*.orig.tar.*z"))
    target = folder / "tree"
    with tarfile.open(archives[0]) as tar:
        tar.extractall(target, filter="data")
    (tree,) = target.iterdir()
    for debian in source.glob("*.debian.tar.*z") if source.is_dir() else ():
        with tarfile.open(debian) as tar:
            tar.extractall(folder / "patches", filter="data")
        patches = folder / "patches" / "debian" / "patches"
        for name in (patches / "series").read_text().split():
            if name.startswith(SECURITY):
                print(f"+ patch {name}", flush=True)
                subprocess.run(["patch", "-p1", "-s", "-i", str(patches / name)], cwd=tree, check=True)
    return tree


def static_libraries(folder: Path) -> Path:
    """A folder with only the headers and static libraries that are linked: Zig does not look in /usr."""
    include, lib = folder / "include", folder / "lib"
    include.mkdir(parents=True)
    lib.mkdir()
    multiarch = f"{MACHINE}-linux-gnu"
    for name in HEADERS:
        for place in (Path("/usr/include") / name, Path("/usr/include") / multiarch / name):
            if place.is_dir():
                shutil.copytree(place, include / name, dirs_exist_ok=True)
            elif place.exists():
                shutil.copy(place, include / name)
    for name in LIBRARIES:
        shutil.copy(f"/usr/lib/{multiarch}/lib{name}.a", lib)
    return folder


def build(tree: Path, folder: Path, out: Path) -> None:
    """Configure, compile and install into `out` (its bin/ and lib/)."""
    with_libraries = static_libraries(folder / "static")
    environment = {**os.environ, **compilers(folder / "zig"), "PKG_CONFIG": "false"}
    flags = [f"--prefix={PREFIX}", f"--build={MACHINE}-pc-linux-gnu", f"--with-openssl={with_libraries}"]
    flags += ["--without-ensurepip", "--disable-test-modules", "--without-readline", "MODULE_BUILDTYPE=static"]
    flags += ["OPT=-DNDEBUG -fwrapv -O3 -Wall -g0", f"CPPFLAGS=-I{with_libraries}/include"]
    flags += [f"LDFLAGS=-L{with_libraries}/lib", "LDFLAGS_NODIST=-s"]
    for name, library in (("ZLIB", "z"), ("BZIP2", "bz2"), ("LIBLZMA", "lzma"), ("LIBFFI", "ffi")):
        flags += [f"{name}_CFLAGS=-I{with_libraries}/include", f"{name}_LIBS=-L{with_libraries}/lib -l{library}"]
    flags += [f"py_cv_module_{name}=n/a" for name in LEFT_OUT]
    subprocess.run(["./configure", "-q", *flags], cwd=tree, env=environment, check=True)
    subprocess.run(["make", "-s", f"-j{os.cpu_count()}"], cwd=tree, env=environment, check=True)
    # Without bytecode; the tree compiles what it takes.
    install = ["make", "-s", "install", f"DESTDIR={folder / 'installed'}", "COMPILEALL_OPTS=--help"]
    subprocess.run(install, cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(folder / "installed" / PREFIX.lstrip("/"), out, symlinks=True)


if __name__ == "__main__":
    main()
