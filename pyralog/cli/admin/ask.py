"""What every command has at hand: the cluster to ask, how to print, and the ways to end."""

from __future__ import annotations

import functools
import http.client
import json
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from pyralog.cli.admin.telling import said, whole_address
from pyralog.cli.admin.tree import given

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

EXIT_FAILED, EXIT_UNREACHABLE, EXIT_PARTLY = 1, 3, 4
EXIT_INTERRUPTED = 130
CONNECT_MS = 5_000
HTTP_TIMEOUT_S = 10
DEFAULT_CLUSTER = "localhost:9092"
CLIENT = "pyralog-admin"

Rows = list[dict[str, Any]]


class HttpError(Exception):
    """Nobody speaks HTTP there."""


class Ask(NamedTuple):
    """The options of every level."""

    cluster: str
    form: str
    yes: bool
    progress: bool
    command_config: str | None

    # --- the cluster ---

    def options(self) -> dict[str, Any]:
        """What every client of kafka-python is made with."""
        options: dict[str, Any] = {"bootstrap_servers": self.cluster.split(","), "client_id": CLIENT}
        if self.command_config is not None:
            from pyralog.cli.admin.client_config import client_options

            try:
                options |= client_options(self.command_config, note)
            except OSError as error:
                fail(f"{self.command_config} cannot be read: {error.strerror}")
        return options

    @contextmanager
    def connected(self) -> Iterator[KafkaAdminClient]:
        """A connected client; an unreachable cluster and a refusal end the command with a line that says so."""
        self._knock()
        quiet()
        from kafka import errors
        from kafka.admin import KafkaAdminClient

        try:
            client = KafkaAdminClient(**self.options(), bootstrap_timeout_ms=CONNECT_MS)
        except errors.KafkaTimeoutError:
            self.unreachable(f"no Kafka broker answered within {CONNECT_MS // 1000} s")
        except (errors.KafkaError, OSError, ValueError) as error:
            self.unreachable(said(error))
        with self.told(), _closing(client):
            yield client

    def _knock(self) -> None:
        """Where every address refuses at once there is nothing to wait for, as the client library would."""
        refused: OSError | None = None
        for address in self.cluster.split(","):
            host, _, port = address.rpartition(":")
            try:
                socket.create_connection((host.strip("[]"), int(port)), CONNECT_MS / 1000).close()
            except (ConnectionRefusedError, socket.gaierror) as error:
                refused = error
            except OSError:
                return
            else:
                return
        if refused is not None:
            self.unreachable(said(refused))

    @contextmanager
    def told(self) -> Iterator[None]:
        """What a client raises in here ends the command with a line that says so."""
        from kafka import errors

        try:
            yield
        except (errors.IncompatibleBrokerVersion, errors.UnsupportedVersionError) as error:
            fail(f"{self.cluster} does not offer this: {said(error)}")
        except (errors.KafkaConnectionError, errors.NodeNotReadyError) as error:
            self.unreachable(said(error))
        except errors.UnknownBrokerIdError as error:
            fail(f"there is no node {', '.join(map(str, error.args))}")
        except errors.KafkaError as error:
            fail(said(error))

    def unreachable(self, why: str) -> NoReturn:
        """End with the address that did not answer."""
        fail(f"{self.cluster} cannot be reached: {why}", EXIT_UNREACHABLE)

    def http(self, path: str, *, accept: str = "application/json") -> tuple[int, bytes]:
        """Status and body of a GET at the first address, which serves HTTP when it is a Pyralog node; or HttpError."""
        url = f"http://{self.cluster.split(',')[0]}{path}"
        request = urllib.request.Request(url, headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise HttpError(f"{url} does not answer: {said(error)}") from error

    # --- what is printed ---

    def show(self, rows: Rows, *, wide: tuple[str, ...] = (), empty: str = "There are none.") -> None:
        """Rows as a table or one document; a plain table leaves out the columns of `wide`, and is `empty` in words."""
        if self.form in ("json", "yaml"):
            self.document(rows)
            return
        if not rows:
            if empty:
                note(empty)
            return
        from pyralog.cli.admin.output import table

        hidden = () if self.form == "wide" else wide
        table([{key: value for key, value in row.items() if key not in hidden} for row in rows])

    def document(self, value: Any) -> None:
        """One JSON or YAML document; mappings as `name: value` lines otherwise."""
        if self.form == "json":
            click.echo(json.dumps(value, indent=2, default=str))
        elif self.form == "yaml":
            import yaml

            click.echo(yaml.safe_dump(json.loads(json.dumps(value, default=str)), sort_keys=False), nl=False)
        elif isinstance(value, Mapping):
            from pyralog.cli.admin.output import pairs

            pairs(value)
        else:
            self.show(value)

    def line(self, value: Mapping[str, Any], text: str) -> None:
        """One of many answers: a line of JSON (which YAML is too), or the text."""
        click.echo(json.dumps(value, default=str) if self.form in ("json", "yaml") else text)

    def outcomes(self, rows: Rows) -> None:
        """Rows that may have an `error`, and the exit code that follows: 0, 1 when all failed, 4 when some did."""
        self.show(rows)
        failed = sum(bool(row.get("error")) for row in rows)
        if failed:
            sys.exit(EXIT_FAILED if failed == len(rows) else EXIT_PARTLY)

    def confirm(self, question: str) -> None:
        """Go on only after a yes."""
        if self.yes:
            return
        try:
            agreed = click.confirm(question, err=True)
        except click.Abort:
            note("")
            fail("nothing was changed, as nobody answered; --yes does not ask")
        if not agreed:
            fail("nothing was changed")


@contextmanager
def _closing(client: Any) -> Iterator[None]:
    try:
        yield
    finally:
        client.close()


def quiet() -> None:
    """What the client library logs is for its authors; its exceptions say the same once."""
    import logging

    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)


def asks(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a command its Ask as the first argument."""

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> None:
        context = click.get_current_context()
        ask = Ask(
            cluster=_cluster(given(context, "cluster", os.environ.get("PYRALOG_CLUSTER") or DEFAULT_CLUSTER)),
            form=given(context, "form", "table"),
            yes=given(context, "yes", False),
            progress=not given(context, "no_progress", False),
            command_config=given(context, "command_config", None),
        )
        try:
            function(ask, *arguments, **options)
        except KeyboardInterrupt:
            note("")
            sys.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            raise  # click ends quietly when nobody reads on
        except OSError as error:
            fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))

    return run


def _cluster(text: str) -> str:
    try:
        return ",".join(whole_address(each.strip()) for each in text.split(","))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def note(message: str) -> None:
    """A remark on stderr; results go to stdout."""
    click.echo(message, err=True)


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    """End with a line on stderr."""
    click.echo(f"pyralog-admin: {message}", err=True)
    sys.exit(code)


def end_without(what: str, missing: list[str], *, found: bool) -> None:
    """End with the names of which there is none, when there are such: 4 where others were `found`, else 1."""
    if missing:
        fail(f"there is no {what} {', '.join(missing)}", EXIT_PARTLY if found else EXIT_FAILED)


def pairs_of(values: tuple[str, ...], option: str) -> dict[str, str]:
    """`KEY=VALUE` arguments as a mapping."""
    for value in values:
        if "=" not in value:
            raise click.UsageError(f"{option} takes KEY=VALUE, not {value!r}")
    return dict(value.split("=", 1) for value in values)
