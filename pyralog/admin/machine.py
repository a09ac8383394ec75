"""What the operating system tells of this machine and process; asked by the thread that renders a scrape."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from pyralog.admin.samples import Sample
from pyralog.metrics import Family

# fmt: off
PROCESS: tuple[Family, ...] = (
    Family("process_cpu_seconds_total", "counter", "Processor time of this process, user and system."),
    Family("process_open_fds", "gauge", "Open file descriptors."),
    Family("process_max_fds", "gauge", "The limit of open file descriptors."),
    Family("process_resident_memory_bytes", "gauge", "Resident memory."),
    Family("process_virtual_memory_bytes", "gauge", "Virtual memory."),
    Family("process_start_time_seconds", "gauge", "Start of the process, by the wall clock."),
    Family("process_threads", "gauge", "Threads of the operating system."),
)
# fmt: on
# Guest time is part of user time already.
IN_USER = ("guest", "guest_nice")


def process() -> dict[str, float]:
    """The values of PROCESS by name."""
    own = psutil.Process()
    with own.oneshot():
        cpu, memory = own.cpu_times(), own.memory_info()
        return {
            "process_cpu_seconds_total": cpu.user + cpu.system,
            "process_open_fds": own.num_fds(),
            "process_max_fds": own.rlimit(psutil.RLIMIT_NOFILE)[0],
            "process_resident_memory_bytes": memory.rss,
            "process_virtual_memory_bytes": memory.vms,
            "process_start_time_seconds": own.create_time(),
            "process_threads": own.num_threads(),
        }


def cpu_seconds() -> Iterator[tuple[tuple[str, str], float]]:
    """((processor, mode), seconds)."""
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        for mode, seconds in times._asdict().items():
            if mode not in IN_USER:
                yield (str(number), mode), seconds


def disk_operations(field: str) -> Iterator[Sample]:
    """One of psutil's figures over all disks; nothing where the system tells nothing, as in some containers."""
    found = psutil.disk_io_counters()
    if found is not None:
        yield "", (), getattr(found, field)


def network(field: str) -> dict[str, int]:
    """One of psutil's figures by network device."""
    return {device: getattr(figures, field) for device, figures in psutil.net_io_counters(pernic=True).items()}
