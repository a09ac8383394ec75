"""The `pyralog` command: reads the options and the configuration, then runs one node until it is stopped."""

from __future__ import annotations

import dataclasses
import errno
import functools
import gc
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pyralog.version import __version__

if TYPE_CHECKING:
    from pyralog.config.loader import Loaded
    from pyralog.config.schema import Config
    from pyralog.logfiles.setup import Logging

log = logging.getLogger("pyralog.cli.daemon")  # it may be __main__

EXIT_FAILED = 1


# Tools beside the broker, by the first word; each is imported when it is named.
TOOLS = {"config": "pyralog.cli.config_tools:config", "log": "pyralog.cli.log_tools:log"}


class _Daemon(click.Command):
    """The broker's own command. Without a subcommand it runs the broker, with the name of a tool that tool."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in TOOLS:
            module, _, attribute = TOOLS[args[0]].partition(":")
            getattr(importlib.import_module(module), attribute).main(args[1:], prog_name=f"pyralog {args[0]}")
        if args and args[0] in ("help", "version"):
            args = [f"--{args[0]}"]
        if args and not args[0].startswith("-"):
            hint = "Alone, pyralog runs the broker; --config FILE names its configuration."
            raise click.UsageError(f"{args[0]!r} is none of the tools {' and '.join(TOOLS)}. {hint}", ctx)
        return super().parse_args(ctx, args)


@click.command(
    cls=_Daemon,
    epilog="Tools: pyralog config --help, pyralog log --help",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--config", "-c", "file", metavar="FILE", help="Configuration file, YAML or JSON.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Set one key; wins over everything else.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="The port of network.listen_address.")
@click.option("--data-dir", metavar="DIR", help="The same as --set node.data_dir=DIR.")
@click.option("--dev", is_flag=True, help="One node on loopback, whatever the file says of a cluster.")
@click.option("--ephemeral", is_flag=True, help="Keep the data in a temporary folder that is removed at exit.")
@click.option("--check", is_flag=True, help="Check the configuration and exit.")
@click.option("--print-config", is_flag=True, help="Print every value and where it comes from, and exit.")
@click.version_option(__version__, "--version", "-V", prog_name="pyralog", message="%(prog)s %(version)s")
def main(
    file: str | None,
    settings: tuple[str, ...],
    port: int | None,
    data_dir: str | None,
    dev: bool,
    ephemeral: bool,
    check: bool,
    print_config: bool,
) -> NoReturn:
    """Run a Pyralog node. Without a file: data in ./pyralog-data, clients on 127.0.0.1:9092."""
    # Start-up makes many objects and no garbage; collecting in between costs a tenth of the time to ready.
    gc.disable()
    # Plugins of pydantic are looked for in every installed distribution; we have none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    sys.modules.setdefault("importlib.metadata", _Metadata("importlib.metadata"))
    if ephemeral and data_dir is not None:
        raise click.UsageError("--ephemeral keeps nothing, so that it has no use for --data-dir.")
    with _data_folder(ephemeral) as folder:
        if (folder := folder or data_dir) is not None:
            settings = (*settings, f"node.data_dir={folder}")
        read = functools.partial(_read, file, settings, dev=dev, port=port)
        config = _load(file, read, only_print=print_config)
        if print_config:
            from pyralog.config.printing import config_text

            click.echo(config_text(config), nl=False)
            sys.exit(0)
        config = _fit_to_host(config, ephemeral=ephemeral)
        if check:
            click.echo("The configuration is valid.")
            sys.exit(0)
        running = _start_logging(config)
        try:
            _say_start(config)
            # On a terminal SIGHUP says that it was closed.
            sys.exit(_run(config, None if sys.stdin.isatty() else functools.partial(_read_again, file, read)))
        finally:
            running.close()


class _Metadata(ModuleType):
    """importlib.metadata for pydantic, which imports it for plugins that it is told not to look for: a twentieth of the
    time to ready, with email, zipfile and csv. Whoever uses anything of it gets the real one."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":
            raise AttributeError(name)
        return getattr(self._real(), name)

    def entry_points(self, **wanted: Any) -> Any:
        """As importlib.metadata.entry_points."""
        return self._real().entry_points(**wanted)

    def _real(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)


@contextmanager
def _data_folder(ephemeral: bool) -> Iterator[str | None]:
    """A temporary folder, gone afterwards, for --ephemeral."""
    if not ephemeral:
        yield None
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="pyralog-", ignore_cleanup_errors=True) as folder:
        yield folder


def _read(file: str | None, settings: tuple[str, ...], *, dev: bool, port: int | None) -> Loaded:
    """The configuration as the options and the environment have it. ConfigError."""
    from pyralog.config.loader import load

    return load(file, environ=os.environ, settings=settings, dev=dev, port=port)


def _load(file: str | None, read: Callable[[], Loaded], *, only_print: bool) -> Config:
    from pyralog.config.problems import EX_CONFIG, ConfigError

    try:
        loaded = read()
        _warn(loaded.warnings)
        if not only_print:
            _refuse_what_is_not_there(loaded, file)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(EX_CONFIG)
    return loaded.config


def _refuse_what_is_not_there(loaded: Loaded, file: str | None) -> None:
    """ConfigError for what is right but this release cannot do."""
    from pyralog.config.checks import not_in_this_release
    from pyralog.config.problems import ConfigError, Problem

    refused = tuple(not_in_this_release(loaded.config))
    if refused:
        raise ConfigError([Problem(each.path, each.message, loaded.place(each.path)) for each in refused], file)


def _read_again(file: str | None, read: Callable[[], Loaded]) -> Loaded:
    """The configuration as it is now, for a node that runs. ConfigError when it cannot be used."""
    from pyralog.config.host import fit_connections

    loaded = read()
    _refuse_what_is_not_there(loaded, file)
    config, warnings = fit_connections(loaded.config)
    return dataclasses.replace(loaded, config=config, warnings=(*loaded.warnings, *warnings))


def _fit_to_host(config: Config, *, ephemeral: bool) -> Config:
    from pyralog.config.host import fit_connections, folder_problems, folder_warnings
    from pyralog.config.problems import EX_CONFIG, ConfigError, Problem

    if problems := [Problem(each.path, each.message) for each in folder_problems(config)]:
        click.echo(str(ConfigError(problems)), err=True)
        sys.exit(EX_CONFIG)
    config, warnings = fit_connections(config)
    if not ephemeral:
        warnings += tuple(folder_warnings(config))
    _warn(warnings)
    return config


def _warn(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        click.echo(f"pyralog: warning: {warning}", err=True)


def _start_logging(config: Config) -> Logging:
    """Log at the levels of PYRALOG_LOG, RUST_LOG or the configuration, to the files of node.log_dir or to stdout."""
    from pyralog.config.logspec import log_filters
    from pyralog.config.problems import EX_CONFIG, ConfigError, Problem
    from pyralog.logfiles.setup import KEY, start_logging

    levels, wrong = log_filters(os.environ, config.logging.level)
    _warn(tuple(wrong))
    try:
        return start_logging(config, levels)
    except OSError as error:
        why = f'"{error.filename or config.node.log_dir}" cannot be used: {error.strerror}.'
        click.echo(str(ConfigError([Problem(KEY, why)])), err=True)
        sys.exit(EX_CONFIG)


def _say_start(config: Config) -> None:
    from pyralog.config.host import descriptor_limits

    what = "Pyralog %s starts: node %d, process %d, data in %s, open files %d (soft limit), %d (hard limit)"
    log.info(what, __version__, config.node.node_id, os.getpid(), config.node.data_dir, *descriptor_limits())


def _run(config: Config, read: Callable[[], Loaded] | None) -> int:
    """The node until it is stopped; what keeps it from starting is said in one line, with a hint where there is one."""
    from pyralog.app import run
    from pyralog.errors import StorageError

    gc.freeze()
    gc.enable()
    try:
        return run(config, read)
    except StorageError as error:
        click.echo(f"pyralog: {error}", err=True)
    except OSError as error:
        hint = ""
        if error.errno == errno.EADDRINUSE:
            from pyralog.cli.ports import in_use_hint

            hint = in_use_hint(config)
        elif error.errno == errno.EADDRNOTAVAIL:
            hint = "\n  This machine has no such address; to be reached from elsewhere, listen on 0.0.0.0."
        where = "" if error.filename is None else f"{error.filename}: "
        click.echo(f"pyralog: {where}{error.strerror or error}{hint}", err=True)
    return EXIT_FAILED


if __name__ == "__main__":
    main()
