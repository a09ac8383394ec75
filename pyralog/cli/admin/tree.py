"""Click commands that know the options of every level, and groups that import a command only when it is run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import click

from pyralog.cli.whole_help import WholeHelpGroup

FORMATS = ("table", "json", "yaml", "wide")
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
META = "pyralog.admin."
# What hands type by reflex; help and manual pages have the long words alone.
SHORT = {"ls": "list", "rm": "delete", "desc": "describe"}


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """The meta of a context is that of all: what is given last, closest to the command, wins."""
    if value not in (None, False):
        context.meta[META + str(parameter.name)] = value


def given(context: click.Context, name: str, default: Any) -> Any:
    """The value of one of the options of every level."""
    return context.meta.get(META + name, default)


def common_options(*, shown: bool) -> list[click.Parameter]:
    """The options that every level takes."""
    rest: dict[str, Any] = {"expose_value": False, "callback": _remember}
    return [
        click.Option(["--cluster"], metavar="HOST:PORT[,..]", help="Where to ask [localhost:9092].", **rest),
        click.Option(["--bootstrap-server", "cluster"], hidden=True, **rest),
        click.Option(["--command-config"], metavar="FILE", hidden=not shown, help="Client properties.", **rest),
        click.Option(["--format", "form"], type=click.Choice(FORMATS), help="How to print [table].", **rest),
        click.Option(["--yes", "-y"], is_flag=True, hidden=not shown, help="Do not ask.", **rest),
        click.Option(["--no-progress"], is_flag=True, hidden=not shown, help="No progress on stderr.", **rest),
    ]


class AdminCommand(click.Command):
    """A command that also takes the options of the levels above."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("context_settings", SETTINGS)
        options["params"] = [*(options.get("params") or ()), *common_options(shown=False)]
        super().__init__(*arguments, **options)


class AdminGroup(WholeHelpGroup):
    """A group that also takes the options of the levels above."""

    command_class = AdminCommand

    def __init__(self, *arguments: Any, shown: bool = False, **options: Any) -> None:
        options.setdefault("context_settings", SETTINGS)
        options["params"] = [*(options.get("params") or ()), *common_options(shown=shown)]
        super().__init__(*arguments, **options)

    group_class = type

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name or what is short for it."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, SHORT.get(cmd_name, ""))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A name that nobody knows is answered with the nearest one; `help` is --help of what follows."""
        if args and args[0] == "help":
            if len(args) > 1:
                return self.resolve_command(ctx, [*args[1:], "--help"])
            click.echo(ctx.get_help())
            ctx.exit()
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.list_commands(ctx), 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def group(name: str) -> Callable[[Callable[..., Any]], AdminGroup]:
    """Decorator: a group with the docstring of the function as its help."""

    def make(function: Callable[..., Any]) -> AdminGroup:
        return AdminGroup(name=name, callback=function, help=function.__doc__)

    return make


def command(name: str) -> Callable[[Callable[..., Any]], AdminCommand]:
    """Decorator: a command with the docstring of the function as its help."""
    make: Callable[[Callable[..., Any]], AdminCommand] = click.command(name, cls=AdminCommand)
    return make


def state_option(states: tuple[str, ...], what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: `--state` as often as one likes, in any case; the function gets `states`."""
    return click.option(
        "--state",
        "states",
        type=click.Choice(states, False),
        metavar="STATE",
        multiple=True,
        help=f"Only {what} in this state.",
    )


def internal_option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: `--internal`."""
    return click.option("--internal", is_flag=True, help="Topics that the brokers keep for themselves as well.")


class Tree(AdminGroup):
    """The root: commands by module and attribute, with their help, so that --help imports none of them."""

    def __init__(
        self, *, lazy: Mapping[str, tuple[str, str]], version: str, later: tuple[str, ...] = (), **options: Any
    ) -> None:
        super().__init__(shown=True, **options)
        self._lazy = dict(lazy)
        self._later = later
        self.params.append(_version_option(version))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the tree; what has no help is another name of one that has."""
        return [name for name, (_, text) in self._lazy.items() if text]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported."""
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A name of a later release is said to be that."""
        if args and args[0] in self._later:
            raise click.UsageError(f"{args[0]!r} comes with a later release; this one has a single node and no logins.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and help from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items() if text])


def _version_option(version: str) -> click.Option:
    def show(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            click.echo(version)
            context.exit()

    return click.Option(
        ["--version", "-V"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show the version and exit.",
    )
