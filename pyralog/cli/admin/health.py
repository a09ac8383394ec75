"""`pyralog-admin health`: what a node says of itself over HTTP."""

from __future__ import annotations

import json
import os
import sys

import click

from pyralog.cli.admin.ask import EXIT_PARTLY, EXIT_UNREACHABLE, Ask, HttpError, asks, fail
from pyralog.cli.admin.tree import command

OK = 200


@command("health")
@click.option("--local", is_flag=True, help="The node on this machine, at the port that its environment names.")
@click.option("--ready", is_flag=True, help="Whether it lets clients in, rather than whether it lives.")
@asks
def health(ask: Ask, local: bool, ready: bool) -> None:
    """Ask a node's /health; exit code 0 when it is well, 4 when it is not, 3 when it does not answer."""
    if local:
        ask = ask._replace(cluster=local_address())
    path = "/health/ready" if ready else "/health"
    try:
        status, body = ask.http(path)
    except HttpError as error:
        fail(str(error), EXIT_UNREACHABLE)
    try:
        told = json.loads(body)
    except ValueError:
        fail(f"http://{ask.cluster.split(',')[0]}{path} answered {status}, and no JSON: is this a Pyralog node?")
    ask.document(told)
    sys.exit(0 if status == OK else EXIT_PARTLY)


def local_address() -> str:
    """Loopback, with the port that the node of this environment listens on."""
    address = os.environ.get("PYRALOG_LISTEN_ADDRESS") or os.environ.get("PYRALOG_NETWORK_LISTEN_ADDRESS") or ""
    port = address.rpartition(":")[2]
    return f"127.0.0.1:{port if port.isdigit() else 9092}"
