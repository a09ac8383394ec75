"""The configuration a running node goes by, and who is told when it changes: set while running, or read again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from pyralog.config.checks import cross_checks
from pyralog.config.dynamic import changed_paths, concerns, value_at, with_values
from pyralog.config.keys import Key, by_name
from pyralog.config.schema import Config
from pyralog.config.units import shown
from pyralog.config.view import BROKER_RESOURCE, ConfigurationView, Image

log = logging.getLogger(__name__)

Follower = Callable[[Config], None]


class Delta(Protocol):
    """The part of a change of the image that names resources whose configs changed."""

    @property
    def configs(self) -> Collection[tuple[int, str]]:
        """(resource type, name) of each."""
        ...


class Reloaded(NamedTuple):
    """What reading the file again came to: keys by what becomes of their new values, as dotted paths."""

    applied: tuple[str, ...]
    shadowed: tuple[str, ...]  # a value set while running is stronger
    restart: tuple[str, ...]


class LiveConfiguration:
    """What the node goes by now. All of it runs on the event loop."""

    def __init__(self, view: ConfigurationView) -> None:
        self._view = view
        self._followers: list[tuple[tuple[str, ...], Follower]] = []
        self._ignored: frozenset[str] = frozenset()
        self.current = view.config

    def begin(self, image: Image) -> Config:
        """Take over what was set before this start; who follows already is told."""
        self._move(image)
        return self.current

    def follow(self, prefixes: tuple[str, ...], follower: Follower) -> None:
        """Call back with the whole configuration whenever a key that is, or lies below, a prefix has changed."""
        self._followers.append((prefixes, follower))

    def on_image(self, delta: Delta, image: Image) -> None:
        """The cluster has changed: perhaps what is set for the brokers."""
        if any(kind == BROKER_RESOURCE for kind, _ in delta.configs):
            self._move(image)

    def reload(self, config: Config, image: Image) -> Reloaded:
        """Go by a configuration that was read again, as far as that is possible without a restart."""
        running = self._view.config
        changed = list(changed_paths(running, config))
        merged, restart = _runnable(running, config, changed)
        self._view.replace(merged)
        self._move(image)
        layers = self._view.broker_defaults(image).layers
        rest = [name for name in changed if name not in restart]
        return Reloaded(
            tuple(name for name in rest if name not in layers),
            tuple(name for name in rest if name in layers),
            tuple(restart),
        )

    def _move(self, image: Image) -> None:
        before, broker = self.current, self._view.broker_defaults(image)
        self._complain(broker.ignored)
        self.current = broker.current
        changed = list(changed_paths(before, self.current))
        for prefixes, follower in self._followers:
            if concerns(changed, prefixes):
                try:
                    follower(self.current)
                except Exception:
                    log.exception("a changed configuration (%s) was not taken over", ", ".join(changed))
        for name in changed:  # afterwards, as the levels of the log may be among them
            key = by_name()[name]
            log.info("%s: %s (was %s)", name, _text(key, self.current), _text(key, before))

    def _complain(self, ignored: tuple[str, ...]) -> None:
        """Say once what was set and does not hold here."""
        for why in ignored:
            if why not in self._ignored:
                log.error("a value that was set while running does not hold on this node: %s", why)
        self._ignored = frozenset(ignored)


def _runnable(running: Config, config: Config, changed: list[str]) -> tuple[Config, list[str]]:
    """The new configuration with the running values of keys that need a restart, and the names of those keys.

    A key that could change by itself also has to wait when it contradicts one that waits.
    """
    restart = [name for name in changed if by_name()[name].opt.scope == "static"]
    while True:
        kept = {by_name()[name].path: value_at(running, by_name()[name].path) for name in restart}
        merged = with_values(config, kept)
        more = {
            name
            for finding in cross_checks(merged)
            for name in changed
            if name in (finding.path, *finding.others) and name not in restart
        }
        if not more:
            break
        restart = [name for name in changed if name in more or name in restart]
    origins = {name: origin for name, origin in config.origins.items() if not concerns((name,), restart)}
    origins |= {name: origin for name, origin in running.origins.items() if concerns((name,), restart)}
    return merged.with_origins(origins), restart


def _text(key: Key, config: Config) -> str:
    if key.opt.sensitive:
        return "***"
    value = value_at(config, key.path)
    return ", ".join(map(str, value)) if key.kind == "list" else shown(value)
