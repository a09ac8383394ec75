"""Help of a group that wraps the first sentence of each command; click's own cuts it at the width of the terminal."""

from __future__ import annotations

import click

# More than any first sentence has: the formatter wraps what is longer than a line.
NO_LIMIT = 1000


class WholeHelpGroup(click.Group):
    """A group whose help cuts nothing."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every command that is not hidden, with its first sentence."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(NO_LIMIT)) for name, each in found if each is not None])
