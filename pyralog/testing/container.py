"""Pyralog's image as a container of testcontainers, which this module alone needs: `pip install testcontainers`."""

from __future__ import annotations

import io
import re
import tarfile
import time
from typing import Any, Self

try:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("PyralogContainer needs: pip install testcontainers", name=error.name) from error

IMAGE = "pyralog/pyralog:latest"
PORT = 9092
START_SCRIPT = "/tc-start.sh"
START_TIMEOUT_S = 60
READY = re.compile(r".*Pyralog .* ready.*")
# The image's own entrypoint prepares /data; without one the command itself is run.
ENTRYPOINTS = ("/docker-entrypoint.sh", "/usr/local/bin/docker-entrypoint.sh")


class PyralogContainer(DockerContainer):
    """`with PyralogContainer() as kafka:` - clients then go to `kafka.get_bootstrap_server()`.

    The container must know the port that Docker maps before it can tell clients of it. So it waits for a script, which
    start() puts into it as soon as the port is known.
    """

    def __init__(self, image: str = IMAGE, port: int = PORT, **options: Any) -> None:
        super().__init__(image, **{**options, "entrypoint": "sh"})
        self.port = port
        self.with_exposed_ports(port)
        self.with_env("PYRALOG_LISTEN_ADDRESS", f"0.0.0.0:{port}")

    def get_bootstrap_server(self) -> str:
        """host:port for clients on this machine."""
        return f"{self.get_container_host_ip()}:{self.get_exposed_port(self.port)}"

    def get_http_url(self) -> str:
        """Where /health and the rest of HTTP is."""
        return f"http://{self.get_bootstrap_server()}"

    def get_schema_registry_address(self) -> str:
        """The base address of a schema registry's paths, which share the port."""
        return self.get_http_url()

    def start(self, timeout_s: int = START_TIMEOUT_S) -> Self:
        """Start, tell the broker its address, and return when it is ready."""
        self.with_command(["-c", f"while [ ! -f {START_SCRIPT} ]; do sleep 0.1; done; exec sh {START_SCRIPT}"])
        super().start()
        try:
            self.get_wrapped_container().put_archive(
                "/", archive(START_SCRIPT, start_script(self.get_bootstrap_server()))
            )
            ready = LogMessageWaitStrategy(READY)
            ready.with_startup_timeout(timeout_s)
            ready.wait_until_ready(self)
        except BaseException:
            self.stop()
            raise
        return self


def start_script(advertised: str) -> str:
    """What the container runs: the image's entrypoint, and with it the broker, under the address that clients use."""
    tries = "\n".join(f'[ -x {path} ] && exec {path} "$@"' for path in ENTRYPOINTS)
    return f"#!/bin/sh\nexport PYRALOG_NETWORK_ADVERTISED_ADDRESS={advertised}\n{tries}\nexec pyralog\n"


def archive(path: str, text: str) -> bytes:
    """A tar archive with one executable file, to be unpacked at the root."""
    data = text.encode()
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode, entry.mtime = len(data), 0o755, int(time.time())
            tar.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()
