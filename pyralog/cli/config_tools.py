"""`pyralog config explain | lint | convert | schema`: about configuration files, without a node."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from pyralog.cli.whole_help import WholeHelpGroup

if TYPE_CHECKING:
    from pyralog.config.problems import ConfigError

EXIT_FAILED = 1
FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(
    "config", cls=WholeHelpGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
def config() -> None:
    """Configuration files: explain keys, check a file, convert one of Kafka's, write the schema for editors."""


@config.command("explain")
@click.argument("path", required=False)
def explain(path: str | None) -> None:
    """Tell about a key, a section, a Kafka name, a topic config or a variable; about all sections without PATH."""
    from pyralog.config.explain import UnknownNameError, explained

    try:
        click.echo(explained(path or ""))
    except UnknownNameError as error:
        click.echo(f"pyralog: {error}", err=True)
        sys.exit(EXIT_FAILED)


@config.command("lint")
@click.argument("file", type=FILE)
@click.option("--env", is_flag=True, help="With the variables of this environment over the file, as at a start.")
def lint(file: Path, env: bool) -> None:
    """Check FILE: 0 when it is valid, 78 with every mistake, its place and the nearest right name."""
    import os

    from pyralog.config.checks import not_in_this_release
    from pyralog.config.loader import load
    from pyralog.config.problems import ConfigError

    try:
        loaded = load(str(file), environ=os.environ if env else {})
    except ConfigError as error:
        _refuse(error)
    for warning in loaded.warnings:
        click.echo(f"{file}: warning: {warning}", err=True)
    for finding in not_in_this_release(loaded.config):
        place = loaded.place(finding.path)
        click.echo(f"{file}:{place}: warning: {finding.path}: {finding.message}", err=True)
    click.echo(f"{file}: valid.")


@config.command("convert")
@click.argument("file", type=FILE)
@click.option("-o", "--output", type=FILE, help="Write to this file; otherwise to the standard output.")
def convert(file: Path, output: Path | None) -> None:
    """Make a YAML configuration of Kafka's server.properties FILE; tells what has no counterpart on standard error."""
    from pyralog.config.convert import convert as converted
    from pyralog.config.problems import ConfigError

    try:
        result = converted(file.read_bytes(), str(file))
    except ConfigError as error:
        _refuse(error)
    except OSError as error:
        _fail(f"{file}: {error.strerror}")
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    for line in result.left_out:
        click.echo(f"left out: {line}", err=True)
    if output is None:
        click.echo(result.text, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as stream:
            stream.write(result.text)
    except FileExistsError:
        _fail(f"{output} is there already; it is not overwritten.")
    except OSError as error:
        _fail(f"{output}: {error.strerror}")


@config.command("schema")
def schema() -> None:
    """Print the JSON Schema of configuration files, which editors complete and check by."""
    from pyralog.config.json_schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _refuse(error: ConfigError) -> NoReturn:
    from pyralog.config.problems import EX_CONFIG

    click.echo(error.report(ending="Nothing was written or changed."), err=True)
    sys.exit(EX_CONFIG)


def _fail(why: str) -> NoReturn:
    click.echo(f"pyralog: {why}", err=True)
    sys.exit(EXIT_FAILED)
