"""`pyralog-admin generate`: files for the tools around a broker."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from pyralog.cli.admin.ask import Ask, asks, fail
from pyralog.cli.admin.tree import command, group
from pyralog.cli.admin.unit import unit

PACKAGE = "pyralog"
FOLDER = "dashboards"
SHELLS = ("bash", "zsh", "fish")


@group("generate")
def generate() -> None:
    """Dashboards, alerts, a scrape configuration, a systemd unit, shell completion on stdout; manual pages."""


def _shipped(*candidates: str) -> str:
    folder = files(PACKAGE).joinpath(FOLDER)
    for name in candidates:
        found = folder.joinpath(name)
        if found.is_file():
            return found.read_text(encoding="utf-8")
    fail(f"this installation lacks {FOLDER}/{candidates[0]}")


@command("grafana")
@asks
def grafana(_: Ask) -> None:
    """The dashboard, for Grafana's import."""
    click.echo(_shipped("grafana.json", "pyralog.json"), nl=False)


@command("alerts")
@asks
def alerts(_: Ask) -> None:
    """Alerting rules for Prometheus."""
    click.echo(_shipped("alerts.yml", "alerts.yaml"), nl=False)


@command("prometheus")
@asks
def prometheus(_: Ask) -> None:
    """A scrape configuration for Prometheus."""
    click.echo(_shipped("prometheus.yml", "scrape.yml", "prometheus.yaml"), nl=False)


@command("systemd")
@click.option(
    "--command", "executable", default="/usr/local/bin/pyralog", show_default=True, help="Where pyralog is installed."
)
@click.option("--config", default="/etc/pyralog/config.json", show_default=True, help="Its configuration file.")
@click.option("--data-dir", "data", default="/var/lib/pyralog", show_default=True, help="Made by systemd, writable.")
@click.option("--log-dir", "logs", default="/var/log/pyralog", show_default=True, help="The same, for log files.")
@click.option("--notify", is_flag=True, help="Type=notify: ready after recovery, and a watchdog.")
@asks
def systemd(_: Ask, executable: str, config: str, data: str, logs: str, notify: bool) -> None:
    """A unit for /etc/systemd/system/pyralog.service."""
    click.echo(unit(executable, config, data, logs, notify=notify), nl=False)


@command("man")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@asks
def man(_: Ask, folder: Path) -> None:
    """Manual pages, into FOLDER/man1 and FOLDER/man5: pyralog(1), pyralog-admin(1), pyralog.yaml(5)."""
    from pyralog.cli.man import PAGES

    try:
        for name, page in PAGES.items():
            target = folder / f"man{name[-1]}" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(page(), encoding="utf-8")
            click.echo(target)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")


@command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@asks
def completion(_: Ask, shell: str) -> None:
    """Completion of pyralog-admin for a shell, to be sourced there."""
    from click.shell_completion import get_completion_class

    from pyralog.cli.admin.main import main

    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(main, {}, "pyralog-admin", "_PYRALOG_ADMIN_COMPLETE")
    click.echo(made.source_template % made.source_vars())


for each in (grafana, alerts, prometheus, systemd, man, completion):
    generate.add_command(each)
