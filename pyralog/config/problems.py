"""What is wrong with a configuration: all of it, each mistake at its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

EX_CONFIG = 78  # sysexits.h


class Place(NamedTuple):
    """Where something stands: line and column (from 1) of the file, or the name of a variable or option."""

    line: int = 0
    column: int = 0
    name: str = ""

    def __str__(self) -> str:
        return self.name or (f"{self.line}:{self.column}" if self.line else "")


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: the dotted path (or nothing, for a file that cannot be read), what is wrong, and where."""

    path: str
    message: str
    place: Place = NOWHERE

    def text(self) -> str:
        """Path and message."""
        return f"{self.path}: {self.message}" if self.path else self.message

    def order(self) -> tuple[int, int, int, str, str]:
        """File lines first, then variables and options, then what has no place."""
        rank = 0 if self.place.line else 1 if self.place.name else 2
        return rank, self.place.line, self.place.column, self.place.name, self.path


class ConfigError(Exception):
    """A configuration that cannot be used, with every problem found."""

    def __init__(self, problems: Sequence[Problem], source: str | None = None) -> None:
        self.problems = sorted(problems, key=Problem.order)
        self.source = source
        super().__init__(self.report())

    def report(self, ending: str = "Nothing was started.") -> str:
        """The text for the terminal: a heading, a line for each problem, and what to do."""
        count = len(self.problems)
        where = self.source if self.source and any(p.place.line or not p.path for p in self.problems) else None
        heading = f"pyralog: {count} error{'' if count == 1 else 's'} in {where or 'the configuration'}"
        width = max((len(str(p.place)) for p in self.problems if p.place.line), default=0)
        lines = [heading]
        for problem in self.problems:
            place = str(problem.place)
            lines.append(f"  {place:<{width}} {problem.text()}" if place else f"  {problem.text()}")
        lines.append(f"{ending} {self._advice()}")
        return "\n".join(lines)

    def _advice(self) -> str:
        sections = {problem.path.split(".")[0] for problem in self.problems if "." in problem.path}
        about = f" {sections.pop()}" if len(sections) == 1 else ""
        return f"`pyralog config explain{about}` lists the keys."
