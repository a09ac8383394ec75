"""What the operations guide recommends for a host, compared with what the host has."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC_SYS = Path("/proc/sys")
THP = Path("/sys/kernel/mm/transparent_hugepage")
# The guide's /etc/sysctl.conf, shipped as 90-pyralog.conf, and the accept queue, which the guide leaves out.
SYSCTL = {
    "net.core.rmem_max": 134217728,
    "net.core.wmem_max": 134217728,
    "net.core.netdev_max_backlog": 5000,
    "net.core.somaxconn": 1024,
    "fs.file-max": 2097152,
    "fs.nr_open": 2097152,
}
SYSCTL_TRIPLES = {"net.ipv4.tcp_rmem": (4096, 87380, 67108864), "net.ipv4.tcp_wmem": (4096, 65536, 67108864)}
SWAPPINESS = 1
HUGE_PAGES = 1024
LIMITS = {"nofile": (resource.RLIMIT_NOFILE, 1048576), "nproc": (resource.RLIMIT_NPROC, 32768)}
LIMITS_FILE = "/etc/security/limits.conf"


class Finding(NamedTuple):
    """One check: what it looked at, what it found and would like, and what to do where these differ."""

    check: str
    status: str
    found: str
    wanted: str
    advice: str


def _finding(check: str, good: bool, found: object, wanted: str, advice: str) -> Finding:
    return Finding(check, "ok" if good else "warn", str(found), wanted, "" if good else advice)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _setting(proc: Path, name: str) -> str | None:
    return _read(proc.joinpath(*name.split(".")))


def _unknown(check: str, wanted: str) -> Finding:
    return Finding(check, "unknown", "not readable here", wanted, "")


def sysctl_findings(proc: Path = PROC_SYS) -> Iterator[Finding]:
    """OS-5."""
    for name, least in SYSCTL.items():
        text, wanted = _setting(proc, name), f">= {least}"
        if text is None:
            yield _unknown(name, wanted)
        else:
            yield _finding(name, int(text) >= least, text, wanted, f"sysctl -w {name}={least}")
    for name, triple in SYSCTL_TRIPLES.items():
        text, wanted = _setting(proc, name), " ".join(map(str, triple))
        if text is None:
            yield _unknown(name, wanted)
        else:
            found = " ".join(text.split())
            good = int(found.split()[-1]) >= triple[-1]
            yield _finding(name, good, found, f"maximum >= {triple[-1]}", f"sysctl -w {name}='{wanted}'")
    text = _setting(proc, "vm.swappiness")
    if text is None:
        yield _unknown("vm.swappiness", f"<= {SWAPPINESS}")
    else:
        yield _finding("vm.swappiness", int(text) <= SWAPPINESS, text, f"<= {SWAPPINESS}", "sysctl -w vm.swappiness=1")
    text = _setting(proc, "vm.nr_hugepages")
    if text is not None:
        # SL-13: the guide lists it under transparent huge pages, which it is not; it pins 2 GiB that we do not use.
        advice = f"{HUGE_PAGES} in the guide reserves 2 GiB that Pyralog does not use; leave it as it is"
        yield Finding("vm.nr_hugepages", "ok", text, f"{HUGE_PAGES} in the guide", advice)


def limit_findings() -> Iterator[Finding]:
    """OS-6, of this process: a service has the limits of its unit."""
    for name, (number, least) in LIMITS.items():
        soft, hard = resource.getrlimit(number)
        good = all(value == resource.RLIM_INFINITY or value >= least for value in (soft, hard))
        shown = "/".join("unlimited" if value == resource.RLIM_INFINITY else str(value) for value in (soft, hard))
        advice = (
            f"in {LIMITS_FILE}: `* soft {name} {least}` and `* hard {name} {least}`; Limit{name.upper()}= in a unit"
        )
        yield _finding(f"limit {name}", good, shown, f">= {least}", advice)


def huge_page_findings(folder: Path = THP) -> Iterator[Finding]:
    """OS-7."""
    for name in ("enabled", "defrag"):
        text = _read(folder / name)
        check, wanted = f"transparent_hugepage/{name}", "never"
        if text is None:
            yield _unknown(check, wanted)
            continue
        chosen = text.partition("[")[2].partition("]")[0] or text
        yield _finding(check, chosen == wanted, chosen, wanted, f"echo never > {folder / name}")


def host_findings() -> list[Finding]:
    """Every check of this host."""
    return [*sysctl_findings(), *limit_findings(), *huge_page_findings()]
